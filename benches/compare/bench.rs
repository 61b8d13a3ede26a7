//! One measurement of one proxy: generates the load, and reads the proxy's processor time or memory
//! before and after. Never interprets or prints the numbers.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustls::ClientConfig;

use crate::{
    api,
    peers::RunningPeer,
    process::Cpu,
    requests::{self, Requests},
    rig::{Load, Rig, RunOutcome, RunPlan},
    stats::percentile,
    workloads::{Lines, Payload, Transport, Workload},
};

const MIB: usize = 1024 * 1024;
/// Small requests before a proxy's memory is read for the first time.
const WARM_UP: usize = 500;
/// Memory has settled when it has not grown for this long.
const SETTLED: Duration = Duration::from_millis(400);
const NEVER_SETTLES: Duration = Duration::from_secs(4);

/// The values of one measurement. A value that was not measured is 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Processor time of the proxy for each request, in seconds.
    pub(crate) cpu: f64,
    /// The part of `cpu` in user mode. Coarse, because the kernel counts it in ticks of 10 ms.
    pub(crate) user: f64,
    /// Requests per second.
    pub(crate) rate: f64,
    /// Median latency, in seconds.
    pub(crate) p50: f64,
    /// 99th percentile of the latency, in seconds.
    pub(crate) p99: f64,
    /// Memory held for each byte of body received, in bytes.
    pub(crate) memory: f64,
}

/// The generator and its data, for all measurements.
pub(crate) struct Bench {
    pub(crate) rig: Rig,
    pub(crate) requests: Requests,
    tls: Arc<ClientConfig>,
    /// Offers only HTTP/2, while `tls` offers no protocol.
    http2: Arc<ClientConfig>,
    video: Bytes,
    raw: Bytes,
    big: Bytes,
}

