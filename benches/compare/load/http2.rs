//! One connection of the load generator that speaks HTTP/2, with several requests at once.
//!
//! Relies on the `h2` crate, polled by the event loop of `rig` as a runtime would do. Has the
//! windows of a browser, so that no response waits for it. Never blocks.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker, ready},
};

use bytes::Bytes;
use h2::{
    RecvStream,
    client::{Builder, Connection, ResponseFuture, SendRequest},
};
use hyper::Request;

use super::{
    ERROR_BODY, LoadAnswer, LoadResponse, LoadTask,
    socket::{Http2Socket, Readiness},
    translate::translate,
};
use crate::stream::Stream;

/// The windows of a browser, in bytes.
const STREAM_WINDOW: u32 = 6 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 15 * 1024 * 1024;

type Opened = (SendRequest<Bytes>, Connection<Http2Socket>);

pub(crate) struct Http2Connection {
    index: usize,
    state: State,
    readiness: Readiness,
    /// Requests that wait until the connection takes them: each with its head and the start of its
    /// body.
    waiting: VecDeque<(LoadTask, Request<()>, Bytes)>,
    exchanges: Vec<Exchange>,
    answers: Vec<LoadAnswer>,
    woken: Arc<Woken>,
}

enum State {
    Opening(Pin<Box<dyn Future<Output = Result<Opened, h2::Error>>>>),
    Open(Box<Opened>),
}

/// A request that was sent, and the response so far.
struct Exchange {
    task: LoadTask,
    head: ResponseFuture,
    body: Option<RecvStream>,
    response: LoadResponse,
}

/// Whether something that was polled can make progress.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Http2Connection {
    pub(super) fn new(index: usize, stream: Stream) -> Self {
        let (socket, readiness) = Http2Socket::new(stream);
        let opening = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .enable_push(false)
            .handshake(socket);
        Self {
            index,
            state: State::Opening(Box::pin(opening)),
            readiness,
            waiting: VecDeque::new(),
            exchanges: Vec::new(),
            answers: Vec::new(),
            woken: Arc::default(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.exchanges.is_empty()
    }

    pub(super) fn begin(&mut self, mut task: LoadTask) -> io::Result<()> {
        if task.request.stop_at.is_some() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let (head, front) = translate(std::mem::take(&mut task.request.front))?;
        self.waiting.push_back((task, head, front));
        self.advance()
    }

    pub(super) fn event(
        &mut self,
        readable: bool,
        answered: &mut dyn FnMut(LoadAnswer),
    ) -> io::Result<()> {
        if readable {
            self.readiness.set();
        }
        self.advance()?;
        self.answers.drain(..).for_each(answered);
        Ok(())
    }

    /// Polls everything until nothing can make progress.
    fn advance(&mut self) -> io::Result<()> {
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut context = Context::from_waker(&waker);
        loop {
            self.woken.0.store(false, Ordering::Relaxed);
            self.poll(&mut context).map_err(io::Error::other)?;
            if !self.woken.0.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Result<(), h2::Error> {
        if let State::Opening(opening) = &mut self.state {
            match opening.as_mut().poll(context) {
                Poll::Ready(opened) => self.state = State::Open(Box::new(opened?)),
                Poll::Pending => return Ok(()),
            }
        }
        let State::Open(opened) = &mut self.state else {
            return Ok(());
        };
        let (sender, connection) = &mut **opened;
        while !self.waiting.is_empty() && sender.poll_ready(context)?.is_ready() {
            if let Some((task, head, front)) = self.waiting.pop_front() {
                self.exchanges
                    .push(Exchange::begin(sender, task, head, front)?);
            }
        }
        if Pin::new(connection).poll(context)?.is_ready() {
            return Err(h2::Reason::NO_ERROR.into());
        }
        let mut next = 0;
        while let Some(exchange) = self.exchanges.get_mut(next) {
            if exchange.poll(context)?.is_pending() {
                next += 1;
                continue;
            }
            let Exchange { task, response, .. } = self.exchanges.swap_remove(next);
            self.answers.push(LoadAnswer {
                connection: self.index,
                number: task.number,
                since: task.since,
                response,
            });
        }
        Ok(())
    }
}

impl Exchange {
    fn begin(
        sender: &mut SendRequest<Bytes>,
        mut task: LoadTask,
        head: Request<()>,
        front: Bytes,
    ) -> Result<Self, h2::Error> {
        let (head, mut stream) = sender.send_request(head, false)?;
        // Sent as the peer's window allows.
        stream.send_data(front, false)?;
        if !task.request.video.is_empty() {
            stream.send_data(std::mem::take(&mut task.request.video), false)?;
        }
        stream.send_data(Bytes::from_static(task.request.back), true)?;
        Ok(Self {
            task,
            head,
            body: None,
            response: LoadResponse::default(),
        })
    }

    /// Ready once the response is complete.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let body = match &mut self.body {
            Some(body) => body,
            None => {
                let response = ready!(Pin::new(&mut self.head).poll(context))?;
                self.response.status = response.status().as_u16();
                self.body.insert(response.into_body())
            }
        };
        while let Some(data) = ready!(body.poll_data(context)) {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            self.response.length += data.len();
            let wanted = if self.task.keep {
                data.len()
            } else {
                ERROR_BODY
            };
            let kept = wanted
                .saturating_sub(self.response.body.len())
                .min(data.len());
            self.response.body.extend_from_slice(&data[..kept]);
        }
        Poll::Ready(Ok(()))
    }
}
