//! Providers that run as a service, for any kind of client.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::{
    ProviderCase,
    keys::{another, rs256, with_certificate},
    wrong,
};

const API: &str = "https://api.example.com/liveness";

pub(super) fn cases() -> Vec<ProviderCase> {
    vec![
        auth0(),
        auth0_rfc_9068(),
        cognito(),
        firebase(),
        entra(),
        entra_version_1(),
        okta(),
    ]
}

/// The audience is a list: the API, and the issuer itself.
fn auth0() -> ProviderCase {
    let keys = vec![
        with_certificate("NjVBRjY5MDlCMUIwNzU4RTA2QzZF", json!({"alg": "RS256"})),
        another(json!({"use": "sig", "alg": "RS256", "kid": "next"})),
    ];
    let itself = "https://tenant.auth0.com/userinfo";
    ProviderCase {
        name: "Auth0",
        issuer: "https://tenant.auth0.com/",
        keys: ("https://tenant.auth0.com/.well-known/jwks.json", keys),
        signer: rs256(),
        header: json!({"typ": "JWT", "kid": "NjVBRjY5MDlCMUIwNzU4RTA2QzZF"}),
        claims: json!({"sub": "auth0|650f2b8e6c", "aud": [API, itself], "azp": "kT3vYb1x",
            "scope": "openid profile liveness", "permissions": ["liveness"]}),
        user: "auth0|650f2b8e6c",
        scoped: true,
        wrong: vec![
            wrong(
                "for the issuer itself",
                json!({}),
                json!({"aud": [itself]}),
                "audience",
            ),
            wrong(
                "an ID token",
                json!({}),
                json!({"aud": "kT3vYb1x", "azp": null}),
                "audience",
            ),
            wrong("unsigned", json!({"alg": "none"}), json!({}), "algorithm"),
        ],
    }
}

/// With a claim of the operator's own, which is named by a URL.
fn auth0_rfc_9068() -> ProviderCase {
    let keys = vec![with_certificate("a1", json!({"alg": "RS256"}))];
    ProviderCase {
        name: "Auth0, RFC 9068 profile",
        issuer: "https://login.example.com/",
        keys: ("https://login.example.com/.well-known/jwks.json", keys),
        signer: rs256(),
        header: json!({"typ": "at+jwt", "kid": "a1"}),
        claims: json!({"sub": "auth0|1", "aud": API, "client_id": "kT3vYb1x", "jti": "73WakrfVb",
            "scope": "liveness", "https://example.com/uid": 4711}),
        user: "4711",
        scoped: true,
        wrong: vec![
            wrong(
                "without the claim",
                json!({}),
                json!({"https://example.com/uid": null}),
                "no user claim",
            ),
            wrong(
                "a logout token",
                json!({"typ": "logout+jwt"}),
                json!({}),
                "typ",
            ),
        ],
    }
}

/// Access tokens have no `aud`, their key ids are base64, and they have no `typ`.
fn cognito() -> ProviderCase {
    let key = |kid: &str| json!({"alg": "RS256", "use": "sig", "kid": kid});
    let pool = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab129faBb";
    let keys = vec![
        another(key("of ID tokens=")),
        rs256().jwk(key("tKz+dYaR/x1example=")),
    ];
    ProviderCase {
        name: "Amazon Cognito",
        issuer: pool,
        keys: (
            "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab129faBb/.well-known/jwks.json",
            keys,
        ),
        signer: rs256(),
        header: json!({"kid": "tKz+dYaR/x1example="}),
        claims: json!({"sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "client_id": "3n4b5urk1ft4",
            "token_use": "access", "scope": "aws.cognito.signin.user.admin", "version": 2,
            "cognito:groups": ["phones"], "username": "alice", "auth_time": 1_700_000_000,
            "jti": "cccccccc", "origin_jti": "aaaaaaaa", "event_id": "64f513be"}),
        user: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        scoped: false,
        wrong: vec![
            wrong(
                "an ID token",
                json!({}),
                json!({"client_id": null, "aud": "3n4b5urk1ft4", "token_use": "id"}),
                "no audience claim",
            ),
            wrong(
                "of another app",
                json!({}),
                json!({"client_id": "another"}),
                "audience",
            ),
        ],
    }
}

/// The keys are on another host, in a path with an `@`.
fn firebase() -> ProviderCase {
    let key = |kid: &str| json!({"alg": "RS256", "use": "sig", "kid": kid});
    let n = rs256().jwk(json!({}))["n"].as_str().unwrap().to_owned();
    // A leading zero byte, as in the sign-magnitude form of other formats.
    let bytes = BASE64URL_NOPAD.decode(n.as_bytes()).unwrap();
    let padded = BASE64URL_NOPAD.encode(&[&[0][..], &bytes].concat());
    let mut signing = rs256().jwk(key("f1a2b3c4d5"));
    signing["n"] = padded.into();
    let keys = vec![signing, another(key("0123456789"))];
    let url =
        "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com";
    ProviderCase {
        name: "Firebase Authentication",
        issuer: "https://securetoken.google.com/my-project",
        keys: (url, keys),
        signer: rs256(),
        header: json!({"kid": "f1a2b3c4d5", "typ": "JWT"}),
        claims: json!({"aud": "my-project", "auth_time": 1_700_000_000, "user_id": "p3XkYzAbCd",
            "sub": "p3XkYzAbCd", "phone_number": "+15555550100",
            "firebase": {"identities": {"phone": ["+15555550100"]}, "sign_in_provider": "phone"}}),
        user: "p3XkYzAbCd",
        scoped: false,
        wrong: vec![
            wrong(
                "of another project",
                json!({}),
                json!({"aud": "other", "iss": "https://securetoken.google.com/other"}),
                "issuer",
            ),
            wrong(
                "of the emulator",
                json!({"alg": "none"}),
                json!({}),
                "algorithm",
            ),
            wrong("nobody's", json!({}), json!({"sub": ""}), "user claim"),
        ],
    }
}

