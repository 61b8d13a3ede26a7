//! Sign-in services for apps and pages.

use serde_json::json;

use super::{
    ProviderCase,
    keys::{another, es256, rs256},
    wrong,
};

pub(super) fn cases() -> Vec<ProviderCase> {
    vec![
        apple(),
        google(),
        huawei(),
        clerk(),
        clerk_template(),
        supabase(),
    ]
}

/// Several keys of one algorithm, and claims that are booleans or texts.
fn apple() -> ProviderCase {
    let key = |kid: &str| json!({"kid": kid, "use": "sig", "alg": "RS256"});
    let keys = vec![
        another(key("T8tIJ1zSrO")),
        rs256().jwk(key("rs0M3kOV9p")),
        another(key("Sf2lFqwkpX")),
    ];
    ProviderCase {
        name: "Sign in with Apple",
        issuer: "https://appleid.apple.com",
        keys: ("https://appleid.apple.com/auth/keys", keys),
        signer: rs256(),
        header: json!({"kid": "rs0M3kOV9p"}),
        claims: json!({"aud": "com.example.app", "sub": "001999.0f6ac81ea1fe4e6a.0815",
            "nonce": "n-0S6_WzA2Mj", "nonce_supported": true, "email_verified": "true",
            "email": "x@privaterelay.appleid.com", "is_private_email": true, "auth_time": 17}),
        user: "001999.0f6ac81ea1fe4e6a.0815",
        scoped: false,
        wrong: vec![wrong(
            "for another app",
            json!({}),
            json!({"aud": "com.example.other"}),
            "audience",
        )],
    }
}

/// ID tokens; users are numbers too large for a number.
fn google() -> ProviderCase {
    let key = |kid: &str| json!({"alg": "RS256", "use": "sig", "kid": kid});
    let client = "1234987819200.apps.googleusercontent.com";
    ProviderCase {
        name: "Sign in with Google",
        issuer: "https://accounts.google.com",
        keys: (
            "https://www.googleapis.com/oauth2/v3/certs",
            vec![rs256().jwk(key("6f9777a685")), another(key("b2620d5e7f"))],
        ),
        signer: rs256(),
        header: json!({"typ": "JWT", "kid": "6f9777a685"}),
        claims: json!({"azp": client, "aud": client, "sub": "110169484474386276334",
            "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q", "hd": "example.com", "email_verified": true}),
        user: "110169484474386276334",
        scoped: false,
        wrong: vec![
            wrong(
                "for another app",
                json!({}),
                json!({"aud": "other"}),
                "audience",
            ),
            wrong(
                "with the issuer's other name",
                json!({}),
                json!({"iss": "accounts.google.com"}),
                "issuer",
            ),
        ],
    }
}

/// Session tokens have no `aud`, but the origin of the page that asked for them.
fn clerk() -> ProviderCase {
    let kid = "ins_2qXexample";
    let key = json!({"use": "sig", "alg": "RS256", "kid": kid});
    ProviderCase {
        name: "Clerk",
        issuer: "https://clerk.example.com",
        keys: (
            "https://clerk.example.com/.well-known/jwks.json",
            vec![rs256().jwk(key)],
        ),
        signer: rs256(),
        header: json!({"typ": "JWT", "kid": kid, "cat": "cl_B7d4PD111AAA"}),
        claims: json!({"azp": "https://app.example.com", "fva": [85, -1], "nbf": 1_700_000_000,
            "sid": "sess_3DGFRsC6Dif", "sts": "active", "sub": "user_3DGDPJWoHeW2", "v": 2}),
        user: "user_3DGDPJWoHeW2",
        scoped: false,
        wrong: vec![
            wrong(
                "without an origin",
                json!({}),
                json!({"azp": null}),
                "no audience claim",
            ),
            wrong(
                "of another page",
                json!({}),
                json!({"azp": "https://app.example.com.evil.example"}),
                "audience",
            ),
        ],
    }
}

/// Native apps send no origin: a template gives their tokens an audience.
fn clerk_template() -> ProviderCase {
    ProviderCase {
        name: "Clerk, for native apps",
        issuer: "https://native-app-12.clerk.accounts.dev",
        keys: (
            "https://native-app-12.clerk.accounts.dev/.well-known/jwks.json",
            clerk().keys.1,
        ),
        header: json!({"typ": "JWT", "kid": "ins_2qXexample", "cat": "cl_B7d4PD222AAA"}),
        claims: json!({"aud": "liveness", "sub": "user_3DGDPJWoHeW2", "jti": "2f1b"}),
        wrong: vec![wrong(
            "of another template",
            json!({}),
            json!({"aud": "hasura"}),
            "audience",
        )],
        ..clerk()
    }
}

/// The audience is the same in all projects: the issuer tells them apart.
fn supabase() -> ProviderCase {
    let kid = "b81269f1-21d8-4f2e-b719-c2240a840d90";
    let key = json!({"alg": "ES256", "kid": kid, "use": "sig", "key_ops": ["verify"], "ext": true});
    ProviderCase {
        name: "Supabase",
        issuer: "https://abcdefghijklmnop.supabase.co/auth/v1",
        keys: (
            "https://abcdefghijklmnop.supabase.co/auth/v1/.well-known/jwks.json",
            vec![es256().jwk(key)],
        ),
        signer: es256(),
        header: json!({"typ": "JWT", "kid": kid}),
        claims: json!({"aud": "authenticated", "sub": "123e4567-e89b-12d3-a456-426614174000",
            "role": "authenticated", "aal": "aal1", "session_id": "4b938a09", "email": "",
            "phone": "15555550100", "is_anonymous": false, "app_metadata": {"provider": "phone"},
            "user_metadata": {"sub": "mallory"}, "amr": [{"method": "otp", "timestamp": 17}]}),
        user: "123e4567-e89b-12d3-a456-426614174000",
        scoped: false,
        wrong: vec![
            wrong(
                "the key of the project",
                json!({"kid": null}),
                json!({"iss": "supabase", "role": "anon", "aud": null, "sub": null}),
                "issuer",
            ),
            wrong("nobody's", json!({}), json!({"aud": "anon"}), "audience"),
            wrong(
                "by the old secret",
                json!({"alg": "HS256", "kid": "old"}),
                json!({}),
                "kid",
            ),
        ],
    }
}

/// ID tokens; the issuer's name is not where its documents are.
fn huawei() -> ProviderCase {
    let keys = vec![rs256().jwk(json!({"use": "sig", "kid": "55f8c1d0", "alg": "RS256"}))];
    ProviderCase {
        name: "HUAWEI ID",
        issuer: "https://accounts.huawei.com",
        keys: ("https://oauth-login.cloud.huawei.com/oauth2/v3/certs", keys),
        signer: rs256(),
        header: json!({"typ": "JWT", "kid": "55f8c1d0"}),
        claims: json!({"aud": "101200545", "azp": "101200545", "sub": "MDFAMTAxMjAwNTQ1QGI0",
            "at_hash": "x", "display_name": "alice", "picture": "https://example.com/p.jpg"}),
        user: "MDFAMTAxMjAwNTQ1QGI0",
        scoped: false,
        wrong: vec![wrong(
            "for another app",
            json!({}),
            json!({"aud": "101200546"}),
            "audience",
        )],
    }
}
