//! Checks that a peer does its job before it is measured.
//!
//! Relies on the gateway's strict emulator as the upstream: its signature check shares no code with
//! any peer. A pass-through is only checked to pass requests through. Never measures anything.

use serde_json::Value;

use crate::{
    api::{has_picture, session_id},
    bench::Bench,
    load::{LoadRequest, LoadResponse},
    peers::{self, GATEWAY_PROGRAM, Job, Peer, PeerSetup, RunningPeer},
    process::{Cores, Process, free_address},
    requests::{self, SMALL, VERIFY},
    rig::RunPlan,
    workloads::{Lines, Payload, Transport},
};

/// The running emulator. Dropping it ends the process.
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

/// Starts `peer` and checks it. `setup` says whether with TLS, as `over` needs it.
///
/// # Errors
/// What the peer does wrong.
pub(crate) fn check(
    peer: Peer,
    bench: &mut Bench,
    strict: &StrictUpstream,
    setup: &PeerSetup,
    over: Transport,
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
        Job::PassThrough => passes_through(bench, &proxy, over),
        Job::Floor => does_the_job(bench, &proxy, over),
        Job::Full => {
            rejects_bad_tokens(bench, &proxy, over)?;
            does_the_job(bench, &proxy, over)?;
            if peer == Peer::Gateway || setup.reading {
                removes_forbidden_members(bench, &peer.start(setup)?, over)
            } else {
                Ok(())
            }
        }
    }
}

fn passes_through(bench: &mut Bench, proxy: &RunningPeer, over: Transport) -> Result<(), String> {
    let video = bench.video();
    let request = bench.requests.verify(0, "S1", &video);
    let response = ask(bench, proxy, over, request)?;
    let expected = bench.rig.verify_bytes();
    if response.status == 200 && response.length == expected {
        Ok(())
    } else {
        Err(format!(
            "a response of {expected} bytes came with status {} and {} bytes",
            response.status, response.length
        ))
    }
}

/// A session, then a `verify` with a real video: the emulator accepts both signatures, and no
/// picture is left.
fn does_the_job(bench: &mut Bench, proxy: &RunningPeer, over: Transport) -> Result<(), String> {
    let request = bench.requests.session(0);
    let response = ask(bench, proxy, over, request)?;
    let session = session_id(&response.body)
        .ok_or_else(|| format!("sessioncode: {}", describe(&response)))?;
    let video = bench.video();
    let request = bench.requests.verify(0, &session, &video);
    let response = ask(bench, proxy, over, request)?;
    let body: Value = serde_json::from_slice(&response.body)
        .map_err(|error| format!("verify: {error}: {}", describe(&response)))?;
    let result = &body["result"];
    let images = result["pic_list"].as_array().map_or(0, Vec::len);
    if response.status != 200 || body["error_code"] != 0 || result["action_verify"] != "pass" {
        return Err(format!("verify: {}", describe(&response)));
    }
    if images == 0 || result["score"].as_f64() != Some(0.9713) {
        return Err("verify: more than the pictures was removed".into());
    }
    if has_picture(&body) {
        return Err("verify: a picture is left".into());
    }
    Ok(())
}

/// A member that a frontend must not choose is removed, or the request is rejected.
fn removes_forbidden_members(
    bench: &mut Bench,
    proxy: &RunningPeer,
    over: Transport,
) -> Result<(), String> {
    let extra = "{\"min_code_length\": 1, \"type_identify\": 2, \"face_field\": \"quality\"}";
    let authorization = bench.requests.authorization(1);
    let request = requests::session(&authorization, extra);
    let response = ask(bench, proxy, over, request)?;
    let asked = bench.rig.last_body_bytes();
    match response.status {
        400..=499 => Ok(()),
        200 if asked < extra.len() / 2 => Ok(()),
        status => Err(format!(
            "status {status}: forbidden members reached the upstream"
        )),
    }
}

fn rejects_bad_tokens(
    bench: &mut Bench,
    proxy: &RunningPeer,
    over: Transport,
) -> Result<(), String> {
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
        let response = ask(bench, proxy, over, requests::session(&authorization, SMALL))?;
        if response.status != 401 {
            return Err(format!("{what}: {}", describe(&response)));
        }
    }
    Ok(())
}

/// Checks that the gateway accepts a video as the body, or in a form.
pub(crate) fn takes_raw(
    payload: Payload,
    bench: &mut Bench,
    strict: &StrictUpstream,
    setup: &PeerSetup,
    over: Transport,
) -> Result<(), String> {
    let proxy = Peer::Gateway.start(&PeerSetup {
        upstream: strict.address,
        ..setup.clone()
    })?;
    let request = bench.requests.session(0);
    let response = ask(bench, &proxy, over, request)?;
    let session = session_id(&response.body)
        .ok_or_else(|| format!("sessioncode: {}", describe(&response)))?;
    let video = bench.raw_video();
    let request = match payload {
        Payload::Multipart => bench.requests.multipart(0, &session, &video),
        _ => bench.requests.raw(0, &session, &video),
    };
    let response = ask(bench, &proxy, over, request)?;
    if response.status == 200 {
        Ok(())
    } else {
        Err(describe(&response))
    }
}

/// Sends one request on a connection of its own, because an error response may close it.
fn ask(
    bench: &mut Bench,
    proxy: &RunningPeer,
    over: Transport,
    request: LoadRequest,
) -> Result<LoadResponse, String> {
    let mut load = bench.connect(proxy.address, Lines::one(over))?;
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
        .responses
        .pop()
        .ok_or_else(|| format!("no response to {VERIFY}"))
}

fn describe(response: &LoadResponse) -> String {
    let text = String::from_utf8_lossy(&response.body);
    let text: String = text.chars().take(200).collect();
    format!("status {}, {text}", response.status)
}
