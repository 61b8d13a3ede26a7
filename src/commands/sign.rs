//! `sign`: prints the `Authorization` value for a request, to debug a signature.

use std::{env, fs, path::PathBuf, process::ExitCode};

use clap::Args as ClapArgs;

use crate::{
    qiniu::{
        Credentials,
        signature::{QiniuSignature, SignedParts},
    },
    secret::Secret,
};

/// Arguments of `sign`. The keys come from `QINIU_ACCESS_KEY` and `QINIU_SECRET_KEY`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The method, as it will be sent.
    #[arg(long, default_value = "POST")]
    method: String,
    /// The whole URL, as it will be called.
    #[arg(long)]
    url: String,
    /// A header that will be sent; Content-Type and X-Qiniu-* are signed. May be given many times.
    #[arg(long = "header", value_name = "K: V")]
    headers: Vec<String>,
    /// A file with the body.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
}

impl Args {
    /// Prints the value.
    pub fn run(&self) -> ExitCode {
        match self.authorization() {
            Ok(value) => super::print(&format!("{value}\n")),
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn authorization(&self) -> Result<String, String> {
        let credentials = Credentials {
            access_key: key("QINIU_ACCESS_KEY")?,
            secret_key: key("QINIU_SECRET_KEY")?,
        };
        let url: hyper::Uri = self
            .url
            .parse()
            .map_err(|error| format!("--url is not a URL: {error}"))?;
        let headers = self
            .headers
            .iter()
            .map(|header| split(header))
            .collect::<Result<Vec<_>, _>>()?;
        let host = host(&url, &headers)?;
        let body = match &self.body {
            Some(path) => {
                fs::read(path).map_err(|error| format!("can't read {}: {error}", path.display()))?
            }
            None => Vec::new(),
        };
        let (path, query) = (url.path(), url.query().unwrap_or_default());
        let mut signature = QiniuSignature::new(
            &credentials,
            &SignedParts {
                method: &self.method,
                path,
                query,
                host: &host,
                headers: &headers,
            },
        );
        signature.body(&body);
        Ok(signature.authorization())
    }
}

/// The `Host` header that a client sends for this URL, if none is given: the port is left out where it is the scheme's own.
fn host(url: &hyper::Uri, headers: &[(&str, &str)]) -> Result<String, String> {
    const WHOLE: &str = "--url must be whole: https://host/path";
    let default = match url.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return Err(WHOLE.into()),
    };
    if let Some((_, host)) = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        return Ok((*host).to_owned());
    }
    let host = url.host().ok_or(WHOLE)?;
    Ok(match url.port_u16() {
        Some(port) if port != default => format!("{host}:{port}"),
        _ => host.to_owned(),
    })
}

fn split(header: &str) -> Result<(&str, &str), String> {
    let (name, value) = header
        .split_once(':')
        .ok_or_else(|| format!("--header `{header}` must be of the form `Name: value`"))?;
    Ok((name.trim(), value.trim()))
}

fn key(name: &str) -> Result<Secret, String> {
    match env::var(name) {
        Ok(value) if !value.is_empty() => Ok(Secret::new(value)),
        _ => Err(format!(
            "the environment variable {name} is not set; it must hold the Qiniu key"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_the_one_that_is_sent() {
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
            let host = host(&url.parse().unwrap(), &headers);
            assert_eq!(host.ok().as_deref(), wanted, "{url}");
        }
    }
}
