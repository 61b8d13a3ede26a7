//! URLs of servers: scheme, host and port, and what is requested there.
//!
//! Accepts only `http://` and `https://`. Resolves no names and opens no connections.

use std::net::IpAddr;

/// A parsed `http://host[:port]` or `https://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Whether the scheme is `https`.
    pub tls: bool,
    /// Host name or address to connect to, in lower case, without brackets.
    pub host: String,
    /// TCP port to connect to.
    pub port: u16,
    /// Value of the `Host` header. Omits the port if it is the default of the scheme.
    pub authority: String,
}

/// An origin and the target of a request to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Scheme, host and port.
    pub origin: Origin,
    /// Path and query, as in the request line.
    pub target: String,
}

impl Origin {
    /// Parses a base URL: no path, no query, no trailing slash.
    pub fn parse(text: &str) -> Option<Self> {
        let bare = !text.ends_with('/') && !text.contains('?');
        let url = Url::parse(text).filter(|url| bare && url.target == "/")?;
        Some(url.origin)
    }

    /// Whether the host is this machine, so that nothing sent there reaches a network.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl Url {
    /// Whether responses can be trusted: they come over TLS, or from this machine.
    pub fn is_trustworthy(&self) -> bool {
        self.origin.tls || self.origin.is_loopback()
    }

    /// Parses a URL. `None` if it is not `http://` or `https://`, or has no host, or user information
    /// or a fragment.
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
        // The URI type takes brackets anywhere in a name.
        if host.is_empty() || host.contains(['[', ']']) {
            return None;
        }
        let default = if tls { 443 } else { 80 };
        // The URI type takes anything for a port, and has none then.
        let port = match uri.authority()?.as_str().strip_prefix(uri.host()?)? {
            "" => default,
            port => port.strip_prefix(':').and_then(decimal)?,
        };
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
        // `Display` adds the slash that a query right after the host lacks; `as_str` does not.
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

/// A port in digits alone.
fn decimal(text: &str) -> Option<u16> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_decimal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_authority_and_target_are_parsed() {
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
    fn a_text_that_is_not_a_base_url_is_rejected() {
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
            "https://:9",
            "https://a:",
            "https://a:port",
            "https://a:65536",
            "https://a:+1",
            "https://[::1]9",
            "https://[]",
            "https://a[::1]:9",
            "https://a[b]",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }
}
