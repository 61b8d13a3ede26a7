//! The key by which callers are named in the store: the same on all replicas, and the same after any change of their secrets, so that
//! what was counted stays counted.
//!
//! The first replica makes it and leaves it in the store, sealed by a key of its secret. Others open it there, by whichever secret
//! they share, and leave it for each of the secrets that they know themselves. Should two have been made, the older one is taken by
//! all. Everybody keeps it in memory and looks every two seconds, so a store that was emptied has it again.
//! Whoever reads the store but knows none of the secrets learns nothing of it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwapOption;
use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
    hkdf, hmac,
};
use data_encoding::HEXLOWER;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{
    StoreKey,
    fault::StoreError,
    names,
    script::{Reply, Script},
    wire::Connection,
};

/// Longer than any count is of use.
const REMEMBERED: Duration = Duration::from_secs(3 * 86_400);
/// Secrets that the key is left for; the oldest go first.
const MOST_SEALS: usize = 8;
/// Replicas that write at the same time look again.
const MOST_LOOKS: usize = 8;
const SALT: &[u8] = b"liveness-gateway names in the store 2";
/// Bytes of the time at which a key was made, before it.
const TIME_BYTES: usize = 8;
const BYTES: usize = TIME_BYTES + 32;

/// What seals the key for those who know a secret, and where that is left.
#[derive(Clone)]
pub struct NamesSeal {
    place: StoreKey,
    seal: Arc<RandomizedNonceKey>,
}

/// When it was made, and the key: what is made earlier is less.
#[derive(Clone, PartialEq, Eq)]
struct Made(Zeroizing<[u8; BYTES]>);

/// The key, once it is known, and the secrets that it is sealed with.
pub(super) struct Naming {
    seals: Mutex<Vec<NamesSeal>>,
    known: ArcSwapOption<Known>,
}

struct Known {
    made: Made,
    key: hmac::Key,
}

/// What follows from a look into the store.
enum Look {
    /// All places hold what is known here.
    Agreed,
    /// This is to be written there, and looked at again.
    Write(Vec<Vec<u8>>),
}

struct Length;

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

impl NamesSeal {
    /// Of a secret that every replica has.
    ///
    /// # Errors
    /// No key can be derived.
    pub fn of(secret: &[u8]) -> Result<Self, Unspecified> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(secret);
        let derive = |purpose: &[u8]| -> Result<_, Unspecified> {
            let mut bytes = Zeroizing::new([0; 32]);
            root.expand(&[purpose], Length)?.fill(bytes.as_mut())?;
            Ok(bytes)
        };
        let place = derive(b"place")?;
        let place = HEXLOWER.encode(place.get(..16).unwrap_or_default());
        let seal = derive(b"seal")?;
        let seal = RandomizedNonceKey::new(&AES_256_GCM_SIV, seal.as_slice())?;
        Ok(Self {
            place: names::key_of_names(&place),
            seal: seal.into(),
        })
    }

    fn seal(&self, made: &Made) -> Result<Vec<u8>, Unspecified> {
        let mut text = made.0.to_vec();
        let nonce = self
            .seal
            .seal_in_place_append_tag(Aad::from(self.place.as_bytes()), &mut text)?;
        Ok([nonce.as_ref().as_slice(), &text].concat())
    }

    /// `None`: there is nothing, or nothing of ours.
    fn open(&self, sealed: &[u8]) -> Option<Made> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let place = Aad::from(self.place.as_bytes());
        let plain = self.seal.open_in_place(nonce, place, &mut text).ok()?;
        let bytes: &[u8; BYTES] = (&*plain).try_into().ok()?;
        Some(Made(Zeroizing::new(*bytes)))
    }
}

impl Made {
    fn new(now: SystemTime) -> Result<Self, Unspecified> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        let time = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some((at, key)) = bytes.split_first_chunk_mut::<TIME_BYTES>() {
            *at = time.to_be_bytes();
            aws_lc_rs::rand::fill(key)?;
        }
        Ok(Self(bytes))
    }
}

