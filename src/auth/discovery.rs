//! OpenID Connect Discovery 1.0: from an issuer's name to the URL of its key set.
//!
//! Reads two members of the document: `issuer`, which must equal the configured one exactly
//! (section 4.3; otherwise one provider could speak for another), and `jwks_uri`. It fetches
//! nothing itself.

use serde::Deserialize;

use crate::outbound::origin::Url;

/// Returns the URL of an issuer's discovery document; `None` if its name is not a suitable URL.
pub fn document_url(issuer: &str) -> Option<Url> {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    Url::parse(issuer).filter(|_| !issuer.contains('?'))?;
    Url::parse(&format!("{base}/.well-known/openid-configuration"))
}

#[derive(Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    jwks_uri: String,
}

/// Why a discovery document does not lead to the issuer's keys.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// Not JSON, or without one of its members.
    #[error("not a JSON object with the strings `issuer` and `jwks_uri`")]
    NoDocument,
    /// The document of another issuer.
    #[error("it is for the issuer {found:?}, not for {expected:?}; both must be exactly equal")]
    WrongIssuer {
        /// The begin of the name in the document.
        found: String,
        /// The configured name.
        expected: String,
    },
    /// A URL whose responses can't be trusted, or none at all.
    #[error("its `jwks_uri` is neither an https:// URL nor a loopback address")]
    InsecureUrl,
}

/// Returns the URL of the key set that the issuer's discovery document names.
///
/// # Errors
/// The document is not the issuer's, or its `jwks_uri` is not a secure URL.
pub fn key_set_url(document: &[u8], issuer: &str) -> Result<Url, DiscoveryError> {
    let document = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
    // An array of the two texts would be read as the object.
    if !document.trim_ascii_start().starts_with(b"{") {
        return Err(DiscoveryError::NoDocument);
    }
    let document: DiscoveryDocument =
        serde_json::from_slice(document).map_err(|_| DiscoveryError::NoDocument)?;
    if document.issuer != issuer {
        return Err(DiscoveryError::WrongIssuer {
            found: document.issuer.chars().take(200).collect(),
            expected: issuer.to_owned(),
        });
    }
    Url::parse(&document.jwks_uri)
        .filter(Url::is_trustworthy)
        .ok_or(DiscoveryError::InsecureUrl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_below_the_issuers_url() {
        let url =
            |issuer| document_url(issuer).map(|url| (url.origin.authority.to_string(), url.target));
        for (issuer, authority, path) in [
            ("https://a.example", "a.example", ""),
            ("https://a.example/", "a.example", ""),
            ("https://a.example/x/y", "a.example", "/x/y"),
            ("http://[::1]:9/x/", "[::1]:9", "/x"),
        ] {
            let target = format!("{path}/.well-known/openid-configuration");
            assert_eq!(url(issuer), Some((authority.into(), target)), "{issuer}");
        }
        for issuer in [
            "",
            "login",
            "https://a.example?x",
            "https://a.example/#x",
            "ftp://a.example",
        ] {
            assert_eq!(url(issuer), None, "{issuer}");
        }
    }

    #[test]
    fn only_the_issuers_own_document_is_accepted() {
        let keys =
            |text: &str| key_set_url(text.as_bytes(), "https://a.example/").map(|url| url.target);
        let good = r#"{"issuer":"https://a.example/","jwks_uri":"https://keys.example/k","x":[1]}"#;
        assert_eq!(keys(good).ok().as_deref(), Some("/k"));
        assert!(keys(&good.replace("https://keys.example", "http://127.0.0.1:9")).is_ok());
        assert!(keys(&format!("\u{feff} {good}\r\n")).is_ok());
        for (text, part) in [
            (good.replace("a.example/", "a.example"), "exactly equal"),
            (good.replace("https://keys", "http://keys"), "jwks_uri"),
            (good.replace("https://keys.example/k", ""), "jwks_uri"),
            (good.replace("\"jwks_uri\"", "\"issuer\""), "JSON object"),
            ("[]".into(), "JSON object"),
            (
                r#"["https://a.example/","https://keys.example/k"]"#.into(),
                "JSON object",
            ),
            (String::new(), "JSON object"),
        ] {
            let error = keys(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
