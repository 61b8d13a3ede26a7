//! Where a server is: the scheme, host and port of a URL.

use std::net::IpAddr;

/// A parsed `http://host[:port]` or `https://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `https`.
    pub tls: bool,
    /// Name or address to connect to, without brackets, in lower case.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// The `Host` header: the port is left out where it is the scheme's own.
    pub authority: String,
}

/// An origin and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Where.
    pub origin: Origin,
    /// Path and query, as on the request line.
    pub target: String,
}

impl Origin {
    /// A base URL: no path, no slash at the end.
    pub fn parse(text: &str) -> Option<Self> {
        let bare = !text.ends_with('/') && !text.contains('?');
        let url = Url::parse(text).filter(|url| bare && url.target == "/")?;
        Some(url.origin)
    }

    /// Whether nothing that is sent there leaves this machine.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl Url {
    /// Whether what comes from there can be believed: over TLS, or from this machine.
    pub fn is_trustworthy(&self) -> bool {
        self.origin.tls || self.origin.is_loopback()
    }

    /// `None` for what is no `http://` or `https://` URL, has a user in it, or a fragment.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: hyper::Uri = text.parse().ok()?;
        let tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        if text.contains('#') || uri.authority()?.as_str().contains('@') {
            return None;
        }
        let host = uri
            .host()?
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_ascii_lowercase();
        let default = if tls { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default);
        let shown = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        let authority = if port == default {
            shown
        } else {
            format!("{shown}:{port}")
        };
        // Printed, and not taken as text: `?a` behind a bare host then begins with a slash.
        let target = uri
            .path_and_query()
            .map_or("/".to_owned(), ToString::to_string);
        Some(Self {
            origin: Origin {
                tls,
                host,
                port,
                authority,
            },
            target,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found() {
        let url = Url::parse("https://Login.Example.com/keys?v=1").unwrap();
        assert_eq!(
            (url.origin.host.as_str(), url.origin.port, url.origin.tls),
            ("login.example.com", 443, true)
        );
        assert_eq!(
            (url.origin.authority.as_str(), url.target.as_str()),
            ("login.example.com", "/keys?v=1")
        );
        let local = Origin::parse("http://[::1]:8080").unwrap();
        assert_eq!(
            (local.host.as_str(), local.authority.as_str()),
            ("::1", "[::1]:8080")
        );
        assert!(local.is_loopback() && !url.origin.is_loopback());
        assert_eq!(
            Origin::parse("http://127.0.0.1:80").unwrap().authority,
            "127.0.0.1"
        );
    }

    #[test]
    fn a_target_begins_with_a_slash_and_may_hold_an_at_sign() {
        let target = |text| Url::parse(text).map(|url| url.target);
        assert_eq!(target("https://a").as_deref(), Some("/"));
        assert_eq!(target("https://a?b=c").as_deref(), Some("/?b=c"));
        assert_eq!(target("https://a/b?c@d").as_deref(), Some("/b?c@d"));
        assert_eq!(target("https://u:p@a/b"), None);
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for text in [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https://a/",
            "https://a/b",
            "https://a?b",
            "https://u@a",
            "https://a#b",
            "https://a b",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }
}
