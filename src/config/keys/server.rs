//! The keys of `[server]`, `[admin]`, `[outbound]`, `[qiniu]` and `[log]`.

use super::{
    ConfigKey,
    KeyDefault::{Required, Unset, Value},
    Limits, ValueType, key,
};

/// The description of every `ca_file`.
pub(super) const CA_FILE: &str = "PEM file with the certificate authorities to trust instead of \
    the system's. Empty: the system's.";

/// The listeners and the upstream, in the order in which they are shown.
pub(super) const KEYS: &[ConfigKey] = &[
    key(
        "server.listen",
        ValueType::TextList,
        Value("\"127.0.0.1:8080\""),
        "Address and port of the public listener, or a list of them. Port 0 picks a free port.",
    ),
    key(
        "server.trusted_proxies",
        ValueType::TextList,
        Value("[]"),
        "Networks of your own proxies, such as `10.0.0.0/8`, or single addresses. \
         `X-Forwarded-For`, `Forwarded` and `X-Request-Id` are accepted from these peers only.",
    ),
    key(
        "server.proxy_protocol",
        ValueType::Boolean,
        Value("false"),
        "Every connection of `trusted_proxies` must begin with a PROXY header, version 1 or 2. The \
         source address in it is the peer. Other peers are served without a header.",
    ),
    key(
        "server.rate_per_address",
        ValueType::Rate,
        Value("\"\""),
        "Requests allowed per client address (IPv6: per `/64`), such as `50/s`; as many may come at \
         once. Every request counts, before its token is checked. Further ones get 429. Mobile \
         carriers put thousands of users behind one address. Empty: unlimited.",
    ),
    key(
        "server.max_connections",
        ValueType::Integer,
        Value("10000"),
        "Maximum number of open connections. A further one takes the place of the longest idle one, \
         where one on which a request was authenticated counts as 5 s younger; if there is none, it \
         waits in the kernel's accept queue. Held below the limit of file descriptors.",
    ),
    key(
        "server.max_head_bytes",
        ValueType::size("1KiB", "128KiB"),
        Value("\"32KiB\""),
        "Maximum size of a request head. A larger one gets 431.",
    ),
    key(
        "server.body_memory",
        ValueType::SIZE,
        Value("\"512MiB\""),
        "Maximum memory for all bodies that are held at once. The fuller it is, the faster a body \
         must arrive. A body that does not fit takes the place of the slowest ones (408), or gets \
         503 if all keep their pace.",
    ),
    key(
        "server.body_memory_per_user",
        ValueType::OptionalSize,
        Value("\"\""),
        "Maximum of `body_memory` that bodies of one user hold together; further ones get 429. At \
         least the largest `max_body`. Empty: twice that, and at least `64MiB`, but not more than \
         `body_memory`.",
    ),
    key(
        "server.min_body_rate",
        ValueType::SIZE,
        Value("\"16KiB\""),
        "Minimum upload rate in bytes per second, averaged over 10 s, after a grace period of \
         5 s. A slower upload gets 408, and so does one that has not begun after 5 s, or takes \
         longer than 5 min. Above half of `body_memory` the rate grows, up to what completes an \
         upload in 30 s.",
    ),
    key(
        "server.head_timeout",
        ValueType::DURATION,
        Value("\"10s\""),
        "Maximum time for a request head to arrive, and for a TLS handshake.",
    ),
    key(
        "server.idle_timeout",
        ValueType::DURATION,
        Value("\"75s\""),
        "Maximum time that a connection stays open without a request. While no request of it was \
         authenticated, at most `head_timeout`.",
    ),
    key(
        "server.lame_duck",
        ValueType::duration("0s", "10min"),
        Value("\"0s\""),
        "Time after a stop signal in which `/readyz` is 503 already, while new connections are still \
         served: until load balancers have noticed. `drain_timeout` begins after it.",
    ),
    key(
        "server.drain_timeout",
        ValueType::OptionalDuration(Limits {
            min: "1ms",
            max: "2h",
        }),
        Value("\"\""),
        "Time that requests in flight, and calls whose callers have left, have to finish at a stop. \
         Uploads that take longer get 503. Empty: the longest `timeout` of a route and 5 s.",
    ),
    key(
        "server.tls.certificate",
        ValueType::Text,
        Required,
        "PEM file with the certificate chain.",
    ),
    key(
        "server.tls.private_key",
        ValueType::Text,
        Required,
        "PEM file with the private key of `certificate`.",
    ),
    key(
        "server.tls.client_ca",
        ValueType::Text,
        Value("\"\""),
        "PEM file with a certificate authority. Clients must present a certificate that it \
         issued, in each handshake: no TLS session is resumed. Empty: no client certificate is \
         requested.",
    ),
    key(
        "server.cors.allowed_origins",
        ValueType::TextList,
        Value("[]"),
        "Origins whose pages may call the gateway, exactly as a browser sends them, such as \
         `https://app.example.com`, or `capacitor://localhost` for a page inside of an app: scheme \
         and host in lower case, no path, no default port. `*` and `null` are not accepted.",
    ),
    key(
        "server.cors.allowed_headers",
        ValueType::TextList,
        Value("[]"),
        "Headers that these pages may send besides those of the gateway (`Authorization`, \
         `Content-Type`, `Liveness-Session`, `Liveness-Face-Field`, `Liveness-Nonce`), of tracing \
         (`traceparent`, `tracestate`, `baggage`, `sentry-trace`, `x-datadog-*`) and \
         `X-Requested-With`. None of them reaches Qiniu.",
    ),
    key(
        "server.cors.max_age",
        ValueType::DURATION,
        Value("\"10min\""),
        "Time that a browser may cache a preflight response.",
    ),
    key(
        "admin.listen",
        ValueType::Text,
        Value("\"127.0.0.1:9090\""),
        "Address and port of `/livez`, `/readyz` and `/metrics`. They need no authentication: \
         keep the address off public networks.",
    ),
    key(
        "outbound.proxy",
        ValueType::Secret,
        Unset,
        "URL of an HTTP proxy: `http://` or `https://`, then `[user:password@]host:port`. \
         Connections over TLS to Qiniu, issuers and the evidence backend go through it by \
         `CONNECT`; loopback addresses, `http://` and the store never do. Unset: none. The \
         environment's `HTTPS_PROXY` is not read.",
    ),
    key(
        "outbound.no_proxy",
        ValueType::TextList,
        Value("[]"),
        "Hosts that are reached without `proxy`: names, domains with all names below them, such \
         as `.example.com`, and addresses or networks, such as `10.0.0.0/8`, for hosts that are \
         written as addresses.",
    ),
    key(
        "qiniu.endpoint",
        ValueType::Text,
        Value("\"https://face-actlive.qiniuapi.com\""),
        "Base URL of Qiniu, without a path. `http://` is accepted for loopback addresses only.",
    ),
    key(
        "qiniu.access_key",
        ValueType::Secret,
        Required,
        "Access key of your Qiniu account.",
    ),
    key(
        "qiniu.secret_key",
        ValueType::Secret,
        Required,
        "Secret key that belongs to `access_key`. It signs the requests to Qiniu.",
    ),
    key(
        "qiniu.sign_date",
        ValueType::Boolean,
        Value("true"),
        "Send and sign `X-Qiniu-Date`, so that a captured signature expires. The clock of this \
         machine must be correct.",
    ),
    key("qiniu.ca_file", ValueType::Text, Value("\"\""), CA_FILE),
    key(
        "qiniu.connect_timeout",
        ValueType::DURATION,
        Value("\"5s\""),
        "Maximum time to open a connection (name, TCP, proxy and TLS), and to wait for one of \
         `max_connections`.",
    ),
    key(
        "qiniu.max_connections",
        ValueType::Integer,
        Value("256"),
        "Maximum number of connections to Qiniu.",
    ),
    key(
        "qiniu.idle_timeout",
        ValueType::DURATION,
        Value("\"30s\""),
        "Time that an unused connection to Qiniu is kept open.",
    ),
];

