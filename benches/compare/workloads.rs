//! What is measured: one round of one workload on one proxy.

use std::{io, sync::Arc};

use rustls::ClientConfig;

use crate::{
    peers::Proxy,
    process::Cpu,
    requests::{self, Requests},
    rig::{Load, Outcome, Plan, Rig},
    stats::percentile,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Workload {
    Small,
    SmallTls,
    Video,
    VideoTls,
    Big,
    BigTls,
}

pub(crate) const ALL: [Workload; 6] = [
    Workload::Small,
    Workload::SmallTls,
    Workload::Video,
    Workload::VideoTls,
    Workload::Big,
    Workload::BigTls,
];

const MIB: usize = 1024 * 1024;

impl Workload {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::SmallTls => "small-tls",
            Self::Video => "video",
            Self::VideoTls => "video-tls",
            Self::Big => "big",
            Self::BigTls => "big-tls",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Small => "small request (sessioncode, HS256, 50 kept connections)",
            Self::SmallTls => "small request over TLS 1.3",
            Self::Video => "2 MiB video (2.8 MB up, 900 KB answer, 8 connections)",
            Self::VideoTls => "2 MiB video over TLS 1.3",
            Self::Big => "20 MiB video (28 MB up, 900 KB answer, 4 connections)",
            Self::BigTls => "20 MiB video over TLS 1.3",
        }
    }

    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::SmallTls | Self::VideoTls | Self::BigTls)
    }

    /// Rounds, and requests in each.
    pub(crate) fn size(self, quick: bool) -> (usize, usize) {
        match (self, quick) {
            (Self::Small | Self::SmallTls, false) => (11, 20_000),
            (Self::Small | Self::SmallTls, true) => (5, 8_000),
            (Self::Video | Self::VideoTls, false) => (9, 120),
            (Self::Video | Self::VideoTls, true) => (3, 60),
            (Self::Big | Self::BigTls, false) => (7, 16),
            (Self::Big | Self::BigTls, true) => (3, 8),
        }
    }

    fn connections(self) -> usize {
        match self {
            Self::Small | Self::SmallTls => 50,
            Self::Video | Self::VideoTls => 8,
            Self::Big | Self::BigTls => 4,
        }
    }
}

/// What one round gave.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Seconds of the proxy's processor time for a request.
    pub(crate) cpu: f64,
    pub(crate) user: f64,
    /// Requests per second.
    pub(crate) rate: f64,
    /// Seconds that 99 of 100 requests did not exceed.
    pub(crate) p99: f64,
}

/// What all measurements use.
pub(crate) struct Bench {
    pub(crate) rig: Rig,
    pub(crate) requests: Requests,
    pub(crate) tls: Arc<ClientConfig>,
    video: Arc<Vec<u8>>,
    big: Arc<Vec<u8>>,
}

impl Bench {
    pub(crate) fn new(rig: Rig, requests: Requests, tls: Arc<ClientConfig>) -> io::Result<Self> {
        Ok(Self {
            rig,
            requests,
            tls,
            video: requests::base64(&requests::video(2 * MIB)?),
            big: requests::base64(&requests::video(20 * MIB)?),
        })
    }

    pub(crate) fn round(
        &mut self,
        workload: Workload,
        proxy: &Proxy,
        requests: usize,
    ) -> Result<Sample, String> {
        let mut load = self.connect(proxy, workload.is_tls(), workload.connections())?;
        match workload {
            Workload::Small | Workload::SmallTls => {
                self.small(&mut load, workload.connections() * 4)?;
                let before = proxy.running.cpu();
                let outcome = self.small(&mut load, requests)?;
                Ok(sample(proxy.running.cpu().since(before), &outcome))
            }
            Workload::Video | Workload::VideoTls => {
                let video = Arc::clone(&self.video);
                self.videos(&mut load, proxy, &video, requests)
            }
            Workload::Big | Workload::BigTls => {
                let video = Arc::clone(&self.big);
                self.videos(&mut load, proxy, &video, requests)
            }
        }
    }

    pub(crate) fn connect(
        &mut self,
        proxy: &Proxy,
        tls: bool,
        connections: usize,
    ) -> Result<Load, String> {
        let tls = tls.then(|| Arc::clone(&self.tls));
        self.rig
            .connect(proxy.address, tls, connections)
            .map_err(|error| format!("connecting: {error}"))
    }

    pub(crate) fn small(&mut self, load: &mut Load, requests: usize) -> Result<Outcome, String> {
        let prepared = &self.requests;
        self.rig.run(
            load,
            Plan {
                requests,
                next: &mut |number| prepared.session(number),
                pace: None,
                keep: false,
            },
        )
    }

    /// Session ids, each of the user of that number.
    pub(crate) fn sessions(
        &mut self,
        load: &mut Load,
        count: usize,
    ) -> Result<Vec<String>, String> {
        let prepared = &self.requests;
        let outcome = self.rig.run(
            load,
            Plan {
                requests: count,
                next: &mut |number| prepared.session(number),
                pace: None,
                keep: true,
            },
        )?;
        outcome
            .answers
            .iter()
            .map(|answer| {
                requests::session_id(&answer.body)
                    .ok_or_else(|| format!("no session in an answer with status {}", answer.status))
            })
            .collect()
    }

    /// A session for each request is fetched before; it is not in what is measured.
    fn videos(
        &mut self,
        load: &mut Load,
        proxy: &Proxy,
        video: &Arc<Vec<u8>>,
        requests: usize,
    ) -> Result<Sample, String> {
        let warm_up = load.size();
        let sessions = self.sessions(load, warm_up + requests)?;
        let (warm, sessions) = sessions.split_at(warm_up);
        self.send(load, video, warm, 0)?;
        let before = proxy.running.cpu();
        let outcome = self.send(load, video, sessions, warm_up)?;
        Ok(sample(proxy.running.cpu().since(before), &outcome))
    }

    fn send(
        &mut self,
        load: &mut Load,
        video: &Arc<Vec<u8>>,
        sessions: &[String],
        first: usize,
    ) -> Result<Outcome, String> {
        let prepared = &self.requests;
        self.rig.run(
            load,
            Plan {
                requests: sessions.len(),
                next: &mut |number| {
                    let session = sessions.get(number).map_or("", String::as_str);
                    prepared.verify(first + number, session, video)
                },
                pace: None,
                keep: false,
            },
        )
    }
}

fn sample(cpu: Cpu, outcome: &Outcome) -> Sample {
    let requests = outcome.latencies.len() as f64;
    Sample {
        cpu: cpu.total / requests,
        user: cpu.user / requests,
        rate: requests / outcome.elapsed.as_secs_f64(),
        p99: percentile(&outcome.latencies, 0.99),
    }
}
