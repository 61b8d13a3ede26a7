//! The event loop that plays both ends: the connections in front of a proxy, and the upstream
//! behind it. It is a single thread, so it needs one core.
//!
//! A run has a bounded number of requests and fails when it stalls. A response other than 200 ends
//! it, unless the responses are kept.

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
    load::{LoadAnswer, LoadConnection, LoadRequest, LoadResponse, LoadTask},
    stream::Stream,
    upstream::{PreparedResponses, UpstreamConnection},
    workloads::{Lines, Transport},
};

const LISTENER: Token = Token(0);
/// Tokens from here on are connections of the upstream. Lower ones are connections to the proxy,
/// except [`LISTENER`].
const UPSTREAM: usize = 1 << 20;
const SCRATCH: usize = 256 * 1024;
/// A run without a response for this long has stalled.
const STALL: Duration = Duration::from_secs(20);

pub(crate) struct Rig {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    address: SocketAddr,
    responses: PreparedResponses,
    upstreams: Vec<Option<UpstreamConnection>>,
    scratch: Vec<u8>,
}

/// The connections to one proxy.
pub(crate) struct Load {
    connections: Vec<LoadConnection>,
    /// Requests at the same time on each of them.
    streams: usize,
}

/// Describes a run.
pub(crate) struct RunPlan<'a> {
    pub(crate) requests: usize,
    pub(crate) next: &'a mut dyn FnMut(usize) -> LoadRequest,
    /// The time between two requests, whether or not earlier ones have completed. `None`: each
    /// connection sends its next request as soon as it has a response.
    pub(crate) pace: Option<Duration>,
    /// Return every response, whatever its status.
    pub(crate) keep: bool,
}

/// The result of a run.
pub(crate) struct RunOutcome {
    pub(crate) elapsed: Duration,
    /// Seconds for each request, in the order of completion.
    pub(crate) latencies: Vec<f64>,
    /// Indexed by request number; empty unless responses are kept.
    pub(crate) responses: Vec<LoadResponse>,
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
            responses: PreparedResponses::prepare(),
            upstreams: Vec::new(),
            scratch: vec![0; SCRATCH],
        })
    }

    /// The address of the upstream.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Size of the upstream's response to `verify`, in bytes, without its head.
    pub(crate) fn verify_bytes(&self) -> usize {
        self.responses.verify_bytes()
    }

    /// Size of the last request body that the upstream received, in bytes.
    pub(crate) fn last_body_bytes(&self) -> usize {
        self.responses.last_body_bytes
    }

    pub(crate) fn connect(
        &mut self,
        to: SocketAddr,
        tls: Option<Arc<ClientConfig>>,
        lines: Lines,
    ) -> io::Result<Load> {
        let mut connections = Vec::with_capacity(lines.connections);
        for index in 0..lines.connections {
            // Blocking connects, one after the other, can't overrun the accept queue.
            let tcp = std::net::TcpStream::connect(to)?;
            tcp.set_nodelay(true)?;
            tcp.set_nonblocking(true)?;
            let mut stream =
                Stream::client(TcpStream::from_std(tcp), tls.clone()).map_err(io::Error::other)?;
            stream.register(self.poll.registry(), Token(1 + index))?;
            stream.flush()?;
            connections.push(match lines.transport {
                Transport::Plain | Transport::Tls => LoadConnection::http1(index, stream),
                Transport::Http2 => LoadConnection::http2(index, stream),
            });
        }
        Ok(Load {
            connections,
            streams: lines.streams,
        })
    }

    pub(crate) fn run(
        &mut self,
        load: &mut Load,
        mut plan: RunPlan<'_>,
    ) -> Result<RunOutcome, String> {
        let mut run = ActiveRun::new(&plan, load);
        let mut progress = Instant::now();
        while run.done < plan.requests {
            let before = run.done;
            run.launch(load, &mut plan)
                .map_err(|error| format!("can't send: {error}"))?;
            let wait = match plan.pace {
                Some(_) if run.begun < plan.requests => Duration::ZERO,
                _ => Duration::from_secs(1),
            };
            self.turn(load, wait, &mut |answer| run.ended(&plan, answer))
                .map_err(|error| format!("the connection to the proxy failed: {error}"))?;
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
            responses: run.responses,
        })
    }

    /// Sends half of a request on each connection, and returns once the sockets have taken it.
    pub(crate) fn hold(
        &mut self,
        load: &mut Load,
        request: &mut dyn FnMut(usize) -> LoadRequest,
    ) -> Result<(), String> {
        for (number, connection) in load.connections.iter_mut().enumerate() {
            let task = LoadTask {
                request: request(number),
                number,
                ..LoadTask::default()
            };
            let begun = connection.begin(task);
            begun.map_err(|error| format!("can't send: {error}"))?;
        }
        let started = Instant::now();
        while !load.connections.iter().all(LoadConnection::has_sent) {
            self.idle(load, Duration::from_millis(100))?;
            if started.elapsed() > STALL {
                return Err("stalled while sending half of each request".into());
            }
        }
        Ok(())
    }

    /// Handles events for `time` without starting a request.
    pub(crate) fn idle(&mut self, load: &mut Load, time: Duration) -> Result<(), String> {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let mut early = None;
            self.turn(load, left, &mut |answer| {
                early = Some(answer.response.status)
            })
            .map_err(|error| format!("the connection to the proxy failed: {error}"))?;
            if let Some(status) = early {
                return Err(format!(
                    "status {status} came before the request was complete"
                ));
            }
        }
        Ok(())
    }

    fn turn(
        &mut self,
        load: &mut Load,
        wait: Duration,
        answered: &mut dyn FnMut(LoadAnswer),
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
                let ready = (event.is_readable(), event.is_writable());
                connection.event(ready, &mut self.scratch, answered)?;
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

    /// Handles an event of an upstream connection, which the proxy may close at any time.
    fn converse(&mut self, place: usize, readable: bool, writable: bool) {
        let Some(Some(upstream)) = self.upstreams.get_mut(place) else {
            return;
        };
        let mut alive = !writable || upstream.writable(&self.responses).is_ok();
        if alive && readable {
            let responses = &mut self.responses;
            alive = matches!(upstream.readable(&mut self.scratch, responses), Ok(true));
        }
        if !alive && let Some(gone) = self.upstreams.get_mut(place) {
            *gone = None;
        }
    }
}

