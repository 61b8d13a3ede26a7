//! One phase: the normal load for some seconds, with or without an attack, and what it cost.
//!
//! Relies on the load for responses and on `/proc` for everything else. Never judges.

use std::{cell::RefCell, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    attacker::Attacker,
    load::{Load, SLOW_USERS},
    probe::probes,
    process::own_cpu,
    rig::Rig,
    samples::Samples,
};

const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// What the normal users do in a phase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PhasePlan {
    /// Small requests a second.
    pub(crate) rate: f64,
    pub(crate) time: Duration,
    /// Whether 20 users send 2 MiB in five seconds each.
    pub(crate) slow_users: bool,
}

/// What was measured; processor time in cores, memory in bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phase {
    pub(crate) samples: Samples,
    pub(crate) gateway_cpu: f64,
    pub(crate) attackers_cpu: f64,
    pub(crate) load_cpu: f64,
    pub(crate) most_memory: u64,
    pub(crate) most_descriptors: u64,
    /// The longest probe in seconds; infinite if one failed.
    pub(crate) worst_probe: f64,
}

/// Runs one phase.
pub(crate) async fn run(
    plan: PhasePlan,
    load: &Arc<Load>,
    rig: &Rig,
    attacker: Option<&Attacker>,
) -> Phase {
    let begun = Instant::now();
    let end = begun + plan.time;
    let attackers = || attacker.map_or(0.0, |attacker| attacker.process.cpu());
    let before = (rig.gateway.cpu(), attackers(), own_cpu());
    let phase = RefCell::new(Phase::default());
    let users = async {
        let slow = if plan.slow_users { SLOW_USERS } else { 0 };
        tokio::join!(
            load.pace(plan.rate, || end),
            load.slow_users(slow, move || end)
        );
    };
    let watching = async {
        while Instant::now() < end {
            phase.borrow_mut().look_at(rig);
            sleep(SAMPLE_EVERY).await;
        }
        std::future::pending::<()>().await;
    };
    let probing = probes(rig.admin, |seconds| {
        let mut phase = phase.borrow_mut();
        phase.worst_probe = phase.worst_probe.max(seconds);
    });
    tokio::select! {
        () = users => {}
        () = watching => {}
        () = load.newcomers() => {}
        () = probing => {}
    }
    let mut phase = phase.take();
    let seconds = begun.elapsed().as_secs_f64();
    phase.gateway_cpu = (rig.gateway.cpu() - before.0) / seconds;
    phase.attackers_cpu = (attackers() - before.1) / seconds;
    phase.load_cpu = (own_cpu() - before.2) / seconds;
    phase.samples = load.take_samples();
    phase
}

impl Phase {
    fn look_at(&mut self, rig: &Rig) {
        self.most_memory = self.most_memory.max(rig.gateway.resident());
        self.most_descriptors = self.most_descriptors.max(rig.gateway.descriptors());
    }

    /// Puts the phases of one kind together; shares of cores become their mean.
    pub(crate) fn together(phases: Vec<Self>) -> Self {
        let count = phases.len().max(1) as f64;
        let mut whole = Self::default();
        for phase in phases {
            whole.samples.extend(phase.samples);
            whole.gateway_cpu += phase.gateway_cpu / count;
            whole.attackers_cpu += phase.attackers_cpu / count;
            whole.load_cpu += phase.load_cpu / count;
            whole.most_memory = whole.most_memory.max(phase.most_memory);
            whole.most_descriptors = whole.most_descriptors.max(phase.most_descriptors);
            whole.worst_probe = whole.worst_probe.max(phase.worst_probe);
        }
        whole
    }
}
