//! Arbitrary discovery documents: a document counts only for its own issuer, and no URL that it
//! names can write another line of a request, or lead to an untrusted server.

#![no_main]

use libfuzzer_sys::fuzz_target;
use liveness_gateway::{
    auth::discovery::{document_url, key_set_url},
    outbound::origin::Url,
};
use serde_json::Value;

// The first line is the issuer, the rest is the document.
fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |&byte| byte == b'\n');
    let issuer = parts
        .next()
        .and_then(|issuer| std::str::from_utf8(issuer).ok());
    let (Some(issuer), document) = (issuer, parts.next().unwrap_or_default()) else {
        return;
    };
    for url in [Url::parse(issuer), document_url(issuer)]
        .into_iter()
        .flatten()
    {
        is_safe(&url);
    }
    match key_set_url(document, issuer) {
        Ok(url) => {
            is_safe(&url);
            assert!(url.origin.tls || url.origin.is_loopback());
            // A member that is not read may hold bytes that are no text.
            let Ok(read) = serde_json::from_slice::<Value>(document) else {
                return;
            };
            // The last member counts in a tree, so two of a name must have been refused.
            assert_eq!(read["issuer"], issuer);
            assert_eq!(
                Url::parse(read["jwks_uri"].as_str().unwrap_or_default()),
                Some(url)
            );
        }
        Err(error) => assert!(error.to_string().len() < 3000 + issuer.len() * 6),
    }
});

/// What is written into a request.
fn is_safe(url: &Url) {
    let written = [&url.origin.authority, &url.target];
    for text in written {
        assert!(
            text.bytes().all(|byte| byte > b' ' && byte != 0x7f),
            "{text:?}"
        );
    }
    assert!(url.target.starts_with('/'));
    assert!(!url.origin.authority.contains(['/', '@', '?', '#']));
    assert!(!url.origin.host.is_empty());
    let base = format!(
        "{}://{}",
        if url.origin.tls { "https" } else { "http" },
        url.origin.authority
    );
    assert_eq!(
        Url::parse(&format!("{base}{}", url.target)).as_ref(),
        Some(url)
    );
}
