//! What people see, to the letter, and what programs get.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::samples::{self, value};
use super::{Canned, Ran, run};
use crate::err;
use crate::gallery::report::*;

#[track_caller]
fn printed(line: &str, report: impl Serialize) -> Ran {
    let ran = run(&Canned::answering([value(report)]), line, None);
    assert!(ran.result.is_ok(), "{line}: {:?}", ran.result);
    ran
}

#[test]
fn identities_line_up_whatever_script_they_are_in() {
    let expected = "\
NAME          EXTERNAL ID  LISTS       STANDING  VALID UNTIL       TEMPLATES  ID
Ada Lovelace               watchlist   active                              3  0190b5c6-0000-7000-8000-000000000001
王小明        E-7          staff, vip  active    2027-03-02 00:00          3  0190b5c6-0000-7000-8000-000000000002
علی‌رضا                     (none)      expired                            12  0190b5c6-0000-7000-8000-000000000003
";
    assert_eq!(printed("gallery list", samples::people()).out, expected);
    let none = printed("gallery list", json!([]));
    assert_eq!((none.out.as_str(), none.status()), ("NAME  LISTS  STANDING  TEMPLATES  ID\n", 0));
    assert!(none.err.contains("No identity fits"), "{}", none.err);
}

#[test]
fn a_review_that_is_due_is_marked_and_can_be_asked_for() {
    let mut people = samples::people();
    people[0].record.review = Some(samples::time("2026-10-01T11:00:00Z"));
    people[1].record.review = Some(samples::time("2026-10-01T11:00:01Z"));
    let all = printed("gallery list", &people).out;
    assert_eq!(all.matches("2026-10-01 12:00").count(), 2, "{all}");
    assert_eq!(all.matches("2026-10-01 12:00 (due)").count(), 1, "{all}");
    let due = printed("gallery list --review-due", &people).out;
    assert!(due.contains("Ada Lovelace") && !due.contains("王小明"), "{due}");
    let portrait = Portrait { person: people.remove(0), stored: Vec::new() };
    let shown = printed("gallery show Ada", portrait).out;
    assert!(shown.contains("review    2026-10-01 12:00 (due)"), "{shown}");
}

