//! Every key of the configuration: its place, type, default and meaning. What can be written, the schema for editors and
//! the check for unknown keys all come from this one table.

/// The type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// One text or a list of them.
    Texts,
    /// A whole number above zero.
    Count,
    /// `true` or `false`.
    Bool,
    /// `"28MiB"`
    Size,
    /// `"30s"`
    Duration,
    /// `"10/min"`; empty: none.
    Rate,
    /// `{ env = "NAME" }` or `{ file = "PATH" }`
    Secret,
}

/// One key. In `path`, `[]` stands behind an array of tables.
pub(super) struct Key {
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    /// As it would be written; empty: there is none, or it depends on the route's kind.
    pub(super) default: &'static str,
    pub(super) about: &'static str,
}

const fn key(path: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        about,
    }
}

/// The levels of `log.level`.
pub(super) const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error"];

/// The algorithms of `identity.algorithms`.
pub(super) const ALGORITHMS: &[&str] = &[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "EdDSA",
];

/// All keys.
pub(super) const KEYS: &[Key] = &[
    key(
        "server.listen",
        Kind::Texts,
        "\"127.0.0.1:8080\"",
        "Where requests are taken: an address with a port, or a list; port 0 picks a free one",
    ),
    key(
        "server.trusted_proxies",
        Kind::Texts,
        "[]",
        "Networks whose X-Forwarded-For and X-Request-Id are believed, like 10.0.0.0/8",
    ),
    key(
        "server.max_connections",
        Kind::Count,
        "10000",
        "Connections held at once",
    ),
    key(
        "server.max_head_bytes",
        Kind::Size,
        "\"32KiB\"",
        "The head of a request at the most",
    ),
    key(
        "server.body_memory",
        Kind::Size,
        "\"512MiB\"",
        "All bodies held at once, all connections together",
    ),
    key(
        "server.min_body_rate",
        Kind::Size,
        "\"16KiB\"",
        "Bytes per second a body must keep up, averaged over 10 s, after 5 s of grace",
    ),
    key(
        "server.head_timeout",
        Kind::Duration,
        "\"10s\"",
        "Time for the head of a request to arrive",
    ),
    key(
        "server.idle_timeout",
        Kind::Duration,
        "\"75s\"",
        "Time a kept connection may stay without a request",
    ),
    key(
        "server.drain_timeout",
        Kind::Duration,
        "\"30s\"",
        "Time given to requests under way when the gateway stops",
    ),
    key(
        "server.tls.certificate",
        Kind::Text,
        "",
        "Certificate chain, PEM; without [server.tls] the listener is plain HTTP",
    ),
    key(
        "server.tls.private_key",
        Kind::Text,
        "",
        "Its private key, PEM",
    ),
    key(
        "server.tls.client_ca",
        Kind::Text,
        "\"\"",
        "When given, clients must present a certificate of this authority",
    ),
    key(
        "server.cors.allowed_origins",
        Kind::Texts,
        "[]",
        "Origins whose pages may call, exactly as a browser sends them",
    ),
    key(
        "server.cors.max_age",
        Kind::Duration,
        "\"10min\"",
        "How long a browser may remember a preflight",
    ),
    key(
        "admin.listen",
        Kind::Text,
        "\"127.0.0.1:9090\"",
        "Where /livez, /readyz and /metrics are served",
    ),
    key(
        "qiniu.endpoint",
        Kind::Text,
        "\"https://face-actlive.qiniuapi.com\"",
        "Qiniu's base URL; http:// only to loopback",
    ),
    key("qiniu.access_key", Kind::Secret, "", "Qiniu's access key"),
    key("qiniu.secret_key", Kind::Secret, "", "Qiniu's secret key"),
    key(
        "qiniu.sign_date",
        Kind::Bool,
        "true",
        "Send and sign X-Qiniu-Date, so that a captured signature grows old",
    ),
    key(
        "qiniu.ca_file",
        Kind::Text,
        "\"\"",
        "Certificate authorities to trust instead of the system's, PEM",
    ),
    key(
        "qiniu.connect_timeout",
        Kind::Duration,
        "\"5s\"",
        "Time for TCP and TLS",
    ),
    key(
        "qiniu.max_connections",
        Kind::Count,
        "256",
        "Connections to Qiniu at once",
    ),
    key(
        "qiniu.idle_timeout",
        Kind::Duration,
        "\"30s\"",
        "How long an unused connection is kept",
    ),
    key(
        "identity[].issuer",
        Kind::Text,
        "",
        "What a token's iss must be, exactly",
    ),
    key(
        "identity[].audience",
        Kind::Texts,
        "",
        "One of these must be in aud",
    ),
    key(
        "identity[].algorithms",
        Kind::Texts,
        "",
        "Signature algorithms; without it, those that fit the keys",
    ),
    key(
        "identity[].secret",
        Kind::Secret,
        "",
        "A shared HMAC secret of at least 32 bytes",
    ),
    key(
        "identity[].public_key_file",
        Kind::Text,
        "",
        "A public key, PEM",
    ),
    key("identity[].jwks_file", Kind::Text, "", "A JSON Web Key Set"),
    key(
        "identity[].jwks_url",
        Kind::Text,
        "",
        "Where the issuer publishes its key set; without any source of keys, OIDC discovery finds it",
    ),
    key(
        "identity[].ca_file",
        Kind::Text,
        "\"\"",
        "Certificate authorities to trust for fetching keys instead of the system's, PEM",
    ),
    key(
        "identity[].max_stale",
        Kind::Duration,
        "\"24h\"",
        "How long fetched keys are used while the issuer can't be reached",
    ),
    key(
        "identity[].user_claim",
        Kind::Text,
        "\"sub\"",
        "The claim that names the user",
    ),
    key(
        "identity[].leeway",
        Kind::Duration,
        "\"30s\"",
        "How far clocks may differ",
    ),
    key(
        "log.format",
        Kind::Word(&["json", "text"]),
        "\"json\"",
        "One JSON object a line, or text for a person",
    ),
    key(
        "log.level",
        Kind::Word(LEVELS),
        "\"info\"",
        "The least severe level that is written",
    ),
    key(
        "routes[].path",
        Kind::Text,
        "",
        "The exact path, the same here and at Qiniu",
    ),
    key(
        "routes[].kind",
        Kind::Word(&["session", "verify", "plain"]),
        "",
        "What the route does",
    ),
    key(
        "routes[].scope",
        Kind::Text,
        "\"\"",
        "The scope a token must have; empty: none",
    ),
    key(
        "routes[].max_body",
        Kind::Size,
        "",
        "The body of a request at the most",
    ),
    key(
        "routes[].timeout",
        Kind::Duration,
        "",
        "Time for the whole call to Qiniu",
    ),
    key(
        "routes[].rate",
        Kind::Rate,
        "",
        "Requests per user, like 10/min (s, min, h, day); empty: unlimited",
    ),
    key(
        "routes[].burst",
        Kind::Count,
        "",
        "Requests a user may make at once",
    ),
    key(
        "routes[].concurrent_per_user",
        Kind::Count,
        "",
        "Calls to Qiniu under way per user",
    ),
    key(
        "routes[].request.fields",
        Kind::Texts,
        "",
        "Top-level members that go upstream; the rest is dropped",
    ),
    key(
        "routes[].response.remove",
        Kind::Texts,
        "",
        "What is deleted from an answer, like result.pic_list[].pic",
    ),
    key(
        "routes[].response.max_string",
        Kind::Size,
        "",
        "Longer strings are deleted wherever they stand; empty: no limit",
    ),
];

