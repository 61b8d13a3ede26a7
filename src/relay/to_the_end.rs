//! Work that is finished whoever waits for it: as long as somebody does, it is driven by that request itself, which costs no
//! task; when the request goes away, a task takes it over where it stands.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

use crate::spare::{Boxed, Spare};

/// A future that is never given up half-way, from its first step on.
pub(super) struct ToTheEnd<'a, T: Send + 'static> {
    /// In a box, so that it can be handed over; nothing once it has ended.
    work: Option<Boxed<T>>,
    boxes: &'a Spare<T>,
}

/// It panicked, which is a defect; what it held is dropped.
#[derive(Debug)]
pub(super) struct Panicked;

impl<'a, T: Send + 'static> ToTheEnd<'a, T> {
    pub(super) fn new(work: impl Future<Output = T> + Send + 'static, boxes: &'a Spare<T>) -> Self {
        Self {
            work: Some(boxes.hold(work)),
            boxes,
        }
    }
}

impl<T: Send + 'static> Future for ToTheEnd<'_, T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else {
            return Poll::Ready(Err(Panicked));
        };
        // Nothing of it is looked at after a panic: it is dropped.
        let step = catch_unwind(AssertUnwindSafe(|| work.poll(cx)));
        let ended = match step {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(_) => Err(Panicked),
        };
        if let (Some(work), Ok(_)) = (self.work.take(), &ended) {
            self.boxes.keep(work);
        }
        Poll::Ready(ended)
    }
}

impl<T: Send + 'static> Drop for ToTheEnd<'_, T> {
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.work.take(), Handle::try_current()) {
            drop(runtime.spawn(work));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_was_begun_is_finished_though_nobody_waits() {
        let (go, wait) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let boxes = Spare::default();
        let work = async move {
            wait.await.unwrap();
            tell.send(7).unwrap();
        };
        let mut work = ToTheEnd::new(work, &boxes);
        let begun = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut work).poll(cx))).await;
        assert!(begun.is_pending());
        drop(work);
        go.send(()).unwrap();
        assert_eq!(told.await, Ok(7));
    }

    #[tokio::test]
    async fn it_is_done_by_whoever_waits_and_a_panic_ends_nothing_else() {
        let boxes = Spare::default();
        assert_eq!(ToTheEnd::new(async { 7 }, &boxes).await.unwrap(), 7);
        let bad = async {
            assert_eq!(1, 2, "on purpose");
            8
        };
        let mut work = ToTheEnd::new(bad, &boxes);
        assert!((&mut work).await.is_err());
        assert!((&mut work).await.is_err());
        drop(work);
        assert_eq!(ToTheEnd::new(async { 9 }, &boxes).await.unwrap(), 9);
    }
}
