//! `max_lifetime`, and times at the edge of what a number can be.

use super::{rules::HEADER, *};

const HOUR: u64 = 3600;

/// What becomes of a token with these times where no token may be valid for over an hour.
fn within_an_hour(times: &str) -> Result<(), AuthRefusal> {
    at_most(Some(Duration::from_secs(HOUR)), times)
}

fn at_most(max_lifetime: Option<Duration>, times: &str) -> Result<(), AuthRefusal> {
    let mut settings = identity("https://login", shared_secret());
    settings.max_lifetime = max_lifetime;
    authenticate(&authenticator(vec![settings]), &token(times)).map(|_| ())
}

fn token(times: &str) -> String {
    let claims =
        format!(r#"{{"iss":"https://login","aud":"liveness","sub":"alice","exp":{times}}}"#);
    hs256(HEADER, &claims)
}

#[test]
fn a_token_that_is_valid_for_too_long_is_refused() {
    let good = [
        // From `iat`, without the leeway.
        format!("{},\"iat\":{}", NOW + HOUR, NOW),
        format!("{}.5,\"iat\":{}.5", NOW + 10, NOW + 10 - HOUR),
        // From now, with the leeway: the issuer's clock may be ahead.
        format!("{}", NOW + HOUR + LEEWAY),
        // `nbf` does not make it shorter, nor does it replace `iat`.
        format!("{},\"nbf\":0", NOW + HOUR),
    ];
    for times in good {
        assert_eq!(within_an_hour(&times), Ok(()), "{times}");
    }
    let long = [
        format!("{},\"iat\":{}", NOW + HOUR + 1, NOW),
        format!("{}.5,\"iat\":{}", NOW + HOUR, NOW),
        format!("{},\"iat\":0", NOW + 1),
        format!("{},\"iat\":-1e300", NOW + 1),
        format!("{}", NOW + HOUR + LEEWAY + 1),
        format!("{},\"nbf\":{}", NOW + HOUR + LEEWAY + 1, NOW),
        format!("18446744073709551615,\"iat\":{NOW}"),
        "18446744073709551615".into(),
        format!("1e300,\"iat\":{NOW}"),
        "1.7e308,\"iat\":-1.7e308".into(),
    ];
    for times in long {
        let refused = within_an_hour(&times);
        assert_eq!(refused, Err(AuthRefusal::LifetimeTooLong), "{times}");
        assert_eq!(at_most(None, &times), Ok(()), "{times}");
    }
    let refusal = AuthRefusal::LifetimeTooLong;
    assert_eq!(refusal.code(), "invalid_token");
    assert!(refusal.detail().contains("longer"));
}

#[test]
fn the_other_times_are_judged_first() {
    for (times, refusal) in [
        (format!("{},\"iat\":0", NOW - LEEWAY), AuthRefusal::Expired),
        (
            format!("1e300,\"iat\":{}", NOW + LEEWAY + 1),
            AuthRefusal::IssuedInFuture,
        ),
        (
            format!("1e300,\"nbf\":{}", NOW + LEEWAY + 1),
            AuthRefusal::NotYetValid,
        ),
    ] {
        assert_eq!(within_an_hour(&times), Err(refusal), "{times}");
    }
}

#[test]
fn a_cached_token_is_judged_by_the_clock_of_each_request() {
    let mut settings = identity("https://login", shared_secret());
    settings.max_lifetime = Some(Duration::from_secs(HOUR));
    let authenticator = authenticator(vec![settings]);
    let mut headers = HeaderMap::new();
    let value = format!("Bearer {}", token(&format!("{}", NOW + HOUR)));
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
    let at = |clock: SystemTime| at_once(&authenticator, &headers, clock).map(|_| ());
    assert_eq!(at(now()), Ok(()));
    // The clock was set back: what is left is more than an hour.
    let earlier = now() - Duration::from_secs(LEEWAY + 1);
    assert_eq!(at(earlier), Err(AuthRefusal::LifetimeTooLong));
    assert_eq!(at(now()), Ok(()));
}

#[test]
fn times_at_the_edge_of_a_number_are_compared_as_they_are() {
    let year = 365 * 24 * HOUR;
    for (times, expected) in [
        ("1.7976931348623157e308", Ok(())),
        ("9007199254740993", Ok(())),
        ("-9223372036854775808", Err(AuthRefusal::Expired)),
        ("-1.7976931348623157e308", Err(AuthRefusal::Expired)),
        ("1e400", Err(AuthRefusal::Malformed)),
        ("-1e400", Err(AuthRefusal::Malformed)),
        ("1800000060,\"nbf\":1e308", Err(AuthRefusal::NotYetValid)),
        ("1800000060,\"nbf\":-1e308,\"iat\":-1e308", Ok(())),
        ("1800000060,\"iat\":1e308", Err(AuthRefusal::IssuedInFuture)),
        ("1800000060,\"nbf\":1e400", Err(AuthRefusal::Malformed)),
    ] {
        assert_eq!(at_most(None, times), expected, "{times}");
    }
    let longest = Some(Duration::from_secs(year));
    assert_eq!(
        at_most(longest, "1.7976931348623157e308,\"iat\":0"),
        Err(AuthRefusal::LifetimeTooLong)
    );
}
