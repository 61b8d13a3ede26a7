//! The gateway and what it needs: an emulator of Qiniu, and for the soak an issuer and a store,
//! each a process of its own on loopback addresses.
//!
//! Relies on the release binary that cargo built for this benchmark. All files are in a temporary
//! directory, which goes with the rig.

use std::{
    fmt::Write as _,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{
    attacks::wire::TlsClient,
    check::VERDICT_KEY,
    clients::Site,
    folder::TemporaryFolder,
    log_watch::LogWatch,
    process::{Launch, Process, free_address},
    requests::{AUDIENCE, ISSUER, SECRET},
};

/// 32 bytes, as for `keygen seal`.
const SEAL_KEY: &str = "c2VhbC1rZXktb2YtdGhlLXNpZWdlLTMyLWJ5dGVzISE=";
/// Requests a second of one user.
const RATE: u32 = 100;

/// What a rig is for.
#[derive(Clone, Default)]
pub(crate) struct RigPlan {
    /// The gateway's binary.
    pub(crate) gateway: PathBuf,
    pub(crate) tls: bool,
    /// Keys of `[server]`; those that this build does not know are left out.
    pub(crate) server: Vec<(&'static str, &'static str)>,
    pub(crate) descriptors: u32,
    /// The cores of the gateway and of everything else.
    pub(crate) cores: Option<(usize, usize)>,
    /// More sections of the configuration.
    pub(crate) more: String,
    pub(crate) environment: Vec<(String, String)>,
}

/// A running gateway with its emulator. Dropping it ends both.
pub(crate) struct Rig {
    pub(crate) gateway: Process,
    pub(crate) emulator: Process,
    pub(crate) log: LogWatch,
    pub(crate) site: Site,
    pub(crate) admin: SocketAddr,
    /// Keys of the plan that this build does not know.
    pub(crate) unknown: Vec<&'static str>,
    emulator_launch: Launch,
    emulator_address: SocketAddr,
    /// Where the gateway's certificate is.
    pub(crate) certificate: PathBuf,
    _folder: TemporaryFolder,
}

impl Rig {
    pub(crate) fn start(plan: &RigPlan) -> io::Result<Self> {
        let (public, admin, upstream) = (free_address()?, free_address()?, free_address()?);
        let folder = TemporaryFolder::create(&format!("siege-{}", public.port()))?;
        let certificate = folder.path().join("cert.pem");
        let pem = certify(folder.path())?;
        let emulator_launch = Launch {
            program: plan.gateway.clone(),
            arguments: vec!["emulator".into(), "--listen".into(), upstream.to_string()],
            environment: secrets(),
            core: plan.cores.map(|(_, rest)| rest),
            ..Launch::default()
        };
        let emulator = emulator(&emulator_launch, upstream)?;
        let (server, unknown) = known_keys(plan)?;
        let text = configuration(plan, &server, [public, admin, upstream]);
        let file = folder.path().join("gateway.toml");
        fs::write(&file, text)?;
        let mut gateway = Process::start(&Launch {
            program: plan.gateway.clone(),
            arguments: vec![
                "serve".into(),
                "--config".into(),
                file.display().to_string(),
            ],
            environment: [secrets(), plan.environment.clone()].concat(),
            core: plan.cores.map(|(gateway, _)| gateway),
            descriptors: plan.descriptors,
            yields: false,
        })?;
        let log = LogWatch::default();
        watch(&log, &mut gateway);
        let ready = gateway.wait_for(public);
        ready.map_err(|error| io::Error::other(format!("the gateway does not start: {error}")))?;
        Ok(Self {
            gateway,
            emulator,
            log,
            site: Site {
                address: public,
                tls: plan.tls.then(|| tls_client(&pem)).transpose()?,
                patient: false,
            },
            admin,
            unknown,
            emulator_launch,
            emulator_address: upstream,
            certificate,
            _folder: folder,
        })
    }

    /// Starts the emulator anew, at the same address, with these further arguments.
    pub(crate) fn restart_emulator(&mut self, arguments: &[&str]) -> io::Result<()> {
        self.emulator.kill();
        let mut launch = self.emulator_launch.clone();
        launch
            .arguments
            .extend(arguments.iter().map(|it| (*it).to_owned()));
        self.emulator = emulator(&launch, self.emulator_address)?;
        Ok(())
    }
}

/// A client that trusts the certificate in this PEM file.
pub(crate) fn tls_client(pem: &str) -> io::Result<TlsClient> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(io::Error::other)?;
    TlsClient::new(certificate).map_err(io::Error::other)
}

