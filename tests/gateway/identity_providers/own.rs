//! Providers that operators run themselves, and those of their own backends.

use serde_json::{Value, json};

use super::{
    ProviderCase,
    keys::{another, ed25519, es384, hs256, on_p521, rs256, with_certificate},
    wrong,
};

pub(super) fn cases() -> Vec<ProviderCase> {
    vec![
        keycloak(),
        logto(),
        hydra(),
        authing(),
        casdoor(),
        backend(),
    ]
}

/// A key for encryption in the set, and claims that only look like header parameters.
fn keycloak() -> ProviderCase {
    let kid = "FJ86GcF3jTbNLOco4NvZkUCIUmfYCqoqtOQeMfbhNlE";
    let keys = vec![
        with_certificate("enc", json!({"alg": "RSA-OAEP", "use": "enc"})),
        with_certificate(kid, json!({"alg": "RS256", "x5t#S256": "c29tZSBoYXNo"})),
    ];
    ProviderCase {
        name: "Keycloak",
        issuer: "https://login.example.org/realms/app",
        keys: (
            "https://login.example.org/realms/app/protocol/openid-connect/certs",
            keys,
        ),
        signer: rs256(),
        header: json!({"typ": "JWT", "kid": kid}),
        claims: json!({"aud": ["liveness", "account"], "azp": "phone", "typ": "Bearer",
            "sub": "36fa0f91-f94d-4a0c-afed-6b7d952e47da", "acr": "1", "sid": "2a88c258",
            "realm_access": {"roles": ["offline_access"]}, "allowed-origins": ["*"],
            "resource_access": {"account": {"roles": ["view-profile"]}},
            "scope": "email liveness", "email_verified": true}),
        user: "36fa0f91-f94d-4a0c-afed-6b7d952e47da",
        scoped: true,
        wrong: vec![
            wrong(
                "without an audience mapper",
                json!({}),
                json!({"aud": "account"}),
                "audience",
            ),
            wrong(
                "an ID token",
                json!({}),
                json!({"aud": "phone", "typ": "ID"}),
                "audience",
            ),
            wrong(
                "a refresh token",
                json!({"alg": "HS512", "kid": "internal"}),
                json!({"aud": "https://login.example.org/realms/app", "typ": "Refresh"}),
                "kid",
            ),
            wrong("without `sub`", json!({}), json!({"sub": null}), "no user"),
        ],
    }
}

/// ES384.
fn logto() -> ProviderCase {
    let kid = "Zx2mWn4vQwLb8";
    let key = json!({"use": "sig", "kid": kid, "alg": "ES384"});
    ProviderCase {
        name: "Logto",
        issuer: "https://tenant.logto.app/oidc",
        keys: ("https://tenant.logto.app/oidc/jwks", vec![es384().jwk(key)]),
        signer: es384(),
        header: json!({"typ": "at+jwt", "kid": kid}),
        claims: json!({"aud": "https://api.example.com/liveness", "sub": "u7x2k9q1m4ab",
            "client_id": "qv8s2k1", "jti": "9qYz", "scope": "liveness"}),
        user: "u7x2k9q1m4ab",
        scoped: true,
        wrong: vec![
            wrong(
                "an ID token",
                json!({"typ": null}),
                json!({"aud": "qv8s2k1"}),
                "audience",
            ),
            wrong("unsigned", json!({"alg": "nOnE"}), json!({}), "algorithm"),
        ],
    }
}

