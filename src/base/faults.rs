//! Named places where a kill matters, for the tests that prove what is durable.
//!
//! ```text
//!   WATCHLISTD_KILL_AT=name:n     SIGKILL at the n-th time (from 1) that the process comes by `name`
//!   WATCHLISTD_POINTS=FILE        appends a line with the name of each point that the process comes by
//! ```
//!
//! Only a program built with the feature `faults` reads these variables; in a release [`point`] is empty. A name says the
//! operation and the moment: `enrol.before-commit`. It is written out where it is called (`faults::point("...")`) and stands in
//! [`POINTS`], so that a test can go through all of them.

/// The names of all points, sorted.
pub const POINTS: &[&str] = &[
    "backup.copied",
    "commit.audited",
    "commit.begun",
    "commit.done",
    "commit.forgotten",
    "commit.head",
    "commit.rows",
    "commit.wiped",
    "enrol.examined",
    "events.committed",
    "events.created",
    "events.expired",
    "events.group",
    "events.head",
    "events.journal-aside",
    "events.room",
    "events.salvaged",
    "events.saved",
    "events.sent",
    "events.set-aside",
    "events.told",
    "events.written",
    // Called only by the tests of this module's own work.
    "faults.first",
    "faults.second",
    "import.planned",
    "jsonl.dropped",
    "jsonl.packed",
    "jsonl.placed",
    "jsonl.replaced",
    "jsonl.rotated",
    "jsonl.shifted",
    "replace.cleared",
    "replace.placed",
    "replace.verified",
    "restore.planned",
    "rotate.next-written",
    "rotate.promoted",
    "rotate.rewrapped",
    "switch.committed",
    "switch.embedded",
];

/// The process came by the point `name`, which is one of [`POINTS`].
///
/// # Panics
///
/// Only with the feature `faults`: at a name that is not in the table, and where a variable or its file cannot be used. A test
/// that asks for a kill must not pass because none happened.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn point(_name: &'static str) {}

#[cfg(feature = "faults")]
pub use on::point;

#[cfg(feature = "faults")]
mod on {
    use std::fs::{File, OpenOptions};
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::POINTS;

    /// What the environment asks for.
    struct Plan {
        kill: Option<Kill>,
        log: Option<File>,
    }

    struct Kill {
        name: String,
        /// How many more times the point is passed unharmed, plus one; past the kill it wraps, which nobody sees.
        left: AtomicU64,
    }

    /// See the module.
    pub fn point(name: &'static str) {
        static PLAN: OnceLock<Plan> = OnceLock::new();
        debug_assert!(POINTS.contains(&name), "add {name} to POINTS in src/base/faults.rs");
        let plan = PLAN.get_or_init(Plan::of_the_environment);
        if let Some(mut log) = plan.log.as_ref() {
            // One write, so that lines of several threads do not mix; and before the kill, so that the last line tells where.
            let written = log.write_all(format!("{name}\n").as_bytes());
            assert!(written.is_ok(), "WATCHLISTD_POINTS: {written:?}");
        }
        if plan.kill.as_ref().is_some_and(|kill| kill.is_due(name)) {
            die();
        }
    }

    impl Plan {
        fn of_the_environment() -> Self {
            let kill = std::env::var("WATCHLISTD_KILL_AT").ok().map(|text| Kill::parse(&text));
            let log = std::env::var_os("WATCHLISTD_POINTS").map(|path| {
                let file = OpenOptions::new().create(true).append(true).open(&path);
                file.unwrap_or_else(|e| panic!("WATCHLISTD_POINTS={}: {e}", path.display()))
            });
            Self { kill, log }
        }
    }

    impl Kill {
        fn parse(text: &str) -> Self {
            let parts = text.rsplit_once(':').and_then(|(name, n)| Some((name, n.parse().ok()?)));
            match parts {
                Some((name, n)) if n > 0 && POINTS.contains(&name) => {
                    Self { name: name.to_owned(), left: AtomicU64::new(n) }
                }
                _ => panic!("WATCHLISTD_KILL_AT={text}: expected NAME:N, N from 1, NAME one of {POINTS:?}"),
            }
        }

        fn is_due(&self, name: &str) -> bool {
            self.name == name && self.left.fetch_sub(1, Ordering::Relaxed) == 1
        }
    }

    /// How long the other threads go on before a kill: what one of them was told too early, it tells others now.
    const MOMENT: Duration = Duration::from_millis(5);

    /// As the kernel or an operator would end it: nothing is flushed, nothing dropped, no handler runs.
    fn die() -> ! {
        std::thread::sleep(MOMENT);
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort()
    }

    #[cfg(test)]
    mod tests {
        use super::Kill;

        #[test]
        fn a_kill_is_due_once_at_the_nth_hit_of_its_point() {
            let kill = Kill::parse("faults.first:3");
            let hits = ["faults.first", "faults.second", "faults.first", "faults.first", "faults.first"];
            assert_eq!(hits.map(|name| kill.is_due(name)), [false, false, false, true, false]);
        }

        #[test]
        fn a_kill_that_could_never_happen_is_refused() {
            for text in ["", "faults.first", "faults.first:0", "faults.first:x", "no-such-point:1"] {
                assert!(std::panic::catch_unwind(|| Kill::parse(text)).is_err(), "{text}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::POINTS;

    /// The names in `faults::point("...")` of all sources under `folder`.
    fn written(folder: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                written(&path, names);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("base/faults.rs") {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                let calls = text.split("faults::point(\"").skip(1);
                names.extend(calls.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned()));
            }
        }
    }

    #[test]
    fn the_table_has_the_points_of_the_sources_and_no_others() {
        assert!(POINTS.is_sorted_by(|a, b| a < b), "sorted, each name once: {POINTS:?}");
        let mut names = BTreeSet::new();
        written(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
        let table = POINTS.iter().filter(|name| !name.starts_with("faults.")).map(|&name| name.to_owned());
        assert_eq!(names, table.collect(), "left: in the sources, right: in POINTS");
    }
}
