//! The end of a stream: the last response, and a close that lets the peer read it.
//!
//! Relies on hyper to have released the stream. Every wait is bounded. Keeps nothing of what it
//! reads.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout, timeout_at},
};

use super::ConnectionStream;
use crate::server::socket::PeerStream;

/// How long, and how many bytes, to read from the peer after the last response. Closing earlier
/// would reset the connection before the peer has read the response.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

impl<S: PeerStream> ConnectionStream<S> {
    /// Writes a response without hyper, which has released the stream.
    pub(in crate::server) async fn respond(&mut self, bytes: &[u8]) {
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        (self.last_write, self.read_since_write) = (Some(Instant::now()), 0);
        if !matches!(timeout(LINGER, writing).await, Ok(Ok(()))) {
            tracing::debug!("a last response could not be written");
        }
    }

    /// Shuts down the write half and closes the connection.
    pub(in crate::server) async fn close(mut self) {
        drop(timeout(LINGER, self.stream.shutdown()).await);
    }

    /// Shuts down the write half, then reads and discards until 2 s or 256 KiB after the last
    /// response, including what the relay has read since. Further bytes stay unread until the 2 s
    /// have passed, so that a reset does not overtake the response.
    pub(in crate::server) async fn close_lingering(mut self) {
        let until = self.last_write.unwrap_or_else(Instant::now) + LINGER;
        let lingering = async {
            self.stream.shutdown().await?;
            let mut discarded = vec![0; 16 * 1024];
            while !self.read_ended && self.read_since_write < LINGER_BYTES {
                let read = self.stream.read(&mut discarded).await?;
                self.read_ended = read == 0;
                self.read_since_write = self.read_since_write.saturating_add(read);
            }
            if !self.read_ended {
                drop(discarded);
                std::future::pending::<()>().await;
            }
            io::Result::Ok(())
        };
        drop(timeout_at(until, lingering).await);
    }
}
