//! The gateway's targets with the measured values. Ratios are of one interleaved run. Pure.

use crate::{
    peers::Peer::{Floor, Gateway, HaProxyPass, Nginx},
    results::Results,
    targets::Target,
    workloads::Workload::{
        Big, Crowd, Held, HeldTls, Multipart, Raw, Small, SmallHttp2, SmallTls, Video, VideoHttp2,
        VideoStreams, VideoTls,
    },
};

pub(crate) fn of(results: &Results) -> Vec<Target> {
    let mut rows = small(results);
    rows.extend(videos(results));
    rows.extend(http2(results));
    rows.extend(the_rest(results));
    rows
}

fn small(results: &Results) -> Vec<Target> {
    let plain = results.cost_against(Small, Gateway, Nginx);
    let tls = results.cost_against(SmallTls, Gateway, Nginx);
    vec![
        Target::new(
            "small request, CPU × nginx passing through",
            plain,
            0.95,
            1.15,
        ),
        Target::new("small request over TLS, CPU × nginx", tls, 0.8, 1.0),
    ]
}

fn videos(results: &Results) -> Vec<Target> {
    let against = |workload, base| results.cost_against(workload, Gateway, base);
    let best = results.best_other(Video).map(|(_, times)| times);
    vec![
        Target::new("2 MiB video, CPU × floor", against(Video, Floor), 1.0, 1.1),
        Target::new(
            "2 MiB video, CPU of the best other full job × ours",
            best,
            3.0,
            2.3,
        ),
        Target::new("20 MiB video, CPU × floor", against(Big, Floor), 1.0, 1.1),
        Target::new(
            "2 MiB video over TLS, CPU × floor",
            against(VideoTls, Floor),
            1.0,
            1.15,
        ),
        Target::new(
            "2 MiB video over TLS, CPU × nginx",
            against(VideoTls, Nginx),
            0.8,
            1.0,
        ),
        Target::new(
            "2 MiB video in a form, CPU × video/mp4",
            results.growth(Raw, Multipart),
            1.05,
            1.15,
        ),
    ]
}

fn http2(results: &Results) -> Vec<Target> {
    let against = |workload, base| results.cost_against(workload, Gateway, base);
    let names = [
        (
            SmallHttp2,
            "small request over HTTP/2, CPU × nginx",
            "small request over HTTP/2, CPU × HAProxy passing through",
        ),
        (
            VideoHttp2,
            "2 MiB video over HTTP/2, CPU × nginx",
            "2 MiB video over HTTP/2, CPU × HAProxy passing through",
        ),
        (
            VideoStreams,
            "2 MiB video in four streams, CPU × nginx",
            "2 MiB video in four streams, CPU × HAProxy passing through",
        ),
    ];
    names
        .into_iter()
        .flat_map(|(workload, nginx, haproxy)| {
            [
                Target::new(nginx, against(workload, Nginx), 0.97, 1.08),
                Target::new(haproxy, against(workload, HaProxyPass), 0.7, 0.8),
            ]
        })
        .collect()
}

fn the_rest(results: &Results) -> Vec<Target> {
    let held = |workload| results.median(workload, Gateway, |sample| sample.memory);
    let bytes = results.growth(Video, Big).map(|times| times / 10.0);
    let crowd = results.growth(Small, Crowd);
    let added = results.added_against(Gateway, Nginx);
    vec![
        Target::new(
            "memory for a byte of a half-sent upload",
            held(Held),
            1.03,
            1.1,
        ),
        Target::new("the same over TLS", held(HeldTls), 1.1, 1.2),
        Target::new(
            "added p99, small request, half load, × nginx",
            added,
            1.0,
            1.5,
        ),
        Target::new("growth: CPU per byte, 20 MiB × 2 MiB", bytes, 1.0, 1.15),
        Target::new("growth: CPU, 2,000 connections × 50", crowd, 1.0, 1.15),
    ]
}
