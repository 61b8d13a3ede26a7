//! `token`: prints a short-lived HS256 token, for development against an identity with a shared `secret`.
//!
//! The secret comes from an environment variable, never from the command line, where every user of the machine could
//! read it; it is never printed.

use std::{
    io::Write as _,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Map, Value};

use crate::{auth::key_set::VerificationKeys, secret::Secret};

/// The longest lifetime of a token, in seconds: 30 days. What lives longer is no development token.
const MAX_LIFETIME: u64 = 30 * 24 * 60 * 60;

/// Print an HS256 token, for development.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment variable that holds the identity's shared secret (at least 32 bytes)
    #[arg(long, value_name = "NAME")]
    secret_env: String,
    /// The `iss` claim: the identity's issuer
    #[arg(long)]
    issuer: String,
    /// The `aud` claim: the identity's audience
    #[arg(long)]
    audience: String,
    /// The `sub` claim: the user
    #[arg(long)]
    subject: String,
    /// The `scope` claim: words separated by spaces
    #[arg(long)]
    scope: Option<String>,
    /// How long the token is good for: a number and `s`, `min`, `h` or `day`
    #[arg(long, default_value = "10min", value_parser = parse_lifetime)]
    lifetime: Duration,
}

/// What a development token says.
pub struct Claims<'a> {
    /// `iss`
    pub issuer: &'a str,
    /// `aud`
    pub audience: &'a str,
    /// `sub`
    pub subject: &'a str,
    /// `scope`
    pub scope: Option<&'a str>,
    /// `iat`; `exp` is this plus `lifetime`.
    pub now: SystemTime,
    /// Rounded down to whole seconds.
    pub lifetime: Duration,
}

impl Args {
    /// Prints the token to stdout; what went wrong to stderr.
    pub fn run(&self) -> ExitCode {
        let secret = match std::env::var(&self.secret_env) {
            Ok(secret) => Secret::new(secret),
            Err(_) => {
                return fail(&format!(
                    "the environment variable {} is not set, or is no text",
                    self.secret_env
                ));
            }
        };
        let claims = Claims {
            issuer: &self.issuer,
            audience: &self.audience,
            subject: &self.subject,
            scope: self.scope.as_deref(),
            now: SystemTime::now(),
            lifetime: self.lifetime,
        };
        match mint(secret.reveal(), &claims) {
            Ok(token) => match writeln!(std::io::stdout().lock(), "{token}") {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&format!("can't write the token: {error}")),
            },
            Err(error) => fail(&format!("{}: {error}", self.secret_env)),
        }
    }
}

/// An HS256 token with these claims, `exp` and a random `jti`.
///
/// # Errors
/// A secret that an identity would refuse, a time that can't be written; as a clause for a person.
pub fn mint(secret: &[u8], claims: &Claims<'_>) -> Result<String, String> {
    // The same rule as for the gateway that is to accept the token.
    VerificationKeys::from_secret(&Secret::new(secret))?;
    let issued = claims
        .now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(|_| "the clock is before 1970")?
        .as_secs();
    let expires = issued
        .checked_add(claims.lifetime.as_secs())
        .ok_or("the lifetime is too long")?;
    let mut id = [0; 16];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| "the system gives no random bytes")?;
    let mut body = Map::new();
    body.insert("iss".into(), Value::from(claims.issuer));
    body.insert("aud".into(), Value::from(claims.audience));
    body.insert("sub".into(), Value::from(claims.subject));
    body.insert("iat".into(), Value::from(issued));
    body.insert("exp".into(), Value::from(expires));
    body.insert("jti".into(), Value::from(HEXLOWER.encode(&id)));
    if let Some(scope) = claims.scope {
        body.insert("scope".into(), Value::from(scope));
    }
    let header = BASE64URL_NOPAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let body = BASE64URL_NOPAD.encode(Value::Object(body).to_string().as_bytes());
    let signed = format!("{header}.{body}");
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256)
        .map_err(|_| "the token can't be signed")?;
    Ok(format!("{signed}.{signature}"))
}

/// `90s`, `10min` (or `10m`), `1h`, `1day`: at least a second, at most 30 days.
fn parse_lifetime(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let factor = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 60 * 60,
        "day" => 24 * 60 * 60,
        _ => return Err("write a whole number and a unit: 90s, 10min, 1h, 1day".into()),
    };
    let seconds = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor));
    match seconds {
        Some(seconds @ 1..=MAX_LIFETIME) => Ok(Duration::from_secs(seconds)),
        _ => Err("must be between one second and 30 days".into()),
    }
}

fn fail(why: &str) -> ExitCode {
    // Nothing is left to be done when even stderr is closed.
    let _ = writeln!(std::io::stderr().lock(), "token: {why}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Authenticator, IdentitySettings, KeySource, Pseudonymizer};
    use hyper::{HeaderMap, header::AUTHORIZATION};

    const SECRET: &[u8] = b"thirty-two bytes are the minimum!";

    fn claims(now: SystemTime) -> Claims<'static> {
        Claims {
            issuer: "dev",
            audience: "liveness",
            subject: "alice",
            scope: Some("a b"),
            now,
            lifetime: Duration::from_secs(60),
        }
    }

    #[tokio::test]
    async fn the_gateway_accepts_what_is_minted_until_it_expires() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let token = mint(SECRET, &claims(now)).unwrap();
        let identity = IdentitySettings {
            issuer: "dev".into(),
            audience: vec!["liveness".into()],
            keys: KeySource::Fixed(VerificationKeys::from_secret(&Secret::new(SECRET)).unwrap()),
            user_claim: "sub".into(),
            leeway: Duration::ZERO,
        };
        let pseudonyms = Pseudonymizer::new(&Secret::new("k"));
        let authenticator = Authenticator::new(vec![identity], pseudonyms);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        let Ok(caller) = authenticator.authenticate(&headers, now).await else {
            panic!("refused")
        };
        assert_eq!((&*caller.user, &*caller.issuer), ("alice", "dev"));
        assert!(caller.has_scope("a") && caller.has_scope("b") && !caller.has_scope("a b"));
        let minute = Duration::from_secs(60);
        let late = authenticator.authenticate(&headers, now + minute).await;
        assert_eq!(
            late.err().map(|refusal| refusal.code()),
            Some("expired_token")
        );
    }

    #[test]
    fn two_tokens_differ_and_a_short_secret_is_refused() {
        let now = SystemTime::now();
        assert_ne!(mint(SECRET, &claims(now)), mint(SECRET, &claims(now)));
        assert!(mint(b"short", &claims(now)).unwrap_err().contains("32"));
    }

    #[test]
    fn lifetimes_have_a_unit_and_limits() {
        for (text, seconds) in [
            ("90s", 90),
            ("10min", 600),
            ("10m", 600),
            ("1h", 3600),
            ("30day", MAX_LIFETIME),
        ] {
            assert_eq!(
                parse_lifetime(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "10",
            "min",
            "0s",
            "31day",
            "-1s",
            "1.5h",
            "1 h",
            "99999999999999999999s",
            "9999999999999999h",
            "1µ",
        ] {
            assert!(parse_lifetime(text).is_err(), "{text}");
        }
    }
}
