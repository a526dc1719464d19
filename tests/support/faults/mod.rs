//! Proves what is durable: runs a real program under a shim that journals what it does to the files of one folder, makes of
//! the journal what a disk may hold after a power cut, and makes single operations fail.
//!
//! ```text
//!   command ─▶ record ─▶ Journal ─▶ cuts(seed, n) ─▶ PowerCut ─▶ write_to(folder) ─▶ open it, and judge:
//!               (shim)                                       └─▶ acknowledged()        what was told must be there
//!
//!   command ─▶ fail_at("ENOSPC:7") ─▶ Counts: how many operations, how many failed
//! ```
//!
//! For a test with several programs, or with a daemon that answers on a socket, [`Recording`] has the steps one by one. Use it
//! with `#[path = "support/faults/mod.rs"] mod faults;`. The shim's variables are in tests/shim/faults.c, the model of the
//! disk in [`disk`].
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod disk;
pub mod journal;
pub mod points;
pub mod tree;

use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub use journal::Journal;

/// The shim's library, built once for all tests from its source.
pub fn shim() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/faults.c");
        let mut hasher = DefaultHasher::new();
        fs::read(&source).expect("the shim's source").hash(&mut hasher);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let library = folder.join(format!("faults-{:016x}.so", hasher.finish()));
        if !library.exists() {
            // Other test programs may build it at the same moment: the name appears with a finished file only.
            let mine = folder.join(format!("faults-{}.so", std::process::id()));
            let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
            let flags = ["-std=gnu11", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-pthread", "-o"];
            let built = Command::new(&compiler).args(flags).arg(&mine).arg(&source).output();
            let built = built.unwrap_or_else(|e| panic!("{}: {e}", compiler.display()));
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
            fs::rename(&mine, &library).expect("a name for the shim");
        }
        library
    })
}

/// A folder for a test whose durability is modelled: in memory where the system has such a place, as syncing a real disk
/// thousands of times proves nothing more.
pub fn quick_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// Runs `command` to its end and returns what it did to `folder`.
pub fn record(command: &mut Command, folder: &Path) -> (Journal, Output) {
    let recording = Recording::of(folder);
    let output = recording.run(command);
    (recording.finish(), output)
}

/// A journal in the making: of one folder, of any number of programs.
pub struct Recording {
    folder: PathBuf,
    before: tree::Snapshot,
    /// Holds the journal; outside the folder.
    aside: tempfile::TempDir,
}

impl Recording {
    /// Starts with what is in `folder` now, all of it durable.
    pub fn of(folder: &Path) -> Self {
        let folder = folder.canonicalize().expect("a folder");
        let before = tree::Snapshot::of(&folder);
        let recording = Self { folder, before, aside: quick_folder() };
        fs::write(recording.path(), b"").expect("a journal");
        recording
    }

    fn path(&self) -> PathBuf {
        self.aside.path().join("journal")
    }

    /// Lets `command` write the journal; whoever starts it, also in the background.
    pub fn watch<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        under_shim(command, &self.folder).env("WATCHLISTD_SHIM_JOURNAL", self.path())
    }

    /// Runs `command` to its end. Where it was killed in the middle of a record, that record is dropped: its operation was told
    /// to nobody.
    pub fn run(&self, command: &mut Command) -> Output {
        let output = self.watch(command).output().expect("it runs");
        let bytes = fs::read(self.path()).expect("the journal");
        let whole = journal::whole_records(&bytes);
        if whole < bytes.len() {
            assert!(!output.status.success(), "a program that ended well left half a record");
            let file = OpenOptions::new().write(true).open(self.path()).expect("the journal");
            file.set_len(whole as u64).expect("a shorter journal");
        }
        output
    }

    /// The programs have told somebody by now that `what` is done: it must survive every later cut.
    pub fn acknowledge(&self, what: &str) {
        let mut file = OpenOptions::new().append(true).open(self.path()).expect("the journal");
        file.write_all(&journal::acknowledgement(what.as_bytes())).expect("a record");
    }

    /// The journal so far, without the check of [`Recording::finish`]: for programs that were killed, or that still run.
    pub fn so_far(&self) -> Journal {
        let bytes = fs::read(self.path()).expect("the journal");
        Journal::parse(self.before.clone(), &bytes[..journal::whole_records(&bytes)])
    }

    /// The journal.
    ///
    /// # Panics
    ///
    /// If the journal, played from the start, does not give the folder as it is: then the programs wrote in a way that the shim
    /// does not see, and no cut would mean anything.
    #[track_caller]
    pub fn finish(self) -> Journal {
        let journal = self.so_far();
        journal.assert_complete(&self.folder);
        journal
    }
}

/// What a program under the shim came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Operations that could fail.
    pub operations: u64,
    /// Those that were made to.
    pub failures: u64,
}

/// Runs `command` while operations on `folder` fail as `fault` says: `ENOSPC:7`, `EIO:7+`, `EIO:7-9`, `EROFS:1+`, `SHORT:7`, `KILL:7`, or
/// several with commas; an empty one only counts.
pub fn fail_at(fault: &str, command: &mut Command, folder: &Path) -> (Output, Counts) {
    let aside = quick_folder();
    let path = aside.path().join("counts");
    under_shim(command, folder).env("WATCHLISTD_SHIM_COUNT", &path);
    if !fault.is_empty() {
        command.env("WATCHLISTD_SHIM_FAIL", fault);
    }
    let output = command.output().expect("it runs");
    let bytes = fs::read(&path).expect("the shim's counts: was it loaded?");
    let number = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    (output, Counts { operations: number(0), failures: number(8) })
}

fn under_shim<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    command.env("LD_PRELOAD", shim()).env("WATCHLISTD_SHIM_DIR", folder)
}
