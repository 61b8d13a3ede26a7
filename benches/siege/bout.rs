//! One attack against one gateway: phases without and with it in turns, and whether its goals hold.
//!
//! Relies on a rate that is half of the capacity. Never compares phases of two gateways.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::{
    attacker::Attacker,
    attacks::{Attack, Goal, wire::AttackReport},
    load::{Load, SMALL_PER_VERIFY, User},
    phase::{self, Phase, PhasePlan},
    rig::{Rig, RigPlan},
    samples::Kind,
    stats::percentile,
};

/// The latency with an attack, at most so many times that without.
const SLOWER: f64 = 2.0;
/// Seconds for a probe, and for a newcomer in the 99th percentile.
const PROBE: f64 = 1.0;
/// Seconds for a request of a normal user on the attackers' connection, in the 99th percentile.
const VICTIM: f64 = 3.0;
/// The load alone, before the first phase.
const WARM_UP: Duration = Duration::from_secs(2);
const CALIBRATION: Duration = Duration::from_secs(4);
/// Requests under way while the capacity is measured.
const RUSH: usize = 24;
/// Seconds that slow uploads are watched for at least, and crowds.
const LONG: Duration = Duration::from_secs(45);
/// Small requests that a percentile needs.
const ENOUGH: usize = 200;
const ENOUGH_VERIFIES: usize = 50;

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BoutPlan {
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
    pub(crate) scale: f64,
    /// Small requests a second.
    pub(crate) rate: f64,
}

/// What came of an attack.
#[derive(Debug)]
pub(crate) struct Bout {
    pub(crate) attack: &'static str,
    pub(crate) without: Phase,
    pub(crate) with: Phase,
    pub(crate) report: AttackReport,
    /// Growth of resident memory by the attack, in bytes.
    pub(crate) growth: u64,
    /// The goals that were missed; empty is good.
    pub(crate) missed: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// What all bouts have in common.
pub(crate) struct Ground {
    pub(crate) rig: RigPlan,
    pub(crate) users: Arc<Vec<User>>,
    /// Base64.
    pub(crate) video: Bytes,
}

impl Ground {
    fn plan(&self, attack: &Attack) -> RigPlan {
        RigPlan {
            tls: attack.tls,
            server: attack.server.to_vec(),
            descriptors: attack.descriptors,
            ..self.rig.clone()
        }
    }

    fn load(&self, rig: &Rig) -> Arc<Load> {
        Load::new(
            rig.site.clone(),
            Arc::clone(&self.users),
            self.video.clone(),
        )
    }

    /// Half of the small requests a second that a gateway serves with their verifies.
    pub(crate) async fn half_of_capacity(&self, tls: bool) -> io::Result<f64> {
        let rig = Rig::start(&RigPlan {
            tls,
            ..self.rig.clone()
        })?;
        let load = self.load(&rig);
        load.rush(RUSH, Instant::now() + WARM_UP).await;
        let begun = Instant::now();
        let served = load.rush(RUSH, begun + CALIBRATION).await;
        let samples = load.take_samples();
        let capacity = served as f64 / begun.elapsed().as_secs_f64();
        eprintln!(
            "capacity{}: {capacity:.0} small requests a second, and a verify for each \
             {SMALL_PER_VERIFY}; lost: [{}], wrong: {} {:?}",
            if tls { " over TLS" } else { "" },
            samples.reasons(),
            samples.wrong,
            samples.described,
        );
        if samples.wrong > 0 || served == 0 {
            return Err(io::Error::other(
                "the gateway does not serve the normal load",
            ));
        }
        Ok(capacity / 2.0)
    }

    /// Fights one attack.
    pub(crate) async fn fight(&self, attack: &'static Attack, plan: BoutPlan) -> io::Result<Bout> {
        let rig = Rig::start(&self.plan(attack))?;
        let load = self.load(&rig);
        let mut fight = Fight {
            attack,
            plan,
            core: self.rig.cores.map(|(_, rest)| rest),
            rig,
            load,
        };
        fight.run().await
    }
}

/// A bout under way.
struct Fight {
    attack: &'static Attack,
    plan: BoutPlan,
    core: Option<usize>,
    rig: Rig,
    load: Arc<Load>,
}

impl Fight {
    async fn run(&mut self) -> io::Result<Bout> {
        let slow_users = self.attack.goal == Goal::SlowUsers;
        let is_long = slow_users || matches!(self.attack.goal, Goal::Memory(_));
        let mut plan = PhasePlan {
            rate: self.plan.rate,
            time: WARM_UP,
            slow_users,
        };
        let warm = Instant::now() + WARM_UP;
        self.load.pace(plan.rate, || warm).await;
        self.load.take_samples();
        plan.time = self.plan.time;
        let rounds = if is_long { 1 } else { self.plan.rounds };
        if slow_users && self.plan.scale >= 1.0 {
            plan.time = plan.time.max(LONG);
        }
        let (mut without, mut with) = (Vec::new(), Vec::new());
        let (mut report, mut growth) = (AttackReport::default(), 0);
        for _ in 0..rounds {
            without.push(phase::run(plan, &self.load, &self.rig, None).await);
            let before = self.rig.gateway.resident();
            let (phase, more) = self.attacked(plan).await?;
            growth = growth.max(phase.most_memory.saturating_sub(before));
            with.push(phase);
            report.add(more);
        }
        if is_long {
            without.push(phase::run(plan, &self.load, &self.rig, None).await);
        }
        let mut bout = Bout {
            attack: self.attack.name,
            without: Phase::together(without),
            with: Phase::together(with),
            report,
            growth,
            missed: Vec::new(),
            notes: Vec::new(),
        };
        self.judge(&mut bout);
        Ok(bout)
    }