impl Naming {
    /// For those who know one of these secrets.
    pub(super) fn new(seals: Vec<NamesSeal>) -> Self {
        Self {
            seals: Mutex::new(seals),
            known: ArcSwapOption::empty(),
        }
    }

    /// Leaves the key for those who know this secret too.
    pub(super) fn also_for(&self, seal: NamesSeal) {
        let mut seals = self.seals.lock().unwrap_or_else(PoisonError::into_inner);
        seals.retain(|known| known.place != seal.place);
        seals.insert(0, seal);
        seals.truncate(MOST_SEALS);
    }

    /// Does something with the key, if it is known.
    pub(super) fn with<T>(&self, with: impl FnOnce(&hmac::Key) -> T) -> Option<T> {
        self.known.load().as_ref().map(|known| with(&known.key))
    }

    fn seals(&self) -> Vec<NamesSeal> {
        let seals = self.seals.lock().unwrap_or_else(PoisonError::into_inner);
        seals.clone()
    }

    /// Learns the key from the others, or makes it, and leaves it for them. Has no time limit of its own but for each call.
    pub(super) async fn agree(
        &self,
        connection: &Connection,
        script: &Script,
        time: Duration,
    ) -> Result<(), StoreError> {
        let seals = self.seals();
        let places: Vec<_> = seals.iter().map(|seal| &seal.place).collect();
        let remember = REMEMBERED.as_millis().to_string();
        let nothing = vec![Vec::new(); seals.len()];
        let (mut seen, mut write) = (nothing.clone(), nothing);
        for _ in 0..MOST_LOOKS {
            let mut args = vec![remember.as_bytes()];
            for pair in seen.iter().zip(&write) {
                args.extend([pair.0.as_slice(), pair.1.as_slice()]);
            }
            let reply = timeout(time, connection.run(script, &places, &args));
            let reply = reply.await.map_err(|_| StoreError::Slow)??;
            seen = read(reply, seals.len()).ok_or(StoreError::Garbled)?;
            match self.look(&seals, &seen).map_err(|_| StoreError::Garbled)? {
                Look::Agreed => return Ok(()),
                Look::Write(better) => write = better,
            }
        }
        Err(StoreError::Garbled)
    }

    /// Looks at what is in the places of these seals. What nobody has yet agreed to is only offered: somebody may be quicker.
    fn look(&self, seals: &[NamesSeal], found: &[Vec<u8>]) -> Result<Look, Unspecified> {
        let opened = |(seal, found): (&NamesSeal, &Vec<u8>)| seal.open(found);
        let found: Vec<_> = seals.iter().zip(found).map(opened).collect();
        let known = self.known.load_full();
        let own = known.as_ref().map(|known| &known.made);
        let older = |one: &&Made, other: &&Made| one.0.as_slice().cmp(other.0.as_slice());
        let made = match found.iter().flatten().chain(own).min_by(older) {
            Some(made) => made.clone(),
            None => Made::new(SystemTime::now())?,
        };
        let agreed = |found: &Option<Made>| found.as_ref() == Some(&made);
        if !found.iter().all(agreed) {
            let write = seals.iter().zip(&found);
            let write = write.map(|(seal, found)| match agreed(found) {
                true => Ok(Vec::new()),
                false => seal.seal(&made),
            });
            return write.collect::<Result<_, _>>().map(Look::Write);
        }
        if own != Some(&made) {
            let (_, key) = made.0.split_at(TIME_BYTES);
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            self.known.store(Some(Known { made, key }.into()));
        }
        Ok(Look::Agreed)
    }
}

fn read(reply: Reply, places: usize) -> Option<Vec<Vec<u8>>> {
    let Reply::List(parts) = reply else {
        return None;
    };
    let parts = parts.into_iter().map(|part| match part {
        Reply::Bytes(bytes) => Some(bytes),
        _ => None,
    });
    let found: Vec<_> = parts.collect::<Option<_>>()?;
    (found.len() == places).then_some(found)
}
