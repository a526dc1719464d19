use watchlistd::types::geometry::Point;

use super::*;
use crate::scene::{Keyframe, Placement, Trajectory};

/// Stands still at `x` from `from` to `to`, with a face of 100 x 120 pixels.
fn visit(who: &str, enrolled: bool, x: f32, from: f64, to: f64) -> Visit {
    let placement = Placement { x, y: 300.0, width: 100.0, light: 1.0 };
    let keys = [from, to].map(|time| Keyframe { time, placement }).to_vec();
    Visit {
        who: who.into(),
        enrolled,
        image: String::new(),
        crop: Rect::new(0.0, 0.0, 200.0, 200.0),
        face: Rect::new(50.0, 40.0, 150.0, 160.0),
        tilt: 0.0,
        path: Trajectory::new(keys).expect("rising times"),
        visible: (from, to),
    }
}

fn judge(repeat: bool) -> Judge {
    let visits = vec![
        visit("Ann", true, 200.0, 5.0, 15.0),
        visit("stranger", false, 900.0, 5.0, 15.0),
        visit("Bob", true, 900.0, 25.0, 35.0),
    ];
    Judge::new(visits, 40.0, repeat)
}

fn at(x: f32) -> Option<Rect> {
    let Point { x, y } = Point { x, y: 300.0 };
    Some(Rect::new(x - 50.0, y - 60.0, x + 50.0, y + 60.0))
}

fn says(name: &str, stage: Stage, time: f64, x: f32) -> Heard {
    let said = Said::Recognized { name: name.into(), stage };
    Heard { time, track: format!("entrance/1/{x}"), bbox: at(x), said }
}

fn unknown(time: f64, x: f32) -> Heard {
    Heard { time, track: format!("entrance/1/{x}"), bbox: at(x), said: Said::Unknown }
}

fn counts(judge: &Judge, now: f64) -> [usize; 5] {
    let s = judge.summary(now);
    [s.right, s.wrong, s.missed, s.unknown, s.undecided]
}

fn all_right(judge: &mut Judge, start: f64) {
    for (name, time, x) in [("Ann", 7.0, 200.0), ("Bob", 27.0, 900.0)] {
        assert_eq!(judge.hear(&says(name, Stage::Preliminary, start + time, x)), Remark::Right);
        assert_eq!(judge.hear(&says(name, Stage::Confirmed, start + time + 1.0, x)), Remark::Right);
    }
    assert_eq!(judge.hear(&unknown(start + 9.0, 900.0)), Remark::Right);
}

#[test]
fn everybody_right_passes() {
    let mut judge = judge(false);
    all_right(&mut judge, 0.0);
    assert_eq!(counts(&judge, 40.0), [2, 0, 0, 1, 0]);
    assert!(judge.summary(40.0).passed());
    assert!(judge.summary(40.0).remarks.is_empty());
}

#[test]
fn silence_does_not_pass_and_neither_does_nothing_at_all() {
    let judge = judge(false);
    assert_eq!(counts(&judge, 40.0), [0, 0, 2, 0, 1]);
    assert!(!judge.summary(40.0).passed());
    assert!(!judge.summary(0.0).passed(), "nobody came yet");
    assert!(!Judge::new(Vec::new(), 40.0, false).summary(40.0).passed());
}

#[test]
fn preliminary_alone_is_missed_and_withdrawn_counts_for_nothing() {
    let mut judge = judge(false);
    judge.hear(&says("Ann", Stage::Preliminary, 7.0, 200.0));
    judge.hear(&says("Bob", Stage::Confirmed, 27.0, 900.0));
    assert_eq!(judge.hear(&says("Bob", Stage::Withdrawn, 28.0, 900.0)), Remark::Retracted);
    assert_eq!(counts(&judge, 40.0), [0, 0, 2, 0, 1]);
    judge.hear(&says("Bob", Stage::Confirmed, 30.0, 900.0));
    assert_eq!(counts(&judge, 40.0), [1, 0, 1, 0, 1], "confirmed again");
    judge.hear(&says("Bob", Stage::Preliminary, 31.0, 900.0));
    assert_eq!(counts(&judge, 40.0), [1, 0, 1, 0, 1], "a second track starts over");
}

