//! `server.rate_per_address` is exceeded: whose address that is, and what the log says of it.
//!
//! A proxy that is missing in `server.trusted_proxies`, or that names nobody, makes all its users
//! count as one. Never shows an address: the access record has the peer's.

use std::borrow::Cow;

use tracing::Level;

/// Whose address is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitedAddress {
    /// The peer's own, which says nothing of others.
    Direct,
    /// The peer's own. It says for whom it forwards the request, and is no trusted proxy.
    UntrustedProxy,
    /// A trusted proxy's own, which names no client, or several.
    SilentProxy,
    /// That of the client whom a trusted proxy names.
    Named,
}

impl LimitedAddress {
    /// Whether the peer itself sends too much, as far as can be known.
    pub(super) fn is_peer(self) -> bool {
        matches!(self, Self::Direct | Self::UntrustedProxy)
    }
}

/// What the log says, if anything: a client that sends too much is no fault.
pub(super) fn logged_address(limited: LimitedAddress) -> Option<(Level, Cow<'static, str>)> {
    let (level, text) = match limited {
        // A stranger can write such a field, too.
        LimitedAddress::UntrustedProxy => (
            Level::INFO,
            "requests over server.rate_per_address are forwarded by a peer that is no trusted \
             proxy; if it is yours, list it in server.trusted_proxies, or all its users count as \
             one",
        ),
        LimitedAddress::SilentProxy => (
            Level::WARN,
            "requests over server.rate_per_address come from a trusted proxy that does not say for \
             whom, so all its users count as one; let it set X-Forwarded-For or Forwarded, and not \
             both",
        ),
        LimitedAddress::Direct | LimitedAddress::Named => return None,
    };
    Some((level, text.into()))
}
