//! A self-signed certificate for a server on this machine (RFC 5280), good for a few days.
//!
//! A browser warns of it, and opens the page when the user insists. It is no authority: whoever
//! installs it trusts this one key, and nothing that it signs.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    error::Unspecified,
    rand::{self, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use sha2::{Digest, Sha256};
use time::UtcDateTime;
use zeroize::Zeroizing;

use super::{GenerateError, der, pem};

/// For clocks that are behind.
const BEFORE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a sandbox may run.
const AFTER: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const NAME: &str = "liveness-gateway sandbox";

// Object identifiers, as DER encodes them.
/// `id-at-commonName`, 2.5.4.3
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
/// `ecdsa-with-SHA256`, 1.2.840.10045.4.3.2
const ECDSA_SHA256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// `id-ce-keyUsage`, 2.5.29.15
const KEY_USAGE: [u8; 3] = [0x55, 0x1d, 0x0f];
/// `id-ce-subjectAltName`, 2.5.29.17
const ALTERNATIVE_NAME: [u8; 3] = [0x55, 0x1d, 0x11];
/// `id-ce-basicConstraints`, 2.5.29.19
const BASIC_CONSTRAINTS: [u8; 3] = [0x55, 0x1d, 0x13];
/// `id-ce-extKeyUsage`, 2.5.29.37
const EXTENDED_KEY_USAGE: [u8; 3] = [0x55, 0x1d, 0x25];
/// `id-kp-serverAuth`, 1.3.6.1.5.5.7.3.1
const SERVER_AUTH: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// A certificate and its key, in PEM.
pub struct ServerCertificate {
    /// The certificate.
    pub certificate: String,
    /// The private key, in PKCS#8.
    pub private_key: Zeroizing<String>,
    /// SHA-256 of the certificate in DER, as browsers show it.
    pub fingerprint: [u8; 32],
}

/// A certificate with a new P-256 key, for `localhost` and these addresses.
///
/// # Errors
/// See [`GenerateError`].
pub fn server_certificate(
    addresses: &[IpAddr],
    now: SystemTime,
) -> Result<ServerCertificate, GenerateError> {
    let failed = |Unspecified| GenerateError::Key;
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
    let content = content(public.as_ref(), addresses, now)?;
    let signature = pair.sign(&SystemRandom::new(), &content).map_err(failed)?;
    let certificate = der::sequence(&[
        &content,
        &algorithm(),
        &der::bit_string(0, signature.as_ref()),
    ]);
    let private = pair.to_pkcs8v1().map_err(failed)?;
    Ok(ServerCertificate {
        certificate: pem("CERTIFICATE", &certificate).to_string(),
        private_key: pem("PRIVATE KEY", private.as_ref()),
        fingerprint: Sha256::digest(&certificate).into(),
    })
}

/// What is signed (RFC 5280 section 4.1.2).
fn content(
    public_key: &[u8],
    addresses: &[IpAddr],
    now: SystemTime,
) -> Result<Vec<u8>, GenerateError> {
    const VERSION_3: [u8; 1] = [2];
    let mut serial = [0; 16];
    rand::fill(&mut serial).map_err(|Unspecified| GenerateError::NoRandomBytes)?;
    let [first, ..] = &mut serial;
    // Positive, and without a zero in front.
    *first = *first & 0x3f | 0x40;
    let name = der::sequence(&[&der::set(&der::sequence(&[
        &der::object_identifier(&COMMON_NAME),
        &der::utf8_string(NAME),
    ]))]);
    let validity = der::sequence(&[
        &time(now.checked_sub(BEFORE).ok_or(GenerateError::Clock)?)?,
        &time(now.checked_add(AFTER).ok_or(GenerateError::Clock)?)?,
    ]);
    let extensions = der::sequence(&[
        &extension(&BASIC_CONSTRAINTS, true, &der::sequence(&[])),
        // digitalSignature, the first bit.
        &extension(&KEY_USAGE, true, &der::bit_string(7, &[0x80])),
        &extension(
            &EXTENDED_KEY_USAGE,
            false,
            &der::sequence(&[&der::object_identifier(&SERVER_AUTH)]),
        ),
        &extension(&ALTERNATIVE_NAME, false, &names(addresses)),
    ]);
    Ok(der::sequence(&[
        &der::context(0, true, &der::integer(&VERSION_3)),
        &der::integer(&serial),
        &algorithm(),
        &name,
        &validity,
        &name,
        public_key,
        &der::context(3, true, &extensions),
    ]))
}

fn algorithm() -> Vec<u8> {
    der::sequence(&[&der::object_identifier(&ECDSA_SHA256)])
}

/// `localhost`, and the addresses.
fn names(addresses: &[IpAddr]) -> Vec<u8> {
    const DNS_NAME: u8 = 2;
    const IP_ADDRESS: u8 = 7;
    let mut names = der::context(DNS_NAME, false, b"localhost");
    for address in addresses {
        names.extend(match address {
            IpAddr::V4(address) => der::context(IP_ADDRESS, false, &address.octets()),
            IpAddr::V6(address) => der::context(IP_ADDRESS, false, &address.octets()),
        });
    }
    der::sequence(&[&names])
}

fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = match critical {
        true => der::boolean_true(),
        // The default is not written.
        false => Vec::new(),
    };
    let (id, value) = (der::object_identifier(id), der::octet_string(value));
    der::sequence(&[&id, &critical, &value])
}

