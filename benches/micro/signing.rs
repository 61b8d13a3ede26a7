//! Qiniu's signature over a video, and the whole head of a small request.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_lc_rs::hmac;
use bytes::Bytes;
use data_encoding::BASE64URL;
use liveness_gateway::{
    outbound::{dial::Dialer, origin::Origin},
    qiniu::{
        Credentials, UpstreamSettings,
        request::RequestTemplate,
        signature::{QiniuSignature, SignedParts},
    },
    secret::Secret,
};

use crate::{base64::video, measure::Comparison};

const SECRET: &[u8] = b"a secret key of forty characters, as usual";
const HOST: &str = "face-actlive.qiniuapi.com";
const VERIFY: &str = "/v2/actionliveness/verify";
const CHUNK: usize = 417_792;

pub(crate) fn comparisons(is_wanted: &dyn Fn(&str) -> bool) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    if is_wanted("signature, 2.8 MB") {
        comparisons.push(signature());
    }
    if is_wanted("small request, whole") {
        comparisons.push(small());
    }
    comparisons
}

fn credentials() -> Credentials {
    Credentials {
        access_key: Secret::new("an access key"),
        secret_key: Secret::new(SECRET),
    }
}

fn signature() -> Comparison {
    let body = Arc::new(video(2 * 1024 * 1024).into_bytes());
    let (whole, credentials) = (Arc::clone(&body), credentials());
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET);
    Comparison::new("signature, 2.8 MB", Some(body.len()))
        .candidate("Signature, in chunks", move || {
            let headers = [("Content-Type", "application/json")];
            let parts = SignedParts {
                method: "POST",
                path: VERIFY,
                query: "",
                host: HOST,
                headers: &headers,
            };
            let mut signature = QiniuSignature::new(&credentials, &parts);
            body.chunks(CHUNK).for_each(|part| signature.body(part));
            signature.authorization()
        })
        .candidate("aws-lc, one shot", move || hmac::sign(&key, &whole))
}

fn small() -> Comparison {
    let settings = UpstreamSettings {
        endpoint: Origin {
            tls: true,
            host: HOST.into(),
            port: 443,
            authority: HOST.into(),
        },
        credentials: credentials(),
        sign_date: true,
        dialer: Dialer::default(),
        tls: None,
        connect_timeout: Duration::from_secs(5),
        max_connections: 1,
        idle_timeout: Duration::from_secs(5),
    };
    let path = "/v2/actionliveness/sessioncode";
    let template = RequestTemplate::new(&settings, path);
    let body = Bytes::from_static(br#"{"min_code_length":2,"max_code_length":3}"#);
    let theirs = body.clone();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    Comparison::new("small request, whole", None)
        .candidate("RequestTemplate", move || {
            let mut draft = template.draft(now);
            draft.sign(&body);
            draft.finish(vec![body.clone()], Vec::new())
        })
        .candidate("hyper::Request and aws-lc", move || {
            let text = format!(
                "POST {path}\nHost: {HOST}\nContent-Type: application/json\n\
                 X-Qiniu-Date: 20270115T080000Z\n\n{}",
                String::from_utf8_lossy(&theirs),
            );
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET);
            let sign = BASE64URL.encode(hmac::sign(&key, text.as_bytes()).as_ref());
            hyper::Request::post(path)
                .header("host", HOST)
                .header("content-type", "application/json")
                .header("x-qiniu-date", "20270115T080000Z")
                .header("authorization", format!("Qiniu an access key:{sign}"))
                .header("user-agent", "liveness-gateway")
                .header("accept", "application/json")
                .header("content-length", theirs.len())
                .body(theirs.clone())
                .unwrap()
        })
}
