//! The loop that plays both ends: the connections in front of a proxy and the upstream behind it, in one thread, so that
//! what it costs is one core and no more.
//!
//! A run has a bounded number of requests and a time limit; an answer that is not a 200 ends it, unless answers are kept.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{
    Events, Poll, Token,
    net::{TcpListener, TcpStream},
};
use rustls::ClientConfig;

use crate::{
    load::{LoadConnection, LoadRequest, LoadResponse},
    stream::Stream,
    upstream::{PreparedResponses, UpstreamConnection},
};

const LISTENER: Token = Token(0);
/// Tokens from here on are the upstream's connections; those below, but the listener's, are connections'.
const UPSTREAM: usize = 1 << 20;
const SCRATCH: usize = 256 * 1024;
/// No progress for so long is a stall.
const STALL: Duration = Duration::from_secs(20);

pub(crate) struct Rig {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    address: SocketAddr,
    answers: PreparedResponses,
    upstreams: Vec<Option<UpstreamConnection>>,
    scratch: Vec<u8>,
}

/// Connections to one proxy.
pub(crate) struct Load {
    connections: Vec<LoadConnection>,
}

/// What a run does.
pub(crate) struct RunPlan<'a> {
    pub(crate) requests: usize,
    pub(crate) next: &'a mut dyn FnMut(usize) -> LoadRequest,
    /// Begin one every so often, whether or not the others are answered; else as fast as they are answered.
    pub(crate) pace: Option<Duration>,
    /// Hand over every answer, whatever its status.
    pub(crate) keep: bool,
}

/// What came of it.
pub(crate) struct RunOutcome {
    pub(crate) elapsed: Duration,
    /// Seconds each, in the order of their ends.
    pub(crate) latencies: Vec<f64>,
    /// When kept: by number.
    pub(crate) answers: Vec<LoadResponse>,
}

impl Rig {
    pub(crate) fn start() -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        poll.registry()
            .register(&mut listener, LISTENER, mio::Interest::READABLE)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            listener,
            address,
            answers: PreparedResponses::prepare(),
            upstreams: Vec::new(),
            scratch: vec![0; SCRATCH],
        })
    }

    /// The upstream's.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes of a verify's answer, as the upstream gives it.
    pub(crate) fn verify_bytes(&self) -> usize {
        self.answers.verify_bytes()
    }

    /// Bytes of the body that the upstream was asked with last.
    pub(crate) fn last_asked(&self) -> usize {
        self.answers.last_asked
    }

    pub(crate) fn connect(
        &mut self,
        to: SocketAddr,
        tls: Option<Arc<ClientConfig>>,
        count: usize,
    ) -> io::Result<Load> {
        let mut connections = Vec::with_capacity(count);
        for index in 0..count {
            // Connected the blocking way, one after the other: no accept queue is overrun.
            let tcp = std::net::TcpStream::connect(to)?;
            tcp.set_nodelay(true)?;
            tcp.set_nonblocking(true)?;
            let mut stream =
                Stream::client(TcpStream::from_std(tcp), tls.clone()).map_err(io::Error::other)?;
            stream.register(self.poll.registry(), Token(1 + index))?;
            stream.flush()?;
            connections.push(LoadConnection::new(index, stream));
        }
        Ok(Load { connections })
    }

    pub(crate) fn run(
        &mut self,
        load: &mut Load,
        mut plan: RunPlan<'_>,
    ) -> Result<RunOutcome, String> {
        let mut run = ActiveRun::new(&plan, load.connections.len());
        let mut progress = Instant::now();
        while run.done < plan.requests {
            let before = run.done;
            run.launch(load, &mut plan)
                .map_err(|error| format!("sending: {error}"))?;
            let wait = match plan.pace {
                Some(_) if run.begun < plan.requests => Duration::ZERO,
                _ => Duration::from_secs(1),
            };
            self.turn(load, wait, &mut |connection, answer| {
                run.ended(&plan, connection, answer)
            })
            .map_err(|error| format!("the proxy's connection: {error}"))?;
            if let Some(bad) = run.bad.take() {
                return Err(bad);
            }
            if run.done > before {
                progress = Instant::now();
            } else if progress.elapsed() > STALL {
                return Err(format!("stalled after {} of {}", run.done, plan.requests));
            }
        }
        Ok(RunOutcome {
            elapsed: run.started.elapsed(),
            latencies: run.latencies,
            answers: run.answers,
        })
    }

    /// Sends requests that stop half-way, one a connection, until the sockets have taken all of it.
    pub(crate) fn hold(
        &mut self,
        load: &mut Load,
        request: &mut dyn FnMut(usize) -> LoadRequest,
    ) -> Result<(), String> {
        for (number, connection) in load.connections.iter_mut().enumerate() {
            let begun = connection.begin(request(number), number, false);
            begun.map_err(|error| format!("sending: {error}"))?;
        }
        let started = Instant::now();
        while !load.connections.iter().all(LoadConnection::has_sent) {
            self.idle(load, Duration::from_millis(100))?;
            if started.elapsed() > STALL {
                return Err("stalled while sending halves".into());
            }
        }
        Ok(())
    }

    /// Goes on for a while without beginning anything.
    pub(crate) fn idle(&mut self, load: &mut Load, time: Duration) -> Result<(), String> {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let mut early = None;
            self.turn(load, left, &mut |_, answer| early = Some(answer.status))
                .map_err(|error| format!("the proxy's connection: {error}"))?;
            if let Some(status) = early {
                return Err(format!("answered {status} before the request was complete"));
            }
        }
        Ok(())
    }

    fn turn(
        &mut self,
        load: &mut Load,
        wait: Duration,
        ended: &mut dyn FnMut(&mut LoadConnection, LoadResponse),
    ) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(1));
        for event in &events {
            let Token(token) = event.token();
            if event.token() == LISTENER {
                self.accept()?;
            } else if token >= UPSTREAM {
                self.converse(token - UPSTREAM, event.is_readable(), event.is_writable());
            } else if let Some(connection) = load.connections.get_mut(token - 1) {
                if event.is_writable() {
                    connection.writable()?;
                }
                if event.is_readable()
                    && let Some(answer) = connection.readable(&mut self.scratch)?
                {
                    ended(connection, answer);
                }
            }
        }
        self.events = events;
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let tcp = match self.listener.accept() {
                Ok((tcp, _)) => tcp,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            tcp.set_nodelay(true)?;
            let free = self.upstreams.iter().position(Option::is_none);
            let place = free.unwrap_or(self.upstreams.len());
            let mut stream = Stream::server(tcp, None).map_err(io::Error::other)?;
            stream.register(self.poll.registry(), Token(UPSTREAM + place))?;
            let upstream = Some(UpstreamConnection::new(stream));
            match self.upstreams.get_mut(place) {
                Some(empty) => *empty = upstream,
                None => self.upstreams.push(upstream),
            }
        }
    }

    /// A proxy may drop its connections as it likes.
    fn converse(&mut self, place: usize, readable: bool, writable: bool) {
        let Some(Some(upstream)) = self.upstreams.get_mut(place) else {
            return;
        };
        let mut alive = !writable || upstream.writable(&self.answers).is_ok();
        if alive && readable {
            let answers = &mut self.answers;
            alive = matches!(upstream.readable(&mut self.scratch, answers), Ok(true));
        }
        if !alive && let Some(gone) = self.upstreams.get_mut(place) {
            *gone = None;
        }
    }
}

