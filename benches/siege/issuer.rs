//! An issuer whose keys the gateway fetches, from both sides: the role that serves them, and the
//! handle that starts it and signs tokens.
//!
//! The role ends with the harness. It serves public keys only.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{
    load::User,
    process::{Launch, Process, free_address},
    requests::AUDIENCE,
    rig::launch,
};

/// The first word of the command line that makes this program an issuer.
pub(crate) const SERVE_KEYS: &str = "issuer";
const NAME: &str = "https://other.example.com/";
const KEY_ID: &str = "siege";
const LIFETIME: Duration = Duration::from_secs(6 * 60 * 60);
const REQUEST: Duration = Duration::from_secs(5);

/// A running issuer. Dropping it ends it.
pub(crate) struct Issuer {
    launch: Launch,
    address: SocketAddr,
    process: Option<Process>,
    key: KeyPair,
    file: PathBuf,
}

impl Issuer {
    pub(crate) fn start(program: &Path, core: Option<usize>) -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let address = free_address()?;
        let name = format!("liveness-gateway-siege-keys-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let point = key.der_bytes();
        let part = |range| BASE64URL_NOPAD.encode(point.get(range).unwrap_or_default());
        let keys = json!({"keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID,
            "x": part(1..33), "y": part(33..65),
        }]});
        fs::write(&file, keys.to_string())?;
        let arguments = vec![
            SERVE_KEYS.to_owned(),
            address.to_string(),
            file.display().to_string(),
        ];
        let launch = Launch {
            program: program.to_owned(),
            arguments,
            core,
            ..Launch::default()
        };
        let mut issuer = Self {
            launch,
            address,
            process: None,
            key,
            file,
        };
        issuer.restart()?;
        Ok(issuer)
    }

    /// Starts it anew at the same address.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.kill();
        self.process = Some(launch(&self.launch, self.address)?);
        Ok(())
    }

    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Its section of the configuration.
    pub(crate) fn section(&self) -> String {
        format!(
            "[[identity]]\nissuer = \"{NAME}\"\naudience = \"{AUDIENCE}\"\n\
             jwks_url = \"http://{}/keys\"\n",
            self.address
        )
    }

    /// A user of this issuer.
    pub(crate) fn user(&self, name: String) -> io::Result<User> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(io::Error::other)?;
        let claims = json!({
            "iss": NAME, "aud": AUDIENCE, "sub": name, "exp": (now + LIFETIME).as_secs(),
        });
        let header = Header {
            kid: Some(KEY_ID.to_owned()),
            ..Header::new(Algorithm::ES256)
        };
        let key = EncodingKey::from_ec_der(&self.key.serialize_der());
        let token = jsonwebtoken::encode(&header, &claims, &key).map_err(io::Error::other)?;
        User::new(name, &token)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_file(&self.file);
    }
}

/// The role `issuer ADDRESS FILE`: answers every request with the file.
pub(crate) fn serve_keys(mut words: impl Iterator<Item = String>) -> io::Result<()> {
    let (Some(address), Some(file)) = (words.next(), words.next()) else {
        return Err(io::Error::other("issuer: ADDRESS FILE"));
    };
    let keys = fs::read_to_string(file)?;
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: max-age=60\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{keys}",
        keys.len()
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            let response = response.clone();
            tokio::spawn(async move { timeout(REQUEST, answer(stream, &response)).await });
        }
    })
}

async fn answer(mut stream: TcpStream, response: &str) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 4096 {
        head.push(stream.read_u8().await?);
    }
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}
