//! What can be wrong with the store. The texts are ours alone, so that no address or password gets
//! into a log line.

use std::io;

use crate::outbound::{
    advice::{OpeningFault, SettingAtFault},
    origin::Origin,
};

/// The store can't be asked, or did not reply in time. A write may have reached it all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store is unavailable")]
pub struct Unavailable;

/// A text is not the address of a store. The message is a clause without any part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL of the supported schemes.
    #[error("is not the URL of a Redis")]
    NotRedis,
    /// A build without the cargo feature `redis`.
    #[error("can't be used: this program was built without Redis (cargo feature `redis`)")]
    NotBuilt,
    /// Options in the URL.
    #[error("has a `?` or `#` part, which is not supported")]
    HasOptions,
    /// An option that no sentinels have.
    #[error("has an option other than `sentinel_user` and `sentinel_password`")]
    UnknownOption,
    /// No host, or an empty one in the list.
    #[error("names no host, or has an empty one in its list")]
    NoHost,
    /// What stands in place of a host and a port is neither.
    #[error("has a host or a port that can't be one")]
    Host,
    /// Several hosts, and no word of what they are.
    #[error("names several hosts")]
    SeveralHosts,
    /// The path of a socket.
    #[error("names no absolute path of a socket")]
    NoPath,
    /// Sentinels without a service.
    #[error("names no service of the sentinels")]
    NoService,
    /// The database is not a small number.
    #[error("has a database that is no number")]
    Database,
    /// Another database than 0 of a cluster.
    #[error("names a database of a cluster, which has only number 0")]
    ClusterDatabase,
    /// A user or password that is not text, or not encoded.
    #[error("has a user or password that is not encoded rightly")]
    Login,
    /// A user alone.
    #[error("names a user without a password")]
    NoPassword,
    /// Not encrypted on a network.
    #[error("is not encrypted, and leads to another machine")]
    Plaintext,
}

impl AddressError {
    /// What to do about it.
    pub fn help(self) -> &'static str {
        match self {
            Self::NotRedis | Self::HasOptions | Self::Host | Self::NoHost | Self::Database => {
                "give it redis://host:6379, or rediss://user:password@host:6379 for TLS, with \
                 special characters of the password written as %XX"
            }
            Self::NotBuilt => "use a program that was built with it, or leave [store] out",
            Self::UnknownOption | Self::NoService => {
                "give it redis+sentinel://user:password@host:26379,host:26379/service, with \
                 `?sentinel_user=…&sentinel_password=…` if the sentinels have their own login"
            }
            Self::SeveralHosts => {
                "write redis+sentinel://…/service for sentinels, or redis+cluster:// for nodes of \
                 a cluster"
            }
            Self::NoPath => "give it unix:///run/redis.sock",
            Self::ClusterDatabase => "leave the database out",
            Self::Login => "write special characters of the user and the password as %XX",
            Self::NoPassword => "write user:password@, or :password@ for the default user",
            Self::Plaintext => {
                "use rediss://, or write `allow_plaintext = true` in [store] if the network itself \
                 encrypts"
            }
        }
    }
}

/// Why a call or a connection failed. No message has an address in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No reply within the timeout of a call.
    #[error("it does not reply in time")]
    Timeout,
    /// There is no connection, or it broke.
    #[error("there is no connection ({0})")]
    Unreachable(io::ErrorKind),
    /// A connection can't be opened, for a reason that is known.
    #[error("there is no connection: {0}")]
    Opening(OpeningFault),
    /// The user or the password is wrong, or missing.
    #[error("it does not accept the user or the password")]
    Login,
    /// An error reply, by its code, like `READONLY` or `OOM`.
    #[error("it refuses with {0}")]
    Refused(String),
    /// Not the protocol of Redis, or not a reply of the script.
    #[error("it sends invalid replies")]
    Invalid,
    /// A node of a cluster that has given its keys to another.
    #[error("its keys have moved to another node")]
    Moved(Origin),
    /// A node of a cluster that is giving its keys to another, which may have this one.
    #[error("its keys are moving to another node")]
    Ask(Origin),
    /// The keys of a call are on two nodes of a cluster while they move.
    #[error("its keys are on two nodes for now")]
    Split,
    /// Not one sentinel could be asked.
    #[error("no sentinel can be asked ({0})")]
    NoSentinel(Box<StoreError>),
    /// No sentinel knows the service.
    #[error("the sentinels do not know the service that the URL names")]
    UnknownService,
    /// What the sentinels name can't be used.
    #[error("the sentinels name no primary that can be used ({0})")]
    NoPrimary(Box<StoreError>),
    /// The cluster has no node for the keys.
    #[error("no node of the cluster has the slot of the keys")]
    NoOwner,
    /// A server that is no node of a cluster.
    #[error("it is no node of a cluster")]
    NoCluster,
    /// An announced server would be reached over a network without TLS.
    #[error("it leads to another machine without encryption")]
    Plaintext,
}

