//! What the `Date` of a response says of its server's clock.
//!
//! `Date` has whole seconds, and the response was on its way for a while. So it tells by how much
//! the clocks differ at least, and nothing if they may agree. Relies on its caller for the times
//! before the request and behind the head of the response.

use std::time::{Duration, SystemTime};

use super::exchange::ResponseReader;

/// The resolution of `Date`. Some servers renew it once a second.
const RESOLUTION: Duration = Duration::from_secs(2);

/// When a server says that it answered, and between which times of this machine it did.
#[derive(Clone, Copy, Debug)]
pub struct ServerDate {
    date: SystemTime,
    asked: SystemTime,
    answered: SystemTime,
}

impl ServerDate {
    /// The date in a response to a request that was sent at `asked`. `None` without a valid one,
    /// and for a response from a cache, whose date is not of now. Must be called before the body is
    /// read.
    pub fn of(response: &ResponseReader, asked: SystemTime) -> Option<Self> {
        let date = response.field("date")?;
        if response.field("age").is_some() {
            return None;
        }
        Some(Self {
            date: httpdate::parse_http_date(date.trim()).ok()?,
            asked,
            answered: SystemTime::now(),
        })
    }

    /// The server's clock less ours, in seconds: the smallest difference that explains the date, 0
    /// if none is needed.
    pub fn skew(&self) -> f64 {
        let ahead = seconds_from(self.answered, self.date);
        let behind = seconds_from(self.asked, self.date) + RESOLUTION.as_secs_f64();
        ahead.max(0.0) + behind.min(0.0)
    }
}

/// The time from one moment to another, negative if that is earlier.
fn seconds_from(start: SystemTime, end: SystemTime) -> f64 {
    match end.duration_since(start) {
        Ok(later) => later.as_secs_f64(),
        Err(earlier) => -earlier.duration().as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skew_is_the_least_that_explains_the_date() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let skew = |date, asked, answered| {
            let times = [date, asked, answered].map(at);
            let [date, asked, answered] = times;
            ServerDate {
                date,
                asked,
                answered,
            }
            .skew()
        };
        for (date, asked, answered, wanted) in [
            (100.0, 100.4, 100.5, 0.0),
            (100.0, 101.9, 102.0, 0.0),
            // A long call.
            (100.0, 80.0, 120.0, 0.0),
            (110.0, 100.0, 101.0, 9.0),
            (100.0, 110.0, 111.0, -8.0),
            (3_700.0, 100.0, 100.0, 3_600.0),
        ] {
            let found = skew(date, asked, answered);
            assert!((found - wanted).abs() < 0.001, "{date} {asked}: {found}");
        }
    }
}
