//! From arguments to the command that the desk is asked.

use clap::{CommandFactory, Parser};
use serde_json::{Value, json};

use super::samples::{self, value};
use super::{Canned, Cli, run, words};
use crate::cli::desk::Store;
use crate::gallery::command::{AuditFilter, Change, Command, Who};
use crate::gallery::list::{List, Publish};
use crate::gallery::record::{ExternalId, ListName, Standing};

fn who(text: &str) -> Who {
    Who(text.to_owned())
}

fn list(name: &str) -> ListName {
    ListName::new(name).expect("a list")
}

fn name(text: &str) -> crate::gallery::Name {
    crate::gallery::Name::new(text).expect("a name")
}

fn time(text: &str) -> jiff::Timestamp {
    text.parse().expect("a time")
}

/// Command lines that touch no file, what the desk answers, and what it has to be asked. Now is 12:00 at UTC+1.
fn cases() -> Vec<(&'static str, Value, Command)> {
    let person = || value(samples::person(1, "Ana"));
    let change =
        |who: &str, change: Change| Command::Change { who: Who(who.to_owned()), change: Box::new(change) };
    let key = "0B".repeat(32);
    vec![
        ("gallery list", json!([]), Command::List { list: None, standing: None, text: None }),
        (
            "gallery list --list staff --standing expired ada",
            json!([]),
            Command::List {
                list: Some(list("staff")),
                standing: Some(Standing::Expired),
                text: Some("ada".to_owned()),
            },
        ),
        ("gallery show \" 王小明 \"", value(samples::portrait()), Command::Show { who: who("王小明") }),
        (
            "gallery change E-7 --name \"Ana B.\" --external-id none --onto staff --onto vip --off old --purpose none \
             --authority law --image-source badge --valid-from 2027-01-01 --valid-until 2027-03-01 --review-date +90d \
             --notes \"two words\"",
            person(),
            change(
                "E-7",
                Change {
                    name: Some(name("Ana B.")),
                    external_id: Some(None),
                    onto: [list("staff"), list("vip")].into(),
                    off: [list("old")].into(),
                    purpose: Some(None),
                    authority: Some(Some("law".to_owned())),
                    image_source: Some(Some("badge".to_owned())),
                    valid_from: Some(Some(time("2026-12-31T23:00:00Z"))),
                    valid_until: Some(Some(time("2027-03-01T23:00:00Z"))),
                    review: Some(Some(time("2026-12-30T11:00:00Z"))),
                    notes: Some(Some("two words".to_owned())),
                },
            ),
        ),
        (
            "gallery change Ana --external-id E-8 --valid-until none",
            person(),
            change(
                "Ana",
                Change {
                    external_id: Some(Some(ExternalId::new("E-8").expect("an id"))),
                    valid_until: Some(None),
                    ..Change::default()
                },
            ),
        ),
        (
            "gallery rename Ana 王小明",
            person(),
            change("Ana", Change { name: Some(name("王小明")), ..Change::default() }),
        ),
        ("gallery reviewed Ana", person(), Command::Reviewed { who: who("Ana"), next: None }),
        (
            "gallery reviewed Ana --next 2027-03-01",
            person(),
            Command::Reviewed { who: who("Ana"), next: Some(time("2027-02-28T23:00:00Z")) },
        ),
        (
            "gallery merge Ana E-7 --yes",
            value(samples::moved(None)),
            Command::Merge { from: who("Ana"), into: who("E-7") },
        ),
        (
            "gallery split Ana aaa bbb --name Bob",
            person(),
            Command::Split {
                who: who("Ana"),
                templates: vec!["aaa".to_owned(), "bbb".to_owned()],
                name: name("Bob"),
            },
        ),
        (
            "gallery move-template aaa Bob",
            value(samples::moved(Some(1))),
            Command::MoveTemplate { template: "aaa".to_owned(), to: who("Bob") },
        ),
        ("gallery remove-template aaa", person(), Command::RemoveTemplate { template: "aaa".to_owned() }),
        (
            "gallery forget Ana --yes --reason request",
            value(samples::receipt()),
            Command::Forget { who: who("Ana"), reason: Some("request".to_owned()) },
        ),
        ("gallery lists", value(samples::lists()), Command::Lists),
        ("gallery remove-list staff", Value::Null, Command::RemoveList { name: list("staff") }),
        ("gallery confusable", json!([]), Command::Confusable { most: 20 }),
        ("gallery confusable --most 3", json!([]), Command::Confusable { most: 3 }),
        ("gallery verify", value(samples::examination(&[])), Command::Verify),
        ("gallery info", value(samples::description()), Command::Describe),
        ("gallery trust", value(samples::trust(true)), Command::Trusted),
        (
            "gallery trust KEY --label \"gate north\"",
            value(samples::trust(true)),
            Command::Trust { key: key.to_lowercase(), label: "gate north".to_owned() },
        ),
        (
            "gallery distrust \"gate north\"",
            value(samples::trust(false)),
            Command::Distrust { key: "gate north".to_owned() },
        ),
        (
            "gallery key rotate --deep",
            value(samples::rotated()),
            Command::KeyRotate { key: None, deep: true },
        ),
        ("audit verify", value(samples::audit_report(&[])), Command::AuditVerify { head: None }),
        (
            "audit verify --head HEAD",
            value(samples::audit_report(&[])),
            Command::AuditVerify { head: Some(samples::head()) },
        ),
        ("audit head", json!(samples::head()), Command::AuditHead),
        ("audit accept-head --yes", value(samples::audit_report(&[])), Command::AuditAcceptHead),
        (
            "audit show --who Ana --action forgotten --since 2026-10-01 --until 2026-10-01 --most 5",
            json!([]),
            Command::AuditShow {
                filter: AuditFilter {
                    who: Some(who("Ana")),
                    action: Some("forgotten".to_owned()),
                    since: Some(time("2026-09-30T23:00:00Z")),
                    until: Some(time("2026-10-01T23:00:00Z")),
                    most: Some(5),
                },
            },
        ),
        ("audit show", json!([]), Command::AuditShow { filter: AuditFilter::default() }),
        ("audit at 2026-10-01", json!([]), Command::AuditAt { at: time("2026-09-30T23:00:00Z") }),
        ("audit at 2026-10-01T18:00:00Z", json!([]), Command::AuditAt { at: time("2026-10-01T18:00:00Z") }),
        ("models rollback --yes", value(samples::switched(true)), Command::RollbackModel),
    ]
}

