//! The arithmetic of `benches/compare`: medians, ratios, heads, framing. Nothing is measured here.

#[path = "../../benches/compare/stats.rs"]
pub(crate) mod stats;
#[path = "../../benches/compare/targets.rs"]
mod targets;
#[path = "../../benches/compare/load/translate.rs"]
mod translate;
#[path = "../../benches/compare/wire.rs"]
mod wire;

use stats::{median, median_interval, percentile, ratio, ratios};
use targets::Target;
use translate::translate;
use wire::{Framing, head, status, unchunk};

#[test]
fn medians_and_percentiles_interpolate_and_accept_no_values() {
    assert_eq!(median(&[]), 0.0);
    assert_eq!(median(&[7.0]), 7.0);
    assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    let hundred: Vec<f64> = (0..=100).map(f64::from).collect();
    assert_eq!(percentile(&hundred, 0.99), 99.0);
    assert_eq!(percentile(&hundred, 1.0), 100.0);
    assert_eq!(percentile(&hundred, 0.0), 0.0);
}

#[test]
fn a_ratio_is_computed_from_rounds_and_not_from_medians() {
    // A disturbance that doubles both values of a round does not change their ratio.
    assert_eq!(ratio(&[2.0, 4.0, 2.0], &[1.0, 2.0, 1.0]), Some(2.0));
    assert_eq!(ratio(&[2.0, 4.0, 9.0], &[1.0, 4.0, 3.0]), Some(2.0));
    assert_eq!(ratio(&[1.0], &[0.0]), None);
    assert_eq!(ratio(&[], &[1.0]), None);
}

#[test]
fn the_interval_of_a_median_leaves_out_as_many_values_as_95_percent_allow() {
    let first = |count: u32| (1..=count).rev().map(f64::from).collect::<Vec<_>>();
    // Ranks from a table of the binomial distribution with p = 1/2.
    for (count, ranks) in [
        (5, None),
        (6, Some((1.0, 6.0))),
        (9, Some((2.0, 8.0))),
        (15, Some((4.0, 12.0))),
        (25, Some((8.0, 18.0))),
        (50, Some((18.0, 33.0))),
    ] {
        assert_eq!(median_interval(&first(count)), ranks, "{count} values");
    }
    assert_eq!(ratios(&[2.0, 5.0, 1.0], &[1.0, 0.0, 4.0]), [2.0, 0.25]);
}

#[test]
fn a_target_states_which_direction_is_better() {
    let cost = |value| Target::new("", value, 1.0, 1.1).verdict();
    assert_eq!(cost(Some(0.9)), "goal");
    assert_eq!(cost(Some(1.004)), "goal");
    assert_eq!(cost(Some(1.1)), "at least");
    assert_eq!(cost(Some(1.11)), "missed");
    assert_eq!(cost(None), "not measured");
    let lead = |value| Target::new("", value, 3.0, 2.3).verdict();
    assert_eq!(lead(Some(3.2)), "goal");
    assert_eq!(lead(Some(2.3)), "at least");
    assert_eq!(lead(Some(2.2)), "missed");
    assert_eq!(Target::new("a name", None, 1.0, 1.1).what, "a name");
}

#[test]
fn heads_determine_how_bodies_are_framed() {
    let whole = b"HTTP/1.1 401 No\r\ncontent-LENGTH: 12\r\nX: y\r\n\r\nbody";
    for end in 0..whole.len() - 4 {
        assert_eq!(head(&whole[..end]), None);
    }
    let found = head(whole).unwrap();
    assert_eq!(
        (found.framing, found.length),
        (Framing::Length(12), whole.len() - 4)
    );
    assert_eq!(status(found.line), 401);
    let chunked = head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    assert_eq!(
        (chunked.framing, status(chunked.line)),
        (Framing::Chunked, 200)
    );
    assert_eq!(status(b"nonsense"), 0);
    assert_eq!(
        head(b"HTTP/1.1 204 X\r\n\r\n").unwrap().framing,
        Framing::Length(0)
    );
}

#[test]
fn chunks_are_joined_once_all_have_arrived() {
    let whole = b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";
    assert_eq!(unchunk(whole).unwrap(), b"abc0123456789");
    for end in 0..whole.len() {
        assert_eq!(unchunk(&whole[..end]), None, "{end}");
    }
}

#[test]
fn a_prepared_request_is_the_same_over_http2() {
    let front = b"POST /v2/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: a/b\r\n\
        Authorization: Bearer t\r\nContent-Length: 9\r\n\r\n{\"a\":";
    let (request, body) = translate(front.to_vec()).unwrap();
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "https://localhost/v2/x");
    let fields = request.headers();
    assert_eq!(fields.len(), 3, "the host is only in the URI: {fields:?}");
    assert_eq!(fields["content-type"], "a/b");
    assert_eq!(fields["content-length"], "9");
    assert!(fields["authorization"].is_sensitive() && !fields["content-type"].is_sensitive());
    assert_eq!(body, "{\"a\":");
    assert!(translate(b"POST / HTTP/1.1\r\nHost: localhost\r\n".to_vec()).is_err());
}
