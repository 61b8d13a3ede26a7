//! Contradictions and dangerous settings in `[[identity]]`.

use super::{
    IDENTITY, QINIU, minimal, report,
    wrong::{one, position},
};

const KEY_SOURCES: &[(&str, &str, &str)] = &[
    (
        "",
        "`i` is no URL, so its keys can't be discovered",
        "\"i\"",
    ),
    (
        "jwks_url = \"https://a/\"\nsecret = { env = \"HMAC\" }",
        "from several sources: jwks_url, secret",
        "[[identity]]",
    ),
    (
        "jwks_url = \"http://a.com/\"",
        "could be anybody's",
        "\"http://a.com/\"",
    ),
    ("jwks_url = \"a.com\"", "is not a URL", "\"a.com\""),
    ("jwks_url = \"\"", "`jwks_url` is missing", "[[identity]]"),
    ("jwks_file = \"\"", "`jwks_file` is missing", "[[identity]]"),
    (
        "jwks_url = \"https://a/\"\nca_file = \"not-there.pem\"",
        "not-there.pem",
        "\"not-there.pem\"",
    ),
    (
        "jwks_url = \"https://a/\"\nalgorithms = [\"HS256\"]",
        "`HS256` needs a shared secret",
        "\"HS256\"",
    ),
    (
        "jwks_url = \"https://a/\"\nalgorithms = [\"none\"]",
        "`none` is not a supported algorithm",
        "\"none\"",
    ),
    (
        "jwks_url = \"https://a/\"\nalgorithms = []",
        "lists no algorithm",
        "[[identity]]",
    ),
    (
        "jwks_url = \"https://a/\"\nmax_stale = \"31day\"",
        "`max_stale` can't be `31day`",
        "\"31day\"",
    ),
    (
        "jwks_url = \"https://a/\"\nmax_stale = \"\"",
        "`max_stale` is empty",
        "\"\"",
    ),
    (
        "secret = { env = \"HMAC\" }\nmax_stale = \"1h\"",
        "for keys that are fetched",
        "max_stale",
    ),
    (
        "jwks_file = \"example-jwks.json\"\nca_file = \"a.pem\"",
        "for keys that are fetched",
        "ca_file",
    ),
    (
        "secret = { env = \"HMAC\" }\njwks_file = \"example-jwks.json\"",
        "from several sources",
        "[[identity]]",
    ),
    (
        "secret = { env = \"SHORT\" }",
        "`secret` cannot be used: a secret of 9 bytes; at least 32",
        "\"SHORT\"",
    ),
    (
        "secret = \"inline\"",
        "must say where the secret is",
        "\"inline\"",
    ),
    (
        "jwks_file = \"not-there.json\"",
        "can't be read",
        "\"not-there.json\"",
    ),
    (
        "jwks_file = \"gateway.toml\"",
        "`jwks_file` ",
        "\"gateway.toml\"",
    ),
    (
        "public_key_file = \"example-jwks.json\"",
        "`public_key_file` ",
        "\"example-jwks.json\"",
    ),
    (
        "secret = { env = \"HMAC\" }\nalgorithms = [\"none\"]",
        "`none` is not a supported algorithm",
        "\"none\"",
    ),
    (
        "secret = { env = \"HMAC\" }\nalgorithms = [\"RS256\"]",
        "`algorithms` cannot be used: RS256 fits none",
        "\"RS256\"",
    ),
    (
        "secret = { env = \"HMAC\" }\nalgorithms = [\"HS256\", \"HS384\"]",
        "`algorithms` cannot be used: a secret of 32 bytes is too short for HS384, which needs 48 \
         (`openssl rand -base64 48`)",
        "\"HS256\"",
    ),
    (
        "jwks_url = \"https://a/\"\nalgorithms = [\"Ed25519\", \"Ed448\"]",
        "`Ed448` is not a supported algorithm",
        "\"Ed448\"",
    ),
    (
        "jwks_file = \"example-jwks.json\"\nalgorithms = \"HS256\"",
        "fits none of the keys",
        "\"HS256\"",
    ),
    (
        "secret = { env = \"HMAC\" }\nalgorithms = []",
        "lists no algorithm",
        "[[identity]]",
    ),
    (
        "secret = { env = \"HMAC\" }\nleeway = \"2h\"",
        "to \"1h\"",
        "\"2h\"",
    ),
    (
        "secret = { env = \"HMAC\" }\nuser_claim = \"\"",
        "`user_claim` is missing",
        "[[identity]]",
    ),
    (
        "secret = { env = \"HMAC\" }\naudience_claim = \"\"",
        "`audience_claim` is missing",
        "[[identity]]",
    ),
    (
        "secret = { env = \"HMAC\" }\naudience_claim = [\"aud\"]",
        "`audience_claim` can't be a list",
        "[\"aud\"]",
    ),
    (
        "secret = { env = \"HMAC\" }\nmax_lifetime = \"0s\"",
        "from \"1s\" to \"365day\"",
        "\"0s\"",
    ),
    (
        "secret = { env = \"HMAC\" }\nmax_lifetime = 3600",
        "`max_lifetime` can't be a number",
        "3600",
    ),
];

