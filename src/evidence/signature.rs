//! The signature of a delivery by the Standard Webhooks convention: HMAC-SHA256 over its id, its
//! timestamp and its body.
//!
//! The secret is never shown: no error contains a part of it.

use std::ops::RangeInclusive;

use aws_lc_rs::hmac;
use bytes::Bytes;
use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::secret::Secret;

const PREFIX: &[u8] = b"whsec_";
/// Length of a key in bytes, as the convention requires.
const KEY_BYTES: RangeInclusive<usize> = 24..=64;

/// A shared secret: `whsec_` and base64.
#[derive(Clone)]
pub struct WebhookSecret(hmac::Key);

/// Why a text is not accepted as a secret. Never holds a part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookSecretError {
    /// Another prefix.
    #[error("it does not start with `whsec_`")]
    MissingPrefix,
    /// Something else than base64 after the prefix.
    #[error("it is not base64 after `whsec_`")]
    NoBase64,
    /// A key that is too short or too long.
    #[error("it does not hold 24 to 64 bytes after `whsec_`")]
    KeyLength,
}

impl WebhookSecret {
    /// Parses a secret.
    ///
    /// # Errors
    /// The text is not `whsec_` and the base64 of 24 to 64 bytes.
    pub fn parse(text: &Secret) -> Result<Self, WebhookSecretError> {
        let base64 = text.reveal().strip_prefix(PREFIX);
        let base64 = base64.ok_or(WebhookSecretError::MissingPrefix)?;
        let key = BASE64
            .decode(base64)
            .map(Zeroizing::new)
            .map_err(|_| WebhookSecretError::NoBase64)?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(WebhookSecretError::KeyLength);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// Computes the value of `webhook-signature` for a body in pieces. `id` must not contain a dot.
    pub fn sign(&self, id: &str, timestamp: u64, body: &[Bytes]) -> String {
        let mut mac = hmac::Context::with_key(&self.0);
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        body.iter().for_each(|piece| mac.update(piece));
        format!("v1,{}", BASE64.encode(mac.sign().as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the convention.
    #[test]
    fn the_signature_of_the_conventions_example_is_computed() {
        let secret = WebhookSecret::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        let body = [
            Bytes::from_static(br#"{"test": "#),
            Bytes::from_static(br#"2432232314}"#),
        ];
        let signature =
            secret
                .ok()
                .unwrap()
                .sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, &body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn malformed_secrets_are_refused_and_not_repeated() {
        for text in [
            "",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La",
            &format!("whsec_{}", BASE64.encode(&[7; 65])),
            "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            let error = WebhookSecret::parse(&Secret::new(text)).err();
            assert!(!error.expect(text).to_string().contains("MfKQ"), "{text}");
        }
        for bytes in [24, 64] {
            let text = format!("whsec_{}", BASE64.encode(&vec![7; bytes]));
            assert!(WebhookSecret::parse(&Secret::new(text)).is_ok());
        }
    }
}
