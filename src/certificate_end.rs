//! When a certificate expires.
//!
//! Reads no more of it (RFC 5280 section 4.1) than the end of its validity, and decides nothing by
//! it: rustls checks certificates. A certificate that can't be read has no end here.

use std::time::SystemTime;

use time::{Date, Month, PrimitiveDateTime, Time};

// Tags of DER (X.690).
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The end of the validity of a DER certificate. The fields before it are skipped.
pub fn certificate_end(certificate: &[u8]) -> Option<SystemTime> {
    let (fields, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(fields, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest, VERSION)?.1;
    }
    // Serial number, signature algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = element(rest, tag)?.1;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, _, end) = any_element(validity)?;
    match any_element(end)? {
        (UTC_TIME, text, _) => {
            let (year, rest) = number(text, 2)?;
            // RFC 5280 section 4.1.2.5.1.
            let century = if year < 50 { 2000 } else { 1900 };
            date_time(i32::from(year).checked_add(century)?, rest)
        }
        (GENERALIZED_TIME, text, _) => {
            let (year, rest) = number(text, 4)?;
            date_time(i32::from(year), rest)
        }
        _ => None,
    }
}

/// The content of an element of this kind, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any_element(der)?;
    (found == tag).then_some((content, rest))
}

/// The tag and the content of an element, and what follows it.
fn any_element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // One to four digits.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits.iter().try_fold(0_usize, |length, digit| {
                length.checked_mul(256)?.checked_add(usize::from(*digit))
            })?;
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// `MMDDHHMMSSZ` of this year.
fn date_time(year: i32, text: &[u8]) -> Option<SystemTime> {
    let (month, rest) = number(text, 2)?;
    let (day, rest) = number(rest, 2)?;
    let (hour, rest) = number(rest, 2)?;
    let (minute, rest) = number(rest, 2)?;
    let (second, rest) = number(rest, 2)?;
    if rest != b"Z" {
        return None;
    }
    let small = |number: u16| u8::try_from(number).ok();
    let month = Month::try_from(small(month)?).ok()?;
    let date = Date::from_calendar_date(year, month, small(day)?).ok()?;
    let time = Time::from_hms(small(hour)?, small(minute)?, small(second)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc().into())
}

/// A decimal number of so many digits, at most four.
fn number(text: &[u8], digits: usize) -> Option<(u16, &[u8])> {
    let (digits, rest) = text.split_at_checked(digits)?;
    let number = digits.iter().try_fold(0_u16, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit & 0x0f)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })?;
    Some((number, rest))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// A certificate that ends at the beginning of this day.
    pub(crate) fn certificate(year: i32, month: u8, day: u8) -> rcgen::Certificate {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    /// As Unix time, in seconds.
    pub(crate) fn seconds(time: SystemTime) -> u64 {
        time.duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms_of_time() {
        for ((year, month, day), expected) in [
            ((2027, 3, 1), 1_803_859_200),
            ((2028, 2, 29), 1_835_395_200),
            ((2049, 12, 31), 2_524_521_600),
            // From 2050 on, a year has four digits.
            ((2050, 1, 1), 2_524_608_000),
            ((9999, 12, 31), 253_402_214_400),
        ] {
            let made = certificate(year, month, day);
            let read = certificate_end(made.der()).map(seconds);
            assert_eq!(read, Some(expected), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn a_certificate_that_is_cut_or_wrong_has_no_end() {
        let made = certificate(2030, 1, 1);
        let der = made.der().to_vec();
        for length in 0..der.len() {
            assert_eq!(certificate_end(&der[..length]), None, "{length}");
        }
        let expected = UNIX_EPOCH + Duration::from_secs(1_893_456_000);
        for index in 0..der.len().min(200) {
            for byte in [0, 0x7f, 0x80, 0xff] {
                let mut wrong = der.clone();
                wrong[index] = byte;
                // No panic; most changes are not seen here.
                let _ = certificate_end(&wrong).is_some_and(|end| end == expected);
            }
        }
    }
}
