//! Which text format a scraper asks for, by its `Accept` header fields (RFC 9110 section 12.5.1).
//!
//! The format of Prometheus is the default: every scraper reads it, and some that name OpenMetrics
//! do not read it. OpenMetrics is sent if it is named with a version that this gateway speaks, and
//! preferred at least as much as the other. What can't be read asks for nothing. Never answers
//! that no format is acceptable: a scraper with a wrong header still gets its metrics.

use hyper::{HeaderMap, header::ACCEPT};

use crate::{parameters, telemetry::metrics::TextFormat};

/// A quality in thousandths. RFC 9110 allows no more digits.
type Quality = u16;

const FULL: Quality = 1_000;

/// The best quality of each format so far, with how exactly its range names the format.
#[derive(Default)]
struct Preference {
    open_metrics: Option<Quality>,
    text: Option<(RangeWidth, Quality)>,
}

/// How much a media range covers. Of several that cover a format, the narrowest counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RangeWidth {
    Exact,
    Subtypes,
    Everything,
}

/// The format to respond with.
pub(super) fn negotiate(headers: &HeaderMap) -> TextFormat {
    let mut preference = Preference::default();
    for value in headers.get_all(ACCEPT) {
        for range in split_list(value.as_bytes()) {
            preference.note(range);
        }
    }
    preference.decide()
}

impl Preference {
    /// Notes one media range.
    fn note(&mut self, range: &[u8]) {
        let (media_type, parameters) = parameters::split(range);
        let (mut quality, mut version) = (FULL, None);
        for parameter in parameters {
            let Ok(parameter) = parameter else { return };
            if parameter.is("q") {
                let Some(read) = thousandths(&parameter.value) else {
                    return;
                };
                quality = read;
            } else if parameter.is("version") {
                version = Some(parameter.value);
            }
        }
        let is = |name: &[u8]| media_type.eq_ignore_ascii_case(name);
        let version = version.as_deref();
        let width = if is(b"application/openmetrics-text") {
            // Without a version, any.
            if matches!(version, None | Some(b"1.0.0")) {
                self.open_metrics = self.open_metrics.max(Some(quality));
            }
            return;
        } else if is(b"text/plain") && matches!(version, None | Some(b"0.0.4")) {
            RangeWidth::Exact
        } else if is(b"text/*") {
            RangeWidth::Subtypes
        } else if is(b"*/*") {
            RangeWidth::Everything
        } else {
            return;
        };
        let is_better = self.text.is_none_or(|(known, best)| match known == width {
            true => quality > best,
            false => width < known,
        });
        if is_better {
            self.text = Some((width, quality));
        }
    }

    fn decide(&self) -> TextFormat {
        let text = self.text.map_or(0, |(_, quality)| quality);
        match self.open_metrics {
            Some(quality) if quality > 0 && quality >= text => TextFormat::OpenMetrics,
            _ => TextFormat::Prometheus,
        }
    }
}

/// The elements of a list, which are separated by commas outside of quotes.
fn split_list(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    list.split(move |byte| {
        let separates = !quoted && *byte == b',';
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ => {}
        }
        separates
    })
}

/// A quality of 0 to 1 with at most three decimals; `None` if it is none.
fn thousandths(text: &[u8]) -> Option<Quality> {
    let (whole, decimals) = match text {
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (*whole, decimals),
        [whole] => (*whole, &[][..]),
        _ => return None,
    };
    let digits = [b'0'; 3];
    let padded = decimals.iter().chain(&digits).take(3);
    let quality =
        std::iter::once(&whole)
            .chain(padded)
            .try_fold(0_u16, |number, digit| match digit {
                b'0'..=b'9' => Some(number * 10 + u16::from(digit - b'0')),
                _ => None,
            })?;
    (quality <= FULL).then_some(quality)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const TEXT: TextFormat = TextFormat::Prometheus;
    const OPEN: TextFormat = TextFormat::OpenMetrics;

    fn negotiated(fields: &[&str]) -> TextFormat {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(ACCEPT, HeaderValue::from_bytes(field.as_bytes()).unwrap());
        }
        negotiate(&headers)
    }

    #[test]
    fn each_scraper_gets_the_format_that_it_prefers() {
        for (scraper, accept, format) in [
            ("none", "", TEXT),
            ("curl", "*/*", TEXT),
            (
                "a browser",
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                TEXT,
            ),
            (
                "Prometheus 2.30",
                "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,\
                 */*;q=0.1",
                TEXT,
            ),
            (
                "Prometheus 2.42",
                "application/openmetrics-text;version=1.0.0,\
                 application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OPEN,
            ),
            (
                "Prometheus 3",
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OPEN,
            ),
            (
                "Prometheus 3 with native histograms",
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited;q=0.7,application/openmetrics-text;version=1.0.0;q=0.6,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OPEN,
            ),
            (
                "Prometheus 3 that prefers text",
                "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;\
                 q=0.5,*/*;q=0.4",
                TEXT,
            ),
            ("New Relic", "text/plain", TEXT),
            ("a scraper of text", "text/plain;version=0.0.4", TEXT),
            ("Python", "application/openmetrics-text", OPEN),
            (
                "a scraper of OpenMetrics",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                OPEN,
            ),
        ] {
            assert_eq!(negotiated(&[accept]), format, "{scraper}");
        }
    }

    #[test]
    fn qualities_and_parameters_are_read_as_the_rfc_says() {
        for (accept, format) in [
            ("application/openmetrics-text;q=0", TEXT),
            ("application/openmetrics-text;q=0.0, */*", TEXT),
            ("application/openmetrics-text;q=0.001", OPEN),
            (
                "APPLICATION/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.5",
                OPEN,
            ),
            ("application/openmetrics-text;version=2.0.0", TEXT),
            ("application/*", TEXT),
            ("text/*;q=0.9,application/openmetrics-text;q=0.8", TEXT),
            // The narrowest range of text counts, wherever it stands.
            (
                "text/plain;q=0.2,*/*;q=0.9,application/openmetrics-text;q=0.5",
                OPEN,
            ),
            (
                "*/*;q=0.9,text/*;q=0.2,application/openmetrics-text;q=0.5",
                OPEN,
            ),
            ("text/plain;q=0,application/openmetrics-text;q=0.1", OPEN),
            ("text/plain,application/openmetrics-text", OPEN),
            ("x;y=\"a,application/openmetrics-text\"", TEXT),
            ("x;y=\"\\\",application/openmetrics-text\"", TEXT),
            ("x;y=\"z\",application/openmetrics-text", OPEN),
            // A range that can't be read asks for nothing.
            ("application/openmetrics-text;q=2", TEXT),
            ("application/openmetrics-text;q=0.1234", TEXT),
            ("application/openmetrics-text;q=", TEXT),
            ("application/openmetrics-text;q=-1", TEXT),
            ("application/openmetrics-text;q=0.5 x", TEXT),
            (",,;,", TEXT),
            ("\u{e9}", TEXT),
        ] {
            assert_eq!(negotiated(&[accept]), format, "{accept}");
        }
        let several = ["text/plain;q=0.5", "application/openmetrics-text;q=0.6"];
        assert_eq!(negotiated(&several), OPEN);
    }
}
