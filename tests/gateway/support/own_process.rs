//! Tests that need a process of their own: each starts the test program again, to run only itself.

use std::process::Command;

/// The environment variable that names the test of a child process.
const TEST: &str = "LIVENESS_TEST_IN_OWN_PROCESS";

/// Whether the test `name` (its path in the test program) has this process to itself, and must
/// continue. If not, it has just run and passed in a child process.
///
/// # Panics
///
/// The test failed in the child, or there is no test of this name.
pub(crate) fn is_here(name: &str) -> bool {
    if std::env::var(TEST).is_ok_and(|test| test == name) {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(TEST, name)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{name} in a process of its own: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}
