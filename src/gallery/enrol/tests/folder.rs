//! Enrolment of folders, with one worker and with many.

use super::super::fixture::{Fake, Folder, Memory, options};
use super::*;
use crate::base::shutdown::{self, Stop};
use crate::gallery::command::MOST_OFFERS;

/// Never told to stop.
fn never() -> (shutdown::Stopper, Stop) {
    shutdown::channel()
}

fn enrol(folder: &Folder, workers: usize, memory: &mut Memory) -> Result<(Tally, Vec<Report>)> {
    let (_stopper, stop) = never();
    let jobs = plan(&folder.root(), &Details::default(), None)?;
    let mut finders: Vec<Fake> = (0..workers).map(|_| Fake::default()).collect();
    let mut reports = Vec::new();
    let tally = bulk::enrol(&jobs, &mut finders, memory, &options(), &stop, &mut |number, report| {
        assert_eq!(number, reports.len() + 1, "one after the other");
        reports.push(report.clone());
        Ok(())
    })?;
    Ok((tally, reports))
}

/// `people` with `each` pictures, of which every seventh is refused.
fn crowd(people: usize, each: usize) -> Folder {
    let folder = Folder::new();
    for person in 0..people {
        for n in 0..each {
            let score = if (person * each + n).is_multiple_of(7) { 0.1 } else { 0.9 };
            let content = format!("{n},100,{score},{} {person}", person % 250);
            folder.write(&format!("p{person:03}/{n:04}.jpg"), content);
        }
    }
    folder
}

#[test]
fn a_folder_is_enrolled_in_order_and_again_for_nothing() {
    let folder = Folder::new();
    for (path, content) in [
        ("Ana/2.PNG", "10,100,0.9,1"),
        ("Ana/1.jpeg", "10,100,0.9,0"),
        ("Ana/notes.txt", "hello"),
        ("Ana/.hidden.jpg", "10,100,0.9,0"),
        ("王小明/1.jpg", "10,100,0.9,90 200,100,0.9,91"),
        (".git/1.jpg", "10,100,0.9,0"),
        ("bad\u{1b}name/1.jpg", "10,100,0.9,0"),
        ("README.md", "how to"),
        ("stray.jpg", "10,100,0.9,0"),
    ] {
        folder.write(path, content);
    }
    std::fs::create_dir(folder.root().join("Nobody")).expect("made");
    let mut memory = Memory::default();
    let (tally, reports) = enrol(&folder, 3, &mut memory).expect("works");
    let starts = [
        "Ana/1.jpeg: Ana: enrolled (new)",
        "Ana/2.PNG: Ana: enrolled, quality",
        "Ana/notes.txt: Ana: refused: no picture",
        "Nobody: Nobody: refused: the folder holds no picture",
        "bad\\u{1b}name: ?: refused: name",
        "stray.jpg: ?: refused: lies in no identity's folder",
        "王小明/1.jpg: 王小明: refused: 2 faces",
    ];
    assert_eq!(reports.len(), starts.len(), "{reports:#?}");
    for (report, start) in reports.iter().zip(starts) {
        assert!(folder.short(report).starts_with(start), "{report}");
    }
    assert_eq!(tally.to_string(), "2 enrolled, 0 already there, 5 refused");
    assert_eq!((tally.reported(), tally.untouched), (7, 0));

    let (again, _) = enrol(&folder, 1, &mut memory).expect("works");
    assert_eq!(again.to_string(), "0 enrolled, 2 already there, 5 refused");
    assert_eq!(memory.asked.iter().filter(|(what, _)| *what == "enrol").map(|(_, n)| n).sum::<usize>(), 2);
}

#[test]
fn any_number_of_workers_makes_the_same_gallery_and_the_same_reports() {
    let folder = crowd(9, 61);
    let mut one = Memory::default();
    let (tally, expected) = enrol(&folder, 1, &mut one).expect("works");
    assert_eq!((tally.reported(), tally.refused), (549, 549usize.div_ceil(7)));
    let said = |reports: &[Report]| reports.iter().map(|r| folder.short(r)).collect::<Vec<_>>();
    for workers in [2, 7] {
        let mut many = Memory::default();
        let (again, reports) = enrol(&folder, workers, &mut many).expect("works");
        assert_eq!((again, many.contents()), (tally, one.contents()));
        let without_ids = |text: &String| text.split(" template ").next().map(str::to_owned);
        assert!(said(&reports).iter().map(without_ids).eq(said(&expected).iter().map(without_ids)));
    }
}

#[test]
fn pictures_are_asked_for_by_identity_in_bounded_questions_before_they_are_decoded() {
    let folder = crowd(2, 300);
    let mut memory = Memory::default();
    enrol(&folder, 2, &mut memory).expect("works");
    let known = |memory: &Memory| -> Vec<usize> {
        memory.asked.iter().filter(|(what, _)| *what == "known").map(|(_, count)| *count).collect()
    };
    assert_eq!(known(&memory), [128, 128, 44, 128, 128, 44]);
    memory.asked.clear();
    let (_stopper, stop) = never();
    let jobs = plan(&folder.root(), &Details::default(), None).expect("a plan");
    let mut fakes = [Fake::default(), Fake::default()];
    let tally = bulk::enrol(&jobs, &mut fakes, &mut memory, &options(), &stop, &mut |_, _| Ok(()));
    assert_eq!(tally.expect("works").enrolled, 0);
    let looked_at: usize = fakes.iter().map(|fake| fake.calls).sum();
    assert_eq!(looked_at, 600usize.div_ceil(7), "only what was refused is looked at again");
}

