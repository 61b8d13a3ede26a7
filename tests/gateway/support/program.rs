//! The built program as a process of its own: its lines as they come, its end, and signals to it.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use super::{found, until::LIMIT};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_liveness-gateway");

/// A running process. Killed when it is dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) output: Output,
}

/// The lines of standard output, of one process or of several.
#[derive(Clone, Default)]
pub(crate) struct Output(watch::Sender<Vec<String>>);

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_into(command, Output::default())
    }

    /// The same, with lines behind those that `output` has.
    pub(crate) fn start_into(command: &mut Command, output: Output) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let read = BufReader::new(child.stdout.take().unwrap());
        let lines = output.clone();
        // Reads to the end, so that the process is never blocked by a full pipe.
        std::thread::spawn(move || {
            for line in read.lines().map_while(Result::ok) {
                lines.0.send_modify(|lines| lines.push(line));
            }
            let end = Output::END.to_owned();
            lines.0.send_modify(|lines| lines.push(end));
        });
        Self { child, output }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = found(async || self.child.try_wait().unwrap()).await;
        ended.expect("the process ends")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    /// The line behind the last one.
    pub(crate) const END: &str = "the end of the output";

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// Waits for a line that contains `part`.
    pub(crate) async fn line(&self, part: &str) -> String {
        self.line_behind(0, part).await.0
    }

    /// Waits for a line that contains `part`, behind the first `seen` lines. Returns it and how
    /// many lines there are up to it.
    pub(crate) async fn line_behind(&self, seen: usize, part: &str) -> (String, usize) {
        let find = |lines: &Vec<String>| {
            let mut lines = lines.iter().enumerate().skip(seen);
            let (at, line) = lines.find(|(_, line)| line.contains(part))?;
            Some((line.clone(), at + 1))
        };
        let mut lines = self.0.subscribe();
        let wanted = lines.wait_for(|lines| find(lines).is_some());
        match tokio::time::timeout(LIMIT, wanted).await {
            Ok(lines) => find(&lines.unwrap()).unwrap(),
            Err(_) => panic!("no line contains {part}: {:#?}", self.lines()),
        }
    }

    /// The address in the event with this message.
    pub(crate) async fn address(&self, message: &str) -> SocketAddr {
        let line = self.line(&format!("\"message\":\"{message}\"")).await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line["address"].as_str().unwrap().parse().unwrap()
    }
}
