//! The signature of a delivery, by the Standard Webhooks convention: HMAC-SHA256 over id, time and body.

use aws_lc_rs::hmac;
use bytes::Bytes;
use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::secret::Secret;

const PREFIX: &[u8] = b"whsec_";
/// Bytes of a key, as the convention has it.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A shared secret, `whsec_` and base64.
#[derive(Clone)]
pub struct WebhookSecret(hmac::Key);

impl WebhookSecret {
    /// Reads the text.
    ///
    /// # Errors
    /// What is wrong with it, as a clause for a person; nothing of it is repeated.
    pub fn parse(text: &Secret) -> Result<Self, &'static str> {
        let base64 = text
            .reveal()
            .strip_prefix(PREFIX)
            .ok_or("does not begin with `whsec_`")?;
        let key = BASE64
            .decode(base64)
            .map(Zeroizing::new)
            .map_err(|_| "is not base64 behind `whsec_`")?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err("does not hold 24 to 64 bytes behind `whsec_`");
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// The value of `webhook-signature` for a body in pieces. `id` must hold no dot.
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

    /// The convention's own example.
    #[test]
    fn the_signature_is_the_conventions() {
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
    fn other_secrets_are_refused_and_not_repeated() {
        for text in [
            "",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La",
            &format!("whsec_{}", BASE64.encode(&[7; 65])),
            "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            let why = WebhookSecret::parse(&Secret::new(text)).err();
            assert!(why.is_some_and(|why| !why.contains("MfKQ")), "{text}");
        }
        for bytes in [24, 64] {
            let text = format!("whsec_{}", BASE64.encode(&vec![7; bytes]));
            assert!(WebhookSecret::parse(&Secret::new(text)).is_ok());
        }
    }
}