/// The state of a run.
struct ActiveRun {
    started: Instant,
    begun: usize,
    done: usize,
    /// The index of a connection for each request that can begin.
    idle: VecDeque<usize>,
    latencies: Vec<f64>,
    responses: Vec<LoadResponse>,
    bad: Option<String>,
}

impl ActiveRun {
    fn new(plan: &RunPlan<'_>, load: &Load) -> Self {
        let connections = 0..load.connections.len();
        let kept = if plan.keep { plan.requests } else { 0 };
        Self {
            started: Instant::now(),
            begun: 0,
            done: 0,
            idle: (0..load.streams)
                .flat_map(|_| connections.clone())
                .collect(),
            latencies: Vec::with_capacity(plan.requests),
            responses: std::iter::repeat_with(LoadResponse::default)
                .take(kept)
                .collect(),
            bad: None,
        }
    }

    /// Starts the requests that are due, on idle connections.
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
            connection.begin(LoadTask {
                request: (plan.next)(self.begun),
                number: self.begun,
                since: due,
                keep: plan.keep,
            })?;
            self.begun += 1;
        }
        Ok(())
    }

    fn ended(&mut self, plan: &RunPlan<'_>, answer: LoadAnswer) {
        self.done += 1;
        self.idle.push_back(answer.connection);
        self.latencies.push(answer.since.elapsed().as_secs_f64());
        let response = answer.response;
        if plan.keep {
            if let Some(place) = self.responses.get_mut(answer.number) {
                *place = response;
            }
        } else if response.status != 200 {
            self.bad = Some(format!(
                "status {}: {}",
                response.status,
                String::from_utf8_lossy(&response.body)
            ));
        }
    }
}
