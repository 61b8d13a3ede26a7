//! What the sandbox prints: its addresses, commands to paste, and how a phone opens the page.

use data_encoding::HEXUPPER;

use super::{Sandbox, qr::QrCode};

/// The text for a terminal. Its commands need curl and the tools of a POSIX shell. It has six
/// steps, the first of which only sets the token: `README.md` describes them, and `.ci/sandbox`
/// runs them.
const GUIDE: &str = include_str!("guide.txt");

/// The text for this sandbox.
pub(super) fn guide(sandbox: &Sandbox, colours: bool) -> String {
    let curl = match sandbox.fingerprint {
        // No authority vouches for a certificate of this run.
        Some(_) => "curl -sSk",
        None => "curl -sS",
    };
    GUIDE
        .replace("{{CURL}}", curl)
        .replace("{{URL}}", &sandbox.url())
        .replace("{{ADMIN}}", &sandbox.admin_url())
        .replace("{{TOKEN}}", &sandbox.token)
        .replace("{{PHONE}}", &phone(sandbox, colours))
}

/// How to open the page on a phone; nothing if only this machine reaches it.
fn phone(sandbox: &Sandbox, colours: bool) -> String {
    let url = sandbox.url() + "/";
    if sandbox.address.ip().is_loopback() {
        return match sandbox.fingerprint {
            Some(fingerprint) => certificate(&fingerprint),
            None => String::new(),
        };
    }
    if sandbox.elsewhere.is_empty() {
        return "\nThis machine has no network: only programs on it can open the page.\n"
            .to_owned();
    }
    let port = sandbox.address.port();
    let others = sandbox.elsewhere.iter().skip(1);
    let others: Vec<String> = others.map(ToString::to_string).collect();
    let mut text = format!("\nOpen the page on a phone in the same network:\n\n  {url}\n\n");
    if let Some(code) = QrCode::encode(&url) {
        for line in code.lines(colours) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    if !others.is_empty() {
        let others = others.join(", ");
        text.push_str(&format!(
            "\nThis machine has further addresses, also with port {port}: {others}\n"
        ));
    }
    text.push_str(&match sandbox.fingerprint {
        Some(fingerprint) => certificate(&fingerprint),
        None => "\nWithout TLS, no browser gives the page a camera; a file can be chosen. For the \
                 camera, start the sandbox with --tls.\n"
            .to_owned(),
    });
    text
}

/// What to do about the browser's warning.
fn certificate(fingerprint: &[u8; 32]) -> String {
    let bytes = fingerprint.map(|byte| HEXUPPER.encode(&[byte]));
    format!(
        "
The browser warns, since no authority vouches for the certificate of this run. Open the page all the
same: \"Advanced\" and \"Proceed\" (Chrome, Edge), \"Show Details\" and \"visit this website\"
(Safari), \"Advanced\" and \"Accept the Risk\" (Firefox). The certificate's SHA-256 is
{}
",
        bytes.join(":")
    )
}
