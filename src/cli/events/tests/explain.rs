//! `explain`, on a real log.

use serde_json::Value;

use super::*;
use crate::cli::events::explain::explain;
use crate::cli::events::show::which;

fn explained(site: &Site, name: &str, json: bool) -> Ran {
    let (console, out, err) = console(json, None);
    let inspector = inspector(site);
    let open = Box::new(move || Ok(Asking::of_log(inspector.clone())));
    let desk = parsed("head").expect("a command").from.desk;
    let mut session = Session { desk, console, copy: false, open, maker: maker() };
    let result = explain(which(name).expect("a number or an id"), &mut session);
    Ran { result, out: out.text(), err: err.text() }
}

#[test]
fn a_decision_is_explained_by_number_and_by_id_and_nothing_else_is() {
    let site = Site::new();
    let log = site.open();
    let who = somebody(&site);
    let event = site.recognized(who, "Ada Lovelace", &["vip"]);
    let id = event.id.to_string();
    let number = accept(&log, event);
    let camera = accept(&log, site.event("door"));
    finish(log);

    let words = explained(&site, &number.to_string(), false).printed();
    assert!(words.contains("\nThis is Ada Lovelace (vip)"), "{words}");
    assert!(words.contains("\nWhy:\n  - ") && words.contains("\nDecided with:\n  - Model "), "{words}");
    let json: Value = serde_json::from_str(&explained(&site, &id, true).printed()).expect("a report");
    assert_eq!((&json["sequence"], &json["id"]), (&number.into(), &id.as_str().into()));
    assert!(json["why"].as_array().is_some_and(|why| !why.is_empty()), "{json}");

    let refused = explained(&site, &camera.to_string(), false);
    assert_eq!(refused.status(), Kind::Data.exit_code());
    assert!(refused.refusal().contains("is of type camera"), "{}", refused.refusal());
    assert_eq!(explained(&site, "4711", false).status(), Kind::NoInput.exit_code());
}