#[test]
fn a_stranger_taken_for_somebody_fails_even_while_that_person_is_there() {
    let mut judge = judge(false);
    all_right(&mut judge, 0.0);
    let remark = judge.hear(&says("Ann", Stage::Confirmed, 8.0, 900.0));
    assert_eq!(remark, Remark::Wrong { really: "stranger".into() });
    judge.hear(&says("Ann", Stage::Withdrawn, 9.0, 900.0));
    let summary = judge.summary(40.0);
    assert_eq!((summary.right, summary.wrong, summary.unknown), (2, 1, 0), "withdrawing comes too late");
    assert!(!summary.passed());
    assert_eq!(summary.remarks, ["stranger was taken for Ann"]);
}

#[test]
fn a_wrong_preliminary_counts_unless_it_is_withdrawn() {
    let mut judge = judge(false);
    all_right(&mut judge, 0.0);
    judge.hear(&says("Bob", Stage::Preliminary, 6.0, 200.0));
    assert_eq!(counts(&judge, 40.0), [1, 1, 0, 1, 0], "it stands");
    assert_eq!(judge.hear(&says("Bob", Stage::Withdrawn, 7.0, 200.0)), Remark::Corrected);
    let summary = judge.summary(40.0);
    assert!(summary.passed());
    assert_eq!((summary.right, summary.corrected), (2, 1));
}

#[test]
fn one_enrolled_taken_for_another_fails() {
    let mut judge = judge(false);
    all_right(&mut judge, 0.0);
    judge.hear(&says("Ann", Stage::Confirmed, 30.0, 900.0));
    assert_eq!(counts(&judge, 40.0), [1, 1, 0, 1, 0]);
}

#[test]
fn somebody_where_nobody_is_fails() {
    for stray in [says("Ann", Stage::Confirmed, 20.0, 200.0), says("Ann", Stage::Confirmed, 10.0, 550.0)] {
        let mut judge = judge(false);
        all_right(&mut judge, 0.0);
        assert_eq!(judge.hear(&stray), Remark::Wrong { really: "nobody".into() });
        assert!(!judge.summary(40.0).passed());
    }
    let mut judge = judge(false);
    all_right(&mut judge, 0.0);
    judge.hear(&unknown(20.0, 200.0));
    assert!(judge.summary(40.0).passed(), "an unknown from nowhere is reported, no more");
    assert_eq!(judge.summary(40.0).remarks.len(), 1);
}

#[test]
fn capture_time_may_lie_a_little_outside_and_no_more() {
    let mut judge = judge(false);
    for (time, remark) in [
        (5.0 - TOLERANCE, Remark::Right),
        (15.0 + TOLERANCE, Remark::Right),
        (4.9 - TOLERANCE, Remark::Wrong { really: "nobody".into() }),
        (15.1 + TOLERANCE, Remark::Wrong { really: "nobody".into() }),
    ] {
        assert_eq!(judge.hear(&says("Ann", Stage::Confirmed, time, 200.0)), remark, "at {time}");
    }
}

#[test]
fn a_visit_is_judged_once_it_is_over() {
    let mut judge = judge(false);
    all_right(&mut judge, 0.0);
    assert_eq!(counts(&judge, 15.0), [0, 0, 0, 0, 0]);
    assert_eq!(counts(&judge, 15.0 + TOLERANCE), [1, 0, 0, 1, 0]);
}

#[test]
fn without_a_box_the_track_then_the_name_decides() {
    let mut judge = judge(false);
    let plain = |said: Said| Heard { time: 9.0, track: "t".into(), bbox: None, said };
    let ann = Said::Recognized { name: "Ann".into(), stage: Stage::Confirmed };
    assert_eq!(judge.hear(&plain(ann.clone())), Remark::Right);
    let mut followed = unknown(8.0, 900.0);
    followed.track = "u".into();
    judge.hear(&followed);
    let heard = Heard { track: "u".into(), ..plain(ann) };
    assert_eq!(judge.hear(&heard), Remark::Wrong { really: "stranger".into() });
}

#[test]
fn repetitions_are_judged_each_for_itself() {
    let mut judge = judge(true);
    all_right(&mut judge, 0.0);
    all_right(&mut judge, 40.0);
    assert_eq!(counts(&judge, 80.0), [4, 0, 0, 2, 0]);
    assert_eq!(counts(&judge, 120.0), [4, 0, 2, 2, 1], "the third was silent");
}

#[test]
fn percentiles_are_values_that_occurred() {
    let values: Vec<u64> = (1..=20).rev().collect();
    assert_eq!(percentile(&values, 0.5), Some(10));
    assert_eq!(percentile(&values, 0.95), Some(19));
    assert_eq!(percentile(&values, 1.0), Some(20));
    assert_eq!(percentile(&[7], 0.5), Some(7));
    assert_eq!(percentile(&[], 0.5), None);
}
