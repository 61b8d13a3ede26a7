//! `healthcheck`: exits with 0 if the gateway is ready, for containers without a shell.
//!
//! It reads only `admin.listen` of the configuration, so it needs no secrets and works with a file
//! that `serve` would refuse. It sends one request, follows no redirect, and never takes longer
//! than 3 seconds.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use tokio::{runtime::Builder, time::timeout};

use crate::outbound::{
    MalformedResponse,
    connection::OutboundConnection,
    dial::Dialer,
    exchange::{ExchangeError, ResponseReader, exchange},
    origin::Url,
    request::{OutboundBody, OutboundRequest},
};

const TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum size of a body that is shown, in bytes.
const MAX_SHOWN: usize = 1024;
const DEFAULT_ADMIN: &str = "127.0.0.1:9090";
/// Environment variable that overrides `admin.listen`.
const OVERRIDE: &str = "LIVENESS_GATEWAY__ADMIN__LISTEN";

/// Arguments of `healthcheck`.
#[derive(Debug, clap::Args)]
pub struct HealthcheckArgs {
    /// URL to request, http:// only [default: /readyz of the configured admin address]
    ///
    /// For example http://localhost:9090/readyz
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Configuration file, read only for the admin address; without a file it is 127.0.0.1:9090
    #[arg(long, value_name = "FILE", env = "LIVENESS_GATEWAY_CONFIG")]
    config: Option<PathBuf>,
}

/// Why the gateway is not known to be ready.
#[derive(Debug, thiserror::Error)]
enum HealthcheckError {
    #[error("--url `{0}` is not an http:// URL, for example http://localhost:9090/readyz")]
    Url(String),
    #[error("the admin address `{0}` is not an IP address with a port, for example 127.0.0.1:9090")]
    AdminAddress(String),
    #[error("can't read `{}`", path.display())]
    Config { path: PathBuf, source: io::Error },
    /// Without the parser's message, which would show a line of the file.
    #[error("`{}` is not valid TOML", .0.display())]
    Toml(PathBuf),
    #[error("`admin.listen` in `{}` is not a string", .0.display())]
    ListenType(PathBuf),
    #[error("the runtime can't be set up")]
    Runtime(#[source] io::Error),
    #[error("can't connect to {url}")]
    Connect { url: String, source: io::Error },
    #[error("no valid response from {url}")]
    Exchange { url: String, source: ExchangeError },
    #[error("no response from {url} within {} ms", limit.as_millis())]
    Timeout { url: String, limit: Duration },
    #[error("{url} responded with status {status}{said}")]
    Status {
        url: String,
        status: u16,
        /// The body behind a colon, or nothing.
        said: String,
    },
}

impl HealthcheckArgs {
    /// Exits with 0 if the response has status 200, else with 1 and the reason on standard error.
    pub fn run(&self) -> ExitCode {
        match self.check() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => super::fail(&error),
        }
    }

    fn check(&self) -> Result<(), HealthcheckError> {
        let listen = env::var(OVERRIDE).ok();
        let url = url(
            self.url.as_deref(),
            listen.as_deref(),
            self.config.as_deref(),
        )?;
        check_within(&url, TIMEOUT)
    }
}

/// The URL to request. `--url` comes first, then the environment, then the file.
fn url(
    url: Option<&str>,
    listen: Option<&str>,
    config: Option<&Path>,
) -> Result<Url, HealthcheckError> {
    if let Some(text) = url {
        let url = Url::parse(text).filter(|url| !url.origin.tls);
        return url.ok_or_else(|| HealthcheckError::Url(text.to_owned()));
    }
    let listen = match (listen, config) {
        (Some(address), _) => address.to_owned(),
        (None, Some(path)) => configured_listen(path)?,
        (None, None) => DEFAULT_ADMIN.to_owned(),
    };
    let wrong = || HealthcheckError::AdminAddress(listen.clone());
    let address = super::local_address(listen.parse().map_err(|_| wrong())?);
    Url::parse(&format!("http://{address}/readyz")).ok_or_else(wrong)
}

