//! `[server.cors]`: origins as browsers send them, and names of header fields.
//!
//! An origin that no browser would send never matches, and its page would fail without a hint: so
//! each is checked to the letter. Nothing here decides about a request.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use hyper::header::HeaderName;

use super::{
    reader::{ConfigReader, Located},
    section::ConfigSection,
    tree::ConfigTable,
};
use crate::relay::cors::CorsSettings;

/// Header fields that browsers write themselves (Fetch standard, "forbidden request-header"). Those
/// that begin with `sec-`, `proxy-` or `access-control-` are among them.
const WRITTEN_BY_BROWSERS: &[&str] = &[
    "accept-charset",
    "accept-encoding",
    "connection",
    "content-length",
    "cookie",
    "cookie2",
    "date",
    "dnt",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

impl ConfigReader<'_> {
    pub(super) fn cors(&mut self, root: &ConfigTable) -> CorsSettings {
        let section = ConfigSection::at(root, "server.cors");
        self.header("[server.cors]");
        let origins = self.texts(&section, "allowed_origins").unwrap_or_default();
        let headers = self.texts(&section, "allowed_headers").unwrap_or_default();
        // On an error nothing is started, so the value does not matter.
        let max_age = self.duration(&section, "max_age").unwrap_or(Duration::ZERO);
        for (origin, location) in &origins {
            if let Err(fault) = check_origin(origin) {
                let message = format!("`{origin}` is not an exact origin: {}", fault.why);
                self.error(location, message, fault.help());
            }
        }
        for header in &headers {
            self.allowed_header(header);
        }
        let texts = |located: Vec<Located<String>>| located.into_iter().map(|(text, _)| text);
        CorsSettings {
            allowed_origins: texts(origins).collect(),
            allowed_headers: texts(headers).collect(),
            max_age,
        }
    }

    fn allowed_header(&mut self, (name, location): &Located<String>) {
        let parsed = HeaderName::try_from(name.as_str()).ok();
        match parsed.as_ref().map(HeaderName::as_str) {
            Some("*") => self.error(
                location,
                "`*` is not accepted in `allowed_headers`",
                "name each header: to browsers, `*` does not include `Authorization`",
            ),
            Some(name) if is_written_by_browsers(name) => self.error(
                location,
                format!("no page can set the header `{name}`"),
                "leave it out: browsers write it themselves. Users are authenticated by \
                 `Authorization`, never by cookies",
            ),
            Some(_) => {}
            None => self.error(
                location,
                format!("`{name}` is not the name of a header"),
                "write one like \"x-b3-traceid\"",
            ),
        }
    }
}

/// Whether a page can't set this header field. Its name is in lower case.
fn is_written_by_browsers(name: &str) -> bool {
    let prefixes = ["sec-", "proxy-", "access-control-"];
    WRITTEN_BY_BROWSERS.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Why no browser sends a text as an origin, or why it names no page.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
struct OriginFault {
    why: &'static str,
    /// What to write instead, if that can be told.
    right: Option<String>,
}

impl OriginFault {
    fn new(why: &'static str) -> Self {
        Self { why, right: None }
    }

    /// A fault that this text has no more. It may have others.
    fn fixed(why: &'static str, text: String) -> Self {
        let right = match check_origin(&text) {
            Ok(()) => Some(text),
            Err(fault) => fault.right,
        };
        Self { why, right }
    }

    fn help(&self) -> String {
        match &self.right {
            Some(right) => format!("write \"{right}\""),
            None => "write it as a browser sends it: \"https://app.example.com\", or \
                     \"capacitor://localhost\" for a page inside of an app"
                .into(),
        }
    }
}

/// Checks that this is an origin as browsers write it (RFC 6454 section 6.2): the scheme, the host
/// and a port that is not the scheme's own.
fn check_origin(text: &str) -> Result<(), OriginFault> {
    if text == "null" {
        return Err(OriginFault::new("every sandboxed frame of any page has it"));
    }
    if text.contains('*') {
        return Err(OriginFault::new(
            "`*` is not accepted, each origin is named",
        ));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let why = "it has no scheme";
        // With a dot and without a colon, it can only be meant as a host.
        return Err(match text.contains('.') && !text.contains(':') {
            true => OriginFault::fixed(why, format!("https://{text}")),
            false => OriginFault::new(why),
        });
    };
    if scheme.contains(|letter: char| letter.is_ascii_uppercase()) {
        let lower = format!("{}://{rest}", scheme.to_ascii_lowercase());
        return Err(OriginFault::fixed("the scheme is not in lower case", lower));
    }
    let is_scheme = |text: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(inner)
    };
    if !is_scheme(scheme) {
        return Err(OriginFault::new("the scheme is not valid"));
    }
    if scheme == "file" {
        return Err(OriginFault::new("every local file of any app may have it"));
    }
    if let Some(end) = rest.find(['/', '?', '#']) {
        let bare = format!("{scheme}://{}", rest.get(..end).unwrap_or_default());
        let why = match rest.get(end..) {
            Some("/") => "it ends with a slash",
            _ => "it has a path or a query",
        };
        return Err(OriginFault::fixed(why, bare));
    }
    check_authority(scheme, rest)
}

