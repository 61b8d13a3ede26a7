//! Everything at once: all attacks, half and full load in turns, and an upstream, an issuer and a
//! store that fail now and then. In the end nothing may be left of it.
//!
//! Relies on processes of its own for each of them. Never lets a part fail while the latency is
//! measured: what fails, fails under full load.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    attacker::{Attacker, Reports},
    attacks::Attack,
    issuer::Issuer,
    load::{Load, User},
    phase::{self, Phase, PhasePlan},
    probe::ask,
    rig::{Rig, RigPlan},
    samples::{Kind, Samples},
    soak_result::{self, SoakResult},
    store::Store,
};

/// The share of each attack's connections.
const SCALE: f64 = 0.1;
/// Requests under way at full load.
const RUSH: usize = 24;
/// Length of a turn of half or full load.
const TURN: Duration = Duration::from_secs(20);
/// In a turn of full load, a part is out of order for so long, from this moment on.
const TROUBLE_AT: Duration = Duration::from_secs(3);
const TROUBLE: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(10);
/// Users of each issuer.
const USERS: usize = 250;
/// Memory may stay so far above the start: sessions and responses that are kept for retries.
const MEMORY_MARGIN: u64 = 96 << 20;
const DESCRIPTOR_MARGIN: u64 = 16;
const SETTLE: Duration = Duration::from_secs(180);
const SETTLE_PAUSE: Duration = Duration::from_secs(2);
/// Gauges of the gateway that must return to 0.
const GAUGES: [&str; 3] = ["body_memory_bytes", "requests_in_flight", "connections"];

/// How the soak is run.
pub(crate) struct SoakPlan {
    pub(crate) rig: RigPlan,
    pub(crate) time: Duration,
    /// Small requests a second, half of the capacity.
    pub(crate) rate: f64,
    pub(crate) video: Bytes,
}

/// What fails, in turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    UpstreamGone,
    StoreGone,
    IssuerGone,
    UpstreamSlow,
    UpstreamRejects,
}

const TROUBLES: [Trouble; 5] = [
    Trouble::UpstreamGone,
    Trouble::StoreGone,
    Trouble::IssuerGone,
    Trouble::UpstreamSlow,
    Trouble::UpstreamRejects,
];

/// Everything that runs.
struct Soak {
    plan: SoakPlan,
    rig: Rig,
    issuer: Issuer,
    store: Option<Store>,
    load: Arc<Load>,
}

/// What the attacked turns gave.
#[derive(Default)]
struct Turns {
    half: Vec<Phase>,
    full: Samples,
    reports: Reports,
}

/// Runs the soak.
pub(crate) async fn soak(plan: SoakPlan) -> io::Result<SoakResult> {
    let core = plan.rig.cores.map(|(_, rest)| rest);
    let issuer = Issuer::start(&std::env::current_exe()?, core)?;
    let store = Store::start(core)?;
    let mut rig = plan.rig.clone();
    rig.tls = true;
    rig.server = vec![("rate_per_address", "2000/s")];
    rig.more = issuer.section();
    if let Some(store) = &store {
        rig.more += "[store]\nredis = { env = \"STORE\" }\n";
        rig.environment.push(("STORE".to_owned(), store.url()));
    }
    let rig = Rig::start(&rig)?;
    let load = load(&plan, &issuer, &rig)?;
    let mut soak = Soak {
        plan,
        rig,
        issuer,
        store,
        load,
    };
    soak.run().await
}

fn load(plan: &SoakPlan, issuer: &Issuer, rig: &Rig) -> io::Result<Arc<Load>> {
    let mut users = User::of_the_harness("soak", USERS)?;
    for number in 0..USERS {
        users.push(issuer.user(format!("other-{number}"))?);
    }
    Ok(Load::new(
        rig.site.clone(),
        Arc::new(users),
        plan.video.clone(),
    ))
}

impl Soak {
    async fn run(&mut self) -> io::Result<SoakResult> {
        self.load.rush(RUSH, Instant::now() + WARM_UP).await;
        let warm = self.load.take_samples();
        if warm.wrong > 0 || warm.served(Kind::Verify) == 0 {
            let why = format!("{:?}, lost: {}", warm.described, warm.reasons());
            return Err(io::Error::other(format!("the load does not work: {why}")));
        }
        let calm = (self.plan.time / 10).max(TURN);
        let before = self.half_load(calm, None).await;
        let start = (self.rig.gateway.resident(), self.rig.gateway.descriptors());
        let turns = self.attacked().await?;
        let after = self.half_load(calm, None).await;
        let calm = Phase::together(vec![before, after]);
        let mut result = SoakResult::default();
        let attacked = Phase::together(turns.half.clone());
        soak_result::latencies(&mut result, &calm, &attacked);
        self.correctness(&mut result, &calm, &turns);
        self.aftermath(&mut result, start).await?;
        let log = self.rig.log.summary();
        result.add("panics", log.panics.to_string(), "0", log.panics == 0);
        let stopped = self.rig.gateway.stop();
        result.add(
            "stop",
            if stopped { "clean" } else { "not clean" }.to_owned(),
            "clean",
            stopped,
        );
        for (event, times) in log.events {
            result.notes.push(format!("log, {times} times: {event}"));
        }
        for (name, report) in &turns.reports {
            result.notes.push(format!(
                "{name}: {} connections, {} ended by the gateway, {} MB, responses {:?}",
                report.opened,
                report.ended,
                report.bytes / 1_000_000,
                report.answers
            ));
        }
        if self.store.is_none() {
            result
                .notes
                .push("redis-server is not installed: no store".to_owned());
        }
        Ok(result)
    }