/// Reads `admin.listen` from the file, or returns its default.
fn configured_listen(path: &Path) -> Result<String, HealthcheckError> {
    let text = fs::read_to_string(path).map_err(|source| HealthcheckError::Config {
        path: path.to_owned(),
        source,
    })?;
    let table: toml::Table = text
        .parse()
        .map_err(|_| HealthcheckError::Toml(path.to_owned()))?;
    match table.get("admin").and_then(|admin| admin.get("listen")) {
        None => Ok(DEFAULT_ADMIN.to_owned()),
        Some(toml::Value::String(listen)) => Ok(listen.clone()),
        Some(_) => Err(HealthcheckError::ListenType(path.to_owned())),
    }
}

/// Sends the request; everything together, name resolution included, takes at most `limit`.
fn check_within(url: &Url, limit: Duration) -> Result<(), HealthcheckError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(HealthcheckError::Runtime)?;
    let response = runtime.block_on(async { timeout(limit, request(url)).await });
    // Not waiting for the thread that may still be resolving a name.
    runtime.shutdown_background();
    let (status, said) = response.unwrap_or_else(|_| {
        Err(HealthcheckError::Timeout {
            url: shown(url),
            limit,
        })
    })?;
    if status == 200 {
        Ok(())
    } else {
        let url = shown(url);
        Err(HealthcheckError::Status { url, status, said })
    }
}

/// Returns the status of the response, and what it says if that is not 200.
async fn request(url: &Url) -> Result<(u16, String), HealthcheckError> {
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        url.target, url.origin.authority
    );
    let request = OutboundRequest {
        head: head.as_bytes(),
        body: OutboundBody::Kept(&[]),
    };
    let mut connection = Dialer::default()
        .open(&url.origin, None, TIMEOUT)
        .await
        .map_err(|source| HealthcheckError::Connect {
            url: shown(url),
            source,
        })?;
    let response = exchange(&mut connection, request).await;
    let mut response = response.map_err(|source| HealthcheckError::Exchange {
        url: shown(url),
        source,
    })?;
    let said = match response.status() {
        200 => None,
        _ => body(&mut response, &mut connection).await,
    };
    let said = said.map(|text| format!(": {text}")).unwrap_or_default();
    Ok((response.status(), said))
}

/// The body of a response, if it is a short line of printable ASCII, as that of `/readyz` is.
async fn body(
    response: &mut ResponseReader,
    connection: &mut OutboundConnection,
) -> Option<String> {
    let length: usize = response.field("content-length")?.parse().ok()?;
    if length > MAX_SHOWN {
        return None;
    }
    let mut body = Vec::with_capacity(length);
    let take = |piece: &[u8]| {
        body.extend_from_slice(piece);
        Ok::<_, MalformedResponse>(())
    };
    response.body(connection, take).await.ok()?;
    let text = String::from_utf8(body).ok()?;
    let text = text.trim_ascii_end();
    let printable = |byte: &u8| matches!(byte, b' '..=b'~');
    (!text.is_empty() && text.as_bytes().iter().all(printable)).then(|| text.to_owned())
}

