//! The files of the gateway whose parts are changed: its binary, configuration, certificate and
//! keys. Each is replaced by a rename, as tools do it.
//!
//! Relies on a temporary directory, which goes with it. Never starts a process.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use data_encoding::BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::{
    super::{
        attacks::wire::TlsClient,
        check::{NEXT_VERDICT_KEY, VERDICT_KEY},
        folder::TemporaryFolder,
        requests::{AUDIENCE, ISSUER, SECRET},
        rig::tls_client,
    },
    upstream::KEYS,
};

/// Requests a second of one user; two values that take turns.
const RATES: [u32; 2] = [100, 120];

/// All files.
pub(super) struct Files {
    folder: TemporaryFolder,
    authority: CertifiedIssuer<'static, KeyPair>,
    /// Everything of the configuration but the rates.
    text: String,
    changed: usize,
    /// Which of the two is in use.
    qiniu_keys: usize,
    verdict_key: usize,
}

impl Files {
    pub(super) fn create(
        addresses: [SocketAddr; 3],
        gateway: &Path,
        store: bool,
    ) -> io::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let authority = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;
        let folder = TemporaryFolder::create(&format!("changes-{}", addresses[0].port()))?;
        let mut files = Self {
            folder,
            authority,
            text: configuration(addresses, store),
            changed: 0,
            qiniu_keys: 0,
            verdict_key: 0,
        };
        for (name, text) in [
            ("login", SECRET),
            ("seal", &seal_key(0)),
            ("previous", &seal_key(1)),
        ] {
            files.replace(name, text.as_bytes())?;
        }
        files.change_qiniu_keys()?;
        files.change_verdict_key()?;
        files.change_certificate()?;
        files.change_configuration()?;
        files.install(gateway)?;
        Ok(files)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn binary(&self) -> PathBuf {
        self.folder().join("liveness-gateway")
    }

    pub(super) fn configuration(&self) -> PathBuf {
        self.folder().join("gateway.toml")
    }

    /// A client that trusts each of the certificates.
    pub(super) fn tls_client(&self) -> io::Result<TlsClient> {
        tls_client(&self.authority.pem())
    }

    /// Puts another binary in the place of the present one.
    pub(super) fn install(&self, binary: &Path) -> io::Result<()> {
        let new = self.folder().join("new");
        fs::copy(binary, &new)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
        fs::rename(new, self.binary())
    }

    /// Another rate for each user, and another origin that may call.
    pub(super) fn change_configuration(&mut self) -> io::Result<()> {
        self.changed += 1;
        let rate = RATES[self.changed % RATES.len()];
        let mut text = format!(
            "{}[server.cors]\nallowed_origins = [\"https://app-{}.example.com\"]\n",
            self.text, self.changed
        );
        for (path, kind) in [("sessioncode", "session"), ("verify", "verify")] {
            text += &format!(
                "[[routes]]\npath = \"/v2/actionliveness/{path}\"\nkind = \"{kind}\"\n\
                 rate = \"{rate}/s\"\nburst = {rate}\nquota = \"100000/day\"\n\
                 concurrent_per_user = 20\n"
            );
        }
        self.replace("gateway.toml", text.as_bytes())
    }

    /// Another certificate of the same authority, with its key.
    pub(super) fn change_certificate(&self) -> io::Result<()> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let params = CertificateParams::new(["localhost".to_owned()]).map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &self.authority);
        let certificate = certificate.map_err(io::Error::other)?;
        self.replace("cert.pem", certificate.pem().as_bytes())?;
        self.replace("key.pem", key.serialize_pem().as_bytes())
    }

    /// Another seal key; the present one becomes the previous one.
    pub(super) fn change_seal_key(&mut self) -> io::Result<()> {
        self.changed += 1;
        let present = fs::read(self.folder().join("seal"))?;
        self.replace("previous", &present)?;
        self.replace("seal", seal_key(self.changed).as_bytes())
    }

    /// The other pair of the account at Qiniu.
    pub(super) fn change_qiniu_keys(&mut self) -> io::Result<()> {
        self.qiniu_keys = 1 - self.qiniu_keys;
        let (access_key, secret_key) = KEYS[self.qiniu_keys];
        self.replace("access", access_key.as_bytes())?;
        self.replace("secret", secret_key.as_bytes())
    }

    /// The other key that signs verdicts.
    pub(super) fn change_verdict_key(&mut self) -> io::Result<()> {
        self.verdict_key = 1 - self.verdict_key;
        let key = [VERDICT_KEY, NEXT_VERDICT_KEY][self.verdict_key];
        self.replace("verdict.pem", key.as_bytes())
    }

    fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let new = self.folder().join("new");
        fs::write(&new, content)?;
        fs::rename(new, self.folder().join(name))
    }
}

/// A seal key of 32 bytes, another one for each number.
fn seal_key(number: usize) -> String {
    BASE64.encode(format!("seal-key-of-the-changes-{number:08}").as_bytes())
}

fn configuration(addresses: [SocketAddr; 3], store: bool) -> String {
    let [public, admin, upstream] = addresses;
    let store = match store {
        true => "[store]\nredis = { env = \"STORE\" }\ntimeout = \"200ms\"\n",
        false => "",
    };
    format!(
        "[server]\nlisten = \"{public}\"\ndrain_timeout = \"30s\"\n\
         [server.tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n\
         [admin]\nlisten = \"{admin}\"\n\
         [qiniu]\nendpoint = \"http://{upstream}\"\n\
         access_key = {{ file = \"./access\" }}\nsecret_key = {{ file = \"./secret\" }}\n\
         [sessions]\nseal_key = {{ file = \"./seal\" }}\n\
         previous_seal_key = {{ file = \"./previous\" }}\n\
         [verdict]\nsigning_key = {{ file = \"./verdict.pem\" }}\n\
         issuer = \"https://gateway.example.com\"\naudience = \"backend\"\n\
         [[identity]]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\n\
         secret = {{ file = \"./login\" }}\n{store}"
    )
}
