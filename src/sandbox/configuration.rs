//! The configuration of the sandbox's gateway, as an operator would write it.

use std::net::SocketAddr;

pub(super) const ISSUER: &str = "https://sandbox.localhost/";
pub(super) const AUDIENCE: &str = "liveness";
const VERDICT_ISSUER: &str = "https://sandbox.localhost/gateway";
const VERDICT_AUDIENCE: &str = "sandbox-backend";

/// The environment variables that the configuration names.
pub(super) const ACCESS_KEY: &str = "SANDBOX_ACCESS_KEY";
pub(super) const SECRET_KEY: &str = "SANDBOX_SECRET_KEY";
pub(super) const TOKEN_SECRET: &str = "SANDBOX_TOKEN_SECRET";
pub(super) const VERDICT_KEY: &str = "SANDBOX_VERDICT_KEY";
pub(super) const EVIDENCE_SECRET: &str = "SANDBOX_EVIDENCE_SECRET";

/// The addresses in the configuration.
pub(super) struct SandboxAddresses {
    /// Where the gateway listens.
    pub(super) listen: SocketAddr,
    /// Where its admin listener listens.
    pub(super) admin: SocketAddr,
    /// The emulator.
    pub(super) qiniu: SocketAddr,
    /// The sandbox's backend.
    pub(super) backend: SocketAddr,
}

/// The text of the configuration. Its rates are high, so that trying things out does not run into
/// them. The synthetic-image score is always asked for, since the verdict depends on it.
pub(super) fn configuration(addresses: &SandboxAddresses) -> String {
    let SandboxAddresses {
        listen,
        admin,
        qiniu,
        backend,
    } = addresses;
    format!(
        r#"
[server]
listen = "{listen}"
max_connections = 500

[admin]
listen = "{admin}"

[qiniu]
endpoint = "http://{qiniu}"
access_key = {{ env = "{ACCESS_KEY}" }}
secret_key = {{ env = "{SECRET_KEY}" }}

[[identity]]
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
secret = {{ env = "{TOKEN_SECRET}" }}

[verdict]
signing_key = {{ env = "{VERDICT_KEY}" }}
issuer = "{VERDICT_ISSUER}"
audience = "{VERDICT_AUDIENCE}"
max_spoofing = 0.5
video_digest = true

[evidence]
url = "http://{backend}/evidence"
secret = {{ env = "{EVIDENCE_SECRET}" }}
on = "always"

[[routes]]
path = "/v2/actionliveness/sessioncode"
kind = "session"
rate = "600/min"
burst = 60

[[routes]]
path = "/v2/actionliveness/verify"
kind = "verify"
rate = "600/min"
burst = 60
request.set = {{ face_field = "spoofing,quality" }}

[log]
format = "text"
"#
    )
}
