//! The kinds of changes, and what one cost.
//!
//! Never judges a latency.

use std::time::Duration;

use super::super::samples::{Kind, Samples};

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    Configuration,
    Signal,
    CertificateAndKey,
    QiniuKeys,
    VerdictKey,
    Restart,
    Upgrade,
    StoreFailover,
    ClusterFailover,
}

/// Those of a gateway whose store is known by a Sentinel.
pub(super) const CHANGES: [Change; 9] = [
    Change::Nothing,
    Change::Configuration,
    Change::Signal,
    Change::CertificateAndKey,
    Change::QiniuKeys,
    Change::VerdictKey,
    Change::Restart,
    Change::Upgrade,
    Change::StoreFailover,
];

impl Change {
    pub(super) fn is_of_the_store(self) -> bool {
        matches!(self, Self::StoreFailover | Self::ClusterFailover)
    }

    /// What is done, for a table.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Configuration => "another `gateway.toml`",
            Self::Signal => "another `gateway.toml`, and SIGHUP",
            Self::CertificateAndKey => "another certificate and seal key",
            Self::QiniuKeys => "Qiniu's keys",
            Self::VerdictKey => "another key that signs verdicts",
            Self::Restart => "restart, sockets kept by the service manager",
            Self::Upgrade => "another binary, by SIGUSR2",
            Self::StoreFailover => "the store's primary killed, with a Sentinel",
            Self::ClusterFailover => "the store's primary killed, in a cluster",
        }
    }
}

/// What one kind of change cost.
pub(crate) struct ChangeResult {
    pub(crate) change: Change,
    pub(crate) times: usize,
    pub(crate) samples: Samples,
    /// Calls that the upstream billed.
    pub(crate) billed: u64,
    /// The longest time until a change was in use.
    pub(crate) longest: Duration,
    /// Why it was not made, if so.
    pub(crate) skipped: Option<&'static str>,
}

impl ChangeResult {
    /// Whether nothing was lost or wrong, and each video billed once.
    pub(crate) fn is_clean(&self) -> bool {
        let is_made = self.skipped.is_none();
        is_made && self.lost() == 0 && self.samples.wrong == 0 && self.billed == self.videos()
    }

    /// Requests without a right response.
    pub(crate) fn lost(&self) -> u64 {
        let kinds = [
            Kind::Small,
            Kind::Verify,
            Kind::SlowUser,
            Kind::Newcomer,
            Kind::Foreign,
        ];
        kinds.iter().map(|kind| self.samples.lost(*kind)).sum()
    }

    /// Videos that were answered with a result.
    pub(crate) fn videos(&self) -> u64 {
        let served = |kind| self.samples.served(kind) as u64;
        served(Kind::Verify) + served(Kind::SlowUser)
    }
}
