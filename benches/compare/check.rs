//! Before anybody is measured: does it do the job? The upstream is the gateway's strict emulator of Qiniu, whose signature
//! check shares no code with any peer.
//!
//! Who fails is named and not measured. A pass-through is checked as such.

use serde_json::Value;

use crate::{
    bench::Bench,
    load::{LoadRequest, LoadResponse},
    peers::{self, GATEWAY_PROGRAM, Job, Peer, PeerSetup, RunningPeer},
    process::{Cores, Process, free_address},
    requests::{self, SMALL, VERIFY},
    rig::RunPlan,
};

/// A string that long in an answer is a picture.
const PICTURE: usize = 4096;

/// The strict upstream, until it is dropped.
pub(crate) struct StrictUpstream {
    _running: Process,
    address: std::net::SocketAddr,
}

impl StrictUpstream {
    pub(crate) fn start(cores: &Cores) -> Result<Self, String> {
        let address = free_address().map_err(|error| error.to_string())?;
        let mut command = std::process::Command::new(GATEWAY_PROGRAM);
        command.args(["emulator", "--listen", &address.to_string()]);
        let cores = cores.pinned.then(|| cores.rig.to_string());
        let command = peers::with_keys(command);
        let running = Process::start(&command, cores.as_deref(), address)?;
        Ok(Self {
            _running: running,
            address,
        })
    }
}

/// Whether `peer` does what it should, plain and over TLS.
pub(crate) fn check(
    peer: Peer,
    bench: &mut Bench,
    strict: &StrictUpstream,
    setup: &PeerSetup,
) -> Result<(), String> {
    let upstream = match peer.job() {
        Job::PassThrough => bench.rig.address(),
        Job::Floor | Job::Full => strict.address,
    };
    let proxy = peer.start(&PeerSetup {
        upstream,
        ..setup.clone()
    })?;
    match peer.job() {
        Job::PassThrough => passes_through(bench, &proxy, setup.tls),
        Job::Floor => does_the_job(bench, &proxy, setup.tls),
        Job::Full => {
            refuses_bad_tokens(bench, &proxy, setup.tls)?;
            does_the_job(bench, &proxy, setup.tls)?;
            if peer == Peer::Gateway || setup.reading {
                keeps_members_back(bench, &peer.start(setup)?, setup.tls)
            } else {
                Ok(())
            }
        }
    }
}

fn passes_through(bench: &mut Bench, proxy: &RunningPeer, tls: bool) -> Result<(), String> {
    let video = bench.video();
    let request = bench.requests.verify(0, "S1", &video);
    let answer = ask(bench, proxy, tls, request)?;
    let expected = bench.rig.verify_bytes();
    if answer.status == 200 && answer.length == expected {
        Ok(())
    } else {
        Err(format!(
            "an answer of {expected} bytes came with status {} and {} bytes",
            answer.status, answer.length
        ))
    }
}

/// A session, then a verify with a real video: the emulator accepts the signature of both, and no picture is left.
fn does_the_job(bench: &mut Bench, proxy: &RunningPeer, tls: bool) -> Result<(), String> {
    let request = bench.requests.session(0);
    let answer = ask(bench, proxy, tls, request)?;
    let session = requests::session_id(&answer.body)
        .ok_or_else(|| format!("sessioncode: {}", told(&answer)))?;
    let video = bench.video();
    let request = bench.requests.verify(0, &session, &video);
    let answer = ask(bench, proxy, tls, request)?;
    let body: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("verify: {error}: {}", told(&answer)))?;
    let result = &body["result"];
    let images = result["pic_list"].as_array().map_or(0, Vec::len);
    if answer.status != 200 || body["error_code"] != 0 || result["action_verify"] != "pass" {
        return Err(format!("verify: {}", told(&answer)));
    }
    if images == 0 || result["score"].as_f64() != Some(0.9713) {
        return Err("verify: more than the pictures is gone".into());
    }
    if has_picture(&body) {
        return Err("verify: a picture is left".into());
    }
    Ok(())
}

/// A member that a frontend must not choose does not get upstream: it is dropped, or the request is refused.
fn keeps_members_back(bench: &mut Bench, proxy: &RunningPeer, tls: bool) -> Result<(), String> {
    let extra = "{\"min_code_length\": 1, \"type_identify\": 2, \"face_field\": \"quality\"}";
    let authorization = bench.requests.authorization(1);
    let request = requests::session(&authorization, extra);
    let answer = ask(bench, proxy, tls, request)?;
    let asked = bench.rig.last_asked();
    match answer.status {
        400..=499 => Ok(()),
        200 if asked < extra.len() / 2 => Ok(()),
        status => Err(format!(
            "status {status}: members that are not allowed went upstream"
        )),
    }
}

fn refuses_bad_tokens(bench: &mut Bench, proxy: &RunningPeer, tls: bool) -> Result<(), String> {
    let good = requests::token("somebody")?;
    let (signed, signature) = good.rsplit_once('.').unwrap_or_default();
    let head = signed.split('.').next().unwrap_or_default();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{signed}.{other}{}", signature.get(1..).unwrap_or_default());
    let none = format!("{head}.{}.", signed.split('.').nth(1).unwrap_or_default());
    for (what, authorization) in [
        ("without a token", String::new()),
        (
            "with a forged signature",
            format!("Authorization: Bearer {forged}\r\n"),
        ),
        (
            "without a signature",
            format!("Authorization: Bearer {none}\r\n"),
        ),
    ] {
        let answer = ask(bench, proxy, tls, requests::session(&authorization, SMALL))?;
        if answer.status != 401 {
            return Err(format!("{what}: {}", told(&answer)));
        }
    }
    Ok(())
}

/// Whether the gateway at hand takes a video as it is.
pub(crate) fn takes_raw(
    bench: &mut Bench,
    strict: &StrictUpstream,
    setup: &PeerSetup,
) -> Result<(), String> {
    let proxy = Peer::Gateway.start(&PeerSetup {
        upstream: strict.address,
        ..setup.clone()
    })?;
    let request = bench.requests.session(0);
    let answer = ask(bench, &proxy, setup.tls, request)?;
    let session = requests::session_id(&answer.body)
        .ok_or_else(|| format!("sessioncode: {}", told(&answer)))?;
    let video = bench.raw_video();
    let request = bench.requests.raw(0, &session, &video);
    let answer = ask(bench, &proxy, setup.tls, request)?;
    if answer.status == 200 {
        Ok(())
    } else {
        Err(told(&answer))
    }
}

/// One request on a connection of its own: a refusal may close it.
fn ask(
    bench: &mut Bench,
    proxy: &RunningPeer,
    tls: bool,
    request: LoadRequest,
) -> Result<LoadResponse, String> {
    let mut load = bench.connect(proxy.address, tls, 1)?;
    let mut request = Some(request);
    let mut outcome = bench.rig.run(
        &mut load,
        RunPlan {
            requests: 1,
            next: &mut |_| request.take().unwrap_or_default(),
            pace: None,
            keep: true,
        },
    )?;
    outcome
        .answers
        .pop()
        .ok_or_else(|| format!("no answer on {VERIFY}"))
}

fn has_picture(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() > PICTURE,
        Value::Array(values) => values.iter().any(has_picture),
        Value::Object(members) => members.iter().any(|(name, value)| {
            (name == "pic" && value.as_str().is_none_or(|text| !text.is_empty()))
                || has_picture(value)
        }),
        _ => false,
    }
}

fn told(answer: &LoadResponse) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let text: String = text.chars().take(200).collect();
    format!("status {}, {text}", answer.status)
}
