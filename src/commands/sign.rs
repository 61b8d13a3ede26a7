//! `sign`: prints the `Authorization` value of a request to Qiniu, to debug a signature.
//!
//! It signs with the gateway's own signer. It sends nothing, and never prints a key.

use std::{fs, io, path::PathBuf, process::ExitCode};

use super::arguments::{self, ACCESS_KEY, KeyVariableError, SECRET_KEY};
use crate::{
    outbound::origin::Url,
    qiniu::{
        Credentials,
        signature::{QiniuSignature, SignedParts},
    },
};

/// Arguments of `sign`.
#[derive(Debug, clap::Args)]
pub struct SignArgs {
    /// HTTP method of the request
    #[arg(long, default_value = "POST")]
    method: String,
    /// URL of the request; without a `Host` header, its host is signed in lower case
    ///
    /// For example `https://face-actlive.qiniuapi.com/v2/actionliveness/sessioncode`
    #[arg(long)]
    url: String,
    /// Header of the request, repeatable; `Host`, `Content-Type` and `X-Qiniu-*` are signed
    ///
    /// For example 'Content-Type: application/json'
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// File with the body of the request [default: no body]
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
}

/// Why a request can't be signed.
#[derive(Debug, thiserror::Error)]
enum SignError {
    #[error(transparent)]
    Key(#[from] KeyVariableError),
    #[error("--url `{0}` is not a whole URL, for example https://host.example/path")]
    Url(String),
    #[error("--header `{0}` has no colon, for example 'Content-Type: application/json'")]
    Header(String),
    #[error("can't read --body {}", path.display())]
    Body { path: PathBuf, source: io::Error },
}

impl SignArgs {
    /// Prints the value of `Authorization` to standard output.
    pub fn run(&self) -> ExitCode {
        match self.authorization() {
            Ok(value) => super::print(&format!("{value}\n")),
            Err(error) => super::fail(&error),
        }
    }

    fn authorization(&self) -> Result<String, SignError> {
        let credentials = Credentials {
            access_key: arguments::qiniu_key(ACCESS_KEY)?,
            secret_key: arguments::qiniu_key(SECRET_KEY)?,
        };
        let url = parse_url(&self.url)?;
        let headers = self
            .headers
            .iter()
            .map(|header| split(header))
            .collect::<Result<Vec<_>, _>>()?;
        let body = match &self.body {
            Some(path) => fs::read(path).map_err(|source| SignError::Body {
                path: path.clone(),
                source,
            })?,
            None => Vec::new(),
        };
        let (path, query) = url.target.split_once('?').unwrap_or((&url.target, ""));
        let mut signature = QiniuSignature::new(
            &credentials,
            &SignedParts {
                method: &self.method,
                path,
                query,
                host: host(&url, &headers),
                headers: &headers,
            },
        );
        signature.body(&body);
        Ok(signature.authorization())
    }
}

fn parse_url(text: &str) -> Result<Url, SignError> {
    Url::parse(text).ok_or_else(|| SignError::Url(text.to_owned()))
}

/// The `Host` header of the request: the one that was given, or what a client sends for the URL.
fn host<'a>(url: &'a Url, headers: &[(&str, &'a str)]) -> &'a str {
    let given = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("host"));
    given.map_or(url.origin.authority.as_str(), |(_, host)| host)
}

fn split(header: &str) -> Result<(&str, &str), SignError> {
    let (name, value) = header
        .split_once(':')
        .ok_or_else(|| SignError::Header(header.to_owned()))?;
    Ok((name.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_host_is_the_one_that_a_client_sends() {
        for (url, header, wanted) in [
            ("https://h.example/a", None, Some("h.example")),
            ("https://h.example:443/a", None, Some("h.example")),
            ("http://h.example:443/a", None, Some("h.example:443")),
            ("http://127.0.0.1:9/a", None, Some("127.0.0.1:9")),
            ("https://h.example/a", Some("other"), Some("other")),
            ("h.example", None, None),
            ("/a", Some("h.example"), None),
        ] {
            let headers: Vec<_> = header.map(|host| ("host", host)).into_iter().collect();
            let parsed = parse_url(url).ok();
            let host = parsed.as_ref().map(|url| host(url, &headers));
            assert_eq!(host, wanted, "{url}");
        }
    }
}
