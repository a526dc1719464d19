//! What operators say of events.

use uuid::Uuid;

use super::*;
use crate::gallery::command::AuditFilter;
use crate::gallery::report::AuditEntry;
use crate::gallery::review::{EventReview, OperatorVerdict, ReviewTaken, Tally};

fn review(event: u128, verdict: OperatorVerdict, identity: IdentityId) -> Command {
    Command::ReviewEvent {
        review: Box::new(EventReview {
            event: Uuid::from_u128(event),
            verdict,
            identity,
            captured_at: Timestamp::UNIX_EPOCH,
            camera: "door".to_owned(),
            track: "door/1/7".to_owned(),
            score: Some(0.6123),
            threshold: 0.45,
            model: "ab".repeat(32),
        }),
    }
}

fn entries(keeper: &mut Keeper, action: &str) -> Vec<AuditEntry> {
    let filter = AuditFilter { action: Some(action.to_owned()), ..AuditFilter::default() };
    ask(keeper, Command::AuditShow { filter }, &[])
}

#[test]
fn of_each_event_the_last_verdict_counts_and_each_is_on_record() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let ana = site.enrol(&mut keeper, record("Ana"), 1);
    let (tell, heard) = crossbeam_channel::unbounded();
    keeper.tell_reviews(tell);
    for (event, verdict) in [
        (1, OperatorVerdict::Confirm),
        (2, OperatorVerdict::Confirm),
        (3, OperatorVerdict::Unsure),
        (2, OperatorVerdict::Reject),
    ] {
        let taken: ReviewTaken = ask(&mut keeper, review(event, verdict, ana), &[]);
        assert_eq!((taken.event, taken.verdict), (Uuid::from_u128(event), verdict));
    }
    let heard: Vec<_> = heard.try_iter().map(|review| (review.event.as_u128(), review.verdict)).collect();
    let (confirm, unsure) = (OperatorVerdict::Confirm, OperatorVerdict::Unsure);
    assert_eq!(heard, [(1, confirm), (2, confirm), (3, unsure)], "the first of each, for the estimates");
    let expected = Tally { confirmed: 1, rejected: 1, unsure: 1 };
    assert_eq!(ask::<Tally>(&mut keeper, Command::Reviews, &[]), expected);
    drop(keeper);
    let mut keeper = site.open();
    assert_eq!(ask::<Tally>(&mut keeper, Command::Reviews, &[]), expected, "after a restart, too");

    let told = entries(&mut keeper, "event-reviewed");
    assert_eq!(told.len(), 4);
    assert_eq!((told[0].identity, told[0].name.as_deref()), (Some(ana), Some("Ana")));
    assert_eq!((told[3].detail["verdict"].as_str(), told[3].actor.as_str()), (Some("reject"), "uid 0"));
}

#[test]
fn a_verdict_about_who_was_forgotten_counts_and_names_nobody() {
    let site = Site::new();
    let mut keeper = site.open();
    let nobody = IdentityId::generate();
    let taken: ReviewTaken = ask(&mut keeper, review(1, OperatorVerdict::Reject, nobody), &[]);
    assert_eq!(taken.tally, Tally { rejected: 1, ..Tally::default() });
    let told = entries(&mut keeper, "event-reviewed");
    assert_eq!((told[0].identity, told[0].name.as_deref()), (None, None));
}
