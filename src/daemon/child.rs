//! Tests that need a process of their own (signals, the environment) run themselves again in one.

use std::process::{Command, ExitStatus};

const MARK: &str = "WATCHLISTD_TEST_CHILD";

/// True in the process that [`run`] started for `part`.
pub(crate) fn is_it(part: &str) -> bool {
    std::env::var(MARK).is_ok_and(|p| p == part)
}

/// Runs the test `name` in a process of its own, where [`is_it`] says so.
pub(crate) fn run(name: &str, part: &str, set_up: impl FnOnce(&mut Command)) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([name, "--exact", "--test-threads=1"]).env(MARK, part);
    set_up(&mut command);
    let output = command.output().expect("started");
    // A wrong name would run nothing and succeed.
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() || text.contains("1 passed"), "{name} did not run:\n{text}");
    output.status
}
