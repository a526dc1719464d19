//! What is said of decisions, each made as the decider makes it.

use super::*;
use crate::events::explain::Explanation;

fn explained(decision: &Decision) -> Explanation {
    let event = maker().decision(decision, decision.captured).expect("may be said");
    let Data::Sighting(seen) = &event.data else { panic!("a decision") };
    Explanation::of(seen)
}

fn seen(verdict: Verdict) -> Decision {
    Decision {
        looked: Duration::from_millis(1400),
        lists: Vec::new(),
        score: Some(0.62),
        margin: Some(0.21),
        threshold: 0.45,
        threshold_origin: ThresholdOrigin::Camera,
        shots: 4,
        agreeing: 3,
        ..decision(verdict)
    }
}

fn recognized(stage: Stage) -> Decision {
    seen(Verdict::Recognized {
        identity: IdentityId(Uuid::from_u128(7)),
        name: Some("Ada".into()),
        external_id: None,
        stage,
    })
}

#[test]
fn a_recognition_names_each_rule_and_how_far_it_was_from_another_verdict() {
    let said = explained(&Decision { lists: vec!["vip".into()], ..recognized(Stage::Confirmed) });
    assert_eq!(said.decided, "This is Ada (vip), confirmed.");
    assert!(said.why[0].contains("0.6200"), "{said:?}");
    assert!(said.why[0].ends_with("the threshold of 0.4500, which is the camera's own."), "{said:?}");
    assert_eq!(said.why[1], "The next nearest identity scores 0.2100 less; 0.0500 is asked for.");
    assert_eq!(said.why[2], "Of 4 shots, 3 say the same by themselves; a confirmation takes 2.");
    assert_eq!(
        said.otherwise,
        [
            "With a threshold above 0.6200 they would not have been recognised.",
            "With decide.margin above 0.2100, or another identity nearer by 0.1600, it would have been undecided (ambiguous).",
            "With decide.confirm above 3 it would have been preliminary.",
        ]
    );
}

#[test]
fn what_is_missing_to_a_confirmation_is_told() {
    let said = explained(&Decision { agreeing: 1, ..recognized(Stage::Preliminary) });
    assert_eq!(said.otherwise[2], "With 1 shot more that says the same it would have been confirmed.");
    let said = explained(&Decision { margin: Some(0.01), ..recognized(Stage::Preliminary) });
    assert!(said.why[1].ends_with("but for who was recognised before."), "{said:?}");
    assert_eq!(said.otherwise[2], "With a margin of 0.0500 it would have been confirmed.");
}

#[test]
fn who_is_alone_has_nobody_to_be_confused_with() {
    let said = explained(&Decision { margin: Some(1.62), ..recognized(Stage::Confirmed) });
    assert_eq!(said.why[1], "Nobody else is enrolled to confuse them with.");
    assert!(!said.otherwise.iter().any(|text| text.contains("margin")), "{said:?}");
}

#[test]
fn a_score_that_is_held_under_the_threshold_says_so() {
    let said = explained(&Decision { score: Some(0.43), ..recognized(Stage::Preliminary) });
    assert!(said.why[0].contains("0.0200 short of the threshold of 0.4500"), "{said:?}");
}

#[test]
fn a_withdrawal_says_what_no_longer_holds() {
    let gone = Decision { score: None, margin: None, ..recognized(Stage::Withdrawn) };
    assert!(explained(&gone).why[0].starts_with("They are no longer among the nearest"));
    let lower = explained(&Decision { score: Some(0.3), ..recognized(Stage::Withdrawn) });
    assert!(lower.why[0].contains("more than 0.03 under the threshold of 0.4500"), "{lower:?}");
    let other = explained(&Decision { margin: Some(-0.1), ..recognized(Stage::Withdrawn) });
    assert_eq!(other.why, ["Somebody else scores 0.1000 more; 0.0500 is asked for."]);
    assert_eq!(other.decided, "That this is Ada was taken back.");
}

#[test]
fn nobody_is_said_with_the_look_that_was_taken() {
    let said = explained(&Decision { score: Some(0.31), ..seen(Verdict::Unknown) });
    assert_eq!(
        said.why,
        [
            "The nearest identity scores 0.3100, and the threshold is 0.4500, which is the camera's own.",
            "There were 4 shots in 1.4 s; a fair look takes 3 shots in 1.0 s.",
        ]
    );
    assert_eq!(
        said.otherwise,
        ["With a threshold of 0.3100 or less, the nearest identity would have been recognised."]
    );
    let near = explained(&Decision { score: Some(0.31), margin: Some(0.01), ..seen(Verdict::Unknown) });
    assert!(near.otherwise[0].contains("ambiguous"), "{near:?}");
    let empty = explained(&Decision { score: None, margin: None, ..seen(Verdict::Unknown) });
    assert_eq!(empty.why[0], "Nobody is enrolled who is looked for.");
}

#[test]
fn every_reason_of_undecided_has_its_words() {
    let undecided = |reason, refusal| seen(Verdict::Undecided { reason, refusal });
    let ambiguous = explained(&Decision { margin: Some(0.02), ..undecided(Undecided::Ambiguous, None) });
    assert_eq!(
        ambiguous.otherwise,
        ["With decide.margin at 0.0200 or less the nearest would have been recognised."]
    );
    let short = Decision { shots: 1, looked: Duration::ZERO, ..undecided(Undecided::TooShort, None) };
    assert_eq!(explained(&short).otherwise, ["With 2 shots and 1.0 s more it would have been unknown."]);
    let dark = explained(&undecided(Undecided::NoGoodShot, Some(Refusal::TooDark)));
    assert_eq!(dark.why, ["No shot was good enough to be compared: most were too dark."]);
    assert!(dark.otherwise[0].contains("quality.min_brightness"));
    let overload = explained(&undecided(Undecided::Overload, None));
    assert!(overload.otherwise[0].contains("detect_fps"));
}
