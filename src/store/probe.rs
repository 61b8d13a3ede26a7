//! Asks whether a store can be used: connects as a replica does, makes the calls of a heartbeat and
//! of a session that nobody has, and measures how long a call takes.
//!
//! For `check --connect`. What it writes has a random name under the configured prefix, and expires
//! within seconds. Never changes what others have written or are going to write, and never logs.

use std::{
    sync::atomic::AtomicI64,
    time::{Duration, Instant},
};

use aws_lc_rs::error::Unspecified;
use tokio::time::timeout;

use super::{
    address::host_and_port,
    client::random_name,
    dial::ask,
    error::StoreError,
    heartbeat::{Heartbeat, Probe},
    keys::StoreKey,
    link::StoreSettings,
    primary::PrimaryFinder,
    route::StoreRoute,
    script::{Script, ScriptReply, Scripts},
};
use crate::outbound::advice::SettingAtFault;

/// How long to wait for a reply, so that a slow store is told from one that is gone.
const PATIENCE: Duration = Duration::from_secs(2);
/// Number of calls of which the median is taken.
const MEASURED: usize = 5;
/// How long the session is remembered, in milliseconds.
const REMEMBERED: &[u8] = b"5000";
/// The oldest version that has all that the scripts use, of Redis and of whatever says that it is
/// one.
const OLDEST: u32 = 7;
/// What may be evicted under these policies is forgotten as late as possible.
const GOOD_POLICIES: [&str; 2] = ["noeviction", "volatile-ttl"];

/// A store that can be used.
pub struct ProbedStore {
    /// Its name and version, if it tells.
    pub version: Option<String>,
    /// The server that takes the calls, unless it is reached through a socket of this machine.
    pub primary: Option<String>,
    /// How long a call takes: the median of a few.
    pub call: Duration,
    /// What is odd about it.
    pub warnings: Vec<StoreWarning>,
}

/// What is odd about a store that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreWarning {
    /// A version that was not tried.
    #[error("it is older than Redis 7.0 and Valkey 7.2")]
    Old,
    /// It may evict what must not be forgotten.
    #[error("its maxmemory-policy {0} forgets limits and used sessions: set noeviction")]
    Evicts(String),
    /// Late replies are near.
    #[error("a call takes more than half of store.timeout: raise that")]
    Slow,
}

/// A store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreProbeError {
    /// It can't be reached, or refuses a call.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Most replies would be late.
    #[error("a call takes {0:.1?}, and store.timeout is {1:?}")]
    Slow(Duration, Duration),
    /// The system provides no randomness.
    #[error("the system returns no random bytes")]
    NoRandomBytes(#[from] Unspecified),
}

/// What a store says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct StoreInfo {
    version: Option<String>,
    is_old: bool,
    /// How it evicts, if it does.
    policy: Option<String>,
}

impl StoreSettings {
    /// Asks the store, within `limit`.
    ///
    /// # Errors
    /// The store can't be used.
    pub async fn probe(self, limit: Duration) -> Result<ProbedStore, StoreProbeError> {
        let asked = timeout(limit, self.probe_without_limit()).await;
        asked.unwrap_or(Err(StoreError::Timeout.into()))
    }

    async fn probe_without_limit(self) -> Result<ProbedStore, StoreProbeError> {
        let (scripts, replica) = (Scripts::new(), random_name()?);
        let heartbeat = Heartbeat::of_visitor(&self.names, &replica, self.pace.lifetime);
        let probe = Probe {
            heartbeat: &heartbeat,
            scripts: &scripts,
            timeout: self.timeout.max(PATIENCE),
            epoch: &AtomicI64::new(0),
        };
        let slot = self.names.slot();
        let (address, interval) = (self.address.into(), self.pace.heartbeat);
        let mut finder = PrimaryFinder::new(address, self.dialer, slot, interval);
        let route = finder.find(&probe).await?.route;
        let session = self.names.session(random_name()?.as_bytes());
        let args: [&[u8]; 6] = [b"check", replica.as_bytes(), b"1", REMEMBERED, b"u", b""];
        run(&route, &scripts.publish, &session, &args).await?;
        let call = call_time(&route, &scripts.is_alive, &session).await?;
        if call >= self.timeout {
            return Err(StoreProbeError::Slow(call, self.timeout));
        }
        // What it does not tell is not needed.
        let info = ask(&route.primary, &["INFO"]).await;
        let info = info.map(|info| StoreInfo::parse(&info)).unwrap_or_default();
        let primary = route.primary.server().map(host_and_port);
        let slow = (call > self.timeout / 2).then_some(StoreWarning::Slow);
        Ok(ProbedStore {
            primary,
            call,
            warnings: info.warnings().into_iter().chain(slow).collect(),
            version: info.version,
        })
    }
}

