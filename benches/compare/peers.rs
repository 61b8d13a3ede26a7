//! The compared programs: how much of the job each does, and which packages it needs.

mod launch;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use self::launch::Launch;
use crate::{
    process::{Cores, Process, free_address},
    requests,
    workloads::Transport,
};

pub(crate) const ACCESS_KEY: &str = "AccessKeyOfTheComparison";
pub(crate) const SECRET_KEY: &str = "SecretKeyOfTheComparison";
pub(crate) const GATEWAY_PROGRAM: &str = env!("CARGO_BIN_EXE_liveness-gateway");

const NGINX_LUA: &str = "/usr/lib/nginx/modules/ngx_http_lua_module.so";
const CJSON_51: &str = "/usr/lib/x86_64-linux-gnu/lua/5.1/cjson.so";
const CJSON_53: &str = "/usr/lib/x86_64-linux-gnu/lua/5.3/cjson.so";

/// How much of the job a peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// Only forwards.
    PassThrough,
    /// Signs, forwards and cuts, but neither authenticates nor limits.
    Floor,
    /// Does all of it.
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    Floor,
    Nginx,
    HaProxyPass,
    Gateway,
    NginxLua,
    HaProxy,
    Go,
    Node,
}

/// All peers, in the order of the tables.
pub(crate) const ALL: [Peer; 8] = [
    Peer::Floor,
    Peer::Nginx,
    Peer::HaProxyPass,
    Peer::Gateway,
    Peer::NginxLua,
    Peer::HaProxy,
    Peer::Go,
    Peer::Node,
];

/// How a peer is started.
#[derive(Clone)]
pub(crate) struct PeerSetup {
    pub(crate) upstream: SocketAddr,
    pub(crate) tls: bool,
    /// The temporary directory, which contains the certificate.
    pub(crate) folder: PathBuf,
    /// The cores to run on, as for `taskset -c`; `None`: any.
    pub(crate) cores: Option<String>,
    /// Whether the other peers parse the request's JSON too, as the gateway does.
    pub(crate) reading: bool,
    /// The path of the gateway's binary.
    pub(crate) gateway: PathBuf,
}

impl PeerSetup {
    pub(crate) fn new(folder: &Path, cores: &Cores, upstream: SocketAddr, tls: bool) -> Self {
        Self {
            upstream,
            tls,
            folder: folder.to_owned(),
            cores: cores.pinned.then(|| cores.proxy.to_string()),
            reading: false,
            gateway: PathBuf::from(GATEWAY_PROGRAM),
        }
    }
}

/// A started peer.
pub(crate) struct RunningPeer {
    pub(crate) running: Process,
    pub(crate) address: SocketAddr,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Nginx => "nginx",
            Self::HaProxyPass => "haproxy-pass",
            Self::Gateway => "gateway",
            Self::NginxLua => "nginx-lua",
            Self::HaProxy => "haproxy",
            Self::Go => "go",
            Self::Node => "node",
        }
    }

    pub(crate) fn job(self) -> Job {
        match self {
            Self::Floor => Job::Floor,
            Self::Nginx | Self::HaProxyPass => Job::PassThrough,
            _ => Job::Full,
        }
    }

    /// HAProxy breaks the connection when its HTTP/2 meets buffers that hold a whole body.
    pub(crate) fn speaks(self, transport: Transport) -> bool {
        transport != Transport::Http2 || !matches!(self, Self::Floor | Self::HaProxy | Self::Node)
    }

    /// The missing Debian packages.
    pub(crate) fn missing(self) -> Vec<&'static str> {
        let needs: &[(&str, &'static str)] = match self {
            Self::Floor | Self::Gateway => &[],
            Self::Nginx => &[("nginx", "nginx")],
            Self::NginxLua => &[
                ("nginx", "nginx"),
                (NGINX_LUA, "libnginx-mod-http-lua"),
                (CJSON_51, "lua-cjson"),
            ],
            Self::HaProxyPass => &[("haproxy", "haproxy")],
            Self::HaProxy => &[("haproxy", "haproxy"), (CJSON_53, "lua-cjson")],
            Self::Go => &[("go", "golang-go")],
            Self::Node => &[("node", "nodejs")],
        };
        needs
            .iter()
            .filter(|(file, _)| !program(file).is_file())
            .map(|(_, package)| *package)
            .collect()
    }

    pub(crate) fn start(self, setup: &PeerSetup) -> Result<RunningPeer, String> {
        let address = free_address().map_err(|error| format!("can't find a free port: {error}"))?;
        let command = Launch::new(self, setup, address)
            .and_then(|launch| launch.command(self))
            .map_err(|error| format!("can't write its configuration: {error}"))?;
        let running = Process::start(&command, setup.cores.as_deref(), address)?;
        Ok(RunningPeer { running, address })
    }
}

pub(crate) fn with_keys(mut command: Command) -> Command {
    command
        .env("QINIU_ACCESS_KEY", ACCESS_KEY)
        .env("QINIU_SECRET_KEY", SECRET_KEY)
        .env("LOGIN_SECRET", requests::SECRET);
    command
}

/// Finds a program in `PATH` or in the directories of system services. Absolute paths are kept.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| PathBuf::from(name))
}
