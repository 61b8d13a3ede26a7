//! A certificate for real servers on this machine, which is also the authority that they and the
//! gateway trust.

use crate::support::folder::Folder;

pub(crate) struct ServerCertificate {
    folder: Folder,
    pem: String,
}

impl ServerCertificate {
    /// One for `localhost` and 127.0.0.1.
    pub(crate) fn new() -> Self {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let pem = made.cert.pem();
        let key = made.signing_key.serialize_pem();
        let folder = Folder::with(&[("tls.crt", &pem), ("tls.key", &key)]);
        Self { folder, pem }
    }

    pub(crate) fn pem(&self) -> String {
        self.pem.clone()
    }

    /// The options of a server that also listens on this port, with TLS.
    pub(crate) fn options(&self, port: u16) -> Vec<String> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", path("tls.crt")),
            ("--tls-key-file", path("tls.key")),
            ("--tls-ca-cert-file", path("tls.crt")),
            ("--tls-auth-clients", "no".to_owned()),
        ]
        .into_iter()
        .flat_map(|(option, value)| [option.to_owned(), value])
        .collect()
    }

    /// The setting of a replica that trusts it.
    pub(crate) fn trust(&self) -> String {
        format!("ca_file = {:?}", self.folder.path().join("tls.crt"))
    }
}
