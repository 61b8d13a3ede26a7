//! How often requests may come from one client's address, whoever sends them: GCRA by `governor`.
//!
//! Relies on [`rate`](super::rate) for the count and for bounded memory under a flood of addresses.
//! Each replica counts by itself. Never holds an address, only a keyed hash of it.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use super::{
    caller::CallerKey,
    rate::{LimitExceeded, RateLimit},
};
use crate::route::Rate;

/// `64:ff9b::/96`: IPv4 addresses as translators write them (RFC 6052 section 2.1).
const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// The limit of requests from one address.
pub struct AddressLimit {
    rate: Arc<RateLimit>,
    keys: RandomState,
}

impl AddressLimit {
    /// A limit that lets as many requests come at once as `rate` counts. `None` for a rate of more
    /// than one request a nanosecond, which limits nothing.
    pub fn new(rate: Rate) -> Option<Self> {
        Some(Self {
            rate: Arc::new(RateLimit::new(rate, rate.count)?),
            keys: RandomState::new(),
        })
    }

    /// The limit that follows this one: what each address has used counts in it.
    pub fn followed_by(&self, rate: Rate) -> Option<Self> {
        Some(Self {
            rate: self.rate.followed_by(rate, rate.count)?,
            keys: self.keys.clone(),
        })
    }

    /// Counts one request.
    ///
    /// # Errors
    /// The address has used up its burst; nothing was counted.
    pub fn check(&self, address: IpAddr) -> Result<(), LimitExceeded> {
        let key = CallerKey(self.keys.hash_one(CountedAddress::of(address)));
        self.rate.check(key).map(drop)
    }

    /// Forgets addresses whose whole burst is back. To be called about once a second.
    pub fn sweep(&self) {
        self.rate.sweep();
    }
}

/// What is counted together.
#[derive(Debug, Hash, PartialEq, Eq)]
enum CountedAddress {
    V4(u32),
    /// The upper half of an IPv6 address: one subscriber has all of a `/64`, often more.
    V6(u64),
}

impl CountedAddress {
    fn of(address: IpAddr) -> Self {
        let address = match address.to_canonical() {
            IpAddr::V4(address) => return Self::V4(address.into()),
            IpAddr::V6(address) => address,
        };
        match address.segments() {
            [prefix @ .., high, low] if prefix == TRANSLATED => {
                Self::V4(u32::from(high) << 16 | u32::from(low))
            }
            _ => Self::V6((Ipv6Addr::to_bits(address) >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use super::*;

    fn of(address: &str) -> CountedAddress {
        CountedAddress::of(address.parse().unwrap())
    }

    #[test]
    fn ipv6_is_counted_by_its_64_and_ipv4_in_every_form_alike() {
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        for same in [
            "::ffff:192.0.2.1",
            "64:ff9b::192.0.2.1",
            "64:ff9b::c000:201",
        ] {
            assert_eq!(of("192.0.2.1"), of(same), "{same}");
        }
        // An upper half with the bits of an IPv4 address is no IPv4 address.
        assert_ne!(of("0.0.0.0"), of("::1"));
        assert_ne!(of("192.0.2.1"), of("0:0:c000:201::"));
    }

    #[test]
    fn as_many_requests_as_the_rate_counts_may_come_at_once() {
        let rate = Rate {
            count: NonZeroU32::new(3).unwrap(),
            per: Duration::from_secs(60),
        };
        let limit = AddressLimit::new(rate).unwrap();
        let client = "192.0.2.1".parse().unwrap();
        let passed = (0..5).filter(|_| limit.check(client).is_ok()).count();
        assert_eq!(passed, 3);
        let wait = limit.check(client).unwrap_err().retry_after;
        assert!(wait > Duration::from_secs(19) && wait <= Duration::from_secs(20));
        assert!(limit.check("192.0.2.2".parse().unwrap()).is_ok());
    }
}
