//! Sends batches of traces to the collector, in the background.
//!
//! Where the collector is away, a batch is tried again with growing pauses, and given up after a
//! while; meanwhile the queue fills and further traces are dropped, counted and told once in a
//! while. At a stop what is left is sent once, within [`FLUSH`].

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::Deserialize;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use super::{
    TraceSettings,
    ids::TraceIds,
    otlp::{TraceResource, batch},
    span::RequestTrace,
};
use crate::{
    outbound::{
        MalformedResponse,
        connection::{ClientTls, OutboundConnection},
        exchange::{ExchangeError, ResponseReader, exchange},
        request::{OutboundBody, OutboundRequest},
    },
    telemetry::{
        metrics::{Metrics, labels::SpanOutcome},
        repeated::RepeatedLine,
    },
};

/// Traces in one request. A full one has about 1 MiB.
const BATCH: usize = 512;
/// How long the first trace of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// Timeout of one request, until the status of its response.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the rest of a response may take, which only says how many spans were rejected.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(5);
/// Pauses before a batch is tried again; after the last one it is given up.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
/// Longest pause that a collector may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a stop waits for the last batches.
const FLUSH: Duration = Duration::from_secs(1);
/// Maximum size of the collector's response that is read, in bytes. The rest is not waited for.
const MAX_RESPONSE: usize = 16 * 1024;

/// The background task that sends traces.
pub(super) struct TraceExporter {
    settings: TraceSettings,
    resource: TraceResource,
    traces: mpsc::Receiver<Box<RequestTrace>>,
    metrics: Arc<Metrics>,
    trouble: RepeatedLine,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("it can't be reached: {0}")]
    Unreachable(#[source] io::Error),
    #[error("its response is malformed: {0}")]
    Malformed(#[source] MalformedResponse),
    #[error("it does not respond within {0:?}")]
    Timeout(Duration),
    #[error("it answered {status}")]
    Status {
        status: u16,
        /// How long it asks to wait.
        pause: Option<Duration>,
    },
    #[error("it rejected {0} spans")]
    PartlyRejected(u64),
}

/// What the collector says of a batch that it took.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ExportResponse {
    partial_success: PartialSuccess,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PartialSuccess {
    rejected_spans: RejectedSpans,
}

/// A 64-bit number, which JSON of OTLP writes as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum RejectedSpans {
    Text(String),
    Number(u64),
}

impl Default for RejectedSpans {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl RejectedSpans {
    fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.parse().unwrap_or(0),
        }
    }
}

impl ExportError {
    /// Whether the same batch may be taken later (OTLP/HTTP, "Retryable Response Codes").
    fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Malformed(_) | Self::Timeout(_) => true,
            Self::Status { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            Self::PartlyRejected(_) => false,
        }
    }

    fn pause(&self) -> Option<Duration> {
        match self {
            Self::Status { pause, .. } => *pause,
            _ => None,
        }
    }
}

impl From<ExchangeError> for ExportError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::NoResponse(error) => Self::Unreachable(error),
            ExchangeError::Malformed(error) => Self::Malformed(error),
        }
    }
}

