//! Every key of the configuration: its place, type, default and meaning. What can be written, the schema for editors and
//! the check for unknown keys all come from this one table ([`routes`] has the part of the routes).

mod find;
mod routes;
mod trust;

pub(super) use find::{find, is_list, is_section, names_below, seems_secret};
pub(super) use routes::route_default;

/// The type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    /// Any text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// One text or a list of them.
    Texts,
    /// A whole number above zero.
    Count,
    /// A number from 0.0 to 1.0.
    Fraction,
    /// `true` or `false`.
    Bool,
    /// `"28MiB"`
    Size,
    /// `"30s"`
    Duration,
    /// `"10/min"`; empty: none.
    Rate,
    /// A table of texts, whole numbers, true and false, under names of the operator's.
    Members,
    /// `{ env = "NAME" }` or `{ file = "PATH" }`
    Secret,
}

/// One key. In `path`, `[]` stands behind an array of tables.
pub(super) struct ConfigKey {
    pub(super) path: &'static str,
    pub(super) kind: ValueType,
    /// As it would be written; empty: there is none, or it depends on the route's kind.
    pub(super) default: &'static str,
    pub(super) about: &'static str,
}

const fn key(
    path: &'static str,
    kind: ValueType,
    default: &'static str,
    about: &'static str,
) -> ConfigKey {
    ConfigKey {
        path,
        kind,
        default,
        about,
    }
}

/// The levels of `log.level`.
pub(super) const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error"];

/// The words of `routes.response.scores`.
pub(super) const SCORES: &[&str] = &["visible", "hidden"];

/// The thresholds of `verdict.threshold`.
pub(super) const THRESHOLDS: &[&str] = &["frr_1e-4", "frr_1e-3", "frr_1e-2"];

/// The algorithms of `identity.algorithms`.
pub(super) const ALGORITHMS: &[&str] = &[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "EdDSA",
];

/// The words of `routes.video_check`.
pub(super) const VIDEO_CHECKS: &[&str] = &["off", "report", "enforce"];

/// All keys, in the order in which they are shown.
pub(super) fn all() -> impl Iterator<Item = &'static ConfigKey> {
    SECTIONS.iter().chain(trust::TRUST).chain(routes::ROUTES)
}

/// The keys of the sections that have no file of their own.
const SECTIONS: &[ConfigKey] = &[
    key(
        "server.listen",
        ValueType::Texts,
        "\"127.0.0.1:8080\"",
        "Where requests are taken: an address with a port, or a list; port 0 picks a free one",
    ),
    key(
        "server.trusted_proxies",
        ValueType::Texts,
        "[]",
        "Networks whose X-Forwarded-For and X-Request-Id are believed, like 10.0.0.0/8",
    ),
    key(
        "server.max_connections",
        ValueType::Count,
        "10000",
        "Connections held at once",
    ),
    key(
        "server.max_head_bytes",
        ValueType::Size,
        "\"32KiB\"",
        "The head of a request at the most",
    ),
    key(
        "server.body_memory",
        ValueType::Size,
        "\"512MiB\"",
        "All bodies held at once, all connections together",
    ),
    key(
        "server.min_body_rate",
        ValueType::Size,
        "\"16KiB\"",
        "Bytes per second a body must keep up, averaged over 10 s, after 5 s of grace",
    ),
    key(
        "server.head_timeout",
        ValueType::Duration,
        "\"10s\"",
        "Time for the head of a request to arrive",
    ),
    key(
        "server.idle_timeout",
        ValueType::Duration,
        "\"75s\"",
        "Time a kept connection may stay without a request",
    ),
    key(
        "server.drain_timeout",
        ValueType::Duration,
        "\"30s\"",
        "Time given to requests under way when the gateway stops",
    ),
    key(
        "server.tls.certificate",
        ValueType::Text,
        "",
        "Certificate chain, PEM; without [server.tls] the listener is plain HTTP",
    ),
    key(
        "server.tls.private_key",
        ValueType::Text,
        "",
        "Its private key, PEM",
    ),
    key(
        "server.tls.client_ca",
        ValueType::Text,
        "\"\"",
        "When given, clients must present a certificate of this authority",
    ),
    key(
        "server.cors.allowed_origins",
        ValueType::Texts,
        "[]",
        "Origins whose pages may call, exactly as a browser sends them",
    ),
    key(
        "server.cors.max_age",
        ValueType::Duration,
        "\"10min\"",
        "How long a browser may remember a preflight",
    ),
    key(
        "admin.listen",
        ValueType::Text,
        "\"127.0.0.1:9090\"",
        "Where /livez, /readyz and /metrics are served",
    ),
    key(
        "qiniu.endpoint",
        ValueType::Text,
        "\"https://face-actlive.qiniuapi.com\"",
        "Qiniu's base URL; http:// only to loopback",
    ),
    key(
        "qiniu.access_key",
        ValueType::Secret,
        "",
        "Qiniu's access key",
    ),
    key(
        "qiniu.secret_key",
        ValueType::Secret,
        "",
        "Qiniu's secret key",
    ),
    key(
        "qiniu.sign_date",
        ValueType::Bool,
        "true",
        "Send and sign X-Qiniu-Date, so that a captured signature grows old",
    ),
    key(
        "qiniu.ca_file",
        ValueType::Text,
        "\"\"",
        "Certificate authorities to trust instead of the system's, PEM",
    ),
    key(
        "qiniu.connect_timeout",
        ValueType::Duration,
        "\"5s\"",
        "Time for TCP and TLS",
    ),
    key(
        "qiniu.max_connections",
        ValueType::Count,
        "256",
        "Connections to Qiniu at once",
    ),
    key(
        "qiniu.idle_timeout",
        ValueType::Duration,
        "\"30s\"",
        "How long an unused connection is kept",
    ),
    key(
        "identity[].issuer",
        ValueType::Text,
        "",
        "What a token's iss must be, exactly",
    ),
    key(
        "identity[].audience",
        ValueType::Texts,
        "",
        "One of these must be in aud",
    ),
    key(
        "identity[].algorithms",
        ValueType::Texts,
        "",
        "Signature algorithms; without it, those that fit the keys",
    ),
    key(
        "identity[].secret",
        ValueType::Secret,
        "",
        "A shared HMAC secret of at least 32 bytes",
    ),
    key(
        "identity[].public_key_file",
        ValueType::Text,
        "",
        "A public key, PEM",
    ),
    key(
        "identity[].jwks_file",
        ValueType::Text,
        "",
        "A JSON Web ConfigKey Set",
    ),
    key(
        "identity[].jwks_url",
        ValueType::Text,
        "",
        "Where the issuer publishes its key set; without any source of keys, OIDC discovery finds it",
    ),
    key(
        "identity[].ca_file",
        ValueType::Text,
        "\"\"",
        "Certificate authorities to trust for fetching keys instead of the system's, PEM",
    ),
    key(
        "identity[].max_stale",
        ValueType::Duration,
        "\"24h\"",
        "How long fetched keys are used while the issuer can't be reached",
    ),
    key(
        "identity[].user_claim",
        ValueType::Text,
        "\"sub\"",
        "The claim that names the user",
    ),
    key(
        "identity[].leeway",
        ValueType::Duration,
        "\"30s\"",
        "How far clocks may differ",
    ),
    key(
        "log.format",
        ValueType::Word(&["json", "text"]),
        "\"json\"",
        "One JSON object a line, or text for a person",
    ),
    key(
        "log.level",
        ValueType::Word(LEVELS),
        "\"info\"",
        "The least severe level that is written",
    ),
];