/// A time as RFC 5280 section 4.1.2.5 asks for: in two digits of a year as long as they are enough.
fn time(time: SystemTime) -> Result<Vec<u8>, GenerateError> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.map_err(|_| GenerateError::Clock)?.as_secs();
    let seconds = i64::try_from(seconds).map_err(|_| GenerateError::Clock)?;
    let time = UtcDateTime::from_unix_timestamp(seconds).map_err(|_| GenerateError::Clock)?;
    let (month, day) = (u8::from(time.month()), time.day());
    let (hour, minute, second) = time.as_hms();
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    let year = time.year();
    Ok(match year {
        1950..=2049 => der::utc_time(&format!("{:02}{rest}", year % 100)),
        _ => der::generalized_time(&format!("{year:04}{rest}")),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier},
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    };

    use super::*;

    /// Whether a client that trusts the certificate accepts it for a server at `name`.
    fn is_accepted(pem: &str, name: &str, at: SystemTime) -> bool {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().unwrap();
        let now = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap());
        let name = ServerName::try_from(name).unwrap();
        verifier
            .verify_server_cert(&certificate, &[], &name, &[], now)
            .is_ok()
    }

    #[test]
    fn a_client_accepts_the_certificate_for_its_names_and_its_time_alone() {
        let addresses = ["127.0.0.1", "192.0.2.7", "2001:db8::7"].map(|it| it.parse().unwrap());
        // Before and after the year from which the times are written otherwise.
        for year in [2027, 2049, 2050, 2051] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_557_600);
            let made = server_certificate(&addresses, now).unwrap();
            let accepted = |name, at| is_accepted(&made.certificate, name, at);
            for name in ["localhost", "127.0.0.1", "192.0.2.7", "2001:db8::7"] {
                assert!(accepted(name, now), "{year} {name}");
            }
            for name in ["example.com", "192.0.2.8", "2001:db8::8"] {
                assert!(!accepted(name, now), "{year} {name}");
            }
            assert!(accepted(
                "localhost",
                now + Duration::from_secs(29 * 24 * 3600)
            ));
            assert!(!accepted(
                "localhost",
                now + Duration::from_secs(31 * 24 * 3600)
            ));
            assert!(!accepted("localhost", now - Duration::from_secs(25 * 3600)));
        }
    }

    #[test]
    fn each_certificate_has_its_own_key() {
        let now = SystemTime::now();
        let [one, other] = [(); 2].map(|()| server_certificate(&[], now).unwrap());
        assert_ne!(one.private_key, other.private_key);
        assert_ne!(one.fingerprint, other.fingerprint);
    }
}