/// The codes of error replies that concern the store as a whole, or this connection to it: every
/// other call would fail as well. Other codes concern one call: a key of another type
/// (`WRONGTYPE`), a mistake in a script (`ERR`), a permission (`NOPERM`).
const WHOLE_STORE: &[&str] = &[
    // Demoted to a replica: the store's name may lead to another server by now.
    "READONLY",
    // A replica that has lost its primary, and may not serve what it has.
    "MASTERDOWN",
    // Just started, and loading its data.
    "LOADING",
    // Another client's script blocks it.
    "BUSY",
    // Writes are refused: no memory, no disk, too few replicas.
    "OOM",
    "MISCONF",
    "NOREPLICAS",
    // A node of a cluster, which has a part of the keys at most.
    "CLUSTERDOWN",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CROSSSLOT",
    // Protected mode.
    "DENIED",
];

impl StoreError {
    /// Whether it concerns every call, and not only the one that failed.
    pub(super) fn concerns_all(&self) -> bool {
        match self {
            Self::Refused(code) => WHOLE_STORE.contains(&code.as_str()),
            // The same call may succeed at once in steps, or a moment later.
            Self::Split => false,
            Self::Timeout
            | Self::Unreachable(_)
            | Self::Opening(_)
            | Self::Login
            | Self::Invalid
            | Self::Moved(_)
            | Self::Ask(_)
            | Self::NoSentinel(_)
            | Self::UnknownService
            | Self::NoPrimary(_)
            | Self::NoOwner
            | Self::NoCluster
            | Self::Plaintext => true,
        }
    }

    /// An error of opening a connection.
    pub(super) fn of_opening(error: &io::Error) -> Self {
        match OpeningFault::of(error) {
            // The kind says more, such as that it is refused.
            OpeningFault::Connect => Self::Unreachable(error.kind()),
            fault => Self::Opening(fault),
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Opening(fault) => fault.advice(),
            Self::Timeout | Self::Unreachable(_) => {
                "check that it runs, its address in store.redis, and the network"
            }
            Self::Login => "check the user and the password in store.redis",
            Self::Refused(code) => advice_on_refusal(code),
            Self::Invalid => "check that store.redis leads to a Redis or Valkey",
            Self::Moved(_) | Self::Ask(_) | Self::Split => "nothing: the gateway follows",
            Self::NoSentinel(error) | Self::NoPrimary(error) => error.advice(),
            Self::UnknownService => {
                "check the name behind the hosts in store.redis, and that these are sentinels"
            }
            Self::NoCluster => "write redis:// in store.redis, or switch its cluster mode on",
            Self::NoOwner => "check the cluster with `redis-cli --cluster check`",
            Self::Plaintext => "use rediss:// in store.redis, or set store.allow_plaintext",
        }
    }

    /// Which setting of the section to look at, if it is not in the advice.
    pub(super) fn setting(&self) -> SettingAtFault {
        match self {
            Self::Opening(fault) => fault.setting(),
            Self::NoSentinel(error) | Self::NoPrimary(error) => error.setting(),
            _ => SettingAtFault::Nothing,
        }
    }

    /// An error reply with this code: the first word of its text, if it looks like a code.
    pub(super) fn refused(code: Option<&str>) -> Self {
        match code {
            Some("NOAUTH" | "WRONGPASS") => Self::Login,
            Some(code)
                if code.len() <= 24 && code.bytes().all(|byte| byte.is_ascii_uppercase()) =>
            {
                Self::Refused(code.to_owned())
            }
            _ => Self::Refused("ERR".to_owned()),
        }
    }
}

/// What to do about an error reply of this code.
fn advice_on_refusal(code: &str) -> &'static str {
    match code {
        "NOPERM" => "give its user the permissions that docs/store.md lists",
        "READONLY" => "it is a replica: let store.redis name the primary or its sentinels",
        "MOVED" | "ASK" | "CROSSSLOT" => "it is a cluster: use redis+cluster:// in store.redis",
        "CLUSTERDOWN" => "check that most primaries of the cluster run, and that slots are served",
        "OOM" => "give it more memory, or see what else it holds",
        "MISCONF" => "check its disk",
        "NOREPLICAS" => "check its replicas",
        "DENIED" => "give it a password, or let it listen to this machine alone",
        "LOADING" | "MASTERDOWN" | "BUSY" => "it may recover by itself; see its own log",
        _ => "see its own log",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reply_concerns_one_call_or_all_of_them() {
        let concerns_all = |code| StoreError::refused(Some(code)).concerns_all();
        // The table in docs/store.md.
        for code in [
            "READONLY",
            "MASTERDOWN",
            "LOADING",
            "BUSY",
            "OOM",
            "MISCONF",
            "NOREPLICAS",
            "CLUSTERDOWN",
            "NOAUTH",
            "WRONGPASS",
            "DENIED",
            "MOVED",
            "ASK",
            "TRYAGAIN",
            "CROSSSLOT",
        ] {
            assert!(concerns_all(code), "{code}");
        }
        for code in ["WRONGTYPE", "ERR", "NOPERM", "EXECABORT", "NEWCODE", "odd"] {
            assert!(!concerns_all(code), "{code}");
        }
    }

    #[test]
    fn only_an_error_code_gets_into_a_log_line() {
        assert_eq!(StoreError::refused(Some("WRONGPASS")), StoreError::Login);
        assert_eq!(
            StoreError::refused(Some("READONLY")),
            StoreError::Refused("READONLY".into())
        );
        for odd in [Some("redis://user:secret@host"), Some("secret"), None] {
            assert_eq!(
                StoreError::refused(odd).to_string(),
                "it refuses with ERR",
                "{odd:?}"
            );
        }
    }
}
