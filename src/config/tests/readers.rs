//! `[http.readers]`: who may come for events, and what of them.

use super::Setting;
use crate::config::diff;
use crate::events::EventType;
use crate::sinks::shape::{Fields, Omit};

/// With two tokens beside it.
fn setting(main: &str) -> Setting {
    Setting::new(main)
        .file("a", "a-token-of-the-test\n", 0o600)
        .file("b", "b-token-of-the-test", 0o600)
        .file("same", "a-token-of-the-test", 0o600)
        .file("short", "fifteen-letters", 0o600)
        .file("spaces", "has spaces in it, many", 0o600)
        .file("open", "readable-for-everybody", 0o644)
}

#[test]
fn every_key_arrives() {
    let config = setting(
        "[http.readers.screen]\ntoken_file = 'a'\ntypes = ['recognized']\nfields = 'pseudonym'\nomit = ['score']\nmin_score = 0.5\n\
         lists = ['vip']\n[http.readers.counts]\ntoken_file = 'b'\nfields = 'count'\n[http.readers.not]\ntoken_file = 'a'\nenabled = false",
    )
    .loaded()
    .config;
    let [counts, screen] = config.http.readers.as_slice() else { panic!("{:?}", config.http) };
    assert_eq!(
        (counts.name.as_str(), counts.token.expose(), counts.shape.fields),
        ("counts", "b-token-of-the-test", Fields::Count)
    );
    assert_eq!((screen.name.as_str(), screen.token.expose()), ("screen", "a-token-of-the-test"));
    assert_eq!(screen.shape.types, Some(vec![EventType::Recognized]));
    assert_eq!((screen.shape.fields, screen.shape.min_score), (Fields::Pseudonym, Some(0.5)));
    assert_eq!(screen.shape.omit, [Omit::Score]);
}

#[test]
fn the_environment_finds_a_reader_by_its_name() {
    let main = "[http.readers.Front-Desk]\ntoken_file = 'a'";
    let config = setting(main).var("WATCHLISTD__HTTP__READERS__FRONT_DESK__FIELDS", "count").loaded().config;
    assert_eq!(config.http.readers.len(), 1);
    assert_eq!(config.http.readers[0].shape.fields, Fields::Count);
}

#[test]
fn wrong_readers_are_refused() {
    let wrong = [
        ("[http]\nreaders = 5", "http.readers: expected tables such as [http.readers.dashboard], found 5"),
        ("[http.readers]\na = 5", "http.readers.a: expected a table [http.readers.a], found 5"),
        ("[http.readers.'a b']\ntoken_file = 'a'", "http.readers.\"a b\": a reader's name is 1 to 64"),
        ("[http.readers.a]", "http.readers.a.token_file: missing; expected the path of a file"),
        (
            "[http.readers.a]\ntoken = 'x'\ntoken_file = 'a'",
            "http.readers.a.token: a secret does not stand here",
        ),
        (
            "[http.readers.a]\ntoken_file = 'a'\nsnapshots = true\nfields = 'count'",
            "http.readers.a.snapshots: needs fields = \"name\"",
        ),
        (
            "[http.readers.a]\ntoken_file = 'short'",
            "http.readers.a.token_file: the token in it has to have 16",
        ),
        (
            "[http.readers.a]\ntoken_file = 'spaces'",
            "http.readers.a.token_file: the token in it has to have 16",
        ),
        (
            "[http.readers.a]\ntoken_file = 'open'",
            "http.readers.a.token_file: DIR/open can be read or written",
        ),
        ("[http.readers.a]\ntoken_file = 'none'", "http.readers.a.token_file: cannot read DIR/none"),
        ("[http.readers.a]\ntoken_file = 'a'\nrequired = true", "http.readers.a.required: unknown key"),
        ("[http.readers.a]\ntoken_file = 'a'\nfields = 'all'", "http.readers.a.fields: expected \"name\" or"),
        (
            "[http.readers.a]\ntoken_file = 'a'\n[http.readers.b]\ntoken_file = 'same'",
            "http.readers.b.token_file: the token in it is that of http.readers.a as well",
        ),
        ("[http]\nlisten = '0.0.0.0:9464'", "http.listen: expected \"off\" or a loopback address"),
    ];
    for (main, expected) in wrong {
        let mistake = setting(main).mistake();
        assert!(mistake.starts_with(expected), "{main}:\n{mistake}\n{expected}");
        assert!(!mistake.contains("letters-") && !mistake.contains("spaces in it, many"), "{mistake}");
    }
    let many: String =
        (0..17).map(|n| format!("[http.readers.r{n}]\ntoken_file = 'a'\nenabled = false\n")).collect();
    assert!(setting(&many).mistake().starts_with("http.readers: expected at most 16 readers, found 17"));
}

#[test]
fn a_later_layer_does_not_cover_readers() {
    let setting = setting("[http.readers.a]\ntoken_file = 'a'").drop_in("1.toml", "[http]\nreaders = 1");
    assert!(setting.mistake().starts_with("http.readers: expected tables"), "{}", setting.mistake());
    let setting =
        super::Setting::new("[http.readers.a]\ntoken_file = 'a'").file("a", "a-token-of-the-test", 0o600);
    let setting = setting.drop_in("1.toml", "[http.readers.a]\nfields = 'count'");
    assert_eq!(setting.loaded().config.http.readers[0].shape.fields, Fields::Count);
}

#[test]
fn what_is_likely_not_meant_is_warned_of() {
    let warnings = setting("[http]\nlisten = 'off'\n[http.readers.a]\ntoken_file = 'a'\ncameras = ['dor']")
        .loaded()
        .warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("http.readers.a.cameras: dor is no camera"), "{warnings:?}");
    assert!(warnings[1].starts_with("http.readers: nobody can come"), "{warnings:?}");
}

#[test]
fn another_token_waits_for_a_restart_and_is_shown_nowhere() {
    let old = setting("[http.readers.a]\ntoken_file = 'a'").loaded().config;
    let new = setting("[http.readers.a]\ntoken_file = 'b'").loaded().config;
    assert_eq!(diff::diff(&old, &new).needs_restart, ["http"]);
    assert_eq!(diff::reloaded(&old, new), old);
    assert!(!format!("{old:?}").contains("token-of-the-test"));
}
