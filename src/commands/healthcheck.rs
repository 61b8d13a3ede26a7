//! `healthcheck`: asks a running gateway whether it is ready, for containers that have no shell and no curl.

use std::{
    env, fs,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args as ClapArgs;

const LIMIT: Duration = Duration::from_secs(3);
const DEFAULT_ADMIN: &str = "127.0.0.1:9090";

/// Arguments of `healthcheck`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// What to ask (http only); without it, /readyz of the configured admin address.
    #[arg(long)]
    url: Option<String>,
    /// The configuration file, for the admin address; its secrets are not needed.
    #[arg(long, value_name = "FILE", env = "LIVENESS_GATEWAY_CONFIG")]
    config: Option<PathBuf>,
}

impl Args {
    /// 0 when the answer is 200.
    pub fn run(&self) -> ExitCode {
        match self.ask() {
            Ok(200) => ExitCode::SUCCESS,
            Ok(status) => {
                eprintln!("error: not ready: HTTP {status}");
                ExitCode::FAILURE
            }
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn ask(&self) -> Result<u16, String> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => format!("http://{}/readyz", self.admin_address()?),
        };
        let rest = url
            .strip_prefix("http://")
            .ok_or("--url must begin with http://")?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let target = if authority
            .rsplit(']')
            .next()
            .is_some_and(|end| end.contains(':'))
        {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        let failed = |error: std::io::Error| format!("{url} can't be reached: {error}");
        let address = target
            .to_socket_addrs()
            .map_err(failed)?
            .next()
            .ok_or("the host has no address")?;
        let mut stream = TcpStream::connect_timeout(&address, LIMIT).map_err(failed)?;
        stream
            .set_read_timeout(Some(LIMIT))
            .and_then(|()| stream.set_write_timeout(Some(LIMIT)))
            .map_err(failed)?;
        stream
            .write_all(
                format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .map_err(failed)?;
        let mut answer = Vec::new();
        stream
            .take(16 * 1024)
            .read_to_end(&mut answer)
            .map_err(failed)?;
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut fields);
        response.parse(&answer).ok();
        response
            .code
            .ok_or_else(|| format!("{url} did not answer in HTTP"))
    }

    /// The admin address as `serve` would bind it; an unspecified one is asked over loopback.
    fn admin_address(&self) -> Result<SocketAddr, String> {
        let text = match (env::var("LIVENESS_GATEWAY__ADMIN__LISTEN"), &self.config) {
            (Ok(text), _) => text,
            (_, Some(path)) => {
                let file = fs::read_to_string(path)
                    .map_err(|error| format!("{} can't be read: {error}", path.display()))?;
                let table: toml::Table = toml::from_str(&file)
                    .map_err(|_| format!("{} is not TOML; see `check`", path.display()))?;
                let listen = table
                    .get("admin")
                    .and_then(|admin| admin.get("listen"))
                    .and_then(toml::Value::as_str);
                listen.unwrap_or(DEFAULT_ADMIN).to_owned()
            }
            _ => DEFAULT_ADMIN.to_owned(),
        };
        let mut address: SocketAddr = text
            .parse()
            .map_err(|_| format!("admin.listen `{text}` is not an address"))?;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                IpAddr::V4(Ipv4Addr::LOCALHOST)
            } else {
                IpAddr::V6(Ipv6Addr::LOCALHOST)
            });
        }
        Ok(address)
    }
}
