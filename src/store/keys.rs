//! The keys in the store: a common prefix, what the value is, and a keyed hash. Reading a key does
//! not reveal the caller, and nobody can choose a user id whose key meets another's. The prefix
//! stands in braces, so that a cluster keeps all keys in one slot.

use aws_lc_rs::{error::Unspecified, hkdf, hmac};
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

/// The HKDF salt: a secret with another use here derives other keys there.
const SALT: &[u8] = b"liveness-gateway names in the store 3";
/// Length of the key's HMAC-SHA256 key, in bytes.
const NAMING_BYTES: usize = 32;

/// Maximum length of a prefix: it is part of each key.
const MAX_PREFIX: usize = 64;
/// Slots of a cluster.
const SLOTS: u16 = 16384;

/// Gives each key its prefix, so that the store can be shared with other programs and access can be
/// limited to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreNames {
    /// The prefix in braces.
    braced: String,
    slot: u16,
}

/// The key of one value in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreKey(String);

impl StoreNames {
    /// Names with this prefix. `None` if it is empty, too long, or has other characters than
    /// letters, digits and `-_.:/`.
    pub fn new(prefix: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
        let fits = (1..=MAX_PREFIX).contains(&prefix.len()) && prefix.bytes().all(fits);
        fits.then(|| Self {
            braced: format!("{{{prefix}}}"),
            slot: crc16(prefix.as_bytes()) % SLOTS,
        })
    }

    /// The key of a session. Its digest is a keyed hash already, the same on all replicas.
    pub(super) fn session(&self, digest: &[u8]) -> StoreKey {
        self.key("session", &HEXLOWER.encode(digest))
    }

    /// The key of the store's epoch: since when its primary has been remembering.
    pub(super) fn epoch(&self) -> StoreKey {
        StoreKey(format!("{}:epoch", self.braced))
    }

    /// The key of a replica's heartbeat.
    pub(super) fn replica(&self, id: &str) -> StoreKey {
        self.key("replica", id)
    }

    /// The slot of all keys in a cluster: what is in braces alone decides it.
    pub(super) fn slot(&self) -> u16 {
        self.slot
    }

    fn key(&self, kind: &str, rest: &str) -> StoreKey {
        StoreKey(format!("{}:{kind}:{rest}", self.braced))
    }
}

/// CRC-16/XMODEM, by which a cluster assigns slots.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc: u16, _| match crc >> 15 {
            0 => crc << 1,
            _ => crc << 1 ^ 0x1021,
        })
    })
}

impl StoreKey {
    /// The key of what is counted anew in each window.
    pub(super) fn in_window(&self, number: u64) -> Self {
        Self(format!("{}:{number}", self.0))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Names callers in the store: replicas with the same secret give a caller the same key.
pub struct NamingKey(hmac::Key);

impl NamingKey {
    /// Derives the key from a secret that all replicas have.
    ///
    /// # Errors
    /// No key can be derived.
    pub fn derive(secret: &[u8]) -> Result<Self, Unspecified> {
        let mut bytes = Zeroizing::new([0; NAMING_BYTES]);
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(secret);
        root.expand(&[b"callers"], hkdf::HKDF_SHA256)?
            .fill(bytes.as_mut())?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice())))
    }

    /// The key of a caller's count on a route.
    pub(super) fn caller(
        &self,
        names: &StoreNames,
        kind: &'static str,
        route: &str,
        issuer: &str,
        user: &str,
    ) -> StoreKey {
        let mut hash = hmac::Context::with_key(&self.0);
        for part in [kind, route, issuer, user] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let tag = hash.sign();
        let tag = HEXLOWER.encode(tag.as_ref().get(..16).unwrap_or_default());
        names.key(kind, &tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(prefix: &str) -> StoreNames {
        StoreNames::new(prefix).unwrap()
    }

    #[test]
    fn every_key_has_the_prefix_in_braces() {
        let names = names("a:b");
        for (key, text) in [
            (names.session(&[1, 0xab]), "{a:b}:session:01ab"),
            (names.replica("r"), "{a:b}:replica:r"),
            (names.epoch(), "{a:b}:epoch"),
            (names.epoch().in_window(7), "{a:b}:epoch:7"),
        ] {
            assert_eq!(key.0, text);
        }
        for prefix in ["", "a{b", "a}", "a b", "ü", &"a".repeat(65)] {
            assert_eq!(StoreNames::new(prefix), None, "{prefix}");
        }
    }

    #[test]
    fn the_slot_is_that_of_the_cluster_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(names("foo").slot(), 12182);
    }

    fn key(secret: &[u8], parts: [&str; 3]) -> StoreKey {
        let [route, issuer, user] = parts;
        let naming = NamingKey::derive(secret).unwrap();
        naming.caller(&names("gateway"), "rate", route, issuer, user)
    }

    #[test]
    fn a_caller_has_one_key_under_one_secret_and_another_under_another() {
        let caller = ["/route", "issuer", "user"];
        assert_eq!(key(b"one", caller), key(b"one", caller));
        assert_ne!(key(b"one", caller), key(b"other", caller));
    }

    #[test]
    fn no_two_callers_or_counts_share_a_key() {
        let keys = [
            ["/route", "issuer", "user"],
            ["/route", "issueru", "ser"],
            ["/route", "issue", "ruser"],
            ["/routeissuer", "", "user"],
            ["/other", "issuer", "user"],
        ]
        .map(|caller| key(b"one", caller));
        for (number, one) in keys.iter().enumerate() {
            assert!(!keys[..number].contains(one), "{number}");
        }
        let naming = NamingKey::derive(b"one").unwrap();
        let [rate, quota] = ["rate", "quota"]
            .map(|kind| naming.caller(&names("gateway"), kind, "/route", "issuer", "user"));
        let hash = |key: &StoreKey| key.0.rsplit(':').next().unwrap().to_owned();
        assert_ne!(hash(&rate), hash(&quota));
    }
}
