//! Who is compared: how each is started, and what it needs that may not be here.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    process::{Cores, Running, free_address},
    requests,
};

pub(crate) const ACCESS_KEY: &str = "AccessKeyOfTheComparison";
pub(crate) const SECRET_KEY: &str = "SecretKeyOfTheComparison";
pub(crate) const GATEWAY_PROGRAM: &str = env!("CARGO_BIN_EXE_liveness-gateway");

/// How much of the job a peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// Forwards, and no more.
    PassThrough,
    /// Signs, forwards and cuts; authenticates and limits nobody.
    Floor,
    /// All of it.
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    Floor,
    Nginx,
    Gateway,
}

/// Everybody, in the order of the tables.
pub(crate) const ALL: [Peer; 3] = [Peer::Floor, Peer::Nginx, Peer::Gateway];

/// What every proxy is told.
pub(crate) struct Setup<'a> {
    pub(crate) upstream: SocketAddr,
    pub(crate) tls: bool,
    /// Of the comparison, with the certificate in it.
    pub(crate) folder: &'a Path,
    /// As in `taskset -c`.
    pub(crate) cores: Option<String>,
}

impl<'a> Setup<'a> {
    pub(crate) fn new(folder: &'a Path, cores: Cores, upstream: SocketAddr, tls: bool) -> Self {
        Self {
            upstream,
            tls,
            folder,
            cores: cores.pinned.then(|| cores.proxy.to_string()),
        }
    }
}

/// A peer that runs.
pub(crate) struct Proxy {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Nginx => "nginx",
            Self::Gateway => "gateway",
        }
    }

    pub(crate) fn job(self) -> Job {
        match self {
            Self::Floor => Job::Floor,
            Self::Nginx => Job::PassThrough,
            Self::Gateway => Job::Full,
        }
    }

    /// What has to be installed and is not, as Debian packages.
    pub(crate) fn missing(self) -> Vec<&'static str> {
        let needs: &[(&str, &'static str)] = match self {
            Self::Floor | Self::Gateway => &[],
            Self::Nginx => &[("nginx", "nginx")],
        };
        needs
            .iter()
            .filter(|(file, _)| !is_there(file))
            .map(|(_, package)| *package)
            .collect()
    }

    pub(crate) fn start(self, setup: &Setup<'_>) -> Result<Proxy, String> {
        let address = free_address().map_err(|error| format!("no free port: {error}"))?;
        let command = self
            .command(setup, address)
            .map_err(|error| format!("its configuration can't be written: {error}"))?;
        let running = Running::start(&command, setup.cores.as_deref(), address)?;
        Ok(Proxy { running, address })
    }

    fn command(self, setup: &Setup<'_>, listen: SocketAddr) -> io::Result<Command> {
        let folder = setup
            .folder
            .join(format!("{}-{}", self.name(), listen.port()));
        fs::create_dir_all(&folder)?;
        let fill = Fill::new(setup, listen, &folder);
        match self {
            Self::Floor => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("floor").arg(listen.to_string());
                command.arg(setup.upstream.to_string());
                if setup.tls {
                    command.arg(setup.folder);
                }
                Ok(with_keys(command))
            }
            Self::Nginx => {
                let tls = if setup.tls { "ssl" } else { "" };
                let file = fill.file(include_str!("peers/nginx-pass.conf"), "nginx.conf", tls)?;
                let mut command = Command::new(program("nginx"));
                command.arg("-p").arg(&folder).arg("-c").arg(file);
                Ok(command)
            }
            Self::Gateway => {
                let certs = setup.folder.display();
                let tls = format!(
                    "[server.tls]\ncertificate = \"{certs}/cert.pem\"\nprivate_key = \"{certs}/key.pem\""
                );
                let tls = if setup.tls { &tls } else { "" };
                let file = fill.file(include_str!("peers/gateway.toml"), "gateway.toml", tls)?;
                let mut command = Command::new(GATEWAY_PROGRAM);
                command.arg("serve").arg("--config").arg(file);
                Ok(with_keys(command))
            }
        }
    }
}

/// Fills in what a prepared configuration leaves open.
struct Fill<'a> {
    folder: &'a Path,
    words: BTreeMap<&'static str, String>,
}

impl<'a> Fill<'a> {
    fn new(setup: &Setup<'_>, listen: SocketAddr, folder: &'a Path) -> Self {
        let words = [
            ("@LISTEN@", listen.to_string()),
            ("@UPSTREAM@", setup.upstream.to_string()),
            ("@DIR@", folder.display().to_string()),
            ("@CERTS@", setup.folder.display().to_string()),
            ("@ISSUER@", requests::ISSUER.to_owned()),
            ("@AUDIENCE@", requests::AUDIENCE.to_owned()),
            ("@SECRET@", requests::SECRET.to_owned()),
            ("@ACCESS_KEY@", ACCESS_KEY.to_owned()),
            ("@SECRET_KEY@", SECRET_KEY.to_owned()),
        ];
        Self {
            folder,
            words: words.into(),
        }
    }

    fn file(&self, text: &str, name: &str, tls: &str) -> io::Result<PathBuf> {
        let mut text = text.replace("@TLS@", tls);
        for (word, value) in &self.words {
            text = text.replace(word, value);
        }
        let file = self.folder.join(name);
        fs::write(&file, text)?;
        Ok(file)
    }
}

pub(crate) fn with_keys(mut command: Command) -> Command {
    command
        .env("QINIU_ACCESS_KEY", ACCESS_KEY)
        .env("QINIU_SECRET_KEY", SECRET_KEY)
        .env("LOGIN_SECRET", requests::SECRET);
    command
}

/// A program on the path, or in the folders of the system's services; or a file.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| PathBuf::from(name))
}

fn is_there(name: &str) -> bool {
    program(name).is_file()
}
