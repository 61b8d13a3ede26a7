//! Many connections that do little: idle ones, unfinished heads, slow bodies, slow readers.
//!
//! Each connection sends the start of a script at once, drips the rest, and comes back when the
//! gateway ends it. Opens at most `per_second` connections a second over all, so that it never
//! becomes a mere flood of handshakes.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at},
};

use super::{
    statuses::StatusCounter,
    wire::{Duplex, Protocol, Tally, Target, count},
};

/// A crowd of connections.
pub(crate) struct Crowd {
    /// At full scale.
    pub(crate) connections: usize,
    /// Connections opened in a second, at full scale.
    pub(crate) per_second: usize,
    pub(crate) protocol: Protocol,
    pub(crate) admin: bool,
    /// The connections take turns with so many accounts.
    pub(crate) accounts: usize,
    /// What a connection sends; the number is that of its account.
    pub(crate) script: fn(&Target, usize) -> Script,
    /// Whether it reads what the gateway sends.
    pub(crate) reads: bool,
    /// Whether it leaves with the first response, and comes back.
    pub(crate) leaves: bool,
    /// Size of the socket's receive buffer.
    pub(crate) receive: Option<u32>,
}

/// What one connection sends.
#[derive(Clone)]
pub(crate) struct Script {
    /// Sent as soon as the connection is open.
    pub(crate) start: Arc<[u8]>,
    pub(crate) drip: Option<Drip>,
}

/// What follows the start, for as long as the connection lives.
#[derive(Clone)]
pub(crate) struct Drip {
    pub(crate) every: Duration,
    /// So many bytes each time.
    pub(crate) bytes: usize,
    /// Repeated without end.
    pub(crate) of: Arc<[u8]>,
}

impl Script {
    pub(crate) fn once(start: impl Into<Arc<[u8]>>) -> Self {
        Self {
            start: start.into(),
            drip: None,
        }
    }
}

impl Crowd {
    /// Runs to the end of the attack.
    pub(crate) async fn run(&'static self, target: &Target, tally: &Arc<Tally>) {
        let accounts = 0..self.accounts.max(1);
        let scripts: Vec<Script> = accounts.map(|it| (self.script)(target, it)).collect();
        let connections = target.scaled(self.connections);
        let between = Duration::from_secs_f64(1.0 / target.scaled(self.per_second) as f64);
        let round = between * u32::try_from(connections).unwrap_or(u32::MAX);
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for (index, script) in (0..connections).zip(scripts.into_iter().cycle()) {
            let visitor = Visitor {
                crowd: self,
                index,
                script,
                target: target.clone(),
                tally: Arc::clone(tally),
            };
            let first = begun + between * u32::try_from(index).unwrap_or(u32::MAX);
            tasks.spawn(visitor.visit(first, round));
        }
        while tasks.join_next().await.is_some() {}
    }
}

/// One of the crowd.
struct Visitor {
    crowd: &'static Crowd,
    index: usize,
    script: Script,
    target: Target,
    tally: Arc<Tally>,
}

impl Visitor {
    /// Connects again and again, at most once in `round`.
    async fn visit(self, first: Instant, round: Duration) {
        let mut due = first;
        while due < self.target.until {
            sleep_until(due).await;
            due = Instant::now() + round;
            let connected = if self.crowd.admin {
                self.target.connect_admin(self.index).await
            } else {
                let (protocol, receive) = (self.crowd.protocol, self.crowd.receive);
                self.target.connect(self.index, protocol, receive).await
            };
            let Ok(stream) = connected else {
                count(&self.tally.failed, 1);
                continue;
            };
            count(&self.tally.opened, 1);
            if let Ok(stayed) = timeout_at(self.target.until, self.stay(stream)).await {
                count(
                    &self.tally.ended,
                    u64::from(!matches!(stayed, Ok(Stay::Left))),
                );
            }
        }
    }

    async fn stay(&self, mut stream: Box<dyn Duplex>) -> io::Result<Stay> {
        let mut statuses = StatusCounter::default();
        self.send(&mut stream, &self.script.start).await?;
        let pause = Duration::from_secs(3600);
        let every = self.script.drip.as_ref().map_or(pause, |drip| drip.every);
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let (mut buffer, mut sent) = ([0; 1024], 0);
        loop {
            tokio::select! {
                read = stream.read(&mut buffer), if self.crowd.reads => {
                    let read = read?;
                    let known = statuses.read(&buffer[..read], &self.tally);
                    if read == 0 {
                        return Ok(Stay::Ended);
                    }
                    if known && self.crowd.leaves {
                        return Ok(Stay::Left);
                    }
                }
                _ = ticks.tick() => {
                    if let Some(drip) = &self.script.drip {
                        let bytes = drip.of.iter().cycle().skip(sent % drip.of.len());
                        let bytes: Vec<u8> = bytes.take(drip.bytes).copied().collect();
                        self.send(&mut stream, &bytes).await?;
                        sent += drip.bytes;
                    }
                }
            }
        }
    }

    async fn send(&self, stream: &mut Box<dyn Duplex>, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes).await?;
        stream.flush().await?;
        count(&self.tally.bytes, bytes.len() as u64);
        Ok(())
    }
}

/// How a connection went.
enum Stay {
    /// The gateway ended it.
    Ended,
    /// It left by itself.
    Left,
}
