//! What a connection is doing, so that one that sends half a head, or nothing, does not stay for ever.
//!
//! A request under way is none of this module's business: its body has a pace of its own, and its call a time limit.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep_until},
};

/// Milliseconds of [`Activity::head_since`] that mean: no head is arriving.
const NONE: u64 = u64::MAX;

/// What is known of one connection; times are milliseconds since it began.
pub(super) struct Activity {
    began: Instant,
    requests: AtomicUsize,
    served: AtomicUsize,
    head_since: AtomicU64,
    idle_since: AtomicU64,
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// A head began to arrive and did not end in time.
    Head,
    /// Nothing came.
    Idle,
}

/// One request under way on a connection.
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    pub(super) fn begin() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            requests: AtomicUsize::new(0),
            served: AtomicUsize::new(0),
            head_since: AtomicU64::new(NONE),
            idle_since: AtomicU64::new(0),
        })
    }

    /// A head is complete.
    pub(super) fn request(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.served.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(NONE, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// Resolves when the connection has been silent for too long.
    pub(super) async fn expired(&self, head: Duration, idle: Duration) -> Expired {
        loop {
            let now = Instant::now();
            let mut wake = now + head;
            if self.requests.load(Ordering::Relaxed) == 0 {
                let (since, limit, why) = match self.head_since.load(Ordering::Relaxed) {
                    NONE if self.served.load(Ordering::Relaxed) == 0 => (0, head, Expired::Idle),
                    NONE => (self.idle_since.load(Ordering::Relaxed), idle, Expired::Idle),
                    since => (since, head, Expired::Head),
                };
                let deadline = self.began + Duration::from_millis(since) + limit;
                if deadline <= now {
                    return why;
                }
                // A head that begins later than now can't be late before `wake`.
                wake = wake.min(deadline);
            }
            sleep_until(wake).await;
        }
    }

    fn arrived(&self) {
        if self.requests.load(Ordering::Relaxed) == 0 {
            let _ = self.head_since.compare_exchange(
                NONE,
                self.now(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(NONE - 1)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Ordering::Relaxed);
        self.0.head_since.store(NONE, Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that tells an [`Activity`] what arrives, and gives back first what was already read.
pub(super) struct Watched<S> {
    stream: S,
    already: Bytes,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, already: Bytes, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            already,
            activity,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.already.is_empty() {
            let length = this.already.len().min(buf.remaining());
            buf.put_slice(this.already.get(..length).unwrap_or_default());
            this.already.advance(length);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.activity.arrived();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    /// Starts from a clock that stands, and moves by itself when everything waits.
    fn paused<F: Future>(test: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(test)
    }

    #[test]
    fn half_a_head_expires_though_bytes_keep_coming() {
        paused(async {
            let (head, idle) = (Duration::from_millis(40), Duration::from_secs(60));
            let activity = Activity::begin();
            activity.arrived();
            let began = Instant::now();
            assert_eq!(activity.expired(head, idle).await, Expired::Head);
            assert!(began.elapsed() < Duration::from_secs(30));
        });
    }

    #[test]
    fn a_new_connection_has_the_time_of_a_head_and_a_kept_one_the_idle_time() {
        paused(async {
            let activity = Activity::begin();
            assert_eq!(
                activity.expired(Duration::from_millis(20), IDLE).await,
                Expired::Idle
            );
            drop(activity.request());
            assert_eq!(
                activity.expired(HEAD, Duration::from_millis(20)).await,
                Expired::Idle
            );
        });
    }

    #[test]
    fn a_request_under_way_does_not_expire() {
        paused(async {
            let activity = Activity::begin();
            let _busy = activity.request();
            activity.arrived();
            let expired = activity.expired(Duration::from_millis(1), Duration::from_millis(1));
            assert!(
                tokio::time::timeout(Duration::from_millis(50), expired)
                    .await
                    .is_err()
            );
        });
    }
}
