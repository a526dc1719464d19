//! A validity that ends in a running daemon, on the real clock: by itself, not early, on record, and out of the search.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod support;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use support::{Running, Site, errors, time_of, until_ready, var, wait_for};

fn lines(site: &Site, verb: &str, arguments: &[&str]) -> Vec<Value> {
    let output = site.run(verb, arguments);
    assert!(output.status.success(), "{verb} {arguments:?}: {}", errors(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_validity_ends_by_itself_in_a_running_daemon() {
    let Some(var) = var() else { return };
    let site = Site::new(
        &var,
        "[quality]\nmax_pitch = 45\n[http]\nlisten = \"off\"\n[cameras.test]\nurl = \"test://smpte?size=320x240&fps=5\"\n",
    );
    site.enrol_demo(&var);
    let mut daemon = Running::start(site.command("run"));
    until_ready(&mut daemon);
    let searched = || site.status().expect("it answers")["gallery"]["identities"].as_u64().expect("a count");
    let before = searched();
    assert!(before > 1);

    let end = Timestamp::now() + Duration::from_secs(4);
    let text = end.to_string();
    lines(
        &site,
        "gallery",
        &["change", "Barack Obama", "--valid-until", &text, "--review-date", &text, "--json"],
    );
    let expired = || lines(&site, "audit", &["show", "--action", "expired", "--json"]);
    if Timestamp::now() < end {
        let early = expired();
        assert!(early.is_empty() || Timestamp::now() >= end, "{early:?}");
    }
    wait_for("the validity to end", || (!expired().is_empty()).then_some(()));
    let entries = expired();
    assert_eq!(entries.len(), 1, "{entries:?}");
    let at = time_of(&entries[0]["at"]);
    assert!(at >= end && at < end + Duration::from_secs(60), "due {end}, {}", entries[0]);
    assert_eq!((&entries[0]["actor"], time_of(&entries[0]["detail"]["due"])), (&"daemon".into(), end));
    wait_for("the search to know", || (searched() == before - 1).then_some(()));

    // And the review date came with it.
    wait_for("the review to be told of", || daemon.errors().contains("--review-due").then_some(()));
    let due = lines(&site, "gallery", &["list", "--review-due", "--json"]);
    assert_eq!(due.len(), 1, "{due:?}");
    assert_eq!(site.status().expect("it answers")["gallery"]["reviews_due"], 1);
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());
}