#[test]
fn an_identity_that_is_no_list_is_one_error() {
    let text = minimal("").replace("[[identity]]", "[identity]");
    one(&text, "write [[identity]]", "identity]");
    one(
        &format!("identity = 1\n{QINIU}"),
        "write [[identity]]",
        "identity",
    );
    one(&format!("identity = []\n{QINIU}"), "no [[identity]]", "");
}

#[test]
fn each_mistake_in_an_identity_has_its_location_and_help() {
    one(QINIU, "no [[identity]]", "");
    let source = "secret = { env = \"HMAC\" }";
    for &(instead, message, part) in KEY_SOURCES {
        one(&minimal("").replace(source, instead), message, part);
    }
    for (issuer, message) in [
        ("http://a.com", "could be anybody's"),
        ("https://a.com/?x", "can't be discovered"),
    ] {
        let text = minimal("").replace(&format!("{source}\n"), "");
        let text = text.replace("\"i\"", &format!("\"{issuer}\""));
        one(&text, message, &format!("\"{issuer}\""));
    }
    for good in [
        "jwks_url = \"https://a.com/keys?x=1\"\nalgorithms = [\"ES256\"]\nmax_stale = \"30day\"",
        "jwks_url = \"http://localhost:9/keys\"\nca_file = \"\"",
        "jwks_file = \"example-jwks.json\"\nalgorithms = [\"Ed25519\", \"EdDSA\"]",
        "secret = { env = \"HMAC\" }\nca_file = \"\"",
        "secret = { env = \"HMAC\" }\naudience_claim = \"client_id\"\nmax_lifetime = \"1h\"",
    ] {
        super::good(&minimal("").replace(source, good), &[]);
    }
    let text = minimal("");
    one(
        &text.replace("issuer = \"i\"\n", ""),
        "`issuer` is missing",
        "[[identity]]",
    );
    for audience in [
        "",
        "audience = \"\"\n",
        "audience = []\n",
        "audience = [\"a\", \"\"]\n",
    ] {
        one(
            &text.replace("audience = \"a\"\n", audience),
            "`audience` is missing",
            "[[identity]]",
        );
    }
    // A second blank tells the location of the second one from that of the first.
    let second = IDENTITY.replace("issuer = \"i\"", "issuer =  \"i\"");
    let text = minimal(&second);
    let report = report(&text, &[]).to_string();
    let line = position(&text, "issuer =  \"i\"").replace(":1", ":11");
    assert!(
        report.contains("two identities have the issuer `i`"),
        "{report}"
    );
    assert!(report.contains(&format!("--> t.toml:{line}\n")), "{report}");
}
