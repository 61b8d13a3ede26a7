//! `healthcheck`: exit 0 when the gateway says it is ready; for containers without a shell.
//!
//! Relies on nothing but a socket: the configuration is read for `admin.listen` alone, so that no secret has to be
//! there and a file that `serve` would refuse still does. Never waits longer than 3 seconds.

use std::{
    env,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

const TIMEOUT: Duration = Duration::from_secs(3);
const DEFAULT_ADMIN: &str = "127.0.0.1:9090";
const OVERRIDE: &str = "LIVENESS_GATEWAY__ADMIN__LISTEN";
/// Bytes of an answer's head at the most.
const MAX_HEAD: usize = 16 * 1024;

/// What the command takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to ask, `http://` only [default: `/readyz` of the configured admin address]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The configuration file, read for the admin address alone
    #[arg(long, value_name = "FILE", env = "LIVENESS_GATEWAY_CONFIG")]
    config: Option<PathBuf>,
}

impl Args {
    /// Exit 0: the answer was 200 within 3 seconds. Exit 1: it was not, and why is on standard error.
    pub fn run(&self) -> ExitCode {
        let asked = target(
            self.url.as_deref(),
            env::var(OVERRIDE).ok().as_deref(),
            self.config.as_deref(),
        )
        .and_then(|target| ask(&target, TIMEOUT));
        match asked {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                eprintln!("healthcheck: {reason}");
                ExitCode::FAILURE
            }
        }
    }
}

/// What to ask whom.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// Host and port, as a socket address is written.
    authority: String,
    path: String,
}

fn target(
    url: Option<&str>,
    overridden: Option<&str>,
    config: Option<&Path>,
) -> Result<Target, String> {
    if let Some(url) = url {
        return parse_url(url);
    }
    let listen = match (overridden, config) {
        (Some(address), _) => address.to_owned(),
        (None, Some(path)) => configured(path)?,
        (None, None) => DEFAULT_ADMIN.to_owned(),
    };
    let mut address: SocketAddr = listen.parse().map_err(|_| {
        format!("the admin address `{listen}` is not an address and a port, like `{DEFAULT_ADMIN}`")
    })?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    Ok(Target {
        authority: address.to_string(),
        path: "/readyz".to_owned(),
    })
}

/// `admin.listen` out of the file; its default where the file does not say.
fn configured(path: &Path) -> Result<String, String> {
    let file = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("`{file}` can't be read: {error}"))?;
    // The parser's message would show a line of the file.
    let table: toml::Table = text
        .parse()
        .map_err(|_| format!("`{file}` is not valid TOML"))?;
    match table.get("admin").and_then(|admin| admin.get("listen")) {
        None => Ok(DEFAULT_ADMIN.to_owned()),
        Some(toml::Value::String(listen)) => Ok(listen.clone()),
        Some(_) => Err(format!("`admin.listen` in `{file}` is not a string")),
    }
}

fn parse_url(url: &str) -> Result<Target, String> {
    let malformed =
        || format!("`{url}` is not a URL like `http://{DEFAULT_ADMIN}/readyz` (only http://)");
    let rest = url.strip_prefix("http://").ok_or_else(malformed)?;
    let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_at);
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if authority.is_empty()
        || authority.contains(['@', '#'])
        || !plain(authority)
        || !plain(path)
        || path.contains('#')
    {
        return Err(malformed());
    }
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let authority = if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(Target {
        authority,
        path: format!("{slash}{path}"),
    })
}

/// Asks once; everything together takes `limit` at the most, but for the system's look-up of a name.
fn ask(target: &Target, limit: Duration) -> Result<(), String> {
    let Target { authority, path } = target;
    let deadline = Instant::now() + limit;
    let addresses = authority
        .to_socket_addrs()
        .map_err(|error| format!("`{authority}` has no address: {error}"))?;
    let mut stream = connect(addresses, deadline)
        .map_err(|error| format!("can't connect to {authority}: {error}"))?;
    let status = status(&mut stream, authority, path, deadline)
        .map_err(|error| format!("no answer from http://{authority}{path}: {error}"))?;
    if status == 200 {
        Ok(())
    } else {
        Err(format!("http://{authority}{path} answered {status}"))
    }
}

