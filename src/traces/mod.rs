//! Traces: what the parts of a request took, sent to a collector by OTLP over HTTP.
//!
//! A [`Tracer`] decides at the start of a request whether its trace is recorded. A [`RequestTrace`]
//! gathers the spans of one request, and gives itself to the [`TraceExporter`] when it ends. The
//! exporter sends batches in the background ([`otlp`] is their form). [`probe`] only asks whether
//! the collector takes them.
//!
//! Relies on [`crate::outbound`] for connections, and on [`crate::telemetry`] for what peers say.
//! Never holds a request up: where the queue is full, a trace is dropped and counted. Never holds
//! a token, a user, an address of a caller, a session id, or any part of a body.

mod export;
mod ids;
mod otlp;
pub mod probe;
mod span;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

pub use self::span::{AttributeValue, RequestTrace, SpanKind, SpanTimes, TraceSpan};
use self::{export::TraceExporter, ids::TraceIds};
use crate::{
    outbound::{
        connection::ClientTls,
        dial::Dialer,
        origin::{Origin, Url},
    },
    telemetry::{
        metrics::{Metrics, labels::SpanOutcome},
        trace_context::{SpanId, TraceContext, TraceFlags, TraceId},
    },
};

/// Traces that wait for the exporter; more are dropped. One holds about 1 KiB.
const QUEUE: usize = 2048;

/// `[telemetry]`, checked, with an endpoint.
pub struct TraceSettings {
    /// The URL that spans are posted to: the endpoint and `/v1/traces`.
    pub url: Url,
    /// Opens connections to the collector.
    pub dialer: Dialer,
    /// TLS to the collector; `None` exactly if the URL is `http://`.
    pub tls: Option<ClientTls>,
    /// The share of requests without a sampled parent that is recorded, from 0 to 1.
    pub sample_ratio: f64,
    /// `service.name` of the resource.
    pub service_name: String,
}

/// Decides which requests are recorded, and makes their ids.
pub struct Tracer {
    ids: TraceIds,
    /// Trace ids whose low 63 bits are below this are recorded.
    threshold: u64,
    queue: mpsc::Sender<Box<RequestTrace>>,
    metrics: Arc<Metrics>,
    servers: TracedServers,
    exporter: Mutex<Option<RunningExporter>>,
}

/// The exporter's task.
struct RunningExporter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A server that spans name.
#[derive(Clone, Debug)]
pub struct TracedServer {
    /// Its host.
    pub address: Arc<str>,
    /// Its port.
    pub port: u16,
}

/// The servers that requests of a gateway lead to.
#[derive(Clone, Debug)]
pub struct TracedServers {
    /// Qiniu.
    pub qiniu: TracedServer,
    /// The app's backend, with evidence.
    pub evidence: Option<TracedServer>,
}

/// The place of a request in a trace.
#[derive(Clone, Copy, Debug)]
pub struct TracePlace {
    /// The trace.
    pub trace_id: TraceId,
    /// The span of the peer that sent the request, if it sent one.
    pub parent: Option<SpanId>,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl Tracer {
    /// A tracer whose exporter runs. The exporter ends by itself when the tracer and all of its
    /// traces are gone.
    pub fn start(
        settings: TraceSettings,
        servers: TracedServers,
        metrics: &Arc<Metrics>,
    ) -> Arc<Self> {
        metrics.prepare_traces();
        let (queue, traces) = mpsc::channel(QUEUE);
        let threshold = threshold(settings.sample_ratio);
        let exporter = TraceExporter::new(settings, traces, Arc::clone(metrics));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(exporter.run(stopped));
        Arc::new(Self {
            ids: TraceIds::default(),
            threshold,
            queue,
            metrics: Arc::clone(metrics),
            servers,
            exporter: Mutex::new(Some(RunningExporter { stop, task })),
        })
    }

    /// Sends what is left, within a second. Traces that end later are dropped.
    pub async fn close(&self) {
        let exporter = {
            let mut exporter = self.exporter.lock().unwrap_or_else(PoisonError::into_inner);
            exporter.take()
        };
        if let Some(RunningExporter { stop, task }) = exporter {
            let _ = stop.send(());
            let _ = task.await;
        }
    }

    /// The place of a request whose trusted peer said this, if anything. A sampled parent is
    /// always followed, one that is not sampled never; without a parent the ratio decides.
    pub fn place(&self, parent: Option<&TraceContext>) -> TracePlace {
        match parent {
            Some(context) => TracePlace::of(context),
            None => {
                let (trace_id, low) = self.ids.trace();
                TracePlace {
                    trace_id,
                    parent: None,
                    sampled: low >> 1 < self.threshold,
                }
            }
        }
    }

    /// The servers that spans name.
    pub fn servers(&self) -> &TracedServers {
        &self.servers
    }

    /// A new span id.
    pub fn span_id(&self) -> SpanId {
        self.ids.span()
    }

    fn submit(&self, trace: Box<RequestTrace>) {
        let spans = trace.span_count();
        if self.queue.try_send(trace).is_err() {
            self.metrics.count_spans(SpanOutcome::Dropped, spans);
        }
    }
}

impl TracePlace {
    /// Where a peer has put the request.
    pub fn of(context: &TraceContext) -> Self {
        Self {
            trace_id: context.trace_id,
            parent: Some(context.parent),
            sampled: context.flags.sampled(),
        }
    }

    /// What the next server is told: that this span of the trace sent the request.
    pub fn context(self, span: SpanId) -> TraceContext {
        TraceContext {
            trace_id: self.trace_id,
            parent: span,
            flags: TraceFlags::new(self.sampled),
        }
    }
}

impl TracedServer {
    /// The server of a URL.
    pub fn of(origin: &Origin) -> Self {
        Self {
            address: origin.host.as_str().into(),
            port: origin.port,
        }
    }
}

/// The share of 63-bit numbers.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of 2^63 needs no more precision, and casts saturate"
)]
fn threshold(ratio: f64) -> u64 {
    const ALL: u64 = 1 << 63;
    match ratio {
        ratio if ratio >= 1.0 => ALL,
        ratio => (ratio * ALL as f64) as u64,
    }
}

#[cfg(test)]
mod tests;
