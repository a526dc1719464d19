//! `events verify`, `head`, `sinks` and `dead`, and that nothing is changed by looking.

use serde_json::Value;

use super::*;
use crate::api::control;
use crate::cli::events::desk;

#[track_caller]
fn verified(site: &Site, more: &str) -> (u8, Value, String) {
    let ran = run(site, &format!("verify --json {more}"));
    let status = ran.status();
    let report: Value = serde_json::from_str(&ran.printed()).expect("a report");
    let words = run(site, &format!("verify {more}")).out;
    (status, report, words)
}

#[test]
fn a_log_as_it_was_written_verifies_and_a_changed_one_says_where() {
    let site = filled(12);
    let head = run(&site, "head").printed();
    let head = head.trim();
    let (status, report, words) = verified(&site, &format!("--head {head}"));
    assert_eq!((status, &report["events"], &report["problems"]), (0, &12.into(), &Value::Array(Vec::new())));
    assert_eq!(
        (&report["head_given"]["state"], &report["head_beside"]["state"]),
        (&"agrees".into(), &"agrees".into())
    );
    assert!(words.ends_with("The log is as it was written.\n"), "{words}");

    let sql = "UPDATE events SET body = cast(replace(cast(body AS TEXT), 'door', 'gate') AS BLOB) WHERE sequence IN (4, 5, 9)";
    assert_eq!(site.raw().execute(sql, []).expect("changed"), 3);
    let (status, report, words) = verified(&site, "");
    assert_eq!(status, 65);
    assert_eq!(report["damaged"], serde_json::json!([[4, 5], [9, 9]]));
    assert!(words.contains("Problem: events 4 to 5: each is damaged or missing\n"), "{words}");
    assert!(words.contains("Problem: event 9 is damaged or missing\n"), "{words}");
}

#[test]
fn a_tail_that_was_cut_off_disagrees_with_the_heads() {
    let site = filled(10);
    let before = std::fs::read(site.path()).expect("there");
    let log = site.open();
    fill(&site, &log, 5, "door");
    finish(log);
    let head = run(&site, "head").printed();
    std::fs::write(site.path(), before).expect("put back");
    let (status, report, words) = verified(&site, &format!("--head {}", head.trim()));
    assert_eq!((status, &report["damaged"]), (65, &Value::Array(Vec::new())), "every row is right");
    assert_eq!(
        (&report["head_given"]["state"], &report["head_beside"]["state"]),
        (&"cut".into(), &"cut".into())
    );
    assert!(words.contains("the head that was given tells of 15 events and the log ends at 10"), "{words}");
    // Whoever put the head back as well is found by the one that was kept elsewhere.
    std::fs::remove_file(site.path().with_extension("head")).expect("removed");
    let (status, report, _) = verified(&site, "");
    assert_eq!((status, &report["head_beside"]["state"]), (65, &"missing".into()));

    assert_eq!(verified(&site, "--log copy.db").0, 0, "a copy has none");

    let other = filled(3);
    let theirs = run(&other, "head").printed();
    let (status, report, words) = verified(&site, &format!("--head {}", theirs.trim()));
    assert_eq!((status, &report["head_given"]["state"]), (65, &"not_ours".into()));
    assert!(words.contains("was not written with this gallery's key"), "{words}");
    assert!(parsed("verify --head 7").is_err());
}

#[test]
fn a_head_of_before_a_salvage_says_that_the_log_is_another() {
    let site = filled(10);
    let head = run(&site, "head").printed();
    site.raw().execute("UPDATE state SET last = 9", []).expect("changed");
    assert_eq!(run(&site, "verify").status(), 65, "the state itself");
    finish(site.open());
    let (status, report, words) = verified(&site, &format!("--head {}", head.trim()));
    assert_eq!(
        (status, &report["head_given"]["state"], &report["head_beside"]["state"]),
        (65, &"other_log".into(), &"agrees".into())
    );
    assert!(words.contains("is of another epoch"), "{words}");
    assert_eq!(verified(&site, "").0, 0);
}

#[test]
fn names_of_the_forgotten_are_counted_as_closed() {
    let site = Site::new();
    let log = site.open();
    let (ada, ben) = (somebody(&site), somebody(&site));
    accept(&log, site.recognized(ada, "Ada Lovelace", &["vip"]));
    accept(&log, site.recognized(ben, "Ben Okafor", &["vip"]));
    finish(log);
    site.ring.forget(ada);
    let (status, report, words) = verified(&site, "");
    assert_eq!((status, &report["names"], &report["closed_names"]), (0, &1.into(), &1.into()));
    assert!(words.contains("1 that open, 1 closed for good"), "{words}");
}