impl TraceExporter {
    pub(super) fn new(
        settings: TraceSettings,
        traces: mpsc::Receiver<Box<RequestTrace>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            resource: TraceResource {
                service_name: settings.service_name.as_str().into(),
                instance: TraceIds::default().trace().0.to_string().into(),
            },
            settings,
            traces,
            metrics,
            trouble: RepeatedLine::default(),
        }
    }

    /// Sends batches until `stop` resolves or is dropped, then what is left.
    pub(super) async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                gathered = gather(&mut self.traces, &mut batch) => if !gathered { return },
                _ = &mut stop => break self.flush(batch).await,
            }
            tokio::select! {
                () = self.deliver(&batch) => {}
                // It may have been taken; it is sent once more rather than lost.
                _ = &mut stop => break self.flush(batch).await,
            }
        }
    }

    /// Sends what is left, once and within [`FLUSH`].
    async fn flush(mut self, mut batch: Vec<RequestTrace>) {
        let end = Instant::now() + FLUSH;
        loop {
            while batch.len() < BATCH
                && let Ok(trace) = self.traces.try_recv()
            {
                batch.push(*trace);
            }
            if batch.is_empty() {
                return;
            }
            let spans = span_count(&batch);
            let sent = timeout_at(end, self.send(&batch)).await;
            self.count(spans, sent.unwrap_or(Err(ExportError::Timeout(FLUSH))));
            batch.clear();
        }
    }

    /// Sends a batch, again and again where that may help.
    async fn deliver(&mut self, batch: &[RequestTrace]) {
        let spans = span_count(batch);
        for pause in PAUSES {
            match self.send(batch).await {
                Err(error) if error.is_transient() => {
                    self.tell(&error);
                    let asked = error.pause().unwrap_or(pause);
                    sleep(asked.min(LONGEST_PAUSE)).await;
                }
                outcome => return self.count(spans, outcome),
            }
        }
        let outcome = self.send(batch).await;
        self.count(spans, outcome);
    }

    fn count(&self, spans: u64, outcome: Result<(), ExportError>) {
        let lost = match &outcome {
            Ok(()) => 0,
            Err(ExportError::PartlyRejected(rejected)) => (*rejected).min(spans),
            Err(_) => spans,
        };
        let exported = spans.saturating_sub(lost);
        self.metrics.count_spans(SpanOutcome::Exported, exported);
        self.metrics.count_spans(SpanOutcome::Dropped, lost);
        if let Err(error) = outcome {
            self.tell(&error);
        }
    }

    fn tell(&self, error: &ExportError) {
        self.trouble.log(|left_out| {
            tracing::warn!(
                left_out,
                "the collector of traces does not take them: {error}; requests are not affected; \
                 check telemetry.otlp_endpoint and the collector"
            );
        });
    }

    /// One request. A batch whose response has begun with 200 was taken, whatever follows.
    async fn send(&self, traces: &[RequestTrace]) -> Result<(), ExportError> {
        let settings = &self.settings;
        let post = async {
            let tls = settings.tls.as_ref().map(ClientTls::current);
            let opened = settings.dialer.open(&settings.url.origin, tls, CONNECT);
            let mut connection = opened.await.map_err(ExportError::Unreachable)?;
            let body = [Bytes::from(batch(&self.resource, traces))];
            let reading = self.post(&mut connection, &body).await?;
            Ok((connection, reading))
        };
        let posted = timeout(TIMEOUT, post).await;
        let (connection, reading) = posted.unwrap_or(Err(ExportError::Timeout(TIMEOUT)))?;
        match rejected_spans(connection, reading).await {
            0 => Ok(()),
            rejected => Err(ExportError::PartlyRejected(rejected)),
        }
    }

    /// Sends a batch and reads the status of its response.
    async fn post(
        &self,
        connection: &mut OutboundConnection,
        body: &[Bytes; 1],
    ) -> Result<ResponseReader, ExportError> {
        let (settings, [content]) = (&self.settings, body);
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nUser-Agent: liveness-gateway/{}\r\nConnection: close\r\n\r\n",
            settings.url.target,
            settings.url.origin.authority,
            content.len(),
            env!("CARGO_PKG_VERSION")
        );
        let request = OutboundRequest {
            head: head.as_bytes(),
            body: OutboundBody::Kept(body),
        };
        let reading = exchange(connection, request).await?;
        let status = reading.status();
        if !(200..300).contains(&status) {
            let pause = reading.field("retry-after");
            let pause = pause.and_then(|text| text.trim().parse().ok());
            return Err(ExportError::Status {
                status,
                pause: pause.map(Duration::from_secs),
            });
        }
        Ok(reading)
    }
}

/// How many spans the collector says that it has rejected. 0 if it does not say so in time.
async fn rejected_spans(mut connection: OutboundConnection, mut reading: ResponseReader) -> u64 {
    let mut response = Vec::new();
    let body = reading.body(&mut connection, |bytes| {
        response.extend_from_slice(bytes);
        match response.len() > MAX_RESPONSE {
            true => Err(MalformedResponse::BodyTruncated),
            false => Ok(()),
        }
    });
    let whole = timeout(BODY_TIMEOUT, body).await;
    if !matches!(whole, Ok(Ok(()))) {
        return 0;
    }
    let response: ExportResponse = serde_json::from_slice(&response).unwrap_or_default();
    response.partial_success.rejected_spans.number()
}

/// Waits for a trace, and for those that follow it soon. Returns `false` if there will be none.
async fn gather(
    traces: &mut mpsc::Receiver<Box<RequestTrace>>,
    batch: &mut Vec<RequestTrace>,
) -> bool {
    let Some(first) = traces.recv().await else {
        return false;
    };
    batch.push(*first);
    let end = Instant::now() + GATHER;
    while batch.len() < BATCH {
        tokio::select! {
            trace = traces.recv() => match trace {
                Some(trace) => batch.push(*trace),
                None => break,
            },
            () = sleep_until(end) => break,
        }
    }
    true
}

fn span_count(batch: &[RequestTrace]) -> u64 {
    batch.iter().map(RequestTrace::span_count).sum()
}
