//! The process of the attackers, from both sides: the role that attacks, and the handle that starts
//! it and gets its report.
//!
//! The role ends when its standard input does, when its time is over, or with the harness.

use std::{
    collections::BTreeMap,
    fs, io,
    io::{Read, Write as _},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    attacks::{
        Attack,
        wire::{AttackReport, Tally, Target},
    },
    process::{Launch, Process, raise_descriptors},
    requests::{SECRET, token},
    rig::{Rig, tls_client},
};

/// The first word of the command line that makes this program an attacker.
pub(crate) const ATTACK: &str = "attack";
/// Accounts of the attackers.
const ACCOUNTS: usize = 50;

/// What each attack did, by name.
pub(crate) type Reports = BTreeMap<String, AttackReport>;

/// A running process of attackers. Dropping it ends it.
pub(crate) struct Attacker {
    pub(crate) process: Process,
}

impl Attacker {
    /// Starts these attacks, for `longest` at most.
    pub(crate) fn start(
        attacks: &[&Attack],
        rig: &Rig,
        core: Option<usize>,
        scale: f64,
        longest: Duration,
    ) -> io::Result<Self> {
        let names: Vec<&str> = attacks.iter().map(|attack| attack.name).collect();
        let certificate = match rig.site.tls {
            Some(_) => rig.certificate.display().to_string(),
            None => "-".to_owned(),
        };
        let process = Process::start(&Launch {
            program: std::env::current_exe()?,
            arguments: vec![
                ATTACK.to_owned(),
                names.join(","),
                rig.site.address.to_string(),
                rig.admin.to_string(),
                certificate,
                scale.to_string(),
                longest.as_secs().to_string(),
            ],
            core,
            yields: true,
            ..Launch::default()
        })?;
        Ok(Self { process })
    }

    /// Ends the attack and returns what it did.
    pub(crate) fn finish(mut self) -> io::Result<Reports> {
        drop(self.process.child.stdin.take());
        let (mut text, mut errors) = (String::new(), String::new());
        if let Some(mut stream) = self.process.child.stdout.take() {
            stream.read_to_string(&mut text)?;
        }
        if let Some(mut stream) = self.process.child.stderr.take() {
            stream.read_to_string(&mut errors)?;
        }
        serde_json::from_str(&text)
            .map_err(|error| io::Error::other(format!("the attackers' report: {error}: {errors}")))
    }
}

/// The role `attack NAMES PUBLIC ADMIN CERTIFICATE SCALE SECONDS`: attacks, and prints a report.
pub(crate) fn attack(words: impl Iterator<Item = String>) -> io::Result<()> {
    raise_descriptors();
    let words: Vec<String> = words.collect();
    let [names, public, admin, certificate, scale, seconds] = words.as_slice() else {
        return Err(io::Error::other("attack: six words are needed"));
    };
    let attacks = named(names)?;
    let tls = match certificate.as_str() {
        "-" => None,
        path => Some(tls_client(&fs::read_to_string(PathBuf::from(path))?)?),
    };
    let number = |text: &str| text.parse::<f64>().map_err(io::Error::other);
    let longest = Duration::from_secs_f64(number(seconds)?);
    let scale = number(scale)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let reports = runtime.block_on(async {
        let target = Target {
            public: public.parse().map_err(io::Error::other)?,
            admin: admin.parse().map_err(io::Error::other)?,
            tls,
            tokens: Arc::new(accounts()?),
            scale,
            until: Instant::now() + longest,
        };
        Ok::<_, io::Error>(run(&attacks, &target, end_of_input()).await)
    })?;
    let text = serde_json::to_string(&reports).map_err(io::Error::other)?;
    io::stdout().write_all(text.as_bytes())?;
    // Thousands of connections close with the process, faster than one by one.
    std::process::exit(0);
}

/// Runs these attacks at once until `stop`, or to the end of their time.
pub(crate) async fn run(
    attacks: &[&'static Attack],
    target: &Target,
    stop: impl Future<Output = ()>,
) -> Reports {
    let mut tallies = Vec::new();
    let mut running = JoinSet::new();
    for &attack in attacks {
        let (tally, target) = (Arc::new(Tally::default()), target.clone());
        tallies.push((attack.name.to_owned(), Arc::clone(&tally)));
        running.spawn(async move { attack.run(&target, &tally).await });
    }
    tokio::select! {
        () = stop => {}
        () = sleep_until(target.until) => {}
    }
    let reports = tallies.into_iter();
    reports
        .map(|(name, tally)| (name, tally.report()))
        .collect()
}

/// Tokens of the attackers' accounts.
fn accounts() -> io::Result<Vec<String>> {
    (0..ACCOUNTS)
        .map(|it| token(SECRET, &format!("attacker-{it}")))
        .collect()
}

fn named(names: &str) -> io::Result<Vec<&'static Attack>> {
    let attack = |name| {
        Attack::named(name).ok_or_else(|| io::Error::other(format!("no attack is called {name}")))
    };
    names.split(',').map(attack).collect()
}

/// Resolves when the standard input ends.
async fn end_of_input() {
    let (ended, end) = oneshot::channel();
    thread::spawn(move || {
        let mut byte = [0];
        while matches!(io::stdin().read(&mut byte), Ok(1..)) {}
        let _ = ended.send(());
    });
    let _ = end.await;
}