fn emulator(emulator: &Launch, address: SocketAddr) -> io::Result<Process> {
    launch(emulator, address)
        .map_err(|error| io::Error::other(format!("the emulator does not start: {error}")))
}

/// Starts a program whose output nobody needs, and waits until it listens at this address.
pub(crate) fn launch(launch: &Launch, address: SocketAddr) -> io::Result<Process> {
    let mut process = Process::start(launch)?;
    watch(&LogWatch::default(), &mut process);
    process.wait_for(address)?;
    Ok(process)
}

/// Reads both streams of a process, so that it never waits for a reader.
pub(crate) fn watch(log: &LogWatch, process: &mut Process) {
    if let Some(stream) = process.child.stdout.take() {
        log.read(stream);
    }
    if let Some(stream) = process.child.stderr.take() {
        log.read(stream);
    }
}

fn secrets() -> Vec<(String, String)> {
    [
        ("QINIU_ACCESS_KEY", "AccessKeyOfTheSiege"),
        ("QINIU_SECRET_KEY", "SecretKeyOfTheSiege"),
        ("LOGIN_SECRET", SECRET),
        ("VERDICT_KEY", VERDICT_KEY),
        ("SEAL_KEY", SEAL_KEY),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

type ServerKeys = Vec<(&'static str, &'static str)>;

/// The keys that this build knows, and the names of the others.
fn known_keys(plan: &RigPlan) -> io::Result<(ServerKeys, Vec<&'static str>)> {
    let schema = Command::new(&plan.gateway).arg("schema").output()?.stdout;
    let schema = String::from_utf8_lossy(&schema);
    let known = |key: &str| schema.contains(&format!("\"{key}\""));
    let (server, unknown): (Vec<_>, Vec<_>) =
        plan.server.iter().copied().partition(|(key, _)| known(key));
    Ok((server, unknown.into_iter().map(|(key, _)| key).collect()))
}

fn configuration(plan: &RigPlan, server: &ServerKeys, addresses: [SocketAddr; 3]) -> String {
    let [public, admin, upstream] = addresses;
    let mut text = format!("[server]\nlisten = \"{public}\"\n");
    for (key, value) in server {
        // Writing to a text can't fail.
        let _ = match value.parse::<u64>() {
            Ok(number) => writeln!(text, "{key} = {number}"),
            Err(_) => writeln!(text, "{key} = \"{value}\""),
        };
    }
    if plan.tls {
        text.push_str("[server.tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n");
    }
    let _ = write!(
        text,
        "[admin]\nlisten = \"{admin}\"\n\
         [qiniu]\nendpoint = \"http://{upstream}\"\nmax_connections = 1024\n\
         access_key = {{ env = \"QINIU_ACCESS_KEY\" }}\n\
         secret_key = {{ env = \"QINIU_SECRET_KEY\" }}\n\
         [sessions]\nseal_key = {{ env = \"SEAL_KEY\" }}\n\
         [verdict]\nsigning_key = {{ env = \"VERDICT_KEY\" }}\n\
         issuer = \"https://gateway.example.com\"\naudience = \"backend\"\n\
         [[identity]]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\n\
         secret = {{ env = \"LOGIN_SECRET\" }}\n"
    );
    for (path, kind) in [("sessioncode", "session"), ("verify", "verify")] {
        let _ = write!(
            text,
            "[[routes]]\npath = \"/v2/actionliveness/{path}\"\nkind = \"{kind}\"\n\
             rate = \"{RATE}/s\"\nburst = {RATE}\nquota = \"\"\nconcurrent_per_user = 20\n"
        );
    }
    text + &plan.more
}

/// Writes a certificate for `localhost` to `cert.pem` and `key.pem`. Returns it.
fn certify(folder: &Path) -> io::Result<String> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
        .map_err(io::Error::other)?;
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    fs::write(folder.join("cert.pem"), made.cert.pem())?;
    Ok(made.cert.pem())
}
