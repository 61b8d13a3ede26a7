//! The keys of `[[identity]]`, `[sessions]`, `[verdict]`, `[evidence]` and `[store]`.

use super::{
    ConfigKey,
    KeyDefault::{Required, Unset, Value},
    Limits, ValueType, key,
    server::CA_FILE,
};

/// Which tokens are accepted.
pub(super) const IDENTITY: &[ConfigKey] = &[
    key(
        "identity[].issuer",
        ValueType::Text,
        Required,
        "Exact value of `iss` in the tokens. Each issuer may appear once.",
    ),
    key(
        "identity[].audience",
        ValueType::TextList,
        Required,
        "Accepted values of `aud`. A token must contain one of them.",
    ),
    key(
        "identity[].audience_claim",
        ValueType::Text,
        Value("\"aud\""),
        "Claim that names the audience, a string or a list, for issuers whose tokens have no `aud`: \
         `client_id` or `azp`, for example. Any `aud` is then ignored.",
    ),
    key(
        "identity[].algorithms",
        ValueType::TextList,
        Unset,
        "Accepted signature algorithms, such as `ES256`. Unset: all that fit the keys.",
    ),
    key(
        "identity[].secret",
        ValueType::Secret,
        Unset,
        "Key source: a shared HMAC secret of at least 32 bytes. `HS384` needs 48, `HS512` 64.",
    ),
    key(
        "identity[].public_key_file",
        ValueType::Text,
        Unset,
        "Key source: a PEM file with one public key.",
    ),
    key(
        "identity[].jwks_file",
        ValueType::Text,
        Unset,
        "Key source: a file with a JSON Web Key Set.",
    ),
    key(
        "identity[].jwks_url",
        ValueType::Text,
        Unset,
        "Key source: the URL of the issuer's JSON Web Key Set, which is fetched in the \
         background. `http://` is accepted for loopback addresses only.",
    ),
    key(
        "identity[].ca_file",
        ValueType::Text,
        Value("\"\""),
        "PEM file with the certificate authorities to trust instead of the system's when keys \
         are fetched. Empty: the system's.",
    ),
    key(
        "identity[].max_stale",
        ValueType::duration("1s", "30day"),
        Value("\"24h\""),
        "Time that fetched keys stay in use after the last successful fetch. After it, the \
         issuer's tokens get 503, never 401.",
    ),
    key(
        "identity[].user_claim",
        ValueType::Text,
        Value("\"sub\""),
        "Claim that identifies the user: a string of 1 to 256 bytes, or a whole number. If no claim \
         has exactly this name, it is a dotted path into nested claims, such as `ext.uid`. Limits \
         apply to each issuer and user.",
    ),
    key(
        "identity[].max_lifetime",
        ValueType::OptionalDuration(Limits {
            min: "1s",
            max: "365day",
        }),
        Value("\"\""),
        "Maximum time from `iat` to `exp`; without `iat`, from now to `exp`. Tokens that are valid \
         for longer are refused. Empty: any time.",
    ),
    key(
        "identity[].leeway",
        ValueType::duration("0s", "1h"),
        Value("\"30s\""),
        "Clock difference that is tolerated in `exp`, `nbf` and `iat`.",
    ),
];