fn shown(url: &Url) -> String {
    format!("http://{}{}", url.origin.authority, url.target)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// Serves one connection: sends these bytes, then keeps it open until the peer closes it.
    fn serve_once(response: &'static [u8]) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut read = [0; 1024];
            let _ = stream.read(&mut read).unwrap();
            stream.write_all(response).unwrap();
            while matches!(stream.read(&mut read), Ok(1..)) {}
        });
        Url::parse(&format!("http://localhost:{port}/readyz")).unwrap()
    }

    fn check(response: &'static [u8], limit: Duration) -> Result<(), HealthcheckError> {
        check_within(&serve_once(response), limit)
    }

    #[test]
    fn only_status_200_is_healthy() {
        check(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", TIMEOUT).unwrap();
        let refused = check(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", TIMEOUT).unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.ends_with("/readyz responded with status 503"),
            "{refused}"
        );
        for (body, shown) in [("{\"ready\":false}", ": {\"ready\":false}"), ("a\nb", "")] {
            let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: ";
            let response = format!("{head}{}\r\n\r\n{body}", body.len());
            let refused = check(response.leak().as_bytes(), TIMEOUT).unwrap_err();
            let wanted = format!("responded with status 503{shown}");
            assert!(refused.to_string().ends_with(&wanted), "{refused}");
        }
        let other = check(b"SSH-2.0-x\r\n", TIMEOUT).unwrap_err();
        assert!(
            matches!(other, HealthcheckError::Exchange { .. }),
            "{other}"
        );
    }

    #[test]
    fn a_silent_or_absent_gateway_is_an_error_in_time() {
        let late = check(b"HTTP/1.1 200", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(late, HealthcheckError::Timeout { .. }), "{late}");
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let absent = Url::parse(&format!("http://{}/", free.unwrap())).unwrap();
        let error = check_within(&absent, TIMEOUT).unwrap_err();
        assert!(matches!(error, HealthcheckError::Connect { .. }), "{error}");
    }

    #[test]
    fn a_url_is_plain_http_or_refused_by_flag_value_and_example() {
        let read = |text| url(Some(text), None, None).map(|url| shown(&url)).ok();
        for (text, wanted) in [
            ("http://127.0.0.1:1/livez", "http://127.0.0.1:1/livez"),
            (
                "http://localhost:9090/readyz",
                "http://localhost:9090/readyz",
            ),
            ("http://localhost", "http://localhost/"),
            ("http://[::1]?x", "http://[::1]/?x"),
        ] {
            assert_eq!(read(text).as_deref(), Some(wanted));
        }
        for text in [
            "https://a/",
            "a:1",
            "localhost:9090",
            "http://",
            "http:///x",
            "http://u@a/",
            "http://a/x y",
            "http://a/#x",
            "http://a/\r\nx",
        ] {
            let error = url(Some(text), None, None).unwrap_err().to_string();
            for part in ["--url", text, "http://localhost:9090/readyz"] {
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn the_admin_address_is_found_without_any_secret() {
        let file = env::temp_dir().join(format!("healthcheck-{}.toml", std::process::id()));
        let of = |text: &str, listen| {
            fs::write(&file, text).unwrap();
            url(None, listen, Some(&file)).map(|url| url.origin.authority)
        };
        let secret = "[qiniu]\nsecret_key = { env = \"NOT_SET\" }\n";
        let any = format!("{secret}[admin]\nlisten = \"0.0.0.0:91\"");
        assert_eq!(of(&any, None).unwrap(), "127.0.0.1:91");
        assert_eq!(of("admin.listen = \"[::]:91\"", None).unwrap(), "[::1]:91");
        let listen = "admin.listen = \"10.0.0.1:91\"";
        assert_eq!(of(listen, None).unwrap(), "10.0.0.1:91");
        assert_eq!(of(secret, None).unwrap(), DEFAULT_ADMIN);
        let overridden = of(listen, Some("10.0.0.2:92"));
        assert_eq!(overridden.unwrap(), "10.0.0.2:92");
        assert!(of("admin.listen = 1", None).is_err());
        assert!(of("admin.listen = \"here\"", None).is_err());
        assert!(
            of("key = hunter2", None).is_err_and(|error| !error.to_string().contains("hunter2"))
        );
        fs::remove_file(&file).unwrap();
        assert!(url(None, None, Some(&file)).is_err());
        assert_eq!(
            url(None, None, None).unwrap().origin.authority,
            DEFAULT_ADMIN
        );
    }
}
