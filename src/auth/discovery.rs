//! OpenID Connect Discovery 1.0: from an issuer's name to the address of its keys.
//!
//! Only two members of the document count: `issuer`, which must be the configured one to the letter (section 4.3: else one
//! provider could speak for another), and `jwks_uri`. It fetches nothing itself.

use serde::Deserialize;

use crate::outbound::origin::Url;

/// Where the document of an issuer is; `None` when its name is no such URL.
pub fn document_of(issuer: &str) -> Option<Url> {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    Url::parse(issuer).filter(|_| !issuer.contains('?'))?;
    Url::parse(&format!("{base}/.well-known/openid-configuration"))
}

#[derive(Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    jwks_uri: String,
}

/// Where the document says the keys are.
///
/// # Errors
/// What is wrong with it, as a clause for a person.
pub(super) fn keys_of(document: &[u8], issuer: &str) -> Result<Url, String> {
    let document: DiscoveryDocument = serde_json::from_slice(document)
        .map_err(|_| "is not a JSON object with the texts `issuer` and `jwks_uri`".to_owned())?;
    if document.issuer != issuer {
        let other: String = document.issuer.chars().take(200).collect();
        return Err(format!(
            "speaks for the issuer {other:?}, not for {issuer:?}; they must be equal to the letter"
        ));
    }
    Url::parse(&document.jwks_uri)
        .filter(Url::is_trustworthy)
        .ok_or_else(|| "has a `jwks_uri` that is neither https:// nor on this machine".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(issuer: &str) -> Option<String> {
        document_of(issuer).map(|url| format!("{} {}", url.origin.authority, url.target))
    }

    #[test]
    fn the_document_stands_below_the_issuer() {
        for (issuer, wanted) in [
            (
                "https://a.example",
                "a.example /.well-known/openid-configuration",
            ),
            (
                "https://a.example/",
                "a.example /.well-known/openid-configuration",
            ),
            (
                "https://a.example/x/y",
                "a.example /x/y/.well-known/openid-configuration",
            ),
            (
                "http://[::1]:9/x/",
                "[::1]:9 /x/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(address(issuer).as_deref(), Some(wanted), "{issuer}");
        }
        for issuer in [
            "",
            "login",
            "https://a.example?x",
            "https://a.example/#x",
            "ftp://a.example",
        ] {
            assert_eq!(address(issuer), None, "{issuer}");
        }
    }

    #[test]
    fn only_the_issuers_own_document_counts() {
        let keys =
            |text: &str| keys_of(text.as_bytes(), "https://a.example/").map(|url| url.target);
        let good = r#"{"issuer":"https://a.example/","jwks_uri":"https://keys.example/k","x":[1]}"#;
        assert_eq!(keys(good).as_deref(), Ok("/k"));
        assert!(keys(&good.replace("https://keys.example", "http://127.0.0.1:9")).is_ok());
        for (text, part) in [
            (good.replace("a.example/", "a.example"), "to the letter"),
            (good.replace("https://keys", "http://keys"), "jwks_uri"),
            (good.replace("https://keys.example/k", ""), "jwks_uri"),
            (good.replace("\"jwks_uri\"", "\"issuer\""), "JSON object"),
            ("[]".into(), "JSON object"),
            (String::new(), "JSON object"),
        ] {
            assert!(keys(&text).unwrap_err().contains(part), "{text}");
        }
    }
}
