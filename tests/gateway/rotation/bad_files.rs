//! A wrong new content is logged once, with its configuration key and a suggested fix but nothing
//! of the content, and the old content stays in use until a good one arrives.

use liveness_gateway::emulator::Scenario;

use super::{
    Folder, gateway, identities::secret_token as token, identity, logged, until, verdicts::pair,
};
use crate::support::{
    Gateway, ISSUER, SECRET, SESSIONCODE, UNBOUND, backend, bearer, emulator, events::logged_with,
    identity::Signer, sealed::KEY, secure::Authority,
};

/// A text in every wrong content.
const MARKER: &str = "MARKERofContent";
const GOOD_SECRET: &str = "another secret of the tests, long enough too";

/// Good contents of all files; everything is configured by file.
fn files() -> Vec<(&'static str, String)> {
    let (signing, _) = pair();
    let (_, previous) = pair();
    vec![
        ("access", "AccessKeyOfTheTests".to_owned()),
        ("secret", "SecretKeyOfTheTests".to_owned()),
        ("jwt", SECRET.to_owned()),
        (
            "keys.json",
            format!("{{\"keys\":[{}]}}", Signer::new("a").jwk()),
        ),
        ("key.pem", Signer::nameless().public_pem()),
        ("long", "x".repeat(64)),
        ("seal", KEY.to_owned()),
        ("verdict.pem", signing),
        ("previous.pem", previous),
        ("webhook", backend::SECRET.to_owned()),
        ("ca.pem", Authority::new().pem()),
    ]
}

async fn start(folder: &Folder) -> Gateway {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let keys = "access_key = { file = \"access\" }\nsecret_key = { file = \"secret\" }\nca_file = \"ca.pem\"";
    let other = |issuer: &str, keys: &str| {
        format!("[[identity]]\nissuer = \"{issuer}\"\naudience = \"a\"\n{keys}\n")
    };
    let more = [
        &other("set", "jwks_file = \"keys.json\"\nalgorithms = [\"ES256\"]"),
        &identity().replace("{ env = \"JWT\" }", "{ file = \"jwt\" }"),
        &other("pem", "public_key_file = \"key.pem\""),
        &other(
            "long",
            "secret = { file = \"long\" }\nalgorithms = [\"HS512\"]",
        ),
        "[sessions]\nseal_key = { file = \"seal\" }\n",
        "[verdict]\nsigning_key = { file = \"verdict.pem\" }\nprevious_keys = [\"previous.pem\"]\n\
         issuer = \"https://gateway.example.com\"\naudience = \"backend\"\n",
        "[evidence]\nurl = \"http://127.0.0.1:1/\"\nsecret = { file = \"webhook\" }\n",
    ];
    gateway(qiniu, folder, keys, &more.concat()).await
}

/// A file, its configuration key, a wrong content, and a part of what the log must say.
type Wrong = (&'static str, &'static str, String, &'static str);

fn wrong_keys_of_tokens() -> [Wrong; 8] {
    let (secret, set, pem) = (
        "identity[1].secret",
        "identity[0].jwks_file",
        "identity[2].public_key_file",
    );
    let jwk = Signer::new("a").jwk().to_string();
    let private = jwk.replace("\"kty\"", "\"d\":\"AA\",\"kty\"");
    let private = format!("{{\"keys\":[{private}]}}");
    let block = format!("-----BEGIN {MARKER}{GOOD_SECRET}");
    let signing = format!("{MARKER}\n{}", pair().0);
    let broken = format!("{{{MARKER}");
    [
        (
            "jwt",
            secret,
            "MARKERofC".into(),
            "at least 32 are required",
        ),
        ("jwt", secret, block, "a PEM text, not a secret"),
        ("keys.json", set, broken, "not a JSON Web Key Set"),
        ("keys.json", set, private, "a private key"),
        ("keys.json", set, "{\"keys\":[]}".into(), "no keys"),
        ("key.pem", pem, signing, "a private key"),
        ("key.pem", pem, MARKER.into(), "no PEM block"),
        (
            "long",
            "identity[3].secret",
            format!("{MARKER:x<63}"),
            "a secret of 63 bytes is too short for HS512, which needs 64",
        ),
    ]
}

fn wrong_other_keys() -> [Wrong; 8] {
    let (access, secret) = ("qiniu.access_key", "qiniu.secret_key");
    let (seal, webhook) = ("sessions.seal_key", "evidence.secret");
    let (signing, previous) = ("verdict.signing_key", "verdict.previous_keys");
    let authorities = "qiniu.ca_file";
    let (private, public) = pair();
    let public = format!("{public}\n{MARKER}");
    [
        (
            "access",
            access,
            format!("a b {MARKER}"),
            "contains white space",
        ),
        ("secret", secret, String::new(), "is empty"),
        ("seal", seal, MARKER.into(), "is not base64 of 32 bytes"),
        ("verdict.pem", signing, public, "a public key; the private"),
        (
            "previous.pem",
            previous,
            private.clone(),
            "must not be published",
        ),
        (
            "webhook",
            webhook,
            MARKER.into(),
            "does not start with `whsec_`",
        ),
        (
            "ca.pem",
            authorities,
            format!("{MARKER}\n{private}"),
            "holds no certificate",
        ),
        (
            "ca.pem",
            authorities,
            format!("-----BEGIN {MARKER}\n"),
            "is not valid PEM",
        ),
    ]
}

#[tokio::test]
async fn a_wrong_content_of_any_file_leaves_the_old_one_in_use() {
    let good = files();
    let texts: Vec<_> = good
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let folder = Folder::with(&texts);
    let gateway = start(&folder).await;
    let mut wrong = wrong_keys_of_tokens().to_vec();
    wrong.extend(wrong_other_keys());
    for (file, key, text, said) in &wrong {
        folder.rename_over(file, text);
        // A name without a dot may be the secret itself.
        let shown = if file.contains('.') { file } else { "***" };
        let lines = logged(&[&format!("{}/{shown}\"", folder.name()), said]).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains(&format!("\"key\":\"{key}\"")),
            "{lines:?}"
        );
        assert!(
            lines[0].contains("the old one stays in use")
                && lines[0].contains("\"level\":\"warn\"")
        );
        let answer = gateway.post(false, SESSIONCODE, "{}").await;
        assert_eq!(answer.status, 200, "{file}");
    }
    // All of them are wrong now. Each can be corrected on its own, and then nothing more is logged.
    for (name, text) in &good {
        folder.rename_over(name, text);
    }
    folder.rename_over("jwt", GOOD_SECRET);
    until("the new secret", async || {
        gateway.ask(&token(GOOD_SECRET)).await.status == 200
    })
    .await;
    let about = logged_with(&folder.name());
    assert_eq!(about.len(), wrong.len(), "{about:#?}");
    assert!(
        about.iter().all(|line| !line.contains("MARKER")),
        "{about:#?}"
    );
    assert_eq!(gateway.post(false, SESSIONCODE, "{}").await.status, 401);
}

