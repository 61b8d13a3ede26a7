//! A crash leaves no image of the process's memory, whatever the system does with core dumps.

use std::os::unix::process::ExitStatusExt;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use super::served::Served;
use crate::support::ISSUER;

#[tokio::test]
async fn a_gateway_that_crashes_leaves_no_core_dump() {
    let mut gateway = Served::start(
        &format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [qiniu]\naccess_key = {{ file = \"ak\" }}\nsecret_key = {{ file = \"sk\" }}\n\
         [[identity]]\nissuer = \"{ISSUER}\"\naudience = \"liveness\"\n\
         secret = {{ file = \"jwt\" }}\n"
        ),
        &[],
    )
    .await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.id())).unwrap();
    let limit = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"));
    let limit: Vec<_> = limit.unwrap().split_whitespace().take(2).collect();
    assert_eq!(limit, ["0", "0"]);
    let id = Pid::from_raw(gateway.id().try_into().unwrap()).unwrap();
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    // Dumps that are piped to a program ignore the limit. Whoever has CAP_SYS_RESOURCE can lift it,
    // with the same effect; a unit test looks at the other way to have no dump.
    let _ = prlimit(Some(id), Resource::Core, unlimited);
    kill_process(id, Signal::ABORT).unwrap();
    let ended = gateway.ended().await;
    assert_eq!(ended.signal(), Some(Signal::ABORT.as_raw()));
    assert!(!ended.core_dumped());
    let files = std::fs::read_dir(gateway.folder()).unwrap();
    let mut names = files.map(|file| file.unwrap().file_name());
    assert!(names.all(|name| !name.to_string_lossy().starts_with("core")));
}
