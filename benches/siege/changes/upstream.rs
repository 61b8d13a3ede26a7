//! An emulator of Qiniu that tells how many calls it billed, from both sides: the role that serves,
//! and the handle that starts and asks it.
//!
//! The role ends with the harness.

use std::{
    io::{self, BufRead, BufReader, Write as _},
    net::SocketAddr,
    process::{ChildStdin, ChildStdout},
    time::Duration,
};

use liveness_gateway::{
    emulator::{Emulator, EmulatorSettings, Scenario},
    secret::Secret,
};

use super::super::process::{Launch, Process, free_address};

/// The first word of the command line that makes this program such an emulator.
pub(crate) const SERVE_UPSTREAM: &str = "upstream";
/// The two access keys of the account, each with its secret key.
pub(super) const KEYS: [(&str, &str); 2] = [
    ("AccessKeyOfTheSiege", "SecretKeyOfTheSiege"),
    ("NextAccessKeyOfTheSiege", "NextSecretKeyOfTheSiege"),
];

/// A running emulator. Dropping it ends it.
pub(super) struct CountingUpstream {
    pub(super) address: SocketAddr,
    _process: Process,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    told: u64,
}

impl CountingUpstream {
    pub(super) fn start(core: Option<usize>) -> io::Result<Self> {
        let address = free_address()?;
        let mut process = Process::start(&Launch {
            program: std::env::current_exe()?,
            arguments: vec![SERVE_UPSTREAM.to_owned(), address.to_string()],
            core,
            ..Launch::default()
        })?;
        process.wait_for(address)?;
        let streams = (process.child.stdin.take(), process.child.stdout.take());
        let (Some(questions), Some(answers)) = streams else {
            return Err(io::Error::other("the emulator has no streams"));
        };
        Ok(Self {
            address,
            _process: process,
            questions,
            answers: BufReader::new(answers),
            told: 0,
        })
    }

    /// The calls that were billed since the last question.
    pub(super) fn billed(&mut self) -> io::Result<u64> {
        self.questions.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let total: u64 = line.trim().parse().map_err(io::Error::other)?;
        let new = total - self.told;
        self.told = total;
        Ok(new)
    }
}

/// The role: serves at the address in the arguments, and answers each line on standard input with
/// the number of calls billed so far.
pub(crate) fn serve_upstream(mut words: impl Iterator<Item = String>) -> io::Result<()> {
    let listen = words.next().unwrap_or_default();
    let [first, second] = KEYS.map(|(access_key, secret_key)| {
        let secret = |key: &str| Secret::new(key.as_bytes().to_vec());
        (secret(access_key), secret(secret_key))
    });
    let settings = EmulatorSettings {
        listen: listen.parse().map_err(io::Error::other)?,
        access_key: first.0,
        secret_key: first.1,
        second_keys: Some(second),
        scenario: Scenario::Pass,
        latency: Duration::ZERO,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let emulator = Emulator::bind(settings).await?;
        let handle = emulator.handle();
        let questions = tokio::task::spawn_blocking(move || {
            let mut stdout = io::stdout();
            for _ in io::stdin().lines().map_while(Result::ok) {
                writeln!(stdout, "{}", handle.billed_calls())?;
                stdout.flush()?;
            }
            Ok(())
        });
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(async move {
            let _: Result<io::Result<()>, _> = questions.await;
            let _ = ended.send(());
        });
        emulator
            .run(async {
                let _ = end.await;
            })
            .await;
        Ok(())
    })
}
