//! Finds the primary of a service by its sentinels.
//!
//! All sentinels are asked at once. What they name is tried in the order of the failovers that they
//! know of, the latest first: a sentinel that was cut off may still name an earlier primary, which
//! may not have noticed either. A server counts as the primary only if it takes a heartbeat, which
//! a replica refuses. So a sentinel that is wrong costs a try and nothing else.
//!
//! While a primary is in use, the sentinels are asked again every second, over connections that are
//! kept. It is left when they name another server that proves to be a primary; as long as they
//! can't be asked, it stays in use.

use std::{cmp::Reverse, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use super::{
    address::{SentinelService, StoreLogin, announced},
    dial::{NODE_TIMEOUT, StoreDialer, ask},
    error::StoreError,
    heartbeat::Probe,
    route::{ProbedRoute, StoreRoute},
    script::ScriptReply,
    wire::StoreConnection,
};
use crate::outbound::origin::Origin;

/// How much longer to wait for the rest once most sentinels have replied.
const STRAGGLERS: Duration = Duration::from_millis(100);

/// The sentinels of one service.
pub(super) struct SentinelGroup {
    dialer: StoreDialer,
    service: SentinelService,
    /// Between two looks at who the primary is.
    interval: Duration,
    /// The open connections, in the order of the sentinels.
    kept: Vec<Option<StoreConnection>>,
}

/// What a sentinel replies.
#[derive(Debug, PartialEq, Eq)]
pub struct SentinelVote {
    /// The server that it names.
    pub primary: Origin,
    /// The number of the failover that made it the primary.
    pub epoch: u64,
}

impl SentinelGroup {
    pub(super) fn new(dialer: StoreDialer, service: SentinelService, interval: Duration) -> Self {
        let kept = service.sentinels.iter().map(|_| None).collect();
        Self {
            dialer,
            service,
            interval,
            kept,
        }
    }

    /// Connects to the primary.
    pub(super) async fn find(&mut self, probe: &Probe<'_>) -> Result<ProbedRoute, StoreError> {
        let mut error = StoreError::UnknownService;
        for server in self.candidates().await? {
            match self.try_server(&server, probe).await {
                Ok(probed) => return Ok(probed),
                Err(refused) => error = StoreError::NoPrimary(Box::new(refused)),
            }
        }
        Err(error)
    }

    /// Waits until another server than `current` is the primary.
    pub(super) async fn replaced(&mut self, current: &Origin, probe: &Probe<'_>) -> ProbedRoute {
        loop {
            sleep(self.interval).await;
            let candidates = self.candidates().await.unwrap_or_default();
            for server in candidates.iter().take_while(|server| *server != current) {
                match self.try_server(server, probe).await {
                    // Sentinels may name one server in two ways: by its name, and by its address.
                    Ok(probed) if probed.epoch == probe.epoch_in_use() => {}
                    Ok(probed) => return probed,
                    Err(_) => {}
                }
            }
        }
    }

    async fn try_server(
        &self,
        server: &Origin,
        probe: &Probe<'_>,
    ) -> Result<ProbedRoute, StoreError> {
        let route = StoreRoute::to(self.dialer.open(server).await?);
        let epoch = probe.run(&route).await?;
        Ok(ProbedRoute { route, epoch })
    }

    /// The servers that may be the primary, likeliest first.
    async fn candidates(&mut self) -> Result<Vec<Origin>, StoreError> {
        let mut asked = JoinSet::new();
        let sentinels = self.service.sentinels.iter().zip(&mut self.kept);
        for (number, (sentinel, kept)) in sentinels.enumerate() {
            let (dialer, kept) = (self.dialer.clone(), kept.take());
            let (sentinel, service) = (sentinel.clone(), self.service.clone());
            asked.spawn(async move {
                let vote = vote(&dialer, &sentinel, &service, kept).await;
                (number, vote)
            });
        }
        let mut deadline = Instant::now() + NODE_TIMEOUT;
        let mut votes = Vec::new();
        let mut error = StoreError::Timeout;
        while let Ok(Some(reply)) = timeout_at(deadline, asked.join_next()).await {
            match reply {
                Ok((number, Ok((connection, vote)))) => {
                    if let Some(kept) = self.kept.get_mut(number) {
                        *kept = Some(connection);
                    }
                    votes.push(vote);
                }
                Ok((_, Err(refused))) => error = refused,
                Err(_) => {}
            }
            if votes.len() > self.service.sentinels.len() / 2 {
                deadline = deadline.min(Instant::now() + STRAGGLERS);
            }
        }
        match (votes.is_empty(), error) {
            (false, _) => Ok(ranked(votes)),
            (true, StoreError::UnknownService) => Err(StoreError::UnknownService),
            (true, error) => Err(StoreError::NoSentinel(Box::new(error))),
        }
    }
}

/// Asks a sentinel, over the connection that was kept or a new one.
async fn vote(
    dialer: &StoreDialer,
    sentinel: &Origin,
    service: &SentinelService,
    kept: Option<StoreConnection>,
) -> Result<(StoreConnection, SentinelVote), StoreError> {
    let connection = match kept {
        Some(connection) => connection,
        None => {
            let none = StoreLogin::default();
            let login = service.login.as_ref().unwrap_or(&none);
            dialer.open_as(sentinel, login, NODE_TIMEOUT).await?
        }
    };
    let tls = sentinel.tls;
    match primary_of(&connection, service, tls).await {
        // It has no login of its own in the URL, and wants one: the service's.
        Err(StoreError::Login) if service.login.is_none() => {
            let login = StoreLogin {
                database: 0,
                ..dialer.address.login.clone()
            };
            let connection = dialer.open_as(sentinel, &login, NODE_TIMEOUT).await?;
            let vote = primary_of(&connection, service, tls).await?;
            Ok((connection, vote))
        }
        vote => Ok((connection, vote?)),
    }
}

async fn primary_of(
    connection: &StoreConnection,
    service: &SentinelService,
    tls: bool,
) -> Result<SentinelVote, StoreError> {
    let name = service.name.as_str();
    let reply = match ask(connection, &["SENTINEL", "MASTER", name]).await {
        // A sentinel, or something in front of several, that permits or knows this one alone.
        Err(StoreError::Refused(_)) => {
            let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name];
            ask(connection, &words).await
        }
        reply => reply,
    };
    match reply {
        Ok(ScriptReply::List(parts)) => SentinelVote::parse(&parts, tls).ok_or(StoreError::Invalid),
        Ok(ScriptReply::Other) => Err(StoreError::UnknownService),
        Ok(_) => Err(StoreError::Invalid),
        Err(StoreError::Refused(code)) if code == "ERR" => Err(StoreError::UnknownService),
        Err(error) => Err(error),
    }
}

