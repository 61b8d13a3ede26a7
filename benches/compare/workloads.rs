//! The workloads: their names, sizes, and the peers that take part. Pure data.

use crate::peers::Peer;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Workload {
    Small,
    SmallTls,
    SmallHttp2,
    Crowd,
    Video,
    VideoTls,
    VideoHttp2,
    VideoStreams,
    Raw,
    RawTls,
    Multipart,
    Big,
    BigTls,
    Held,
    HeldTls,
    Latency,
    Cores,
}

/// What requests are carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// HTTP/1.1.
    Plain,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS.
    Http2,
}

/// The connections to a proxy, and the requests at the same time on each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines {
    pub(crate) transport: Transport,
    pub(crate) connections: usize,
    pub(crate) streams: usize,
}

/// How a workload is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measurement {
    /// Processor time of a request, at the highest rate.
    Cost,
    /// Memory of half-sent uploads.
    Held,
    /// Latency at a given rate.
    Latency,
    /// Throughput of the gateway on one core and on two.
    Cores,
}

/// The kind of requests that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    Small,
    Video,
    Raw,
    Multipart,
    Big,
}

pub(crate) const ALL: [Workload; 17] = [
    Workload::Small,
    Workload::SmallTls,
    Workload::SmallHttp2,
    Workload::Crowd,
    Workload::Video,
    Workload::VideoTls,
    Workload::VideoHttp2,
    Workload::VideoStreams,
    Workload::Raw,
    Workload::RawTls,
    Workload::Multipart,
    Workload::Big,
    Workload::BigTls,
    Workload::Held,
    Workload::HeldTls,
    Workload::Latency,
    Workload::Cores,
];

impl Workload {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::SmallTls => "small-tls",
            Self::SmallHttp2 => "small-h2",
            Self::Crowd => "crowd",
            Self::Video => "video",
            Self::VideoTls => "video-tls",
            Self::VideoHttp2 => "video-h2",
            Self::VideoStreams => "video-h2-streams",
            Self::Raw => "raw",
            Self::RawTls => "raw-tls",
            Self::Multipart => "video-multipart",
            Self::Big => "big",
            Self::BigTls => "big-tls",
            Self::Held => "held",
            Self::HeldTls => "held-tls",
            Self::Latency => "latency",
            Self::Cores => "cores",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Small => "small request (sessioncode, HS256, 50 kept connections)",
            Self::SmallTls => "small request over TLS 1.3",
            Self::SmallHttp2 => "small request over HTTP/2 and TLS 1.3",
            Self::Crowd => "small request, 2,000 busy connections",
            Self::Video => "2 MiB video (2.8 MB up, 900 KB response, 8 connections)",
            Self::VideoTls => "2 MiB video over TLS 1.3",
            Self::VideoHttp2 => "2 MiB video over HTTP/2 and TLS 1.3",
            Self::VideoStreams => "2 MiB video over HTTP/2 (4 streams on each of 2 connections)",
            Self::Raw => "2 MiB video as video/mp4 (2.1 MB up, 2.8 MB upstream)",
            Self::RawTls => "2 MiB video as video/mp4 over TLS 1.3",
            Self::Multipart => "2 MiB video in a form (2.1 MB up, 2.8 MB upstream)",
            Self::Big => "20 MiB video (28 MB up, 900 KB response, 4 connections)",
            Self::BigTls => "20 MiB video over TLS 1.3",
            Self::Held => "memory of 50 half-sent 2.8 MB uploads",
            Self::HeldTls => "memory of 50 half-sent 2.8 MB uploads over TLS 1.3",
            Self::Latency => "latency of a small request at half load",
            Self::Cores => "the gateway on one core and on two",
        }
    }

    pub(crate) fn transport(self) -> Transport {
        match self {
            Self::SmallTls | Self::VideoTls | Self::RawTls | Self::BigTls | Self::HeldTls => {
                Transport::Tls
            }
            Self::SmallHttp2 | Self::VideoHttp2 | Self::VideoStreams => Transport::Http2,
            _ => Transport::Plain,
        }
    }

    pub(crate) fn is_tls(self) -> bool {
        self.transport().is_tls()
    }

    pub(crate) fn measurement(self) -> Measurement {
        match self {
            Self::Held | Self::HeldTls => Measurement::Held,
            Self::Latency => Measurement::Latency,
            Self::Cores => Measurement::Cores,
            _ => Measurement::Cost,
        }
    }

    pub(crate) fn payload(self) -> Payload {
        match self {
            Self::Small | Self::SmallTls | Self::SmallHttp2 | Self::Crowd | Self::Latency => {
                Payload::Small
            }
            Self::Raw | Self::RawTls => Payload::Raw,
            Self::Multipart => Payload::Multipart,
            Self::Big | Self::BigTls => Payload::Big,
            Self::Video
            | Self::VideoTls
            | Self::VideoHttp2
            | Self::VideoStreams
            | Self::Held
            | Self::HeldTls
            | Self::Cores => Payload::Video,
        }
    }

    /// The number of rounds, and of requests in each.
    pub(crate) fn size(self, quick: bool) -> (usize, usize) {
        let (full, short) = match self {
            Self::Small | Self::SmallTls | Self::SmallHttp2 => ((24, 8_000), (5, 8_000)),
            Self::Crowd => ((8, 20_000), (3, 10_000)),
            Self::Video | Self::VideoTls | Self::VideoHttp2 | Self::VideoStreams => {
                ((20, 60), (3, 60))
            }
            Self::Raw | Self::RawTls | Self::Multipart => ((8, 60), (3, 60)),
            Self::Big | Self::BigTls => ((8, 16), (3, 8)),
            Self::Held | Self::HeldTls => ((3, 50), (1, 50)),
            // The number of requests follows from the rate.
            Self::Latency => ((9, 0), (3, 0)),
            Self::Cores => ((5, 160), (3, 80)),
        };
        if quick { short } else { full }
    }

    pub(crate) fn lines(self) -> Lines {
        let (connections, streams) = match self {
            Self::Small | Self::SmallTls | Self::SmallHttp2 => (50, 1),
            Self::Held | Self::HeldTls | Self::Latency => (50, 1),
            Self::Crowd => (2000, 1),
            Self::Video | Self::VideoTls | Self::VideoHttp2 => (8, 1),
            Self::VideoStreams => (2, 4),
            Self::Raw | Self::RawTls | Self::Multipart | Self::Cores => (8, 1),
            Self::Big | Self::BigTls => (4, 1),
        };
        Lines {
            transport: self.transport(),
            connections,
            streams,
        }
    }

    pub(crate) fn takes(self, peer: Peer) -> bool {
        match self {
            Self::Raw | Self::RawTls | Self::Multipart | Self::Cores => peer == Peer::Gateway,
            Self::Crowd | Self::Latency => {
                matches!(peer, Peer::Floor | Peer::Nginx | Peer::Gateway)
            }
            // It forwards a body while it arrives.
            Self::Held | Self::HeldTls => peer != Peer::HaProxyPass,
            _ => peer.speaks(self.transport()),
        }
    }
}

impl Transport {
    pub(crate) fn is_tls(self) -> bool {
        self != Self::Plain
    }

    /// The end of a sentence about what happens on it.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Tls => " over TLS",
            Self::Http2 => " over HTTP/2",
        }
    }
}

impl Lines {
    /// A single connection with one request at a time.
    pub(crate) fn one(transport: Transport) -> Self {
        Self {
            transport,
            connections: 1,
            streams: 1,
        }
    }
}
