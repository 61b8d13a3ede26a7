//! A few connections that send as fast as the gateway takes it.
//!
//! Each connection sends an opening, and then one block after the other, and reads what comes.
//! When the gateway ends a connection, it comes back after [`PAUSE`]. Never opens more than
//! `connections` at once.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    statuses::StatusCounter,
    wire::{Protocol, Tally, Target, count},
};

/// Between the end of a connection and the next one: at most 20 connections a second each.
const PAUSE: Duration = Duration::from_millis(50);

/// A flood on a few connections.
pub(crate) struct Flood {
    /// At full scale.
    pub(crate) connections: usize,
    pub(crate) protocol: Protocol,
    /// Whether all connections come from one address.
    pub(crate) one_address: bool,
    /// Sent once on each connection.
    pub(crate) opening: fn(&Target) -> Vec<u8>,
    /// Sent again and again.
    pub(crate) block: fn(&mut FloodTurn<'_>) -> Vec<u8>,
}

/// What a block may depend on.
pub(crate) struct FloodTurn<'a> {
    pub(crate) target: &'a Target,
    /// The number of the connection.
    pub(crate) connection: usize,
    /// Counts the blocks of the connection.
    pub(crate) turn: u32,
    stream: u32,
}

impl FloodTurn<'_> {
    /// The next stream that the client opens; the opening may use those below 1001.
    pub(crate) fn next_stream(&mut self) -> u32 {
        self.stream = (self.stream + 2) & 0x7fff_ffff;
        self.stream
    }
}

impl Flood {
    /// Runs to the end of the attack.
    pub(crate) async fn run(&'static self, target: &Target, tally: &Arc<Tally>) {
        let mut tasks = JoinSet::new();
        for index in 0..target.scaled(self.connections) {
            tasks.spawn(self.keep_on(index, target.clone(), Arc::clone(tally)));
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn keep_on(&'static self, index: usize, target: Target, tally: Arc<Tally>) {
        while Instant::now() < target.until {
            let flooded = timeout_at(target.until, self.connection(index, &target, &tally)).await;
            if let Ok(Ok(())) = flooded {
                count(&tally.ended, 1);
            }
            sleep_until(target.until.min(Instant::now() + PAUSE)).await;
        }
    }

    /// One connection to its end.
    async fn connection(&self, index: usize, target: &Target, tally: &Tally) -> io::Result<()> {
        let source = if self.one_address { 0 } else { index };
        let connected = target.connect(source, self.protocol, None).await;
        count(&tally.failed, u64::from(connected.is_err()));
        let (mut reading, mut writing) = tokio::io::split(connected?);
        count(&tally.opened, 1);
        let mut turn = FloodTurn {
            target,
            connection: index,
            turn: 0,
            stream: 999,
        };
        let sending = async {
            let mut bytes = (self.opening)(target);
            loop {
                if writing.write_all(&bytes).await.is_err() || writing.flush().await.is_err() {
                    return;
                }
                count(&tally.bytes, bytes.len() as u64);
                bytes = (self.block)(&mut turn);
                turn.turn += 1;
            }
        };
        tokio::select! {
            () = sending => {}
            () = discard(&mut reading, tally) => {}
        }
        Ok(())
    }
}

/// Reads to the end, and counts the responses.
async fn discard(reading: &mut (impl AsyncRead + Unpin), tally: &Tally) {
    let (mut buffer, mut statuses) = (vec![0; 16 * 1024], StatusCounter::default());
    while let Ok(read @ 1..) = reading.read(&mut buffer).await {
        statuses.read(&buffer[..read], tally);
    }
}
