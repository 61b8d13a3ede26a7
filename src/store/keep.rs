//! Makes and remakes the connection to the store in the background.
//!
//! A probe goes over each new connection, to whatever the store's address leads to by then. It is
//! this replica's heartbeat. While the store is available, a heartbeat is sent every second; any
//! error in reply to it opens the breaker, and its reply also tells whether the store may have lost
//! data. When another server takes over in good order, calls go there without a pause.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::sleep};

use super::{
    cluster::Redirect,
    error::{StoreError, Unavailable},
    heartbeat::Probe,
    link::Link,
    primary::PrimaryFinder,
    route::{ProbedRoute, RouteChange},
    script::{ScriptReply, Scripts},
};

/// Until the first probe of a lost store; the pauses then grow.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A connection that stood this long is probed again after the first pause.
const STEADY: Duration = Duration::from_secs(5);

impl Link {
    /// Connects and probes, again and again. Never ends.
    pub(super) async fn keep(&self, scripts: &Scripts) {
        let mut finder = self.finder();
        let mut pause = FIRST_PAUSE;
        let mut redirects = self.redirects.subscribe();
        loop {
            self.renew(&mut finder);
            match finder.find(&self.probe(scripts)).await {
                Ok(found) => {
                    let since = Instant::now();
                    redirects.mark_unchanged();
                    self.serve(found, &mut finder, &mut redirects, scripts)
                        .await;
                    if since.elapsed() >= STEADY {
                        pause = FIRST_PAUSE;
                    }
                }
                Err(error) => self.log.is_down(&error),
            }
            sleep(jittered(pause)).await;
            pause = pause.saturating_mul(2).min(self.pace.longest_pause);
        }
    }

    fn finder(&self) -> PrimaryFinder {
        let address = self.address.load_full();
        PrimaryFinder::new(address, self.dialer.clone(), self.slot, self.pace.heartbeat)
    }

    /// Replaces the finder if the URL has changed.
    fn renew(&self, finder: &mut PrimaryFinder) {
        if !Arc::ptr_eq(&finder.address, &self.address.load()) {
            *finder = self.finder();
        }
    }

    fn probe<'a>(&'a self, scripts: &'a Scripts) -> Probe<'a> {
        Probe {
            heartbeat: &self.heartbeat,
            scripts,
            timeout: self.timeout,
            epoch: &self.epoch,
        }
    }

    /// Makes calls to this primary, and to those that take over from it, until the breaker opens.
    async fn serve(
        &self,
        found: ProbedRoute,
        finder: &mut PrimaryFinder,
        redirects: &mut watch::Receiver<Option<Redirect>>,
        scripts: &Scripts,
    ) {
        let mut is_first = true;
        let mut next = Some(found);
        while let Some(found) = next {
            let closed = self.closed.notified();
            tokio::pin!(closed);
            closed.as_mut().enable();
            self.epoch.store(found.epoch, Ordering::Relaxed);
            let connection = found.route.primary.clone();
            let number = self.open(found.route, finder.follows_redirects());
            match std::mem::take(&mut is_first) {
                true => self.log.is_up(),
                false => self.log.has_moved(),
            }
            let broken = async {
                let error = connection.closed().await;
                self.close(number, &error);
            };
            next = tokio::select! {
                () = closed => None,
                () = broken => None,
                () = self.beat(number, scripts) => None,
                next = self.replaced(number, finder, redirects, scripts) => next,
            };
        }
    }

    /// Waits until another server has taken over.
    async fn replaced(
        &self,
        number: u64,
        finder: &mut PrimaryFinder,
        redirects: &mut watch::Receiver<Option<Redirect>>,
        scripts: &Scripts,
    ) -> Option<ProbedRoute> {
        loop {
            let readdressed = self.readdressed.notified();
            tokio::pin!(readdressed);
            readdressed.as_mut().enable();
            self.renew(finder);
            let open = self.current().filter(|open| open.number == number)?;
            let probe = self.probe(scripts);
            let change = tokio::select! {
                change = finder.changed(&open.route, redirects, &probe) => change,
                () = readdressed => continue,
            };
            match change {
                Ok(RouteChange::Replaced(found)) => return Some(found),
                Ok(RouteChange::Successor(node)) => self.add_successor(number, node),
                Err(error) => {
                    self.close(number, &error);
                    return None;
                }
            }
        }
    }

    /// Sends heartbeats until the breaker opens.
    async fn beat(&self, number: u64, scripts: &Scripts) {
        loop {
            sleep(self.pace.heartbeat).await;
            // Repeated until it succeeds or the breaker opens.
            while self.is_up() && self.send_heartbeat(number, scripts).await.is_err() {}
        }
    }

    async fn send_heartbeat(&self, number: u64, scripts: &Scripts) -> Result<(), Unavailable> {
        for call in self.heartbeat.calls(scripts) {
            let (keys, args) = ([call.key], [call.arg]);
            let reply = self.run(call.script, &keys, &args, |_| true).await?;
            let Some(ScriptReply::Number(reply)) = reply else {
                self.close(number, &StoreError::Invalid);
                return Err(Unavailable);
            };
            let tells_epoch = std::ptr::eq(call.script, &scripts.heartbeat);
            if tells_epoch && self.epoch.swap(reply, Ordering::Relaxed) != reply {
                self.has_lost_data(number);
            }
        }
        Ok(())
    }
}

/// Between half of `time` and all of it, so that replicas do not all act at once.
pub fn jittered(time: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness there is no jitter, which does no harm.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    let [byte] = byte;
    time.mul_f64(0.5 + f64::from(byte) / 512.0)
}
