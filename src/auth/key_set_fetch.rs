//! One fetch of an issuer's keys: its discovery document, where that is needed, and its key set.
//!
//! Relies on [`super::discovery`] and [`super::key_set`] for what the documents say, and on
//! [`crate::outbound`] to get them. Never changes the current keys, never repeats a fetch, and has
//! no timeout but for opening connections.

use std::{io::ErrorKind, time::Duration};

use tokio::time::Instant;

use super::{
    discovery::{self, DiscoveryError},
    key_set::{FetchedKeySet, VerificationKeys},
    key_set_error::KeySetError,
    remote::{KeySetLocation, RemoteKeys},
};
use crate::{
    outbound::{
        advice::SettingAtFault,
        fetch::{FetchError, FetchedDocument, fetch},
        origin::Url,
        server_date::ServerDate,
    },
    telemetry::metrics::labels::KeySetOutcome,
};

/// Maximum size of a document, in bytes.
const MAX_DOCUMENT: usize = 1 << 20;

/// The URL of a key set, from a discovery document.
pub(super) struct DiscoveredUrl {
    url: Url,
    /// Until when the document is valid.
    until: Instant,
}

/// Why a fetch brought no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeySetFetchError {
    /// It was not complete in time.
    #[error("the fetch took longer than {0:?}")]
    Timeout(Duration),
    /// A document could not be fetched.
    #[error("{url}: {error}")]
    Fetch {
        /// Its URL, without a query.
        url: String,
        /// Why.
        error: FetchError,
    },
    /// The discovery document does not lead to the issuer's keys.
    #[error("the discovery document at {url}: {source}")]
    Discovery {
        /// Its URL, without a query.
        url: String,
        /// Why.
        source: DiscoveryError,
    },
    /// The key set has no keys that can be used.
    #[error("the key set at {url}: {source}")]
    KeySet {
        /// Its URL, without a query.
        url: String,
        /// Why.
        source: KeySetError,
    },
}

/// Fetches the key set. Returns it with the lifetime that the response headers allow. `discovered`
/// is used while it is valid, and renewed. `note` gets what servers say of the time.
pub(super) async fn fetch_key_set(
    keys: &RemoteKeys,
    discovered: &mut Option<DiscoveredUrl>,
    note: impl Fn(ServerDate),
) -> Result<(FetchedKeySet, Option<Duration>), KeySetFetchError> {
    let settings = &keys.settings;
    let now = Instant::now();
    let url = match (&settings.location, &*discovered) {
        (KeySetLocation::KeySet(url), _) => url.clone(),
        (KeySetLocation::Discovery(_), Some(known)) if known.until > now => known.url.clone(),
        (KeySetLocation::Discovery(discovery), _) => {
            let document = document(keys, discovery, &note).await?;
            let url = discovery::key_set_url(&document.body, &keys.issuer);
            let url = url.map_err(|source| KeySetFetchError::Discovery {
                url: shown(discovery),
                source,
            })?;
            *discovered = Some(DiscoveredUrl {
                url: url.clone(),
                until: now + settings.timing.lifetime(document.fresh),
            });
            url
        }
    };
    let document = document(keys, &url, &note).await?;
    let previous = keys.fetched();
    let previous = previous.as_ref().map(|fetched| &*fetched.keys);
    let allowed = settings.algorithms.as_deref();
    match VerificationKeys::from_fetched(&document.body, allowed, previous) {
        Ok(fetched) => Ok((fetched, document.fresh)),
        Err(source) => Err(KeySetFetchError::KeySet {
            url: shown(&url),
            source,
        }),
    }
}

async fn document(
    keys: &RemoteKeys,
    url: &Url,
    note: impl Fn(ServerDate),
) -> Result<FetchedDocument, KeySetFetchError> {
    let access = keys.access.load_full();
    // With time left for a response, so that the error says what can't be reached.
    let connect_timeout = keys.settings.timing.fetch_timeout / 2;
    let document = fetch(
        &access.dialer,
        url,
        &access.tls,
        connect_timeout,
        MAX_DOCUMENT,
    );
    let document = document.await;
    let document = document.map_err(|error| KeySetFetchError::Fetch {
        url: shown(url),
        error,
    })?;
    if let Some(date) = document.date {
        note(date);
    }
    Ok(document)
}

impl KeySetFetchError {
    /// What an operator can do about it, as the second half of a sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "check the network, and whether that server is slow",
            Self::Fetch { error, .. } => error.advice(),
            Self::Discovery { .. } => "check identity.issuer, or name the key set by jwks_url",
            Self::KeySet { .. } => "check that the address is that of the issuer's key set",
        }
    }

    /// Which setting of the identity to look at.
    pub fn setting(&self) -> SettingAtFault {
        match self {
            Self::Fetch {
                error: FetchError::Unreachable(error),
                ..
            } => SettingAtFault::of(error),
            Self::Timeout(_)
            | Self::Fetch { .. }
            | Self::Discovery { .. }
            | Self::KeySet { .. } => SettingAtFault::Address,
        }
    }

    /// The label of the outcome in metrics and logs.
    pub(super) fn outcome(&self) -> KeySetOutcome {
        match self {
            Self::Timeout(_) => KeySetOutcome::Timeout,
            Self::Discovery { .. } | Self::KeySet { .. } => KeySetOutcome::Invalid,
            Self::Fetch { error, .. } => match error {
                FetchError::Unreachable(error) if error.kind() == ErrorKind::TimedOut => {
                    KeySetOutcome::Timeout
                }
                FetchError::Unreachable(_) => KeySetOutcome::Unreachable,
                FetchError::Malformed(_) | FetchError::Encoded => KeySetOutcome::Invalid,
                FetchError::Status(_) => KeySetOutcome::Status,
                FetchError::TooLarge => KeySetOutcome::TooLarge,
            },
        }
    }
}

/// Without the query, which may hold a key of the provider's.
fn shown(url: &Url) -> String {
    let scheme = if url.origin.tls { "https" } else { "http" };
    let path = url.target.split('?').next().unwrap_or_default();
    format!("{scheme}://{}{path}", url.origin.authority)
}