/// What makes a result trustworthy, on any replica.
pub(super) const RESULTS: &[ConfigKey] = &[
    key(
        "sessions.bind",
        ValueType::Boolean,
        Value("true"),
        "Seal session ids so that only their own user can use them, and recognise retries. \
         `false`: Qiniu's ids are passed through, and every retry is another call.",
    ),
    key(
        "sessions.seal_key",
        ValueType::Secret,
        Unset,
        "Key that seals session ids: 32 bytes in base64, from `liveness-gateway keygen seal`, the \
         same on all replicas. Unset: a key is made at start, so sessions end with the process \
         and are valid on one replica only.",
    ),
    key(
        "sessions.previous_seal_key",
        ValueType::Secret,
        Unset,
        "Second key that opens session ids, while `seal_key` is being changed.",
    ),
    key(
        "verdict.signing_key",
        ValueType::Secret,
        Required,
        "Key that signs verdicts: a private key in PKCS#8 PEM, from `liveness-gateway keygen \
         verdict`. An Ed25519 key signs `EdDSA`, a P-256 key signs `ES256`, for backends whose JWT \
         library lacks `EdDSA`.",
    ),
    key(
        "verdict.previous_keys",
        ValueType::TextList,
        Value("[]"),
        "PEM files with public keys of either kind that are published beside that of \
         `signing_key`: keys that signed before, or that will sign next.",
    ),
    key(
        "verdict.issuer",
        ValueType::Text,
        Required,
        "The `iss` of verdicts: the URL of this gateway.",
    ),
    key(
        "verdict.audience",
        ValueType::Text,
        Required,
        "The `aud` of verdicts: a name for the backends that accept them.",
    ),
    key(
        "verdict.lifetime",
        ValueType::DURATION,
        Value("\"5min\""),
        "Time that a verdict is valid.",
    ),
    key(
        "verdict.threshold",
        ValueType::Word(&["frr_1e-4", "frr_1e-3", "frr_1e-2"]),
        Value("\"frr_1e-3\""),
        "Qiniu's threshold that the score must exceed. `frr_1e-4` is the most lenient, \
         `frr_1e-2` the strictest.",
    ),
    key(
        "verdict.max_spoofing",
        ValueType::Fraction,
        Value("1.0"),
        "Maximum synthetic-image score of a pass. Below 1.0, frontends must request `spoofing` \
         in `face_field`. At 1.0 the score is not checked.",
    ),
    key(
        "verdict.copy_claims",
        ValueType::TextList,
        Value("[]"),
        "Claims of the user's token that are repeated in the verdict, in `token_claims`: up to 16 \
         names, such as `txn`. A token in which they take more than 1 KiB together is refused.",
    ),
    key(
        "verdict.video_digest",
        ValueType::Boolean,
        Value("false"),
        "Add the SHA-256 of the video to the verdict.",
    ),
    key(
        "evidence.url",
        ValueType::Text,
        Required,
        "URL that Qiniu's complete responses are posted to, pictures included. `http://` is \
         accepted for loopback addresses only, unless `allow_plaintext` is set.",
    ),
    key(
        "evidence.secret",
        ValueType::Secret,
        Required,
        "Secret that signs the deliveries: `whsec_` and 24 to 64 bytes in base64.",
    ),
    key(
        "evidence.on",
        ValueType::Word(&["pass", "always"]),
        Value("\"pass\""),
        "`pass` delivers the responses that pass, `always` delivers all.",
    ),
    key(
        "evidence.required",
        ValueType::Boolean,
        Value("false"),
        "Turn a pass into a fail when the backend did not acknowledge the delivery.",
    ),
    key(
        "evidence.timeout",
        ValueType::DURATION,
        Value("\"5s\""),
        "Maximum time for a delivery, its retry included. The frontend waits for it.",
    ),
    key("evidence.ca_file", ValueType::Text, Value("\"\""), CA_FILE),
    key(
        "evidence.allow_plaintext",
        ValueType::Boolean,
        Value("false"),
        "Accept `http://` to other machines, where something else, such as a mesh, encrypts the \
         connection.",
    ),
    key(
        "store.redis",
        ValueType::Secret,
        Required,
        "URL of a Redis or Valkey, with user and password: `redis://` or `rediss://` (TLS), each \
         also as `redis+sentinel://` or `redis+cluster://`; or `unix://`.",
    ),
    key(
        "store.prefix",
        ValueType::Text,
        Value("\"liveness-gateway\""),
        "What all names in the store begin with, in braces: up to 64 letters, digits and `-_.:/`. \
         Gateways that share limits and sessions have the same one.",
    ),
    key(
        "store.allow_plaintext",
        ValueType::Boolean,
        Value("false"),
        "Accept `redis://` to other machines, where something else, such as a mesh, encrypts the \
         connection.",
    ),
    key(
        "store.timeout",
        ValueType::duration("1ms", "5s"),
        Value("\"50ms\""),
        "Maximum time for a call to the store. After it, the replica falls back to its local \
         state.",
    ),
    key("store.ca_file", ValueType::Text, Value("\"\""), CA_FILE),
];