    async fn half_load(&self, time: Duration, attacker: Option<&Attacker>) -> Phase {
        let plan = PhasePlan {
            rate: self.plan.rate,
            time,
            slow_users: false,
        };
        phase::run(plan, &self.load, &self.rig, attacker).await
    }

    /// All attacks, for the whole time, under half and full load in turns.
    async fn attacked(&mut self) -> io::Result<Turns> {
        let attacks: Vec<_> = Attack::all().filter(|attack| attack.tls).collect();
        let core = self.plan.rig.cores.map(|(_, rest)| rest);
        let time = self.plan.time;
        let longest = time + TURN * 4;
        let attacker = Attacker::start(&attacks, &self.rig, core, SCALE, longest)?;
        let (end, mut turns) = (Instant::now() + time, Turns::default());
        let turn = TURN.min(time / 2);
        let mut troubles = TROUBLES.into_iter().cycle();
        while Instant::now() < end {
            eprintln!("soak: {} s left", (end - Instant::now()).as_secs());
            turns.half.push(self.half_load(turn, Some(&attacker)).await);
            let load = Arc::clone(&self.load);
            let rush_end = Instant::now() + turn;
            let trouble = troubles.next().unwrap_or(Trouble::UpstreamGone);
            let (_, troubled) = tokio::join!(
                load.rush(RUSH, rush_end),
                self.make_trouble(trouble, rush_end)
            );
            troubled?;
            turns.full.extend(self.load.take_samples());
        }
        turns.reports = attacker.finish()?;
        Ok(turns)
    }

    /// Lets a part fail for a while, in the middle of a turn.
    async fn make_trouble(&mut self, trouble: Trouble, end: Instant) -> io::Result<()> {
        sleep(TROUBLE_AT).await;
        match trouble {
            Trouble::UpstreamGone => self.rig.emulator.kill(),
            Trouble::StoreGone => self.store.iter_mut().for_each(Store::kill),
            Trouble::IssuerGone => self.issuer.kill(),
            Trouble::UpstreamSlow => self.rig.restart_emulator(&["--latency", "1s"])?,
            Trouble::UpstreamRejects => {
                self.rig.restart_emulator(&["--outcome", "error:216501"])?;
            }
        }
        sleep_until(end.min(Instant::now() + TROUBLE)).await;
        match trouble {
            Trouble::StoreGone => self.store.iter_mut().try_for_each(Store::restart),
            Trouble::IssuerGone => self.issuer.restart(),
            _ => self.rig.restart_emulator(&[]),
        }
    }

    /// Whether every response was right, and few were lost.
    fn correctness(&self, result: &mut SoakResult, calm: &Phase, turns: &Turns) {
        let mut half = Samples::default();
        for phase in &turns.half {
            half.extend(phase.samples.clone());
        }
        let wrong = calm.samples.wrong + half.wrong + turns.full.wrong;
        result.add("wrong responses", wrong.to_string(), "0", wrong == 0);
        let described = half.described.iter().chain(&turns.full.described);
        let described: Vec<_> = described.map(|it| format!("wrong: {it}")).collect();
        result.notes.extend(described);
        for (what, kind) in [
            ("small requests lost at half load", Kind::Small),
            ("verifies lost at half load", Kind::Verify),
            ("newcomers lost at half load", Kind::Newcomer),
        ] {
            let value = format!(
                "{} of {}",
                half.lost(kind),
                half.served(kind) as u64 + half.lost(kind)
            );
            result.add(what, value, "1 in 100", half.few_lost(kind));
        }
        result
            .notes
            .push(format!("lost at half load: {}", half.reasons()));
        result.notes.push(format!(
            "full load, with failing parts: {} small and {} verifies served; lost: {}",
            turns.full.served(Kind::Small),
            turns.full.served(Kind::Verify),
            turns.full.reasons()
        ));
    }

    /// Waits until what the attacks took has gone, and says what has not.
    async fn aftermath(&mut self, result: &mut SoakResult, start: (u64, u64)) -> io::Result<()> {
        // Its connections would count.
        self.load = load(&self.plan, &self.issuer, &self.rig)?;
        let until = Instant::now() + SETTLE;
        let back = |memory: u64, descriptors: u64| {
            (
                memory <= start.0 + MEMORY_MARGIN,
                descriptors <= start.1 + DESCRIPTOR_MARGIN,
            )
        };
        let (mut memory, mut descriptors, mut gauges);
        loop {
            sleep(SETTLE_PAUSE).await;
            memory = self.rig.gateway.resident();
            descriptors = self.rig.gateway.descriptors();
            gauges = self.gauges().await?;
            let is_back = back(memory, descriptors) == (true, true);
            if Instant::now() > until || (is_back && gauges.iter().all(|it| *it == 0.0)) {
                break;
            }
        }
        let (memory_back, descriptors_back) = back(memory, descriptors);
        let growth = |now: u64| now as f64 / 1e6 - start.0 as f64 / 1e6;
        result.add(
            "memory above the start",
            format!("{:.0} MB of {:.0} MB", growth(memory), memory as f64 / 1e6),
            &format!("{} MiB", MEMORY_MARGIN >> 20),
            memory_back,
        );
        result.add(
            "descriptors, and at the start",
            format!("{descriptors}, {}", start.1),
            &format!("{DESCRIPTOR_MARGIN} more"),
            descriptors_back,
        );
        for (name, value) in GAUGES.into_iter().zip(gauges) {
            result.add(name, value.to_string(), "0", value == 0.0);
        }
        Ok(())
    }

    async fn gauges(&self) -> io::Result<[f64; 3]> {
        let metrics = ask(self.rig.admin, "/metrics").await?;
        Ok(GAUGES.map(|name| {
            let name = format!("liveness_gateway_{name} ");
            let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
            value
                .and_then(|it| it.trim().parse().ok())
                .unwrap_or(f64::NAN)
        }))
    }
}
