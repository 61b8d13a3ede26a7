//! Looks at files again and again, and puts to use what their new content makes.
//!
//! A content counts when it has been read the same twice in a row, so nothing half written is taken; when of several files that
//! belong together only some have changed, the others are waited for. What is wrong is said once, and changes nothing.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::{
    part::Seen,
    recipe::{Fault, Watched},
};

/// Between two looks.
pub const PERIOD: Duration = Duration::from_secs(1);

/// How often a new content must be seen in a row,
const STEADY: u32 = 2;
/// and how often while files that belong to it are as they were: whoever writes them one by one needs some seconds.
const STEADY_IN_PART: u32 = 10;

/// All that is looked at.
pub struct Watches {
    period: Duration,
    looks: Vec<Look>,
}

type Look = Box<dyn FnMut() + Send>;

/// One value, and how far a change of it has come.
struct Watch<T, A> {
    watched: Watched<T>,
    apply: A,
    /// What was last judged, be it in use or refused.
    judged: Vec<Seen>,
    /// What is new, and how often it was seen in a row.
    new: Option<(Vec<Seen>, u32)>,
}

impl Watches {
    /// Looks at nothing yet.
    pub fn new(period: Duration) -> Self {
        Self {
            period,
            looks: Vec::new(),
        }
    }

    /// Looks at this too, if it is there; `apply` puts a new value to use, or says why it can't.
    pub fn add<T: 'static>(
        &mut self,
        watched: Option<Watched<T>>,
        apply: impl FnMut(T) -> Result<(), &'static str> + Send + 'static,
    ) {
        let Some(watched) = watched else { return };
        let mut watch = Watch::new(watched, apply);
        self.looks.push(Box::new(move || watch.look()));
    }

    /// Does this too, at each look.
    pub fn also(&mut self, work: impl FnMut() + Send + 'static) {
        self.looks.push(Box::new(work));
    }

    /// Looks until it is dropped.
    pub async fn keep(mut self) {
        let mut tick = interval(self.period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.looks.is_empty() {
            tick.tick().await;
            // A file may be on a disk that is slow or gone, and no request is to wait for that.
            let looked = spawn_blocking(move || {
                self.look();
                self
            });
            match looked.await {
                Ok(back) => self = back,
                // The runtime ends.
                Err(_) => return,
            }
        }
    }

    fn look(&mut self) {
        for look in &mut self.looks {
            // One that is left behind by a bug has judged already, and goes on with the next content.
            if catch_unwind(AssertUnwindSafe(look)).is_err() {
                tracing::error!(
                    "looking at a changed file ended in a bug; the old value stays in use"
                );
            }
        }
    }
}

impl<T, A: FnMut(T) -> Result<(), &'static str>> Watch<T, A> {
    fn new(watched: Watched<T>, apply: A) -> Self {
        Self {
            judged: watched.seen.clone(),
            watched,
            apply,
            new: None,
        }
    }

    fn look(&mut self) {
        let reading = self.watched.recipe.read();
        if reading.seen == self.judged {
            self.new = None;
            return;
        }
        let times = match self.new.take() {
            Some((seen, times)) if seen == reading.seen => times.saturating_add(1),
            _ => 1,
        };
        if times < self.wanted(&reading.seen) {
            self.new = Some((reading.seen, times));
            return;
        }
        let before = std::mem::replace(&mut self.judged, reading.seen.clone());
        let key = self.watched.recipe.keys();
        if reading.seen == self.watched.seen {
            tracing::info!(key, "the content is again the one in use");
            return;
        }
        let mut faults = reading.faults();
        if !faults.is_empty() {
            // Of a part that is as wrong as it was, it was said.
            faults.retain(|fault| before.get(fault.part) != self.judged.get(fault.part));
            return self.refuse(&faults);
        }
        let made = self.watched.recipe.make(reading);
        let applied = made.and_then(|value| {
            (self.apply)(value).map_err(|why| vec![Fault::of(0, why, "try again, or restart")])
        });
        match applied {
            Ok(()) => {
                self.watched.seen.clone_from(&self.judged);
                tracing::info!(key, "the new content is in use");
            }
            Err(faults) => self.refuse(&faults),
        }
    }

    /// How often this must be seen.
    fn wanted(&self, seen: &[Seen]) -> u32 {
        let parts = self.watched.recipe.are_files();
        let pairs = seen.iter().zip(&self.watched.seen).zip(parts);
        let files = pairs.filter(|(_, is_file)| *is_file);
        let same = files.filter(|((new, used), _)| new == used).count();
        match same {
            0 => STEADY,
            _ if seen == self.watched.seen => STEADY,
            _ => STEADY_IN_PART,
        }
    }

    fn refuse(&self, faults: &[Fault]) {
        for Fault { part, trouble } in faults {
            let (key, file) = self.watched.recipe.named(*part);
            tracing::warn!(
                key,
                file,
                "the new content can't be used, the old one stays in use: {}; {}",
                trouble.message,
                trouble.mend
            );
        }
    }
}

#[cfg(test)]
mod tests;