#[test]
fn an_identity_is_shown_with_its_templates_and_cannot_steer_the_terminal() {
    let expected = "\
name         王小明
id           0190b5c6-0000-7000-8000-000000000002
external id  E-7
lists        staff, vip
standing     active
valid until  2027-03-02 00:00
purpose      opens the door
notes        first line second \u{fffd}line
enrolled     2026-01-02 04:04
revision     1

TEMPLATE                              MODEL         QUALITY  NEAREST  CROP  STORED            SOURCE
0190b5c6-0000-7000-8000-000000000011  abababababab     0.93    0.812  kept  2026-01-02 04:04  file a.jpg
0190b5c6-0000-7000-8000-000000000012  abababababab     0.93           -     2026-01-02 04:04  file  [31mb .jpg
";
    assert_eq!(printed("gallery show Ana", samples::portrait()).out, expected);
}

#[test]
fn a_change_says_how_the_identity_is_now() {
    let mut person = samples::people().remove(1);
    person.revision = 4;
    let ran = printed("gallery change Ana --onto vip", person);
    assert_eq!(
        ran.out,
        "王小明 (0190b5c6-0000-7000-8000-000000000002) changed: active until 2027-03-02 00:00, lists staff, vip, \
         3 templates, revision 4\n"
    );
}

#[test]
fn lists_pairs_and_the_gallery_itself_are_shown() {
    let expected = "\
LIST       IDENTITIES  THRESHOLD  PRIORITY  PUBLISHES  PURPOSE
staff              12       0.42        -5  nothing    opens the door
watchlist           3          -         0  name
";
    assert_eq!(printed("gallery lists", samples::lists()).out, expected);
    let expected = "\
SCORE  CONFUSED  NAME          NAME    ID                                    ID
0.610  YES       Ada Lovelace  王小明  0190b5c6-0000-7000-8000-000000000001  0190b5c6-0000-7000-8000-000000000002
0.200  no        Ada Lovelace  王小明  0190b5c6-0000-7000-8000-000000000001  0190b5c6-0000-7000-8000-000000000002
";
    assert_eq!(printed("gallery confusable", samples::pairs()).out, expected);
    let (ab, own, other) = ("ab".repeat(32), "0a".repeat(32), "0b".repeat(32));
    let expected = format!(
        "\
generation       12
model            {ab}
identities       2 active, 1 expired
reviews due      1
templates        18 of model abababababab, 4 of model cdcdcdcdcdcd (not searched)
enrolment crops  not kept
master key       0011223344556677
audit log        57 entries
"
    );
    assert_eq!(printed("gallery info", samples::description()).out, expected);
    let expected = format!(
        "\
This box signs with {own}
fingerprint          e18b-0d4a

LABEL       TRUSTED SINCE     LAST GENERATION  KEY
gate north  2026-01-02 04:04                7  {other}
"
    );
    assert_eq!(printed("gallery trust", samples::trust(true)).out, expected);
    let alone = printed("gallery trust", samples::trust(false)).out;
    assert!(alone.contains(&own) && alone.contains("No other box is trusted"), "{alone}");
}

#[test]
fn the_audit_log_is_shown() {
    let shown = printed("audit show", samples::entries()).out;
    let expected = "\
ENTRY  TIME                 ACTION    WHO        BY     DETAIL                           ID
    9  2026-10-01 12:00:00  enrolled  forgotten  uid 0  lists=[\"staff\"] standing=active  \
                    0190b5c6-0000-7000-8000-000000000001
   10  2026-10-01 12:00:00  exported  -          uid 0
";
    assert_eq!(shown, expected);
    let expected = "\
NAME       LISTS       STANDING  ID
forgotten  staff, vip  active    0190b5c6-0000-7000-8000-000000000001
王小明     watchlist   active    0190b5c6-0000-7000-8000-000000000002
";
    assert_eq!(printed("audit at 2026-10-01", samples::members()).out, expected);
    assert_eq!(printed("audit head", samples::head()).out, format!("{}\n", samples::head()));
}

#[test]
fn a_switch_shows_both_models_and_who_would_be_lost() {
    let ran = printed("models rollback --yes", samples::switched(true));
    let expected = "\
From model abababababab to cdcdcdcdcdcd: 2 identities ready, 1 lost, 14 templates made

MODEL         THRESHOLD  SAME PERSON  NEAREST OTHER  CONFUSABLE PAIRS
abababababab      0.400        0.712              -                 2
cdcdcdcdcdcd      0.400        0.712              -                 0

Confusable under model abababababab:
SCORE  CONFUSED  NAME          NAME    ID                                    ID
0.610  YES       Ada Lovelace  王小明  0190b5c6-0000-7000-8000-000000000001  0190b5c6-0000-7000-8000-000000000002
0.200  no        Ada Lovelace  王小明  0190b5c6-0000-7000-8000-000000000001  0190b5c6-0000-7000-8000-000000000002

These have no kept crop and need new pictures:
  - Bob  [1m (0190b5c6-0000-7000-8000-000000000003)

The gallery is searched with the new model now.
";
    assert_eq!(ran.out, expected);
}

#[test]
fn problems_are_told_and_are_in_the_exit_status() {
    let well = printed("gallery verify", samples::examination(&[]));
    assert_eq!(well.status(), 0);
    let expected = format!(
        "looked at              3 identities, 18 templates\nhead of the audit log  {}\nNo problem was found.\n",
        samples::head()
    );
    assert_eq!(well.out, expected);
    let ill = printed("gallery verify", samples::examination(&["template \u{1b}x does not decrypt"]));
    assert_eq!(ill.status(), 1);
    assert!(ill.out.ends_with("Problems: 1\n  - template  x does not decrypt\n"), "{}", ill.out);

    assert_eq!(printed("audit verify", samples::audit_report(&[])).status(), 0);
    for line in ["audit verify", "audit verify --json"] {
        let ill = printed(line, samples::audit_report(&["entry 7 was changed"]));
        assert_eq!(ill.status(), 1, "{line}");
        assert!(ill.out.contains("entry 7 was changed"), "{line}");
    }
}

#[track_caller]
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(line: &str, report: &T) {
    let out = printed(line, report).out;
    assert_eq!(out.lines().count(), 1, "one line: {out}");
    assert_eq!(&serde_json::from_str::<T>(&out).expect("the report"), report);
}

#[track_caller]
fn line_by_line<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(line: &str, reports: &[T]) {
    let out = printed(line, reports).out;
    let read: Vec<T> = out.lines().map(|line| serde_json::from_str(line).expect("a report")).collect();
    assert_eq!(read, reports, "{line}");
}

#[test]
fn programs_get_the_reports_as_they_are() {
    line_by_line::<Person>("gallery list --json", &samples::people());
    line_by_line::<ListUse>("gallery lists --json", &samples::lists());
    line_by_line::<Pair>("gallery confusable --json", &samples::pairs());
    line_by_line::<AuditEntry>("audit show --json", &samples::entries());
    line_by_line::<Member>("audit at now --json", &samples::members());
    line_by_line::<Person>("gallery list --json", &[]);
    round_trip("gallery show Ana --json", &samples::portrait());
    round_trip("gallery info --json", &samples::description());
    round_trip("gallery verify --json", &samples::examination(&["a", "b"]));
    round_trip("gallery forget Ana --yes --json", &samples::receipt());
    round_trip("gallery trust --json", &samples::trust(true));
    round_trip("gallery key rotate --json", &samples::rotated());
    round_trip("audit verify --json", &samples::audit_report(&["c"]));
    round_trip("audit head --json", &samples::head());
    round_trip("models rollback --yes --json", &samples::switched(true));
}

#[test]
fn json_has_short_numbers_times_in_utc_and_nothing_hidden() {
    let out = printed("gallery list --json", samples::people()).out;
    let second: Value = serde_json::from_str(out.lines().nth(1).expect("three lines")).expect("JSON");
    let expected = json!({
        "id": "0190b5c6-0000-7000-8000-000000000002", "name": "王小明", "external_id": "E-7", "lists": ["staff", "vip"],
        "valid_until": "2027-03-01T23:00:00Z", "standing": "active", "created": "2026-01-02T03:04:05Z", "revision": 1,
        "templates": 3,
    });
    assert_eq!(second, expected);
    let lists = printed("gallery lists --json", samples::lists()).out;
    assert!(lists.contains("\"threshold\":0.42,"), "not 0.41999998688697815: {lists}");
}

#[test]
fn what_the_desk_refuses_is_passed_on_as_it_is() {
    let desk = Canned::default();
    desk.and(Err(err!(NoInput, "nobody is called \"Anna\"; near: Ana, Hanna")));
    let ran = run(&desk, "gallery show Anna", None);
    assert_eq!((ran.status(), ran.refusal().as_str()), (66, "nobody is called \"Anna\"; near: Ana, Hanna"));
    assert!(ran.out.is_empty());
    let ran = run(&Canned::answering([json!({"no": "person"})]), "gallery rename Ana Bob", None);
    assert_eq!(ran.status(), 70, "{:?}", ran.result);
    assert!(ran.refusal().contains("another version"), "{}", ran.refusal());
}

#[test]
fn who_has_no_picture_is_said() {
    let mut none = samples::person(1, "Ana");
    none.templates = 0;
    assert!(printed("gallery list", [&none]).out.contains("active, no picture"));
    let removed = printed("gallery remove-template aaaa", &none);
    assert!(removed.out.contains("active, no picture") && removed.err.contains("never recognised"));
    let moved = printed("gallery move-template aaaa Ana", samples::moved(Some(0)));
    assert!(moved.err.contains("0190b5c6-0000-7000-8000-000000000002 has no template"), "{}", moved.err);
    assert!(printed("gallery move-template aaaa Ana", samples::moved(Some(1))).err.is_empty());
    let mut report = samples::examination(&[]);
    report.warnings.push("identity x has no template".to_owned());
    let verified = printed("gallery verify", report);
    assert!(verified.status() == 0 && verified.out.ends_with("Warning: identity x has no template\n"));
}

#[test]
fn a_merge_says_how_many_templates_moved() {
    let out = printed("gallery merge Bob Ana --yes", samples::moved(None)).out;
    let told = "2 templates of 0190b5c6-0000-7000-8000-000000000002 moved, 1 were of faces it has already";
    assert!(out.contains(told), "{out}");
}

#[test]
fn a_threshold_below_the_models_is_told() {
    let used = samples::lists().remove(0);
    let set = |model_threshold| {
        let set = ListSet { used: used.clone(), model_threshold };
        let desk = Canned::answering([value(samples::lists()), value(set)]);
        run(&desk, "gallery set-list staff --priority 1", None).err
    };
    assert!(set(Some(0.5)).contains("below the model's 0.5"), "{}", set(Some(0.5)));
    assert!(set(Some(0.4)).is_empty() && set(None).is_empty());
}

#[test]
fn a_log_without_a_fitting_entry_is_said_to_have_none() {
    assert!(printed("audit show --action forgotten", Vec::<AuditEntry>::new()).err.contains("No entry fits"));
}
