//! Writes metric families in the text format of Prometheus (0.0.4) or that of OpenMetrics (1.0).
//!
//! The formats differ in what is around the samples: OpenMetrics names a counter without `_total`,
//! declares units, allows exemplars and ends with `# EOF`. The samples are the same, so a scraper
//! that changes its format goes on with the same series. Names and help texts are constants; label
//! values are escaped. Relies on its caller to write each family once.

use std::fmt::{Display, Write};

use super::{counter_set::CounterSet, histogram::Histogram};
use crate::closed_set::ClosedSet;

/// Prefix of the gateway's own families.
const PREFIX: &str = "liveness_gateway_";

/// A format of the exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// The text format of Prometheus, 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl TextFormat {
    /// The value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FamilyType {
    /// Only grows. Its name ends with `_total`.
    Counter,
    /// Grows and shrinks.
    Gauge,
    /// Durations by size.
    Histogram,
}

impl FamilyType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Labels of a sample, in the order in which they are written.
pub(super) type Labels<'a> = [(&'static str, &'a str)];

/// A document that is being written.
pub(super) struct Exposition {
    format: TextFormat,
    text: String,
}

impl Exposition {
    /// An empty document.
    pub(super) fn new(format: TextFormat) -> Self {
        Self {
            format,
            text: String::with_capacity(32 * 1024),
        }
    }

    /// Begins a family of this name, without the gateway's prefix.
    pub(super) fn family(
        &mut self,
        name: &'static str,
        kind: FamilyType,
        help: &'static str,
    ) -> FamilyWriter<'_> {
        self.named(PREFIX, name, kind, help)
    }

    /// Begins a family whose name, which has no prefix, is the same for all programs.
    pub(super) fn process_family(
        &mut self,
        name: &'static str,
        kind: FamilyType,
        help: &'static str,
    ) -> FamilyWriter<'_> {
        self.named("", name, kind, help)
    }

    fn named(
        &mut self,
        prefix: &'static str,
        name: &'static str,
        kind: FamilyType,
        help: &'static str,
    ) -> FamilyWriter<'_> {
        FamilyWriter {
            exposition: self,
            prefix,
            name,
            kind,
            help,
            begun: false,
        }
    }

    /// The whole document.
    pub(super) fn finish(mut self) -> String {
        if self.format == TextFormat::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    /// Writing to a string never fails.
    fn write(&mut self, value: impl Display) {
        let _ = write!(self.text, "{value}");
    }

    /// Writes labels in braces, if there are any, with a last one that is often `le`.
    fn write_labels(&mut self, labels: &Labels<'_>, last: Option<(&str, &str)>) {
        let mut separator = '{';
        for (name, value) in labels.iter().copied().chain(last) {
            self.text.push(separator);
            separator = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if separator == ',' {
            self.text.push('}');
        }
    }
}

/// Writes the samples of one family. One without samples does not appear.
pub(super) struct FamilyWriter<'a> {
    exposition: &'a mut Exposition,
    prefix: &'static str,
    name: &'static str,
    kind: FamilyType,
    help: &'static str,
    begun: bool,
}

impl FamilyWriter<'_> {
    /// Writes a sample.
    pub(super) fn sample(&mut self, labels: &Labels<'_>, value: impl Display) {
        self.begin();
        self.line("", labels, None, value);
        self.exposition.text.push('\n');
    }

    /// Writes a sample for each value of the label `name`, which follows `labels`.
    pub(super) fn counter_set<L: ClosedSet>(
        &mut self,
        labels: &Labels<'_>,
        name: &'static str,
        counters: &CounterSet<L>,
    ) {
        self.begin();
        for (value, number) in counters.numbers() {
            self.line("", labels, Some((name, value.as_str())), number);
            self.exposition.text.push('\n');
        }
    }

    /// Writes the buckets, the sum and the count of a histogram.
    pub(super) fn histogram(&mut self, labels: &Labels<'_>, histogram: &Histogram) {
        self.begin();
        let with_exemplars = self.exposition.format == TextFormat::OpenMetrics;
        let mut count = 0_u64;
        for bucket in histogram.buckets() {
            count = count.saturating_add(bucket.number);
            self.line("_bucket", labels, Some(("le", bucket.bound)), count);
            if with_exemplars && let Some(exemplar) = bucket.exemplar() {
                let text = &mut self.exposition.text;
                // Writing to a string never fails.
                let _ = write!(text, " # {exemplar}");
            }
            self.exposition.text.push('\n');
        }
        self.line("_sum", labels, None, histogram.sum_seconds());
        self.exposition.text.push('\n');
        self.line("_count", labels, None, count);
        self.exposition.text.push('\n');
    }

    /// Writes the metadata before the first sample.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let (prefix, kind, help) = (self.prefix, self.kind.as_str(), self.help);
        let name = match (self.exposition.format, self.kind) {
            (TextFormat::OpenMetrics, FamilyType::Counter) => {
                self.name.strip_suffix("_total").unwrap_or(self.name)
            }
            _ => self.name,
        };
        let text = &mut self.exposition.text;
        // Writing to a string never fails.
        let _ = writeln!(text, "# HELP {prefix}{name} {help}");
        let _ = writeln!(text, "# TYPE {prefix}{name} {kind}");
        let unit = ["seconds", "bytes"]
            .into_iter()
            .find(|unit| name.ends_with(unit));
        if let (TextFormat::OpenMetrics, Some(unit)) = (self.exposition.format, unit) {
            let _ = writeln!(text, "# UNIT {prefix}{name} {unit}");
        }
    }

    /// Writes a sample without the end of its line.
    fn line(
        &mut self,
        suffix: &str,
        labels: &Labels<'_>,
        last: Option<(&str, &str)>,
        value: impl Display,
    ) {
        let exposition = &mut *self.exposition;
        exposition.text.push_str(self.prefix);
        exposition.text.push_str(self.name);
        exposition.text.push_str(suffix);
        exposition.write_labels(labels, last);
        exposition.text.push(' ');
        exposition.write(value);
    }
}