#[tokio::test]
async fn an_unreadable_file_leaves_the_old_content_in_use() {
    let folder = Folder::with(&[("jwt", SECRET)]);
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let more = identity().replace("{ env = \"JWT\" }", "{ file = \"jwt\" }");
    let gateway = gateway(qiniu, &folder, "", &format!("{more}{UNBOUND}")).await;
    let wrong: [(&dyn Fn(), &str); 6] = [
        (&|| (), "No such file"),
        (&|| folder.make_folder("jwt"), "it is not a regular file"),
        (&|| folder.link("jwt", "jwt"), "symbolic link"),
        (&|| folder.rename_over("jwt", "\n"), "is empty"),
        (
            &|| folder.rename_over("jwt", &MARKER.repeat(5000)),
            "is too large for a secret",
        ),
        (
            &|| folder.rename_over("jwt", &format!("\u{0}{}", &MARKER[..9])),
            "at least 32 are required",
        ),
    ];
    for (number, (make, said)) in wrong.iter().enumerate() {
        folder.remove("jwt");
        make();
        let lines = logged(&[&folder.name(), said]).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains("\"key\":\"identity[0].secret\""),
            "{lines:?}"
        );
        // A new token signed with the old secret, so that no cache knows it.
        let fresh = bearer(&format!("user-{number}"));
        let fresh = fresh.strip_prefix("Bearer ").unwrap();
        assert_eq!(gateway.ask(fresh).await.status, 200);
    }
    folder.remove("jwt");
    folder.rename_over("jwt", GOOD_SECRET);
    until("the new secret", async || {
        gateway.ask(&token(GOOD_SECRET)).await.status == 200
    })
    .await;
    let about = logged_with(&folder.name());
    assert!(
        about.iter().all(|line| !line.contains("MARKER")),
        "{about:#?}"
    );
}

#[tokio::test]
async fn keys_that_fit_no_listed_algorithm_are_rejected() {
    let signer = Signer::new("a");
    let folder = Folder::with(&[("keys.json", &format!("{{\"keys\":[{}]}}", signer.jwk()))]);
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let more = format!(
        "[[identity]]\nissuer = \"{ISSUER}\"\naudience = \"liveness\"\njwks_file = \"keys.json\"\nalgorithms = \"ES256\"\n{UNBOUND}"
    );
    let gateway = gateway(qiniu, &folder, "", &more).await;
    let other = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
    folder.rename_over("keys.json", other);
    let lines = logged(&[&folder.name(), "ES256 fits none of the keys"]).await;
    assert!(
        lines[0].contains("\"key\":\"identity[0].jwks_file\""),
        "{lines:?}"
    );
    let token = signer.token_as(signer.id, ISSUER, "user-1");
    assert_eq!(gateway.ask(&token).await.status, 200);
}
