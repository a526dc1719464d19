//! The daemon as a child: its events line by line, its log in a file, and an end that is always reached.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use rustix::process::{Pid, Signal, kill_process};
use watchlistd::base::error::{Error, Result};
use watchlistd::err;

/// The daemon promises to drain and end within this time.
pub const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Lines of the log that are shown when it fails.
const TAIL: usize = 15;

/// A running daemon. Dropping it ends it.
pub struct Daemon {
    child: Child,
    lines: Receiver<String>,
    tail: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
    log: PathBuf,
}

/// How it ended.
#[derive(Debug, Clone, Copy)]
pub struct Stopped {
    /// Time from the signal to the end.
    pub took: Duration,
    /// Its exit status; `None` if it had to be killed.
    pub status: Option<ExitStatus>,
}

impl Daemon {
    /// Starts `binary run --config config`; its standard error goes to `log`.
    ///
    /// # Errors
    /// When the program or the log cannot be opened.
    pub fn start(binary: &Path, config: &Path, log: &Path) -> Result<Self> {
        let file = File::create(log).map_err(|e| Error::io("create", log, e))?;
        let mut child = Command::new(binary)
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C on the terminal is for the demo, which then ends the daemon in order.
            .process_group(0)
            .spawn()
            .map_err(|e| Error::io("start", binary, e))?;
        let (sender, lines) = unbounded();
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(std::thread::spawn(move || forward(stdout, &sender)));
        }
        if let Some(stderr) = child.stderr.take() {
            let tail = tail.clone();
            readers.push(std::thread::spawn(move || keep(stderr, file, &tail)));
        }
        Ok(Self { child, lines, tail, readers, log: log.to_owned() })
    }

    /// Its standard output, line by line. Closed when it has ended.
    pub fn lines(&self) -> &Receiver<String> {
        &self.lines
    }

    /// Tells it to end and waits; kills it if it does not.
    pub fn stop(&mut self) -> Stopped {
        let asked = Instant::now();
        if let Ok(None) = self.child.try_wait()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            // Fails only if it has ended just now.
            let _ = kill_process(pid, Signal::TERM);
        }
        let status = self.wait(STOP_LIMIT);
        if status.is_none() {
            // Fails only if it has ended just now; waiting tells.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let took = asked.elapsed();
        for reader in self.readers.drain(..) {
            // A panic there has been printed already.
            let _ = reader.join();
        }
        Stopped { took, status }
    }

    /// The error of a daemon that ended by itself, with the end of its log.
    pub fn died(&mut self) -> Error {
        let status = self.stop().status;
        let how = status.map_or_else(|| "closed its output".to_owned(), |s| format!("ended ({s})"));
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<String> = tail.iter().map(|line| format!("\n  | {line}")).collect();
        err!(Unavailable, "the daemon {how}; the end of {}:{}", self.log.display(), lines.concat())
    }

    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            if Instant::now() >= end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

fn forward(stdout: impl Read, sender: &Sender<String>) {
    for line in BufReader::new(stdout).lines() {
        if line.is_ok_and(|line| sender.send(line).is_ok()) {
            continue;
        }
        break;
    }
}

fn keep(stderr: impl Read, mut file: File, tail: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(stderr).split(b'\n').map_while(std::io::Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        // A full disk must not stop the daemon: what cannot be written is still in the tail.
        let _ = writeln!(file, "{line}");
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.push_back(line);
        if tail.len() > TAIL {
            tail.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program in the daemon's place.
    fn daemon(script: &str) -> (tempfile::TempDir, Daemon) {
        let folder = tempfile::tempdir().expect("a folder");
        let binary = folder.path().join("daemon");
        std::fs::write(&binary, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let start = || Daemon::start(&binary, Path::new("c.toml"), &folder.path().join("log"));
        // Another test's child may still hold the script open for writing, between its fork and its exec.
        let busy = |e: &Error| e.chain().contains("busy");
        let mut daemon = start();
        while daemon.as_ref().is_err_and(busy) {
            daemon = start();
        }
        (folder, daemon.expect("started"))
    }

    fn first_line(daemon: &Daemon) -> String {
        daemon.lines().recv_timeout(Duration::from_secs(20)).expect("a line")
    }

    #[test]
    fn it_is_told_to_end_and_what_it_says_last_is_heard() {
        let script = "trap 'echo drained; exit 0' TERM; echo \"$@\"; while :; do sleep 0.05; done";
        let (_folder, mut daemon) = daemon(script);
        assert_eq!(first_line(&daemon), "run --config c.toml");
        let stopped = daemon.stop();
        assert!(stopped.status.is_some_and(|s| s.success()), "{stopped:?}");
        assert_eq!(daemon.lines().try_iter().collect::<Vec<_>>(), ["drained"]);
    }

    #[test]
    fn a_daemon_that_dies_leaves_the_end_of_its_log() {
        let (_folder, mut daemon) =
            daemon("i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo line $i >&2; done; exit 7");
        assert!(daemon.lines().recv_timeout(Duration::from_secs(20)).is_err(), "its output closes");
        let error = daemon.died().chain();
        assert!(error.contains("exit status: 7") && error.contains("line 40"), "{error}");
        assert!(!error.contains("line 25\n"), "only the end: {error}");
    }

    #[test]
    fn dropping_it_ends_it() {
        let (_folder, daemon) = daemon("echo $$; exec sleep 1000");
        let pid: i32 = first_line(&daemon).parse().expect("a process id");
        drop(daemon);
        let pid = Pid::from_raw(pid).expect("a process id");
        assert!(rustix::process::test_kill_process(pid).is_err(), "still there");
    }
}