    /// One phase with the attack.
    async fn attacked(&self, plan: PhasePlan) -> io::Result<(Phase, AttackReport)> {
        let ramp = Duration::from_secs_f64(self.attack.ramp(self.plan.scale) + 0.5);
        let longest = ramp + plan.time * 2 + Duration::from_secs(60);
        let scale = self.plan.scale;
        let attacker = Attacker::start(&[self.attack], &self.rig, self.core, scale, longest)?;
        let opening = PhasePlan { time: ramp, ..plan };
        let ramp = phase::run(opening, &self.load, &self.rig, Some(&attacker)).await;
        let mut phase = phase::run(plan, &self.load, &self.rig, Some(&attacker)).await;
        phase.most_memory = phase.most_memory.max(ramp.most_memory);
        phase.most_descriptors = phase.most_descriptors.max(ramp.most_descriptors);
        phase.worst_probe = phase.worst_probe.max(ramp.worst_probe);
        let mut reports = attacker.finish()?;
        // What the attackers leave behind is no part of the next phase.
        sleep(Duration::from_secs(1)).await;
        Ok((phase, reports.remove(self.attack.name).unwrap_or_default()))
    }

    fn judge(&self, bout: &mut Bout) {
        let (with, without) = (&bout.with.samples, &bout.without.samples);
        let mut missed = Vec::new();
        for (kind, what, enough) in [
            (Kind::Small, "small requests", ENOUGH),
            (Kind::Verify, "verifies", ENOUGH_VERIFIES),
        ] {
            let times = with.percentile(kind, 0.99) / without.percentile(kind, 0.99);
            if with.served(kind) < enough || without.served(kind) < enough {
                bout.notes.push(format!("too few {what} for a percentile"));
            }
            // Where neither served any, there is no number.
            if times > SLOWER || times.is_nan() {
                missed.push(format!("p99 of {what} × {times:.1}"));
            }
        }
        for (kind, what) in [
            (Kind::Small, "small requests"),
            (Kind::Verify, "verifies"),
            (Kind::Newcomer, "newcomers"),
            (Kind::SlowUser, "slow uploads"),
        ] {
            if !with.few_lost(kind) {
                let (lost, served) = (with.lost(kind), with.served(kind));
                missed.push(format!("{lost} {what} lost, {served} served"));
            }
        }
        for samples in [with, without] {
            if samples.wrong > 0 {
                missed.push(format!("{} wrong: {:?}", samples.wrong, samples.described));
            }
        }
        if bout.with.worst_probe > PROBE {
            missed.push(format!("a probe took {:.1} s", bout.with.worst_probe));
        }
        let log = self.rig.log.summary();
        if log.panics > 0 {
            missed.push(format!("{} panics", log.panics));
        }
        missed.extend(self.own_goal(bout));
        bout.missed = missed;
        let reasons = with.reasons();
        if !reasons.is_empty() {
            bout.notes.push(format!("lost with the attack: {reasons}"));
        }
        for (event, times) in &log.events {
            bout.notes.push(format!("log, {times} times: {event}"));
        }
        for key in &self.rig.unknown {
            bout.notes.push(format!("this build has no `server.{key}`"));
        }
    }

    /// The goal of this attack alone, if it was missed.
    fn own_goal(&self, bout: &Bout) -> Option<String> {
        let report = &bout.report;
        let answers = |status| report.answers.get(&status).copied().unwrap_or(0);
        match self.attack.goal {
            Goal::Usual | Goal::SlowUsers => None,
            Goal::Memory(most) => {
                let grown = bout.growth >> 20;
                (grown >= most).then(|| format!("memory grew by {grown} MiB"))
            }
            Goal::Victims => {
                let (served, lost) = (report.victims.len() as u64, report.victims_lost);
                let slowest = percentile(&report.victims, 0.99);
                let good = served > 0 && lost * 100 <= served + lost && slowest <= VICTIM;
                (!good).then(|| {
                    format!(
                        "on the shared connection: {served} served, {lost} lost, p99 {slowest:.1} s"
                    )
                })
            }
            Goal::Limited => {
                // Each of them ends its connection, so there are few.
                (answers(429) == 0).then(|| "no request was limited".to_owned())
            }
        }
    }
}