fn check_authority(scheme: &str, authority: &str) -> Result<(), OriginFault> {
    if let Some((_, rest)) = authority.rsplit_once('@') {
        let rest = format!("{scheme}://{rest}");
        return Err(OriginFault::fixed("it has a user or a password", rest));
    }
    let bracket = authority.rfind(']').unwrap_or(0);
    let colon = authority.rfind(':').filter(|colon| *colon >= bracket);
    let (host, port) = match colon.and_then(|at| authority.split_at_checked(at)) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => (authority, None),
    };
    check_host(scheme, host, port)?;
    let Some(port) = port else {
        return Ok(());
    };
    let number = port.parse::<u16>().ok();
    let Some(number) = number.filter(|number| number.to_string() == port) else {
        return Err(OriginFault::new("the port is not a number from 0 to 65535"));
    };
    if matches!((scheme, number), ("http", 80) | ("https", 443)) {
        let bare = format!("{scheme}://{host}");
        return Err(OriginFault::fixed(
            "browsers leave the default port out",
            bare,
        ));
    }
    Ok(())
}

fn check_host(scheme: &str, host: &str, port: Option<&str>) -> Result<(), OriginFault> {
    let with = |host: &str| match port {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    };
    if host.is_empty() {
        return Err(OriginFault::new("it has no host"));
    }
    if let Some(literal) = host.strip_prefix('[') {
        let address = literal.strip_suffix(']').unwrap_or_default();
        return match address.parse::<Ipv6Addr>() {
            Ok(parsed) if parsed.to_string() == address => Ok(()),
            Ok(parsed) => {
                let why = "browsers write the address in its short form";
                Err(OriginFault::fixed(why, with(&format!("[{parsed}]"))))
            }
            Err(_) => Err(OriginFault::new("the address is not valid")),
        };
    }
    if !host.is_ascii() {
        return Err(OriginFault::new(
            "browsers write such a host in ASCII, beginning with `xn--`",
        ));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !host.bytes().all(allowed) {
        return Err(OriginFault::new(
            "the host has a character that no host has",
        ));
    }
    let is_web = matches!(scheme, "http" | "https");
    // Of other schemes, browsers keep the host as it is.
    if is_web && host.contains(|letter: char| letter.is_ascii_uppercase()) {
        let lower = with(&host.to_ascii_lowercase());
        return Err(OriginFault::fixed("the host is not in lower case", lower));
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    if is_web && is_number && host.parse::<Ipv4Addr>().is_err() {
        return Err(OriginFault::new("the address is not valid"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_of_pages_apps_and_extensions_are_exact() {
        for origin in [
            "https://app.example.com",
            "http://localhost:3000",
            "https://localhost",
            "http://127.0.0.1:5173",
            "http://[::1]:8080",
            "https://xn--fiq228c.example",
            "https://a_b.example.com.",
            "capacitor://localhost",
            "ionic://localhost",
            "tauri://localhost",
            "http://tauri.localhost",
            "wails://wails.localhost:34115",
            "app://.",
            "app://obsidian.md",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "moz-extension://b3a1c7e0-93f5-4a2c-8e39-0f6b7d1c2a55",
            "safari-web-extension://E3449EA7-EC25-4696-8E6F-56EE27DB38D3",
        ] {
            assert_eq!(check_origin(origin), Ok(()), "{origin}");
        }
    }

    #[test]
    fn what_no_browser_sends_is_a_fault_with_its_fix() {
        for (text, right) in [
            ("https://a.com/", "https://a.com"),
            ("https://a.com/app?x#y", "https://a.com"),
            ("https://a.com?x", "https://a.com"),
            ("HTTPS://A.com:443/", "https://a.com"),
            ("http://a.com:80", "http://a.com"),
            ("https://a.com:80", ""),
            ("https://user:password@a.com", "https://a.com"),
            ("https://[0:0::1]:8443", "https://[::1]:8443"),
            ("capacitor://localhost/", "capacitor://localhost"),
            ("app.example.com", "https://app.example.com"),
            ("app.example.com/", "https://app.example.com"),
        ] {
            let fault = check_origin(text).err();
            let found = fault.and_then(|fault| fault.right).unwrap_or_default();
            assert_eq!(found, right, "{text}");
        }
        for text in [
            "",
            "*",
            "null",
            "https://*.a.com",
            "https://a.com:*",
            "localhost",
            "localhost:3000",
            "file://",
            "file:///index.html",
            "://a.com",
            "1a://a.com",
            "a b://c",
            "https://",
            "https://:8080",
            "https://a.com:",
            "https://a.com:080",
            "https://a.com:65536",
            "https://a.com:x",
            "https://a b.com",
            "https://a,b",
            "https://a.com, https://b.com",
            "https://中国.example",
            "https://[::1",
            "https://[]",
            "https://[::1]x:80",
            "https://1.2.3",
            "https://1.2.3.400",
            "data:text/html,x",
        ] {
            let fault = check_origin(text).expect_err(text);
            assert_eq!(fault.right, None, "{text}");
        }
    }

    #[test]
    fn a_fault_names_what_to_write() {
        let fault = check_origin("https://A.com/").unwrap_err();
        assert_eq!(fault.why, "it ends with a slash");
        assert_eq!(fault.help(), "write \"https://a.com\"");
        let fault = check_origin("null").unwrap_err();
        assert!(fault.help().contains("capacitor://localhost"));
    }
}