/// The log.
pub(super) const LOG: &[ConfigKey] = &[
    key(
        "log.format",
        ValueType::Word(&["json", "text"]),
        Value("\"json\""),
        "`json` writes one JSON object per line, `text` writes lines for people.",
    ),
    key(
        "log.level",
        ValueType::Word(&["trace", "debug", "info", "warn", "error"]),
        Value("\"info\""),
        "Least severe level that is written. Access records are always written.",
    ),
];

pub(super) const TELEMETRY: &[ConfigKey] = &[
    key(
        "telemetry.otlp_endpoint",
        ValueType::Text,
        Value("\"\""),
        "URL of a collector that takes traces by OTLP/HTTP, such as `http://127.0.0.1:4318`; \
         `/v1/traces` is added. Empty: no traces. `http://` is accepted for loopback addresses \
         only, unless `allow_plaintext` is set.",
    ),
    key(
        "telemetry.sample_ratio",
        ValueType::Fraction,
        Value("1.0"),
        "Share of the requests whose trace is recorded. A trusted peer's `traceparent` decides \
         instead, where there is one.",
    ),
    key(
        "telemetry.service_name",
        ValueType::Text,
        Value("\"liveness-gateway\""),
        "`service.name` of the traces.",
    ),
    key("telemetry.ca_file", ValueType::Text, Value("\"\""), CA_FILE),
    key(
        "telemetry.allow_plaintext",
        ValueType::Boolean,
        Value("false"),
        "Accept `http://` to other machines, where something else, such as a mesh, encrypts the \
         connection.",
    ),
];