/// What a `[[routes]]` of this kind has where a key is left out.
pub(super) fn route_default(kind: &str, name: &str) -> &'static str {
    match (name, kind) {
        ("max_body", "session") => "\"4KiB\"",
        ("max_body", "verify") => "\"28MiB\"",
        ("max_body", _) => "\"1MiB\"",
        ("timeout", "session") => "\"10s\"",
        ("timeout", "verify") => "\"60s\"",
        ("timeout", _) => "\"30s\"",
        ("rate", "session") => "\"10/min\"",
        ("rate", "verify") => "\"6/min\"",
        ("rate", _) => "\"60/min\"",
        ("burst", "session") => "5",
        ("burst", "verify") => "3",
        ("burst", _) => "10",
        ("concurrent_per_user", "session") => "4",
        ("concurrent_per_user", "verify") => "1",
        ("request.fields", "session") => "[\"min_code_length\", \"max_code_length\"]",
        ("request.fields", "verify") => "[\"session_id\", \"video_base64\", \"face_field\"]",
        ("response.remove", "verify") => "[\"result.best_image.pic\", \"result.pic_list[].pic\"]",
        ("response.max_string", "verify") => "\"4KiB\"",
        ("scope", _) => "\"\"",
        _ => "",
    }
}

/// The key at `path`, if there is one.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether what stands behind this name could be a secret, however the name is misspelt.
pub(super) fn seems_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["secret", "key", "password", "token"]
        .iter()
        .any(|word| name.contains(word))
}

/// Whether keys stand below `path`.
pub(super) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| {
        key.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.') || rest.starts_with("[]."))
    })
}

/// Whether `path` is an array of tables.
pub(super) fn is_list(path: &str) -> bool {
    KEYS.iter().any(|key| {
        key.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with("[]."))
    })
}

/// The names that may stand directly below `section` (empty: at the top).
pub(super) fn names_below(section: &str) -> Vec<&'static str> {
    let mut names: Vec<_> = KEYS
        .iter()
        .filter_map(|key| match section {
            "" => Some(key.path),
            _ => key.path.strip_prefix(section)?.strip_prefix('.'),
        })
        .filter_map(|rest| rest.split(['.', '[']).next())
        .collect();
    names.dedup();
    names
}
