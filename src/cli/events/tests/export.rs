//! `events export`

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_table_has_a_heading_and_no_formula() {
    let site = Site::new();
    let log = site.open();
    let who = somebody(&site);
    accept(&log, site.recognized(who, "=cmd|' /C calc'!A0, \"Ada\"", &["vip", "guests"]));
    accept(&log, site.event("door"));
    finish(log);
    let ran = run(&site, "export --format csv");
    assert_eq!(ran.err, "2 events exported.\n");
    let mut reader = csv::Reader::from_reader(ran.out.as_bytes());
    let columns: Vec<String> = reader.headers().expect("a heading").iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("a table");
    let cell = |row: usize, name: &str| {
        let at = columns.iter().position(|column| column == name).unwrap_or_else(|| panic!("no {name}"));
        rows[row][at].to_owned()
    };
    assert_eq!(rows.len(), 2);
    assert_eq!(cell(0, "name"), "'=cmd|' /C calc'!A0, \"Ada\"");
    assert_eq!((cell(0, "identity"), cell(0, "lists")), (who.to_string(), "vip guests".to_owned()));
    assert_eq!(
        (cell(0, "type"), cell(0, "stage"), cell(0, "score")),
        ("recognized".into(), "confirmed".into(), "0.61".into())
    );
    assert_eq!((cell(0, "time"), cell(0, "sequence")), ("2026-03-01T08:30:00Z".into(), "1".into()));
    assert_eq!(
        (cell(1, "type"), cell(1, "state"), cell(1, "name")),
        ("camera".into(), "connecting".into(), String::new())
    );
    assert!(ran.out.ends_with("\r\n") && ran.out.lines().count() == 3, "{}", ran.out);
}

#[test]
fn fields_say_how_much_of_a_person_is_told() {
    let site = Site::new();
    let log = site.open();
    let who = somebody(&site);
    accept(&log, site.recognized(who, "Ada Lovelace", &["vip"]));
    finish(log);
    for format in ["jsonl", "csv"] {
        let export = |fields| run(&site, &format!("export --format {format} --fields {fields}")).printed();
        let (name, pseudonym, count) = (export("name"), export("pseudonym"), export("count"));
        assert!(name.contains("Ada Lovelace") && name.contains(&who.to_string()));
        assert!(!pseudonym.contains("Ada") && pseudonym.contains(&who.to_string()));
        assert!(!count.contains("Ada") && !count.contains(&who.to_string()), "{count}");
        assert!(count.contains("door") && count.contains("confirmed"), "{count}");
    }
}

#[test]
fn from_and_to_are_times_of_events_and_more_than_a_page_is_no_matter() {
    let site = Site::new();
    let log = site.open();
    for day in 1..=3u64 {
        fill(&site, &log, 1500, "door");
        assert_eq!(accept(&log, site.event("gate")), day * 1501);
        site.clock.advance(Duration::from_secs(86_400));
    }
    finish(log);
    let lines = |line: &str| run(&site, line).printed().lines().count();
    assert_eq!(lines("export"), 4503);
    assert_eq!(lines("export --from 2026-03-02"), 3002);
    assert_eq!(lines("export --from 2026-03-02 --to 2026-03-02"), 1501);
    assert_eq!(lines("export --to 2026-03-01"), 1501);
    assert_eq!(lines("export --camera gate"), 3);
    assert_eq!(lines("export --from 2026-04-01"), 0);
    let wrong = run(&site, "export --from 2026-03-02 --to 2026-03-01T00:00:00Z");
    assert_eq!(wrong.status(), 64);
    assert_eq!(run(&site, "export --from tulip").status(), 64);
    assert_eq!(run(&site, "export --json --format csv").status(), 64);
}

#[test]
fn what_is_missing_inside_is_told_in_the_export() {
    let mut site = Site::new();
    site.rules.lists = [("gate".to_owned(), Duration::from_secs(86_400))].into();
    let log = site.open();
    accept(&log, site.event("door"));
    accept(&log, site.recognized(IdentityId::generate(), "x", &["gate"]));
    fill(&site, &log, 4, "door");
    let_expire(&site, &log, 6);
    finish(log);
    site.raw().execute("DELETE FROM events WHERE sequence BETWEEN 4 AND 5", []).expect("changed");
    let ran = run(&site, "export");
    assert!(ran.err.starts_with("5 events exported."), "{}", ran.err);
    assert!(ran.err.contains("Retention had taken 1 event between them."), "{}", ran.err);
    assert!(ran.err.contains("2 events between them cannot be read"), "{}", ran.err);
    let lost: Vec<&str> = ran.out.lines().filter(|line| line.contains("io.watchlistd.lost.v1")).collect();
    assert_eq!(lost.len(), 2, "{lost:?}");
    assert!(lost[0].contains("\"expired\"") && lost[1].contains("\"damaged\""), "{lost:?}");
    assert!(lost[1].contains("\"first\":4,\"last\":5"), "{}", lost[1]);
    // What lies before --from is nobody's business.
    assert!(!run(&site, "export --from 2026-03-03").printed().contains("lost"));
}

#[test]
fn a_file_is_there_as_a_whole_for_its_owner_and_replaced_only_when_told() {
    let site = filled(5);
    let out = site.folder.path().join("out.jsonl");
    let line = format!("export --out {}", out.display());
    let ran = run(&site, &line);
    assert_eq!((ran.status(), ran.out.as_str(), ran.err.as_str()), (0, "", "5 events exported.\n"));
    let mode = std::fs::metadata(&out).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read_to_string(&out).expect("text");
    assert_eq!(before.lines().count(), 5);

    let refused = run(&site, &format!("{line} --format csv"));
    assert_eq!(refused.status(), 73);
    assert!(refused.refusal().contains("--force replaces it"), "{}", refused.refusal());
    assert_eq!(std::fs::read_to_string(&out).expect("text"), before);
    // One that breaks off leaves what was there.
    let (broken, calls) = (inspector(&site), std::cell::Cell::new(0));
    let path = site.path();
    let ran = run_with(&format!("{line} --force"), move || {
        calls.set(calls.get() + 1);
        // The log goes away under it.
        std::fs::rename(&path, path.with_extension("away")).expect("moved");
        Ok(Asking::of_log(broken.clone()))
    });
    assert_eq!(ran.status(), 66);
    assert_eq!(std::fs::read_to_string(&out).expect("text"), before);
    std::fs::rename(site.path().with_extension("away"), site.path()).expect("moved back");
    run(&site, &format!("{line} --force --format csv")).printed();
    assert!(std::fs::read_to_string(&out).expect("text").starts_with("sequence,id,time,"));
    let names: Vec<String> = std::fs::read_dir(site.folder.path())
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().display().to_string())
        .filter(|name| name.contains("out"))
        .collect();
    assert_eq!(names, ["out.jsonl"], "nothing is left beside it");
    assert!(parsed("export --force").is_err(), "nothing to replace");
}