impl Bench {
    pub(crate) fn new(rig: Rig, requests: Requests, tls: Arc<ClientConfig>) -> io::Result<Self> {
        let video = api::video(2 * MIB)?;
        let mut http2 = ClientConfig::clone(&tls);
        http2.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            rig,
            requests,
            tls,
            http2: Arc::new(http2),
            video: requests::base64(&video),
            raw: video.into(),
            big: requests::base64(&api::video(20 * MIB)?),
        })
    }

    /// The 2 MiB video as base64.
    pub(crate) fn video(&self) -> Bytes {
        self.video.clone()
    }

    /// The 2 MiB video as it is.
    pub(crate) fn raw_video(&self) -> Bytes {
        self.raw.clone()
    }

    pub(crate) fn connect(&mut self, address: SocketAddr, lines: Lines) -> Result<Load, String> {
        let tls = match lines.transport {
            Transport::Plain => None,
            Transport::Tls => Some(Arc::clone(&self.tls)),
            Transport::Http2 => Some(Arc::clone(&self.http2)),
        };
        self.rig
            .connect(address, tls, lines)
            .map_err(|error| format!("can't connect: {error}"))
    }

    /// Measures the cost of a request.
    pub(crate) fn cost(
        &mut self,
        workload: Workload,
        proxy: &RunningPeer,
        requests: usize,
    ) -> Result<Sample, String> {
        let lines = workload.lines();
        let at_once = lines.connections * lines.streams;
        let mut load = self.connect(proxy.address, lines)?;
        if workload.payload() == Payload::Small {
            self.small(&mut load, at_once * 4, None)?;
            let before = proxy.running.cpu();
            let outcome = self.small(&mut load, requests, None)?;
            return Ok(sample(proxy.running.cpu().since(before), &outcome));
        }
        // Each request needs a session. They are fetched before the measurement begins.
        let sessions = self.sessions(&mut load, at_once + requests)?;
        let (warm_up, sessions) = sessions.split_at(at_once);
        self.videos(&mut load, workload.payload(), warm_up, 0)?;
        let before = proxy.running.cpu();
        let outcome = self.videos(&mut load, workload.payload(), sessions, at_once)?;
        Ok(sample(proxy.running.cpu().since(before), &outcome))
    }

    /// Measures the latency of small requests at `rate`, in requests per second. `address` may be
    /// the upstream's own.
    pub(crate) fn latency(
        &mut self,
        address: SocketAddr,
        lines: Lines,
        rate: f64,
        time: Duration,
    ) -> Result<Sample, String> {
        let mut load = self.connect(address, lines)?;
        let requests = (rate * time.as_secs_f64()) as usize;
        let pace = Some(Duration::from_secs_f64(1.0 / rate));
        self.small(&mut load, requests / 10, pace)?;
        let outcome = self.small(&mut load, requests, pace)?;
        Ok(sample(Cpu::default(), &outcome))
    }

    /// Measures the memory that half-sent uploads take in a newly started proxy.
    pub(crate) fn held(
        &mut self,
        workload: Workload,
        proxy: &RunningPeer,
        uploads: usize,
    ) -> Result<Sample, String> {
        let lines = workload.lines();
        let mut load = self.connect(proxy.address, Lines::one(lines.transport))?;
        self.small(&mut load, WARM_UP, None)?;
        let sessions = self.sessions(&mut load, uploads)?;
        drop(load);
        let before = proxy.running.resident();
        let mut load = self.connect(
            proxy.address,
            Lines {
                connections: uploads,
                ..lines
            },
        )?;
        let (requests, video) = (&self.requests, &self.video);
        let mut received = 0;
        self.rig.hold(&mut load, &mut |number| {
            let session = sessions.get(number).map_or("", String::as_str);
            let mut request = requests.verify(number, session, video);
            request.stop_at = Some(request.front.len() + video.len() / 2);
            received += video.len() / 2;
            request
        })?;
        let held = self.settled(&mut load, proxy)?.saturating_sub(before);
        Ok(Sample {
            memory: held as f64 / received as f64,
            ..Sample::default()
        })
    }

    /// The proxy's memory, in bytes, once it has read what was sent.
    fn settled(&mut self, load: &mut Load, proxy: &RunningPeer) -> Result<u64, String> {
        let started = Instant::now();
        let (mut most, mut since) = (0, Instant::now());
        while since.elapsed() < SETTLED && started.elapsed() < NEVER_SETTLES {
            self.rig.idle(load, Duration::from_millis(50))?;
            let now = proxy.running.resident();
            if now > most {
                (most, since) = (now, Instant::now());
            }
        }
        Ok(proxy.running.resident())
    }

    fn small(
        &mut self,
        load: &mut Load,
        requests: usize,
        pace: Option<Duration>,
    ) -> Result<RunOutcome, String> {
        let prepared = &self.requests;
        self.rig.run(
            load,
            RunPlan {
                requests,
                next: &mut |number| prepared.session(number),
                pace,
                keep: false,
            },
        )
    }

    /// Fetches session ids. Each belongs to the user with the number of its index.
    fn sessions(&mut self, load: &mut Load, count: usize) -> Result<Vec<String>, String> {
        let prepared = &self.requests;
        let outcome = self.rig.run(
            load,
            RunPlan {
                requests: count,
                next: &mut |number| prepared.session(number),
                pace: None,
                keep: true,
            },
        )?;
        outcome
            .responses
            .iter()
            .map(|response| {
                api::session_id(&response.body).ok_or_else(|| {
                    format!("no session in a response with status {}", response.status)
                })
            })
            .collect()
    }

    fn videos(
        &mut self,
        load: &mut Load,
        sent: Payload,
        sessions: &[String],
        first: usize,
    ) -> Result<RunOutcome, String> {
        let (prepared, video, raw) = (&self.requests, &self.video, &self.raw);
        let video = if sent == Payload::Big {
            &self.big
        } else {
            video
        };
        self.rig.run(
            load,
            RunPlan {
                requests: sessions.len(),
                next: &mut |number| {
                    let session = sessions.get(number).map_or("", String::as_str);
                    match sent {
                        Payload::Raw => prepared.raw(first + number, session, raw),
                        Payload::Multipart => prepared.multipart(first + number, session, raw),
                        _ => prepared.verify(first + number, session, video),
                    }
                },
                pace: None,
                keep: false,
            },
        )
    }
}

fn sample(cpu: Cpu, outcome: &RunOutcome) -> Sample {
    let requests = outcome.latencies.len() as f64;
    Sample {
        cpu: cpu.total / requests,
        user: cpu.user / requests,
        rate: requests / outcome.elapsed.as_secs_f64(),
        p50: percentile(&outcome.latencies, 0.5),
        p99: percentile(&outcome.latencies, 0.99),
        memory: 0.0,
    }
}
