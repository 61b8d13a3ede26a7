//! `[verdict]`: what signs, what a pass is, and whether it can ever be reached.

use super::{
    checked::section,
    keys,
    reader::{ConfigReader, ConfigSection, Located},
    tree::ConfigTable,
};
use crate::secret::Secret;
use crate::{
    rotation::{InputError, LoadError},
    route::{RouteKind, RouteSettings},
    verdict::{
        VerdictKeys, VerdictSettings,
        judge::{ANY_SPOOFING, PassRule, ScoreThreshold},
        key::{VerdictPublicKey, VerdictSigningKey},
    },
};

impl ConfigReader<'_> {
    /// `None` without the section.
    pub(super) fn verdict(
        &mut self,
        root: &ConfigTable,
        routes: &[RouteSettings],
    ) -> Option<VerdictSettings> {
        let section = section(root, "verdict");
        section.table?;
        self.header("[verdict]");
        let keys = self.verdict_keys(&section);
        let issuer = self.required(
            &section,
            "issuer",
            "write the URL of this gateway; backends compare it with `iss`",
        );
        let audience = self.required(
            &section,
            "audience",
            "write a name for the backends that take verdicts; they compare it with `aud`",
        );
        let lifetime = self.duration(&section, "lifetime");
        let threshold = self.word(&section, "threshold", keys::THRESHOLDS);
        let threshold = ScoreThreshold::ALL
            .into_iter()
            .find(|known| threshold.as_deref() == Some(known.name()));
        let max_spoofing = self.fraction(&section, "max_spoofing");
        if let Some(max) = &max_spoofing {
            self.check_spoofing(max, routes);
        }
        let video_digest = self.bool(&section, "video_digest");
        if !routes.iter().any(|route| route.kind == RouteKind::Verify) {
            self.error(
                &section.place,
                "[verdict] without a verify route: there would be none",
                "add a route of kind \"verify\", or leave [verdict] out",
            );
        }
        Some(VerdictSettings {
            keys: keys?,
            issuer: issuer?.0,
            audience: audience?.0,
            lifetime: lifetime?,
            rule: PassRule {
                threshold: threshold?,
                max_spoofing: max_spoofing?.0,
            },
            video_digest,
        })
    }

    fn verdict_keys(&mut self, section: &ConfigSection<'_>) -> Option<VerdictKeys> {
        let mut parts =
            vec![self.secret_part(section, "signing_key", |pem| signing_key(pem).map(drop))];
        let files = self.texts(section, "previous_keys").unwrap_or_default();
        let files: Vec<_> = files
            .into_iter()
            .map(|(text, place)| (self.base.join(text), place))
            .collect();
        parts.extend(files.into_iter().map(|file| {
            self.document_part(section, "previous_keys", file, |pem| {
                previous_key(pem).map(drop)
            })
        }));
        let (keys, reloadable) = self.made_of(parts, |texts| {
            let Some((signing, previous)) = texts.split_first() else {
                return Err(LoadError::wrong_input_count());
            };
            let previous_keys = previous.iter().map(previous_key);
            Ok(VerdictKeys {
                signing_key: signing_key(signing).map_err(|error| LoadError { input: 0, error })?,
                previous_keys: previous_keys
                    .collect::<Result<_, _>>()
                    .map_err(|error| LoadError { input: 1, error })?,
            })
        })?;
        self.reloadable.verdict = reloadable;
        Some(keys)
    }

    /// Qiniu gives the score that is limited only to those who ask for it, by `face_field`.
    fn check_spoofing(&mut self, (max, place): &Located<f64>, routes: &[RouteSettings]) {
        if *max >= ANY_SPOOFING {
            return;
        }
        let mut verify = routes
            .iter()
            .filter(|route| route.kind == RouteKind::Verify);
        let Some((route, help)) = verify.find_map(|route| Some((route, deaf(route)?))) else {
            return;
        };
        self.error(
            place,
            format!(
                "no verdict of {} could ever pass: Qiniu tells `maxspoofing` only where `face_field` asks for it",
                route.path
            ),
            format!("{help}, or leave `max_spoofing` at 1.0"),
        );
    }
}

fn signing_key(pem: &Secret) -> Result<VerdictSigningKey, InputError> {
    VerdictSigningKey::from_pem(pem).map_err(|why| {
        InputError::new(
            format!("`signing_key` {why}"),
            "give it an Ed25519 key in PKCS#8 PEM: `liveness-gateway keygen verdict` prints one",
        )
    })
}

fn previous_key(pem: &Secret) -> Result<VerdictPublicKey, InputError> {
    VerdictPublicKey::from_pem(pem.reveal()).map_err(|why| {
        InputError::new(
            format!("a file of `previous_keys` {why}"),
            "name a PEM file with the public key alone: `openssl pkey -in KEY.pem -pubout`",
        )
    })
}

/// What to help of a route where nobody can ask for the synthetic-image score. What is pinned is sent whatever `request.fields` says.
fn deaf(route: &RouteSettings) -> Option<&'static str> {
    let pinned = route
        .request_set
        .iter()
        .find(|(name, _)| name == "face_field");
    if let Some((_, pin)) = pinned {
        let mut words = pin.as_str().unwrap_or_default().split(',');
        let asks = words.any(|word| word == "spoofing");
        return (!asks)
            .then_some("write \"spoofing\" into the `face_field` of the route's `request.set`");
    }
    let fields = route.request_fields.as_ref();
    let may_ask = fields.is_none_or(|fields| fields.iter().any(|field| field == "face_field"));
    (!may_ask).then_some("add \"face_field\" to the route's `request.fields`, or pin it")
}