/// Scopes are a list, claims of the operator's are nested, and the set has more than one type.
fn hydra() -> ProviderCase {
    let keys = vec![
        on_p521("c"),
        ed25519().jwk(json!({"use": "sig", "kid": "b", "alg": "Ed25519"})),
        another(json!({"use": "sig", "kid": "a", "alg": "RS256"})),
    ];
    ProviderCase {
        name: "Ory Hydra",
        issuer: "https://hydra.example.com/",
        keys: ("https://hydra.example.com/.well-known/jwks.json", keys),
        signer: ed25519(),
        header: json!({"typ": "JWT", "kid": "b"}),
        claims: json!({"aud": ["liveness"], "client_id": "phone", "ext": {"uid": 4711},
            "nbf": 1_700_000_000, "jti": "2d1f", "scp": ["offline", "liveness"], "sub": "foo"}),
        user: "4711",
        scoped: true,
        wrong: vec![
            wrong(
                "without an audience",
                json!({}),
                json!({"aud": []}),
                "audience",
            ),
            wrong(
                "without the claim",
                json!({}),
                json!({"ext": {}}),
                "no user claim",
            ),
            wrong(
                "of another key",
                json!({"kid": "a"}),
                json!({}),
                "algorithm",
            ),
        ],
    }
}

fn authing() -> ProviderCase {
    let key = json!({"use": "sig", "kid": "Mfsd5rGvaE", "alg": "RS256"});
    ProviderCase {
        name: "Authing",
        issuer: "https://example.authing.cn/oidc",
        keys: (
            "https://example.authing.cn/oidc/.well-known/jwks.json",
            vec![rs256().jwk(key)],
        ),
        signer: rs256(),
        header: json!({"typ": "JWT", "kid": "Mfsd5rGvaE"}),
        claims: json!({"jti": "QJ6wq", "sub": "5f7174df27382f4f9ba7cc23",
            "aud": "5f17a529f64fb009b794a2ff", "scope": "openid profile liveness"}),
        user: "5f7174df27382f4f9ba7cc23",
        scoped: true,
        wrong: vec![
            wrong(
                "of another application",
                json!({}),
                json!({"aud": "5f17a529f64fb009b794a200"}),
                "audience",
            ),
            wrong(
                "an ID token by HS256",
                json!({"alg": "HS256", "kid": null}),
                json!({}),
                "algorithm",
            ),
        ],
    }
}

/// The whole user is in the token.
fn casdoor() -> ProviderCase {
    let keys = vec![with_certificate("cert-built-in", json!({"alg": "RS256"}))];
    ProviderCase {
        name: "Casdoor",
        issuer: "https://door.example.com",
        keys: ("https://door.example.com/.well-known/jwks", keys),
        signer: rs256(),
        header: json!({"typ": "JWT", "kid": "cert-built-in"}),
        claims: json!({"owner": "built-in", "name": "alice", "displayName": "\u{7231}\u{4e3d}",
            "tokenType": "access-token", "aud": ["294b09fbc17f95daf2fe"], "nonce": "",
            "scope": "profile liveness", "sub": "9eb20f79-3bb5-4e74-99ac-39e3b9a171e8",
            "nbf": 1_700_000_000, "jti": "admin/0c31", "groups": [], "roles": null}),
        user: "9eb20f79-3bb5-4e74-99ac-39e3b9a171e8",
        scoped: true,
        wrong: vec![wrong(
            "of another application",
            json!({}),
            json!({"aud": ["other"]}),
            "audience",
        )],
    }
}

/// Web frameworks name users by the number of their row.
fn backend() -> ProviderCase {
    let number = |number: Value| json!({"user_id": number});
    ProviderCase {
        name: "Your own backend",
        issuer: "https://app.example.com",
        keys: ("https://app.example.com/none", Vec::new()),
        signer: hs256(),
        header: json!({"typ": "JWT"}),
        claims: json!({"token_type": "access", "jti": "b1", "user_id": 7, "aud": "liveness"}),
        user: "7",
        scoped: false,
        wrong: vec![
            wrong("half a user", json!({}), number(json!(7.5)), "user claim"),
            wrong(
                "a rounded user",
                json!({}),
                number(json!(1e20)),
                "user claim",
            ),
            wrong(
                "valid for a year",
                json!({}),
                json!({"iat": 1_600_000_000}),
                "longer",
            ),
        ],
    }
}