fn connect(
    addresses: impl Iterator<Item = SocketAddr>,
    deadline: Instant,
) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn status(
    stream: &mut TcpStream,
    authority: &str,
    path: &str,
    deadline: Instant,
) -> io::Result<u16> {
    stream.set_write_timeout(Some(left(deadline)?))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let read = match stream.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        };
        head.extend_from_slice(chunk.get(..read).unwrap_or_default());
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {
                return response.code.ok_or(io::ErrorKind::InvalidData.into());
            }
            Ok(httparse::Status::Partial) if head.len() < MAX_HEAD => {}
            Ok(httparse::Status::Partial) | Err(_) => {
                return Err(io::Error::other("that is not HTTP"));
            }
        }
    }
}

/// Time until the deadline; an error when there is none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// A server for one connection that answers with these bytes, then keeps it open until the peer is done.
    fn once(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut read = [0; 1024];
            let _ = stream.read(&mut read).unwrap();
            stream.write_all(answer).unwrap();
            while matches!(stream.read(&mut read), Ok(1..)) {}
        });
        address.to_string()
    }

    fn asked(answer: &'static [u8], limit: Duration) -> Result<(), String> {
        ask(
            &Target {
                authority: once(answer),
                path: "/readyz".into(),
            },
            limit,
        )
    }

    #[test]
    fn only_200_is_healthy() {
        assert_eq!(
            asked(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", TIMEOUT),
            Ok(())
        );
        let refused = asked(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", TIMEOUT).unwrap_err();
        assert!(refused.ends_with("/readyz answered 503"), "{refused}");
        assert!(
            asked(b"SSH-2.0-x\r\n", TIMEOUT)
                .unwrap_err()
                .contains("not HTTP")
        );
    }

    #[test]
    fn a_silent_or_absent_gateway_is_an_error_in_time() {
        let late = asked(b"HTTP/1.1 200", Duration::from_millis(50)).unwrap_err();
        assert!(late.contains("no answer"), "{late}");
        let gone = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .to_string();
        let error = ask(
            &Target {
                authority: gone,
                path: "/".into(),
            },
            TIMEOUT,
        )
        .unwrap_err();
        assert!(error.contains("can't connect"), "{error}");
    }

    #[test]
    fn urls_are_read_or_refused() {
        let read = |url| parse_url(url).map(|target| (target.authority, target.path));
        let is = |authority: &str, path: &str| Ok((authority.to_owned(), path.to_owned()));
        assert_eq!(
            read("http://127.0.0.1:1/livez"),
            is("127.0.0.1:1", "/livez")
        );
        assert_eq!(read("http://localhost"), is("localhost:80", "/"));
        assert_eq!(read("http://[::1]?x"), is("[::1]:80", "/?x"));
        for url in [
            "https://a/",
            "a:1",
            "http://",
            "http:///x",
            "http://u@a/",
            "http://a/x y",
            "http://a/#x",
            "http://a/\r\nx",
        ] {
            assert!(read(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_admin_address_is_found_without_any_secret() {
        let file = env::temp_dir().join(format!("healthcheck-{}.toml", std::process::id()));
        let of = |text: &str, overridden| {
            std::fs::write(&file, text).unwrap();
            target(None, overridden, Some(&file)).map(|target| target.authority)
        };
        let secret = "[qiniu]\nsecret_key = { env = \"NOT_SET\" }\n";
        assert_eq!(
            of(&format!("{secret}[admin]\nlisten = \"0.0.0.0:91\""), None).unwrap(),
            "127.0.0.1:91"
        );
        assert_eq!(of("admin.listen = \"[::]:91\"", None).unwrap(), "[::1]:91");
        assert_eq!(
            of("admin.listen = \"10.0.0.1:91\"", None).unwrap(),
            "10.0.0.1:91"
        );
        assert_eq!(of(secret, None).unwrap(), DEFAULT_ADMIN);
        assert_eq!(
            of("admin.listen = \"10.0.0.1:91\"", Some("10.0.0.2:92")).unwrap(),
            "10.0.0.2:92"
        );
        assert!(of("admin.listen = 1", None).is_err());
        assert!(of("admin.listen = \"here\"", None).is_err());
        assert!(of("key = hunter2", None).is_err_and(|error| !error.contains("hunter2")));
        std::fs::remove_file(&file).unwrap();
        assert!(target(None, None, Some(&file)).is_err());
        assert_eq!(target(None, None, None).unwrap().authority, DEFAULT_ADMIN);
    }
}