/// With the long values filled in.
fn written_out(line: &str) -> String {
    line.replace("KEY", &"0B".repeat(32)).replace("HEAD", &samples::head().to_uppercase())
}

#[test]
fn each_command_line_asks_what_it_says() {
    for (line, answer, expected) in cases() {
        for json in ["", " --json"] {
            let desk = Canned::answering([answer.clone()]);
            let ran = run(&desk, &format!("{}{json}", written_out(line)), None);
            assert_eq!(ran.status(), 0, "{line}: {:?}", ran.result);
            assert_eq!(desk.commands(), std::slice::from_ref(&expected), "{line}");
        }
    }
}

/// The commands that work on files have tests of their own, in `files`, `destructive`, `tests/models_cli.rs` and beside them.
#[test]
fn no_command_is_left_out() {
    const ELSEWHERE: [&str; 15] = [
        "gallery set-list",
        "gallery export",
        "gallery import",
        "gallery backup",
        "gallery restore",
        "gallery key export",
        "gallery key recover",
        "models switch",
        "models prepare",
        "models list",
        "models verify",
        "models card",
        "models add",
        "models remove",
        "models import",
    ];
    let lines: Vec<&str> = cases().into_iter().map(|(line, ..)| line).collect();
    let mut commands = Vec::new();
    for verb in ["gallery", "audit", "models"] {
        let cli = Cli::command();
        leaves(cli.find_subcommand(verb).expect(verb), verb, &mut commands);
    }
    assert!(commands.len() > 30, "{commands:?}");
    for command in commands {
        let tested = |line: &&str| {
            line.strip_prefix(&command).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        assert!(ELSEWHERE.contains(&command.as_str()) || lines.iter().any(tested), "{command} has no test");
    }
}

fn leaves(command: &clap::Command, path: &str, found: &mut Vec<String>) {
    if !command.has_subcommands() {
        found.push(path.to_owned());
    }
    for sub in command.get_subcommands() {
        leaves(sub, &format!("{path} {}", sub.get_name()), found);
    }
}

#[test]
fn every_command_and_option_is_explained() {
    fn explained(command: &clap::Command) {
        assert!(command.get_about().is_some(), "{} has no help", command.get_name());
        for argument in
            command.get_arguments().filter(|a| !["help", "version"].contains(&a.get_id().as_str()))
        {
            assert!(
                argument.get_help().is_some(),
                "{} {} has no help",
                command.get_name(),
                argument.get_id()
            );
        }
        command.get_subcommands().for_each(explained);
    }
    let mut cli = Cli::command();
    cli.build();
    cli.clone().debug_assert();
    for verb in ["gallery", "audit", "models"] {
        explained(cli.find_subcommand(verb).expect(verb));
    }
}

#[test]
fn what_means_nothing_is_refused_by_the_parser() {
    let lines = [
        "gallery",
        "gallery list --standing dead",
        "gallery list --list UPPER",
        "gallery show \"\"",
        "gallery change",
        "gallery change Ana --name \"\"",
        "gallery change Ana --purpose \"\"",
        "gallery change Ana --external-id \"two words\"",
        "gallery rename Ana",
        "gallery split Ana --name Bob",
        "gallery split Ana aaa",
        "gallery set-list staff --threshold 1.5",
        "gallery set-list staff --priority 1001",
        "gallery set-list staff --publish face",
        "gallery export",
        "gallery export --out a --to me@example.org",
        "gallery trust abcd --label box",
        "gallery trust --label box",
        "gallery key",
        "gallery key export --out a",
        "gallery key export --out a --passphrase --passphrase-file b",
        "gallery key export --out a --passphrase --to age1abc",
        "gallery key export --out a --passphrase-file b --to age1abc",
        "audit",
        "audit verify --head 12",
        "audit verify --head 12:abcd",
        "audit at",
        "models switch",
    ];
    for line in lines {
        let arguments = ["watchlistd".to_owned()].into_iter().chain(words(line));
        assert!(Cli::try_parse_from(arguments).is_err(), "{line}");
    }
    let key = "0b".repeat(32);
    assert!(Cli::try_parse_from(["watchlistd", "gallery", "trust", &key]).is_err(), "no label");
}

#[test]
fn what_contradicts_itself_is_refused_before_anybody_is_asked() {
    let cases = [
        ("gallery change Ana", 64, "--onto"),
        ("gallery change Ana --onto staff --off staff", 64, "one of the two"),
        ("gallery change Ana --valid-until soon", 64, "--valid-until"),
        ("gallery reviewed Ana --next now", 64, "future"),
        ("gallery reviewed Ana --next 2026-09-30", 64, "future"),
        ("gallery merge Ana Ana", 64, "the same"),
        ("gallery remove-list watchlist", 64, "every gallery"),
        ("audit at none", 64, "none"),
        ("audit show --since later", 64, "--since"),
    ];
    for (line, status, word) in cases {
        let desk = Canned::default();
        let ran = run(&desk, line, None);
        assert_eq!(ran.status(), status, "{line}: {:?}", ran.result);
        assert!(ran.refusal().contains(word), "{line}: {}", ran.refusal());
        assert!(desk.opened_for.borrow().is_empty(), "{line}: nothing was opened");
    }
}

#[test]
fn a_list_keeps_the_settings_that_are_not_named() {
    let staff = samples::lists().remove(0);
    let cases = [
        ("gallery set-list staff", staff.list.clone()),
        ("gallery set-list staff --priority -7", List { priority: -7, ..staff.list.clone() }),
        (
            "gallery set-list staff --threshold none --publish name --purpose none",
            List { threshold: None, publish: Publish::Name, purpose: None, ..staff.list.clone() },
        ),
        ("gallery set-list new --threshold 0.5", List { threshold: Some(0.5), ..List::new(list("new")) }),
    ];
    for (line, expected) in cases {
        let desk = Canned::answering([value(samples::lists()), value(&staff)]);
        let ran = run(&desk, line, None);
        assert_eq!(ran.status(), 0, "{line}: {:?}", ran.result);
        assert_eq!(desk.commands(), [Command::Lists, Command::SetList { list: expected }], "{line}");
        assert_eq!(
            *desk.opened_for.borrow(),
            [Store::MadeIfMissing],
            "a new box has its lists before its people"
        );
    }
}

#[test]
fn only_commands_that_bring_something_make_a_store() {
    let makes = |command: &Command| Store::for_command(command) == Store::MadeIfMissing;
    for (line, _, command) in cases() {
        assert_eq!(makes(&command), line.contains("gallery trust"), "{line}");
    }
    let import = |dry_run| Command::Import { dry_run, force: false, identity: None };
    assert!(makes(&import(false)) && makes(&import(true)), "a first receiver looks before it takes");
    assert!(!makes(&Command::Backup));
    let restore = Store::for_command(&Command::Restore { key: None });
    assert_eq!(restore, Store::MadeUnderItsKey, "a key that is made now opens no backup");
}