/// The median time of a few calls.
async fn call_time(
    route: &StoreRoute,
    script: &Script,
    key: &StoreKey,
) -> Result<Duration, StoreError> {
    let mut times = [Duration::ZERO; MEASURED];
    for time in &mut times {
        let begun = Instant::now();
        run(route, script, key, &[]).await?;
        *time = begun.elapsed();
    }
    times.sort_unstable();
    Ok(times.get(MEASURED / 2).copied().unwrap_or_default())
}

/// Runs a script whose reply is 1.
async fn run(
    route: &StoreRoute,
    script: &Script,
    key: &StoreKey,
    args: &[&[u8]],
) -> Result<(), StoreError> {
    let keys = [key];
    let reply = timeout(PATIENCE, route.run(script, &keys, args)).await;
    match reply.unwrap_or(Err(StoreError::Timeout))? {
        ScriptReply::Number(1) => Ok(()),
        _ => Err(StoreError::Invalid),
    }
}

impl StoreInfo {
    /// Parses the reply to `INFO`.
    fn parse(reply: &ScriptReply) -> Self {
        let ScriptReply::Bytes(text) = reply else {
            return Self::default();
        };
        let text = String::from_utf8_lossy(text);
        let value = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name));
            // It goes to a terminal.
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
            value.filter(|value| value.len() <= 32 && value.bytes().all(fits))
        };
        let redis = value("redis_version:");
        let major = redis.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
        let version = match value("valkey_version:") {
            Some(version) => Some(format!("Valkey {version}")),
            None => redis.map(|version| format!("Redis {version}")),
        };
        let evicts = value("maxmemory:").is_some_and(|limit| limit != "0");
        let policy = value("maxmemory_policy:").filter(|_| evicts);
        Self {
            version,
            is_old: major.is_some_and(|major| major < OLDEST),
            policy: policy.map(str::to_owned),
        }
    }

    fn warnings(&self) -> Vec<StoreWarning> {
        let policy = self.policy.as_deref();
        let evicts = policy.filter(|policy| !GOOD_POLICIES.contains(policy));
        let evicts = evicts.map(|policy| StoreWarning::Evicts(policy.to_owned()));
        let old = self.is_old.then_some(StoreWarning::Old);
        old.into_iter().chain(evicts).collect()
    }
}

impl StoreProbeError {
    /// What an operator can do about it, as the second half of a sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Store(error) => error.advice(),
            Self::Slow(..) => "use a store that is nearer, or raise store.timeout",
            Self::NoRandomBytes(_) => "look into the system's log",
        }
    }

    /// Which setting of the section to look at.
    pub fn setting(&self) -> SettingAtFault {
        match self {
            Self::Store(error) => error.setting(),
            Self::Slow(..) | Self::NoRandomBytes(_) => SettingAtFault::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(text: &str) -> StoreInfo {
        StoreInfo::parse(&ScriptReply::Bytes(text.as_bytes().to_vec()))
    }

    #[test]
    fn a_store_is_named_and_what_is_odd_about_it_told() {
        let evicts = |policy: &str| StoreWarning::Evicts(policy.into());
        for (text, version, warnings) in [
            (
                "# Server\r\nredis_version:7.0.15\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n",
                Some("Redis 7.0.15"),
                vec![],
            ),
            (
                "redis_version:7.2.4\r\nvalkey_version:8.0.1\r\nmaxmemory:9\r\nmaxmemory_policy:volatile-ttl\r\n",
                Some("Valkey 8.0.1"),
                vec![],
            ),
            (
                "redis_version:6.2.1\r\nmaxmemory:9\r\nmaxmemory_policy:allkeys-lru\r\n",
                Some("Redis 6.2.1"),
                vec![StoreWarning::Old, evicts("allkeys-lru")],
            ),
            ("redis_version:\x1b[31m\r\n", None, vec![]),
            ("", None, vec![]),
        ] {
            let info = info(text);
            assert_eq!(info.version.as_deref(), version, "{text}");
            assert_eq!(info.warnings(), warnings, "{text}");
        }
        assert_eq!(StoreInfo::parse(&ScriptReply::Other), StoreInfo::default());
    }
}
