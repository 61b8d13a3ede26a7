//! The command line of each peer: fills in its configuration or source template, in a directory of
//! its own. Relies on `peers` to start the command. Downloads nothing.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use data_encoding::BASE64;

use super::{ACCESS_KEY, Peer, PeerSetup, SECRET_KEY, program, with_keys};
use crate::requests;

/// One start of one peer.
pub(super) struct Launch<'a> {
    setup: &'a PeerSetup,
    listen: SocketAddr,
    folder: PathBuf,
}

impl<'a> Launch<'a> {
    pub(super) fn new(peer: Peer, setup: &'a PeerSetup, listen: SocketAddr) -> io::Result<Self> {
        let folder = format!("{}-{}", peer.name(), listen.port());
        let folder = setup.folder.join(folder);
        fs::create_dir_all(&folder)?;
        Ok(Self {
            setup,
            listen,
            folder,
        })
    }

    pub(super) fn command(&self, peer: Peer) -> io::Result<Command> {
        match peer {
            Peer::Floor => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("floor");
                Ok(self.with_addresses(command))
            }
            Peer::Nginx => self.nginx(include_str!("nginx-pass.conf")),
            Peer::NginxLua => {
                self.file(include_str!("nginx-full.lua"), "full.lua", "")?;
                self.nginx(include_str!("nginx-lua.conf"))
            }
            Peer::Gateway => self.gateway(),
            Peer::HaProxyPass => self.haproxy(include_str!("haproxy-pass.cfg")),
            Peer::HaProxy => {
                self.file(include_str!("haproxy-full.lua"), "full.lua", "")?;
                self.haproxy(include_str!("haproxy.cfg"))
            }
            Peer::Go => {
                let source = self.file(include_str!("proxy.go"), "proxy.go", "")?;
                let built = build_go(&source, &self.folder)?;
                Ok(self.with_addresses(Command::new(built)))
            }
            Peer::Node => {
                let source = self.file(include_str!("proxy.mjs"), "proxy.mjs", "")?;
                let mut command = Command::new(program("node"));
                command.arg(source);
                Ok(self.with_addresses(command))
            }
        }
    }

    fn nginx(&self, text: &str) -> io::Result<Command> {
        let file = self.file(text, "nginx.conf", "ssl http2")?;
        let mut command = Command::new(program("nginx"));
        command.arg("-p").arg(&self.folder).arg("-c").arg(file);
        Ok(command)
    }

    fn gateway(&self) -> io::Result<Command> {
        let tls =
            "[server.tls]\ncertificate = \"@CERTS@/cert.pem\"\nprivate_key = \"@CERTS@/key.pem\"";
        let file = self.file(include_str!("gateway.toml"), "gateway.toml", tls)?;
        let mut command = Command::new(&self.setup.gateway);
        command.arg("serve").arg("--config").arg(file);
        Ok(with_keys(command))
    }

    fn haproxy(&self, text: &str) -> io::Result<Command> {
        let tls = "ssl crt @CERTS@/both.pem alpn h2,http/1.1";
        let file = self.file(text, "haproxy.cfg", tls)?;
        let mut command = Command::new(program("haproxy"));
        command.arg("-db").arg("-f").arg(file);
        Ok(command)
    }

    /// Adds the arguments of our own programs: the address to listen on, the upstream, and the
    /// certificate directory or an empty text.
    fn with_addresses(&self, mut command: Command) -> Command {
        command.args([self.listen, self.setup.upstream].map(|address| address.to_string()));
        if self.setup.tls {
            command.arg(&self.setup.folder);
        } else {
            command.arg("");
        }
        with_keys(command)
    }

    /// Writes a template to a file, with its placeholders filled in. `tls` replaces `@TLS@` if the
    /// peer uses TLS.
    fn file(&self, text: &str, name: &str, tls: &str) -> io::Result<PathBuf> {
        let words = [
            (
                "@TLS@",
                if self.setup.tls {
                    tls.to_owned()
                } else {
                    String::new()
                },
            ),
            ("@READ@", self.setup.reading.to_string()),
            ("@LISTEN@", self.listen.to_string()),
            ("@UPSTREAM@", self.setup.upstream.to_string()),
            ("@DIR@", self.folder.display().to_string()),
            ("@CERTS@", self.setup.folder.display().to_string()),
            ("@ISSUER@", requests::ISSUER.to_owned()),
            ("@AUDIENCE@", requests::AUDIENCE.to_owned()),
            ("@SECRET@", requests::SECRET.to_owned()),
            ("@ACCESS_KEY@", ACCESS_KEY.to_owned()),
            ("@SECRET_KEY@", SECRET_KEY.to_owned()),
            ("@SECRET_KEY_BASE64@", BASE64.encode(SECRET_KEY.as_bytes())),
        ];
        let mut text = text.to_owned();
        for (word, value) in words {
            text = text.replace(word, &value);
        }
        let file = self.folder.join(name);
        fs::write(&file, text)?;
        Ok(file)
    }
}

/// Builds the Go peer, which needs only the standard library. Nothing is downloaded.
fn build_go(source: &Path, folder: &Path) -> io::Result<PathBuf> {
    let built = folder.join("proxy");
    let status = Command::new(program("go"))
        .args(["build", "-o"])
        .arg(&built)
        .arg(source)
        .env("GOPROXY", "off")
        .env("GO111MODULE", "off")
        .status()?;
    if status.success() {
        Ok(built)
    } else {
        Err(io::Error::other(format!("go build: {status}")))
    }
}
