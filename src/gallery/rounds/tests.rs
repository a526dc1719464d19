//! What happens by itself in a gallery that is looked after.

mod years;

use jiff::SignedDuration;

use super::*;
use crate::base::clock::Clock as _;
use crate::gallery::command::{Change, Command, Review, Subject};
use crate::gallery::keeper::tests::{Site, ask, record, who};
use crate::gallery::record::{Record, Standing};
use crate::gallery::report::{Enrolment, Person};
use crate::types::embedding::Embedding;
use crate::types::ids::IdentityId;

fn found(custody: &Custody, probe: &Embedding) -> Option<IdentityId> {
    custody.shared.current().search(probe, 1).best().filter(|best| best.score > 0.5).map(|best| best.identity)
}

/// A gallery with one person, who is looked for from an hour on for an hour.
fn with_a_validity() -> (Site, Custody, IdentityId, Embedding) {
    let mut site = Site::new();
    let now = site.clock.now().wall;
    let hours = |n: i64| Some(now + SignedDuration::from_hours(n));
    let limited = Record { valid_from: hours(1), valid_until: hours(2), ..record("Ana") };
    let custody = Custody::of(site.opening()).expect("a gallery");
    let ana = site.enrol(&mut custody.keeper.lock().expect("ours"), limited, 1);
    let probe = site.people.template(1);
    (site, custody, ana, probe)
}

#[test]
fn who_expired_while_the_daemon_was_off_is_not_found_before_the_first_look() {
    let (site, custody, ana, probe) = with_a_validity();
    site.clock.advance(Duration::from_secs(3600));
    Rounds::new(custody.clone()).look();
    assert_eq!(found(&custody, &probe), Some(ana));
    drop(custody);
    site.clock.advance(Duration::from_secs(7 * 86_400));
    let custody = Custody::of(site.opening()).expect("a gallery");
    assert_eq!(found(&custody, &probe), None);
}

#[test]
fn who_expires_while_the_disk_takes_nothing_is_not_found_and_is_on_record_later() {
    let (site, custody, ana, probe) = with_a_validity();
    let mut rounds = Rounds::new(custody.clone());
    let (here, there) = (site.path(), site.folder().join("elsewhere"));
    std::fs::rename(&here, &there).expect("ours");
    site.clock.advance(Duration::from_secs(3600));
    rounds.look();
    assert_eq!(found(&custody, &probe), None, "a start waits until it can be put on record");
    assert_eq!(rounds.wait(), life::MAX_WAIT, "a disk that takes nothing keeps no core busy");
    std::fs::rename(&there, &here).expect("ours");
    rounds.look();
    assert_eq!(found(&custody, &probe), Some(ana));
    std::fs::rename(&here, &there).expect("ours");
    site.clock.advance(Duration::from_secs(3600));
    let before = custody.shared.current().generation();
    rounds.look();
    assert_eq!(found(&custody, &probe), None, "an end does not");
    assert_eq!(custody.shared.current().generation(), before);
    rounds.look();
    std::fs::rename(&there, &here).expect("ours");
    rounds.look();
    let list = Command::List { list: None, standing: Some(Standing::Expired), text: None };
    let expired: Vec<Person> = ask(&mut custody.keeper.lock().expect("ours"), list, &[]);
    assert_eq!(expired.len(), 1);
    assert_eq!(custody.shared.current().generation(), before + 1);
}

#[test]
fn a_review_date_is_told_of_when_it_comes_and_until_the_review_is_noted() {
    let mut site = Site::new();
    let now = site.clock.now().wall;
    let custody = Custody::of(site.opening()).expect("a gallery");
    let review = now + SignedDuration::from_hours(1);
    let ana = Record { review: Some(review), ..record("Ana") };
    site.enrol(&mut custody.keeper.lock().expect("ours"), ana, 1);
    let mut rounds = Rounds::new(custody.clone());
    let mut due = |advance: u64| {
        site.clock.advance(Duration::from_secs(advance));
        rounds.look();
        (rounds.reviews_due(), custody.reviews_due(now).expect("free").0.new)
    };
    assert_eq!(due(3599), (0, 0));
    assert_eq!(due(1), (1, 1));
    assert_eq!(due(86_400), (1, 1), "until somebody looked");
    assert_eq!(custody.reviews_due(review).expect("free").0, life::Reviews { due: 1, new: 0 }, "told once");
    let keeper = custody.keeper.clone();
    let ask = |command| ask::<Person>(&mut keeper.lock().expect("ours"), command, &[]);
    let next = Some(review + SignedDuration::from_hours(48));
    ask(Command::Reviewed { who: who("Ana"), next });
    assert_eq!(due(0).0, 0);
    assert_eq!(due(24 * 3600).0, 1);
    let never = Change { review: Some(None), ..Change::default() };
    ask(Command::Change { who: who("Ana"), change: Box::new(never) });
    assert_eq!(due(0).0, 0);
}
