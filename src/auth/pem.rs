//! The one block of a PEM text (RFC 7468) that should hold a public key.
//!
//! It is not a full PEM reader: two blocks are an error, since then nobody can say which one counts. It never repeats the
//! content in an error, because what was put there by mistake may be a private key.

use data_encoding::BASE64;

/// The label and the content of the only block.
///
/// # Errors
/// What is wrong with the text, as a clause for a person.
pub(super) fn only_block(text: &[u8]) -> Result<(String, Vec<u8>), String> {
    let text = std::str::from_utf8(text).map_err(|_| {
        "is not PEM text (DER? convert it with `openssl pkey -pubin -inform DER -in KEY.der`)"
            .to_owned()
    })?;
    let mut lines = text.lines().map(str::trim);
    let label = lines
        .find_map(|line| boundary(line, "BEGIN"))
        .ok_or("holds no PEM block")?;
    if label.contains("PRIVATE KEY") {
        // By name, before anything else: it must leave this place, and the message has to say so.
        return Err(format!(
            "holds a private key (`{label}`); give the gateway the public one: `openssl pkey -in KEY.pem -pubout`"
        ));
    }
    let mut base64 = String::new();
    let mut ended = false;
    for line in lines.by_ref() {
        if let Some(end) = boundary(line, "END") {
            ended = end == label;
            break;
        }
        base64.extend(line.split_ascii_whitespace());
    }
    if !ended {
        return Err(format!("has no `-----END {label}-----` where it should be"));
    }
    if let Some(next) = lines.find_map(|line| boundary(line, "BEGIN")) {
        return Err(format!(
            "holds more than one PEM block (`{label}`, then `{next}`): leave the one that signs the tokens"
        ));
    }
    let der = BASE64
        .decode(base64.as_bytes())
        .map_err(|_| format!("has a `{label}` block that is not base64"))?;
    Ok((label.to_owned(), der))
}

/// The label of `-----BEGIN label-----` or `-----END label-----`.
fn boundary<'a>(line: &'a str, side: &str) -> Option<&'a str> {
    line.strip_prefix("-----")?
        .strip_prefix(side)?
        .strip_prefix(' ')?
        .strip_suffix("-----")
}