#[test]
fn sinks_and_what_they_refused() {
    let site = filled(9);
    let log = site.open();
    let dead = vec![(2, "400".to_owned()), (4, "\u{1b}[2Jtoo odd".to_owned())];
    assert!(log.reading().had(&Arc::from("needed"), 6, dead));
    assert!(log.reading().had(&Arc::from("other"), 9, vec![(4, "no".to_owned())]));
    finish(log);
    let expected = "\
SINK    REQUIRED  HAS HAD  BEHIND  WAITING SINCE        DEAD LETTERS
needed  yes             6       3  2026-03-01 09:30:00             2
other   no              9       0                                  1
";
    assert_eq!(run(&site, "sinks").printed(), expected);
    let json = run(&site, "sinks --json").printed();
    let first: Value = serde_json::from_str(json.lines().next().expect("a line")).expect("an object");
    assert_eq!(
        (&first["name"], &first["behind"], &first["required"]),
        (&"needed".into(), &3.into(), &true.into())
    );

    let expected = "\
SINK    NUMBER  GIVEN UP             WHY
needed       2  2026-03-01 09:30:00  400
needed       4  2026-03-01 09:30:00   [2Jtoo odd
other        4  2026-03-01 09:30:00  no
";
    assert_eq!(run(&site, "dead").printed(), expected);
    assert_eq!(run(&site, "dead other --json").printed().lines().count(), 1);
    let unknown = run(&site, "dead tulip");
    assert_eq!((unknown.status(), unknown.refusal().contains("needed, other")), (64, true));
}

#[test]
fn every_dead_letter_is_shown_however_many_there_are() {
    let site = filled(1);
    let log = site.open();
    fill(&site, &log, 2500, "door");
    let last = accept(&log, site.event("door"));
    let dead = (1..=last).map(|sequence| (sequence, "no".to_owned())).collect();
    assert!(log.reading().had(&Arc::from("needed"), last, dead));
    finish(log);
    assert_eq!(run(&site, "dead --json").printed().lines().count() as u64, last);
}

/// What one looks at stays as it is, byte for byte, and nothing is made where nothing was.
#[test]
fn looking_changes_nothing_and_makes_no_log() {
    let site = filled(50);
    site.raw().execute("UPDATE events SET at = 0 WHERE sequence = 3", []).expect("changed");
    let files = ["events.db", "events.head"].map(|name| site.folder.path().join(name));
    let bytes = || files.clone().map(|file| std::fs::read(file).expect("there"));
    let before = bytes();
    let every =
        ["tail", "tail --json", "show 7", "export", "export --format csv", "verify", "head", "sinks", "dead"];
    for line in every {
        run(&site, line).printed();
        assert!(bytes() == before, "{line}");
    }
    let empty = Site::new();
    for line in every {
        let ran = run(&empty, line);
        assert_eq!(ran.status(), 66, "{line}");
        assert!(ran.refusal().contains("events.path"), "{}", ran.refusal());
    }
    assert_eq!(std::fs::read_dir(empty.folder.path()).expect("readable").count(), 0);
    // Another key reads nothing, and says so.
    let mut other = filled(1);
    other.key = Key::generate().expect("random");
    let ran = run(&other, "tail");
    assert_eq!((ran.status(), ran.refusal().contains("another key")), (65, true), "{}", ran.refusal());
    // Another program's file stays what it is.
    let theirs = Site::new();
    theirs.raw().execute_batch("CREATE TABLE theirs (x)").expect("made");
    assert_eq!(run(&theirs, "tail").status(), 78);
}

#[test]
fn a_damaged_file_says_what_to_do() {
    let site = filled(200);
    let mut bytes = std::fs::read(site.path()).expect("there");
    let page = bytes.len() / 4096 / 2 * 4096;
    bytes[page..page + 4096].iter_mut().for_each(|byte| *byte ^= 0x5a);
    std::fs::write(site.path(), &bytes).expect("written");
    let ran = run(&site, "verify");
    assert_eq!(ran.status(), 65);
    assert!(ran.refusal().contains("the daemon saves what can be read when it starts"), "{}", ran.refusal());
}

#[test]
fn each_command_has_an_example() {
    use clap::CommandFactory;
    let root = crate::cli::Cli::command();
    let events = root.find_subcommand("events").expect("there");
    for command in events.get_subcommands().filter(|command| command.get_name() != "schema") {
        let help = command.clone().render_long_help().to_string();
        assert!(
            help.contains(&format!("watchlistd events {}", command.get_name())),
            "{}",
            command.get_name()
        );
    }
}

/// A daemon that has this log.
struct Daemon(crate::events::desk::Clerk);

impl control::Handler for Daemon {
    fn status(&self) -> crate::stats::snapshot::Snapshot {
        panic!("nobody asks for it")
    }

    fn gallery(
        &self,
        _: &control::Peer,
        _: crate::gallery::command::Command,
        _: &[u8],
        _: &mut dyn FnMut(crate::gallery::command::Progress),
    ) -> Result<crate::gallery::command::Reply> {
        Err(crate::err!(Usage, "not in this test"))
    }

    fn events(&self, question: &crate::events::desk::Question) -> Result<crate::gallery::command::Reply> {
        self.0.answer(question)
    }
}

/// Questions change nothing: one whose connection was closed, as of somebody who reads slowly, is asked again over another one.
#[test]
fn a_connection_that_was_closed_meanwhile_is_made_again() {
    let site = filled(3);
    let mut config = crate::config::Config::default();
    config.control.socket = site.folder.path().join("control.sock");
    let start = || {
        let clerk = crate::events::desk::Clerk::new(inspector(&site));
        let daemon = Arc::new(Daemon(clerk));
        control::Server::start(&config.control.socket, control::Rule::own(), daemon).expect("started")
    };
    let server = start();
    let mut asking = desk::open(&config, None, None).expect("a daemon");
    assert!(asking.daemon);
    let read = |asking: &mut Asking| asking.read(None, 0, 2, Duration::ZERO).map(|part| part.pieces.len());
    assert_eq!(read(&mut asking).expect("answered"), 2);
    drop(server);
    let server = start();
    assert_eq!(read(&mut asking).expect("answered by the next one"), 2);
    let refused = desk::open(&config, None, Some("/k".as_ref())).err().expect("two keys");
    assert_eq!(refused.kind(), Kind::Usage);
    drop(server);
    assert_eq!(read(&mut asking).expect_err("nobody is there").kind(), Kind::Unavailable);
}