/// A run under way.
struct ActiveRun {
    started: Instant,
    begun: usize,
    done: usize,
    idle: VecDeque<usize>,
    latencies: Vec<f64>,
    answers: Vec<LoadResponse>,
    bad: Option<String>,
}

impl ActiveRun {
    fn new(plan: &RunPlan<'_>, connections: usize) -> Self {
        let kept = if plan.keep { plan.requests } else { 0 };
        Self {
            started: Instant::now(),
            begun: 0,
            done: 0,
            idle: (0..connections).collect(),
            latencies: Vec::with_capacity(plan.requests),
            answers: std::iter::repeat_with(LoadResponse::default)
                .take(kept)
                .collect(),
            bad: None,
        }
    }

    /// Begins what is due on connections that are free.
    fn launch(&mut self, load: &mut Load, plan: &mut RunPlan<'_>) -> io::Result<()> {
        while self.begun < plan.requests {
            let due = match plan.pace {
                Some(pace) => self.started + pace * u32::try_from(self.begun).unwrap_or(u32::MAX),
                None => Instant::now(),
            };
            if due > Instant::now() {
                break;
            }
            let Some(connection) = self
                .idle
                .pop_front()
                .and_then(|free| load.connections.get_mut(free))
            else {
                break;
            };
            connection.since = due;
            connection.begin((plan.next)(self.begun), self.begun, plan.keep)?;
            self.begun += 1;
        }
        Ok(())
    }

    fn ended(&mut self, plan: &RunPlan<'_>, connection: &mut LoadConnection, answer: LoadResponse) {
        self.done += 1;
        self.idle.push_back(connection.index);
        self.latencies
            .push(connection.since.elapsed().as_secs_f64());
        if plan.keep {
            if let Some(place) = self.answers.get_mut(connection.number) {
                *place = answer;
            }
        } else if answer.status != 200 {
            self.bad = Some(format!(
                "answered {}: {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            ));
        }
    }
}