#[test]
fn what_was_acknowledged_before_a_failure_is_skipped_by_the_next_run() {
    let folder = crowd(3, 50);
    let mut memory = Memory { room: Some(40), ..Memory::default() };
    let failed = enrol(&folder, 4, &mut memory).expect_err("full");
    let there = memory.templates();
    assert_eq!(failed.kind(), Kind::Io);
    assert!(
        (40 - MOST_OFFERS + 1..=40).contains(&there),
        "{there}: one command's pictures at most are missing"
    );
    memory.room = None;
    let (tally, reports) = enrol(&folder, 4, &mut memory).expect("works");
    assert_eq!((tally.already_there, tally.enrolled, tally.refused), (there, 128 - there, 22));
    assert_eq!(reports.len(), 150);
    let mut whole = Memory::default();
    enrol(&folder, 1, &mut whole).expect("works");
    assert_eq!(memory.contents(), whole.contents(), "as if nothing had happened");
}

#[test]
fn faces_are_offered_as_many_at_a_time_as_are_ready() {
    let folder = crowd(1, 200);
    let mut memory = Memory::default();
    let (tally, _) = enrol(&folder, 4, &mut memory).expect("works");
    let offered: Vec<usize> =
        memory.asked.iter().filter(|(what, _)| *what == "enrol").map(|(_, count)| *count).collect();
    assert_eq!(offered.iter().sum::<usize>(), tally.enrolled);
    assert!(offered.iter().all(|count| (1..=MOST_OFFERS).contains(count)), "{offered:?}");
}

#[test]
fn who_cannot_be_told_from_somebody_else_is_refused_and_the_others_go_on() {
    let folder = crowd(3, 10);
    let mut memory = Memory { ambiguous: Some("p001"), ..Memory::default() };
    let (tally, reports) = enrol(&folder, 2, &mut memory).expect("works");
    let refused = reports.iter().filter(|report| report.to_string().contains("which p001 is meant"));
    assert_eq!((refused.count(), tally.reported()), (10, 30));
    assert_eq!(memory.people.iter().map(|p| p.record.name.as_str()).collect::<Vec<_>>(), ["p000", "p002"]);
}

#[test]
fn a_stop_lets_the_pictures_in_hand_come_to_their_end() {
    let folder = crowd(4, 100);
    let jobs = plan(&folder.root(), &Details::default(), None).expect("a plan");
    for workers in [1, 4] {
        let (mut stopper, stop) = never();
        let mut finders: Vec<Fake> = (0..workers).map(|_| Fake::default()).collect();
        let (mut memory, mut last) = (Memory::default(), 0);
        let tally = bulk::enrol(&jobs, &mut finders, &mut memory, &options(), &stop, &mut |number, _| {
            last = number;
            if number == 30 {
                stopper.stop();
            }
            Ok(())
        })
        .expect("no failure");
        assert_eq!(tally.reported() + tally.untouched, 400);
        assert!(tally.untouched > 100, "{tally}: what waits is not begun");
        assert_eq!(tally.enrolled, memory.templates(), "what is stored is reported");
        assert!(last >= 30);
    }
}

#[test]
fn a_failing_worker_or_a_reader_that_left_ends_the_run_with_what_was_done() {
    let folder = crowd(2, 40);
    let jobs = plan(&folder.root(), &Details::default(), None).expect("a plan");
    let (_stopper, stop) = never();
    let mut broken = [Fake::broken(), Fake::broken()];
    let mut memory = Memory::default();
    let failed = bulk::enrol(&jobs, &mut broken, &mut memory, &options(), &stop, &mut |_, _| Ok(()));
    assert_eq!(failed.expect_err("broken").kind(), Kind::Unavailable);
    assert_eq!(memory.templates(), 0);

    let mut left = |number: usize, _: &Report| {
        if number == 5 { Err(crate::err!(Io, "nobody reads")) } else { Ok(()) }
    };
    let mut fakes = [Fake::default(), Fake::default()];
    let failed = bulk::enrol(&jobs, &mut fakes, &mut memory, &options(), &stop, &mut left);
    assert_eq!(failed.expect_err("left").to_string(), "nobody reads");
    let there = memory.templates();
    assert!((4..4 + MOST_OFFERS).contains(&there), "{there}: the first of five is refused");
    let nobody: &mut [Fake] = &mut [];
    let failed = bulk::enrol(&jobs, nobody, &mut memory, &options(), &stop, &mut |_, _| Ok(()));
    assert_eq!(failed.expect_err("no models").kind(), Kind::Software);
}

#[test]
fn a_worker_that_panics_does_not_leave_the_others_waiting() {
    let folder = crowd(1, 20);
    folder.write("p000/0010.jpg", "panic");
    let mut memory = Memory::default();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| enrol(&folder, 2, &mut memory)));
    assert!(ended.is_err(), "a panic stays one");
    assert!(memory.templates() <= 9, "and nothing after it is stored");
}

#[test]
fn an_empty_or_missing_folder_is_an_error() {
    let folder = Folder::new();
    let kind = |folder: &Folder| enrol(folder, 1, &mut Memory::default()).expect_err("nothing").kind();
    assert_eq!(kind(&folder), Kind::NoInput);
    std::fs::create_dir(folder.root()).expect("made");
    assert_eq!(kind(&folder), Kind::NoInput);
    let file = folder.write("a.jpg", "");
    assert_eq!(plan(&file, &Details::default(), None).expect_err("a file").kind(), Kind::NoInput);
}
