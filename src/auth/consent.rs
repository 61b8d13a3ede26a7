//! The claim that says what a user has consented to (`audit.consent_claim`), as the issuer wrote
//! it.
//!
//! Relies on [`CopiedClaims`] to find it. Never interprets a value, except that one which says
//! nothing counts as absent. It has no `Debug`: claims may be personal data.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{copied_claims::CopiedClaims, refusal::AuthRefusal};

/// Values that consent to nothing.
const NO_CONSENT: [&str; 5] = ["null", "false", "\"\"", "[]", "{}"];

/// The value of the claim, in one line.
#[derive(Clone)]
pub struct ConsentClaim(Box<RawValue>);

impl ConsentClaim {
    /// The claim of this name; `None` if the token has none, or one that says nothing. `payload` is
    /// the encoded payload of a token that was accepted otherwise.
    ///
    /// # Errors
    /// `CopiedClaimsTooLong`.
    pub(super) fn of(payload: &str, name: &str) -> Result<Option<Self>, AuthRefusal> {
        let Some(found) = CopiedClaims::of(payload, &[name.into()])? else {
            return Ok(None);
        };
        let claims: Result<BTreeMap<String, Box<RawValue>>, _> =
            serde_json::from_str(found.json().get());
        let claims = claims.map_err(|_| AuthRefusal::Malformed)?;
        let value = claims.into_values().next();
        let value = value.map(|value| without_blanks(value.get()));
        let value = value.filter(|value| !NO_CONSENT.contains(&value.as_str()));
        let value = value.map(RawValue::from_string).transpose();
        Ok(value.map_err(|_| AuthRefusal::Malformed)?.map(Self))
    }

    /// The value.
    pub fn json(&self) -> &RawValue {
        &self.0
    }
}

impl PartialEq for ConsentClaim {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for ConsentClaim {}

/// Valid JSON without the blanks between its parts, so that it takes one line.
fn without_blanks(json: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    let keep = |letter: &char| {
        match letter {
            '"' if !escaped => in_text = !in_text,
            _ => {}
        }
        escaped = in_text && !escaped && *letter == '\\';
        in_text || !letter.is_ascii_whitespace()
    };
    json.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consent(payload: &str) -> Result<Option<String>, AuthRefusal> {
        let payload = data_encoding::BASE64URL_NOPAD.encode(payload.as_bytes());
        let found = ConsentClaim::of(&payload, "consent")?;
        Ok(found.map(|found| found.json().get().to_owned()))
    }

    #[test]
    fn the_claim_is_copied_in_one_line() {
        for (claim, wanted) in [
            ("true", "true"),
            ("\"2026-01-01 v3\"", "\"2026-01-01 v3\""),
            ("1.50e+2", "1.50e+2"),
            (
                "{ \"at\" :\n 1.50,\t\"t\": \" a \\\" b\\\\\" }",
                "{\"at\":1.50,\"t\":\" a \\\" b\\\\\"}",
            ),
            ("[ 1 ,\r\n2 ]", "[1,2]"),
        ] {
            let payload = format!("{{\"sub\":\"u\",\"consent\":{claim}}}");
            assert_eq!(consent(&payload), Ok(Some(wanted.to_owned())), "{claim}");
        }
    }

    #[test]
    fn a_claim_that_says_nothing_is_no_consent() {
        for claim in ["null", "false", "\"\"", "[ ]", "{\n}"] {
            let payload = format!("{{\"consent\":{claim}}}");
            assert_eq!(consent(&payload), Ok(None), "{claim}");
        }
        assert_eq!(consent("{\"Consent\":true}"), Ok(None));
        let long = format!("{{\"consent\":\"{}\"}}", "x".repeat(1024));
        assert_eq!(consent(&long), Err(AuthRefusal::CopiedClaimsTooLong));
    }
}
