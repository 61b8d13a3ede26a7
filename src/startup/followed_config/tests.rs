//! When a changed file is judged, read by read.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;

/// A configuration that names a file which is not there.
const TEXT: &str = "[qiniu]\naccess_key = { env = \"KEY\" }\nsecret_key = { env = \"KEY\" }\n\
                    ca_file = \"none.pem\"\n[[identity]]\nissuer = \"https://i.example\"\n\
                    audience = \"a\"\nsecret = { file = \"./secret\" }\n[server]\n";
const SECRETS: [&str; 2] = [
    "a secret of the tests that is long enough",
    "another one of them, long enough as well",
];

/// A folder with a configuration, removed when it is dropped.
struct ConfigFolder(PathBuf);

impl ConfigFolder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("liveness-gateway-upkeep-{}-{number}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&folder.0).unwrap();
        folder.write("secret", SECRETS[0]);
        folder.write("gateway.toml", &with(""));
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn followed(&self) -> FollowedConfig {
        self.followed_after(|| {})
    }

    /// The same, with something that happens between the start and the begin of the following.
    fn followed_after(&self, meanwhile: impl FnOnce()) -> FollowedConfig {
        let variables = BTreeMap::from([("KEY".to_owned(), "key".to_owned())]);
        let source = ConfigSource::at(self.0.join("gateway.toml")).with_variables(variables);
        let loaded = source.load().unwrap_or_else(|report| panic!("{report}"));
        meanwhile();
        FollowedConfig::new(ConfigFollower {
            source,
            values: loaded.values,
            version: loaded.version,
            log: None,
            notifier: Notifier::default(),
        })
    }
}

impl Drop for ConfigFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The configuration with this line of `[server]`.
fn with(line: &str) -> String {
    TEXT.replace("ca_file = \"none.pem\"\n", "") + line
}

/// Whether the file is judged now, and is good.
async fn judged(followed: &mut FollowedConfig) -> Option<bool> {
    Some(followed.poll().await?.loaded.is_ok())
}

#[tokio::test]
async fn a_text_is_judged_once_and_only_after_two_equal_reads() {
    let folder = ConfigFolder::new();
    let mut followed = folder.followed();
    assert_eq!(judged(&mut followed).await, None, "nothing has changed");
    let text = with("max_connections = 7\n");
    for length in [0, 10, text.len() - 9] {
        folder.write("gateway.toml", &text[..length]);
        assert_eq!(
            judged(&mut followed).await,
            None,
            "{length} bytes are there"
        );
    }
    folder.write("gateway.toml", &text);
    assert_eq!(judged(&mut followed).await, None, "it was read once");
    assert_eq!(judged(&mut followed).await, Some(true));
    assert_eq!(judged(&mut followed).await, None, "it was judged");
    folder.write("gateway.toml", TEXT);
    assert_eq!(judged(&mut followed).await, None);
    assert_eq!(judged(&mut followed).await, Some(false));
    assert_eq!(
        judged(&mut followed).await,
        None,
        "a wrong text is judged once too"
    );
}

#[tokio::test]
async fn a_change_while_the_gateway_starts_is_not_lost() {
    let folder = ConfigFolder::new();
    let text = with("max_connections = 7\n");
    let mut followed = folder.followed_after(|| folder.write("gateway.toml", &text));
    assert_eq!(judged(&mut followed).await, None, "it was read once");
    assert_eq!(judged(&mut followed).await, Some(true));
}

#[tokio::test]
async fn a_text_is_not_judged_while_a_file_that_it_names_changes() {
    let folder = ConfigFolder::new();
    let mut followed = folder.followed();
    folder.write("gateway.toml", &with("max_connections = 7\n"));
    for secret in [SECRETS[1], "short", SECRETS[0], ""] {
        folder.write("secret", secret);
        assert_eq!(judged(&mut followed).await, None, "{secret}");
    }
    folder.write("secret", SECRETS[1]);
    assert_eq!(judged(&mut followed).await, None);
    assert_eq!(judged(&mut followed).await, Some(true));
}

#[tokio::test]
async fn a_file_that_is_gone_is_waited_for() {
    let folder = ConfigFolder::new();
    let mut followed = folder.followed();
    let text = with("max_connections = 7\n");
    folder.write("gateway.toml", &text);
    assert_eq!(judged(&mut followed).await, None);
    fs::remove_file(folder.0.join("gateway.toml")).unwrap();
    for _ in 0..3 {
        assert_eq!(judged(&mut followed).await, None);
        assert_ne!(followed.judged, FileVersion::default());
    }
    // Too long for a tool that replaces it: that is told once, as if it had been judged.
    followed.gone = followed.gone.and_then(|since| since.checked_sub(ABSENCE));
    assert_eq!(judged(&mut followed).await, None);
    assert_eq!(followed.judged, FileVersion::default());
    folder.write("gateway.toml", &text);
    assert_eq!(judged(&mut followed).await, None, "it was read once");
    assert_eq!(judged(&mut followed).await, Some(true));
}
