//! What an operator can do about a connection that could not be opened.
//!
//! Relies on the types behind an error, never on its text. Names no key of one section: whoever
//! writes the line says which part of the configuration the connection belongs to.

use std::io;

use rustls::CertificateError;

use super::{dial::OpeningTimeout, names::NameError, tunnel::ProxyError};

const NAME: &str = "check the host in the configured address, and this machine's DNS";
const CONNECT: &str = "check the address, the network and its firewalls, and whether connections \
                       need outbound.proxy";
const TLS: &str = "check that the address is one of a TLS server, and what is in between";
const UNTRUSTED: &str = "if its authority is a private one, give that authority's certificate as \
                         ca_file";
const EXPIRED: &str = "renew that certificate at the server, unless this machine's clock is ahead";
const NOT_YET_VALID: &str = "set this machine's clock right, which is probably behind";
const WRONG_NAME: &str = "use the host name that the server's certificate is for";
const PROXY: &str = "ask the proxy's operator";

/// The way out, as the second half of a sentence.
pub fn advice(error: &io::Error) -> &'static str {
    let Some(inner) = error.get_ref() else {
        return CONNECT;
    };
    if inner.is::<NameError>() {
        NAME
    } else if let Some(late) = inner.downcast_ref::<OpeningTimeout>() {
        late.choose(NAME, CONNECT, TLS)
    } else if let Some(error) = inner.downcast_ref::<rustls::Error>() {
        of_tls(error)
    } else if let Some(error) = inner.downcast_ref::<ProxyError>() {
        match error {
            ProxyError::Tunnel(error) | ProxyError::Unreachable(error) => advice(error),
            ProxyError::Malformed(_)
            | ProxyError::Unauthorized
            | ProxyError::Forbidden(_)
            | ProxyError::Status(..) => PROXY,
        }
    } else {
        CONNECT
    }
}

fn of_tls(error: &rustls::Error) -> &'static str {
    let rustls::Error::InvalidCertificate(error) = error else {
        return TLS;
    };
    match error {
        // Another authority of the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => UNTRUSTED,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => EXPIRED,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            NOT_YET_VALID
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            WRONG_NAME
        }
        // The enum may grow.
        _ => TLS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_way_out() {
        let tls = |error| io::Error::new(io::ErrorKind::InvalidData, rustls::Error::from(error));
        for (error, wanted) in [
            (io::ErrorKind::ConnectionRefused.into(), CONNECT),
            (io::Error::other(NameError::NoAddress), NAME),
            (tls(CertificateError::UnknownIssuer), UNTRUSTED),
            (tls(CertificateError::Expired), EXPIRED),
            (tls(CertificateError::NotValidYet), NOT_YET_VALID),
            (tls(CertificateError::NotValidForName), WRONG_NAME),
            (tls(CertificateError::BadSignature), UNTRUSTED),
            (tls(CertificateError::Revoked), TLS),
            (io::Error::other(ProxyError::Unauthorized), PROXY),
            (
                io::Error::other(ProxyError::Tunnel(tls(CertificateError::UnknownIssuer))),
                UNTRUSTED,
            ),
        ] {
            assert_eq!(advice(&error), wanted, "{error}");
        }
    }
}