impl SentinelVote {
    /// Parses names and values in turn, or a host and a port.
    pub fn parse(parts: &[ScriptReply], tls: bool) -> Option<Self> {
        let texts: Option<Vec<_>> = parts.iter().map(text).collect();
        let texts = texts?;
        if let [host, port] = texts.as_slice() {
            return Some(Self {
                primary: announced(host, port.parse().ok()?, tls)?,
                epoch: 0,
            });
        }
        let value = |name: &str| {
            let mut pairs = texts.chunks_exact(2);
            pairs.find_map(|pair| match pair {
                [found, value] if *found == name => Some(*value),
                _ => None,
            })
        };
        Some(Self {
            primary: announced(value("ip")?, value("port")?.parse().ok()?, tls)?,
            epoch: value("config-epoch")
                .and_then(|epoch| epoch.parse().ok())
                .unwrap_or(0),
        })
    }
}

fn text(part: &ScriptReply) -> Option<&str> {
    match part {
        ScriptReply::Bytes(bytes) => str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// Every server that was named once: those of the latest failover first, and of these the one that
/// most sentinels name.
fn ranked(votes: Vec<SentinelVote>) -> Vec<Origin> {
    let mut ranked: Vec<(u64, usize, Origin)> = Vec::new();
    for vote in votes {
        match ranked.iter_mut().find(|it| it.2 == vote.primary) {
            Some((epoch, count, _)) => {
                *epoch = vote.epoch.max(*epoch);
                *count = count.saturating_add(1);
            }
            None => ranked.push((vote.epoch, 1, vote.primary)),
        }
    }
    ranked.sort_by_key(|(epoch, count, _)| Reverse((*epoch, *count)));
    ranked.into_iter().map(|(_, _, server)| server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(texts: &[&str]) -> Vec<ScriptReply> {
        let part = |text: &&str| ScriptReply::Bytes(text.as_bytes().to_vec());
        texts.iter().map(part).collect()
    }

    fn vote(host: &str, epoch: u64) -> SentinelVote {
        SentinelVote {
            primary: announced(host, 6379, false).unwrap(),
            epoch,
        }
    }

    #[test]
    fn the_primary_and_its_failover_are_parsed() {
        let reply = [
            "name",
            "m",
            "ip",
            "Redis-1",
            "port",
            "6379",
            "config-epoch",
            "7",
        ];
        assert_eq!(
            SentinelVote::parse(&parts(&reply), false),
            Some(vote("redis-1", 7))
        );
        let reply = ["10.0.0.1", "6379"];
        assert_eq!(
            SentinelVote::parse(&parts(&reply), false),
            Some(vote("10.0.0.1", 0))
        );
        for wrong in [
            &[][..],
            &["ip"],
            &["", "6379"],
            &["10.0.0.1", "port"],
            &["ip", "10.0.0.1", "flags", "master"],
            &["ip", "a b", "port", "6379"],
            &["ip", "10.0.0.1", "port", "65536"],
        ] {
            assert_eq!(SentinelVote::parse(&parts(wrong), false), None, "{wrong:?}");
        }
        assert_eq!(SentinelVote::parse(&[ScriptReply::Number(1)], false), None);
    }

    #[test]
    fn the_latest_failover_counts_more_than_the_number_of_votes() {
        let votes = vec![vote("old", 3), vote("old", 3), vote("new", 4)];
        let hosts: Vec<_> = ranked(votes).into_iter().map(|it| it.host).collect();
        assert_eq!(hosts, ["new", "old"]);
        let votes = vec![vote("one", 3), vote("two", 3), vote("two", 3)];
        let hosts: Vec<_> = ranked(votes).into_iter().map(|it| it.host).collect();
        assert_eq!(hosts, ["two", "one"]);
    }
}
