//! `[verdict]`: the keys that sign, the rule of a pass, and whether it can be met at all.

use super::{
    reader::{ConfigReader, Located},
    section::ConfigSection,
    tree::ConfigTable,
};
use crate::{
    rotation::{InputError, LoadError},
    route::{RouteKind, RouteSettings},
    secret::Secret,
    verdict::{
        VerdictKeys, VerdictSettings,
        judge::{ANY_SPOOFING, PassRule, ScoreThreshold},
        key::{VerdictPublicKey, VerdictSigningKey},
    },
};

/// Maximum number of names in `copy_claims`.
const MAX_COPIED_CLAIMS: usize = 16;
/// Maximum length of such a name, in bytes.
const MAX_CLAIM_NAME: usize = 128;

impl ConfigReader<'_> {
    /// `None` without the section.
    pub(super) fn verdict(
        &mut self,
        root: &ConfigTable,
        routes: &[RouteSettings],
    ) -> Option<VerdictSettings> {
        let section = ConfigSection::at(root, "verdict");
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
            "write a name for the backends that accept verdicts; they compare it with `aud`",
        );
        let lifetime = self.duration(&section, "lifetime");
        let threshold = self.word(&section, "threshold");
        let threshold = ScoreThreshold::ALL
            .into_iter()
            .find(|known| threshold.as_deref() == Some(known.name()));
        let max_spoofing = self.fraction(&section, "max_spoofing");
        if let Some(max) = &max_spoofing {
            self.check_spoofing(max, routes);
        }
        let copy_claims = self.copy_claims(&section);
        let video_digest = self.boolean(&section, "video_digest");
        if !routes.iter().any(|route| route.kind == RouteKind::Verify) {
            self.error(
                &section.location,
                "[verdict] needs a verify route: no other gets a verdict",
                "once a route is written, only those that are written exist: add one of kind \
                 \"verify\", or leave [verdict] out",
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
            copy_claims,
        })
    }

    fn verdict_keys(&mut self, section: &ConfigSection<'_>) -> Option<VerdictKeys> {
        let mut inputs =
            vec![self.secret_input(section, "signing_key", |pem| signing_key(pem).map(drop))];
        let files = self.texts(section, "previous_keys").unwrap_or_default();
        inputs.extend(files.into_iter().map(|file| {
            let check = |pem: &Secret| previous_key(pem).map(drop);
            self.document_input(section, "previous_keys", file, check)
        }));
        let (keys, reloadable) = self.load(inputs, |texts| {
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

    fn copy_claims(&mut self, section: &ConfigSection<'_>) -> Vec<String> {
        const NAME: &str = "copy_claims";
        let listed = self.texts(section, NAME).unwrap_or_default();
        if let Some((_, location)) = listed.get(MAX_COPIED_CLAIMS) {
            self.error(
                location,
                format!("`{NAME}` has more than {MAX_COPIED_CLAIMS} names"),
                "list only what the backend compares: every verdict carries it",
            );
        }
        let mut names: Vec<String> = Vec::new();
        for (name, location) in listed {
            if name.is_empty() || name.len() > MAX_CLAIM_NAME {
                self.error(
                    &location,
                    format!("a name in `{NAME}` is empty or longer than {MAX_CLAIM_NAME} bytes"),
                    "write the name of a claim, such as \"txn\"",
                );
            } else if names.contains(&name) {
                self.error(
                    &location,
                    format!("`{NAME}` has the name `{name}` twice"),
                    "remove one of them",
                );
            } else {
                names.push(name);
            }
        }
        names
    }

    /// Qiniu returns the score that `max_spoofing` limits only if `face_field` asks for it.
    fn check_spoofing(&mut self, (max, location): &Located<f64>, routes: &[RouteSettings]) {
        if *max >= ANY_SPOOFING {
            return;
        }
        let mut verify = routes
            .iter()
            .filter(|route| route.kind == RouteKind::Verify);
        let Some((route, help)) = verify.find_map(|route| Some((route, missing_request(route)?)))
        else {
            return;
        };
        self.error(
            location,
            format!(
                "no verdict of {} could ever pass: Qiniu returns `maxspoofing` only if \
                 `face_field` asks for it",
                route.path
            ),
            format!("{help}, or leave `max_spoofing` at 1.0"),
        );
    }
}

fn signing_key(pem: &Secret) -> Result<VerdictSigningKey, InputError> {
    VerdictSigningKey::from_pem(pem).map_err(|error| {
        InputError::new(
            format!("`signing_key` cannot be used: {error}"),
            "give it an Ed25519 or P-256 key in PKCS#8 PEM: `liveness-gateway keygen verdict` \
             prints one",
        )
    })
}

fn previous_key(pem: &Secret) -> Result<VerdictPublicKey, InputError> {
    VerdictPublicKey::from_pem(pem.reveal()).map_err(|error| {
        InputError::new(
            format!("a file of `previous_keys` cannot be used: {error}"),
            "name a PEM file with the public key alone: `openssl pkey -in KEY.pem -pubout`",
        )
    })
}

/// The fix for a route where no frontend can ask for the synthetic-image score; `None`: one can.
/// A pinned `face_field` is sent whatever `request.fields` says.
fn missing_request(route: &RouteSettings) -> Option<&'static str> {
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