fn tenant_keys() -> Vec<Value> {
    // No `alg`, and members that are no standard's.
    let issuer = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let more = json!({"issuer": issuer, "cloud_instance_name": "microsoftonline.com"});
    vec![
        with_certificate("-KI3Q9nNR7bRofxmeZoXqbHZGew", more),
        another(json!({"use": "sig", "kid": "other", "issuer": issuer})),
    ]
}

fn entra() -> ProviderCase {
    ProviderCase {
        name: "Microsoft Entra ID",
        issuer: "https://login.microsoftonline.com/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0",
        keys: (
            "https://login.microsoftonline.com/9122040d-6c67-4c5b-b112-36a304b66dad/discovery/v2.0/keys",
            tenant_keys(),
        ),
        signer: rs256(),
        header: json!({"typ": "JWT", "kid": "-KI3Q9nNR7bRofxmeZoXqbHZGew"}),
        claims: json!({"aud": "6e74172b-be56-4843-9ff4-e66a39bb12e3", "azp": "7f2b1a3c",
            "azpacr": "0", "sub": "pairwise-of-this-app", "scp": "profile liveness", "ver": "2.0",
            "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "uti": "fqiBqXLPj0eQa82S", "rh": "I",
            "tid": "9122040d-6c67-4c5b-b112-36a304b66dad"}),
        user: "690222be-ff1a-4d56-abd1-7e4f7d38e474",
        scoped: true,
        wrong: vec![
            wrong(
                "for Microsoft Graph",
                json!({"nonce": "AQABAAAAAADCoMpj", "x5t": "-KI3Q9nNR7bRofxmeZoXqbHZGew"}),
                json!({"aud": "00000003-0000-0000-c000-000000000000"}),
                "audience",
            ),
            wrong(
                "of another tenant",
                json!({}),
                json!({"iss": "https://login.microsoftonline.com/other/v2.0"}),
                "issuer",
            ),
        ],
    }
}

/// Another issuer, with a slash at its end, and another form of audience.
fn entra_version_1() -> ProviderCase {
    ProviderCase {
        name: "Microsoft Entra ID, version 1 tokens",
        issuer: "https://sts.windows.net/9122040d-6c67-4c5b-b112-36a304b66dad/",
        keys: (
            "https://login.microsoftonline.com/9122040d-6c67-4c5b-b112-36a304b66dad/discovery/keys",
            tenant_keys(),
        ),
        header: json!({"typ": "JWT", "kid": "-KI3Q9nNR7bRofxmeZoXqbHZGew",
            "x5t": "-KI3Q9nNR7bRofxmeZoXqbHZGew"}),
        claims: json!({"aud": "api://6e74172b-be56-4843-9ff4-e66a39bb12e3", "appid": "7f2b1a3c",
            "appidacr": "0", "sub": "pairwise-of-this-app", "scp": "liveness", "ver": "1.0",
            "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "xms_tcdt": 1_600_000_000}),
        wrong: vec![wrong(
            "without the slash",
            json!({}),
            json!({"iss": "https://sts.windows.net/9122040d-6c67-4c5b-b112-36a304b66dad"}),
            "issuer",
        )],
        ..entra()
    }
}

/// Scopes are a list, and the `sub` of an access token is a name that can change.
fn okta() -> ProviderCase {
    let kid = "-ZkvelLN_seik7w4pc_prCcfUf";
    let key = json!({"alg": "RS256", "use": "sig", "kid": kid});
    ProviderCase {
        name: "Okta",
        issuer: "https://example.okta.com/oauth2/default",
        keys: (
            "https://example.okta.com/oauth2/default/v1/keys",
            vec![rs256().jwk(key)],
        ),
        signer: rs256(),
        header: json!({"kid": kid}),
        claims: json!({"ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7", "aud": "api://default",
            "cid": "0oabucvyc38HLL1ef0h7", "uid": "00u4p42q8xlHLL1ef0h7",
            "scp": ["openid", "liveness"], "auth_time": 1_700_000_000, "sub": "a@example.com"}),
        user: "00u4p42q8xlHLL1ef0h7",
        scoped: true,
        wrong: vec![
            wrong(
                "of the org authorization server",
                json!({"typ": "application/okta-internal-at+jwt"}),
                json!({"aud": "https://example.okta.com"}),
                "typ",
            ),
            wrong(
                "of a machine",
                json!({}),
                json!({"uid": null, "sub": "0oabucvyc38HLL1ef0h7"}),
                "no user claim",
            ),
        ],
    }
}
