//! `[audit]`: valid and invalid settings.

use std::{fs, os::unix::fs::symlink, time::Duration};

use super::{good, minimal, wrong::only};

#[test]
fn the_audit_log_has_its_defaults_and_nothing_is_made_by_a_check() {
    assert!(good(&minimal(""), &[]).settings.audit.is_none());
    let folder = std::env::temp_dir().join(format!("check-audit-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("audit.jsonl");
    let loaded = good(&minimal(&format!("[audit]\npath = {path:?}\n")), &[]);
    let audit = loaded.settings.audit.unwrap();
    assert_eq!(audit.path, path);
    assert_eq!(
        (audit.required, audit.checkpoint, audit.consent_claim),
        (false, Duration::from_secs(3600), None)
    );
    assert!(!path.exists());
    assert_eq!(good(&loaded.effective, &[]).effective, loaded.effective);
    fs::write(&path, "").unwrap();
    good(&minimal(&format!("[audit]\npath = {path:?}\n")), &[]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn each_mistake_in_the_audit_log_has_its_location_and_help() {
    let folder = std::env::temp_dir().join(format!("check-audit-wrong-{}", std::process::id()));
    fs::create_dir_all(folder.join("folder")).unwrap();
    fs::write(folder.join("foreign"), "a line\n").unwrap();
    symlink("nothing", folder.join("link")).unwrap();
    let at = |name: &str, more: &str| {
        minimal(&format!(
            "[audit]\npath = \"{}/{name}\"\n{more}\n",
            folder.display()
        ))
    };
    for (name, message) in [
        ("missing/audit.jsonl", "no file can be made in its folder"),
        ("foreign/audit.jsonl", "it can't be opened for writing"),
        ("folder", "it is neither a file nor a FIFO"),
        ("link", "it is a symbolic link"),
        ("foreign", "its end is no record of an audit log"),
    ] {
        let shown = only(
            &at(name, ""),
            &[],
            message,
            &format!("\"{}/{name}", folder.display()),
        );
        assert!(
            shown.contains("the audit log can't be written to"),
            "{shown}"
        );
    }
    only(
        &minimal("[audit]\npath = \"/dev/full\"\n"),
        &[],
        "neither a file nor a FIFO",
        "\"/dev/full",
    );
    only(
        &minimal("[audit]\nrequired = true\n"),
        &[],
        "`path` is missing",
        "audit]",
    );
    let long = format!("consent_claim = \"{}\"", "c".repeat(129));
    only(&at("new", &long), &[], "longer than 128 bytes", "\"ccc");
    only(
        &at("new", "checkpoint = \"10ms\""),
        &[],
        "checkpoint",
        "\"10ms",
    );
    let plain = "[[routes]]\npath = \"/v2/other\"\nkind = \"plain\"";
    only(
        &at("new", plain),
        &[],
        "[audit] needs a verify route",
        "audit]",
    );
    fs::remove_dir_all(folder).unwrap();
}
