//! The supervisor's thread, over scripted sources and a clock that the test moves.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

#[path = "support/cameras.rs"]
mod cameras;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cameras::{Recorder, Told, camera};
use jiff::Timestamp;
use watchlistd::base::clock::{Clock, Moment, SimulatedClock};
use watchlistd::base::shutdown::{self, Stopper};
use watchlistd::config::{Camera, CameraSource};
use watchlistd::source::supervisor::{CameraState, Handle, Opener, Supervisor};
use watchlistd::source::{Failure, Next, Source, SourceError, StreamInfo};
use watchlistd::types::frame::{Frame, RgbImage};
use watchlistd::types::geometry::Size;
use watchlistd::types::ids::CameraId;

/// What a scripted source does next.
#[derive(Clone, Copy)]
enum Step {
    /// A frame with this sequence number, at 25 a second.
    Frame(u64),
    Fail(Failure),
    Panic,
    /// Nothing, for ever.
    Silence,
}

/// One connection: refused, or a list of steps.
type Script = Result<Vec<Step>, Failure>;

struct Scripted(Mutex<VecDeque<Script>>);

struct Steps(VecDeque<Step>, u32);

impl Opener for Scripted {
    fn open(&self, _: &Camera, epoch: u32) -> Result<Box<dyn Source>, SourceError> {
        match self.0.lock().unwrap().pop_front() {
            Some(Ok(steps)) => Ok(Box::new(Steps(steps.into(), epoch))),
            Some(Err(failure)) => Err(SourceError::new(failure, "as the script says")),
            None => Err(SourceError::new(Failure::Unreachable, "the script is over")),
        }
    }
}

impl Source for Steps {
    fn next(&mut self, timeout: Duration) -> Result<Next, SourceError> {
        match self.0.pop_front() {
            Some(Step::Frame(sequence)) => {
                let pixels = Arc::new(RgbImage::new(Size::new(2, 2), vec![0; 12]).unwrap());
                let captured =
                    Moment { mono: Duration::from_millis(40 * sequence), wall: Timestamp::UNIX_EPOCH };
                Ok(Next::Frame(
                    Frame::new(CameraId::new("door").unwrap(), self.1, sequence, captured, pixels).unwrap(),
                ))
            }
            Some(Step::Fail(failure)) => Err(SourceError::new(failure, "as the script says")),
            Some(Step::Panic) => panic!("a bug in a source"),
            Some(Step::Silence) | None => {
                self.0.push_front(Step::Silence);
                std::thread::sleep(timeout.min(Duration::from_millis(2)));
                Ok(Next::TimedOut)
            }
        }
    }

    fn info(&self) -> StreamInfo {
        StreamInfo { codec: Some("script".to_owned()), ..StreamInfo::default() }
    }
}

struct Run {
    told: Arc<Recorder>,
    clock: Arc<SimulatedClock>,
    handle: Handle,
    stopper: Stopper,
}

fn run(camera: Camera, scripts: Vec<Script>) -> Run {
    let clock = Arc::new(SimulatedClock::new(Timestamp::UNIX_EPOCH));
    let told = Arc::new(Recorder::default());
    let (stopper, stop) = shutdown::channel();
    let opener = Arc::new(Scripted(Mutex::new(scripts.into())));
    let handle = Supervisor::spawn(camera, 1, opener, clock.clone(), stop, told.clone()).unwrap();
    Run { told, clock, handle, stopper }
}

impl Run {
    fn stop(mut self) -> Vec<Told> {
        self.stopper.stop();
        self.handle.join();
        self.told.all()
    }
}

fn live() -> Camera {
    camera(CameraSource::V4l2 { device: "/dev/video0".into() })
}

fn count(told: &[Told], state: &str) -> usize {
    told.iter().filter(|t| t.is_state(state)).count()
}

#[test]
fn every_frame_is_counted_and_each_fifth_is_passed_on() {
    // 25 frames a second; the source lost numbers 10 to 12.
    let steps = (0..100).filter(|i| !(10..13).contains(i)).map(Step::Frame).collect();
    let run = run(live(), vec![Ok(steps)]);
    run.told.until("the last frame", |told| {
        told.iter().map(|t| if let Told::Received { decoded, .. } = t { *decoded } else { 0 }).sum::<u64>()
            == 100
    });
    let told = run.stop();
    let lost: u64 = told.iter().map(|t| if let Told::Received { lost, .. } = t { *lost } else { 0 }).sum();
    assert_eq!(lost, 3);
    let passed: Vec<u64> = told
        .iter()
        .filter_map(|t| if let Told::Frame { sequence, .. } = t { Some(*sequence) } else { None })
        .collect();
    assert_eq!(passed[..2], [0, 5]);
    assert_eq!(passed[3..], (15..100).step_by(5).collect::<Vec<u64>>()[..], "{passed:?}");
    assert_eq!(told.iter().filter(|t| matches!(t, Told::Info(_))).count(), 1);
    assert!(matches!(told.last(), Some(Told::State(CameraState::Stopped, None))));
}

#[test]
fn failures_wait_reopen_and_count_epochs() {
    let run = run(
        live(),
        vec![
            Err(Failure::Unreachable),
            Ok(vec![Step::Frame(0), Step::Fail(Failure::Corrupt)]),
            Ok(vec![Step::Frame(0)]),
        ],
    );
    for waits in 1..=2 {
        run.told.until("a wait", |told| count(told, "waiting") == waits);
        assert_eq!(count(&run.told.all(), "connecting"), waits, "it did not wait");
        run.clock.advance(Duration::from_secs(3));
    }
    run.told.until("the third connection", |told| told.iter().any(|t| t.frame_epoch() == Some(3)));
    let told = run.stop();
    assert!(told.iter().any(|t| t.is_failure(Failure::Corrupt)));
    assert!(told.iter().any(|t| t.frame_epoch() == Some(2)));
}

#[test]
fn a_refused_password_waits_for_retry_now() {
    let run = run(live(), vec![Err(Failure::Unauthorized), Ok(vec![Step::Frame(0)])]);
    let told = run.told.until("the refusal", |told| count(told, "refused") == 1);
    let Some(Told::State(CameraState::Refused { until }, Some(Failure::Unauthorized))) = told.last() else {
        panic!("{told:?}")
    };
    assert!(*until >= Duration::from_secs(300));
    run.handle.retry_now();
    run.told.until("the frame", |told| told.iter().any(|t| t.frame_epoch() == Some(2)));
    assert_eq!(run.clock.now().mono, Duration::ZERO, "without the clock having moved");
    run.stop();
}

#[test]
fn a_retry_asked_for_while_all_is_well_does_not_shorten_a_later_wait() {
    let run = run(live(), vec![Ok(vec![Step::Frame(0), Step::Silence]), Ok(vec![Step::Frame(0)])]);
    run.told.until("the frame", |told| told.iter().any(|t| t.frame_epoch() == Some(1)));
    run.handle.retry_now();
    run.clock.advance(Duration::from_secs(10));
    run.told.until("the stall", |told| count(told, "waiting") == 1);
    let told = run.stop();
    assert_eq!(count(&told, "connecting"), 1);
}

#[test]
fn silence_becomes_a_stall_before_and_after_the_first_frame() {
    let run = run(live(), vec![Ok(vec![Step::Silence]), Ok(vec![Step::Frame(0), Step::Silence])]);
    for stalls in 1..=2 {
        run.told.until("a connection", |told| count(told, "connecting") == stalls);
        if stalls == 2 {
            run.told.until("the frame", |told| count(told, "connected") == 1);
        }
        run.clock.advance(Duration::from_secs(10));
        let told = run.told.until("the stall", |told| count(told, "waiting") == stalls);
        assert!(told.last().is_some_and(|t| t.is_failure(Failure::Stalled)), "{told:?}");
        run.clock.advance(Duration::from_secs(3));
    }
    run.stop();
}

#[test]
fn a_panic_in_a_source_costs_one_connection() {
    let run = run(live(), vec![Ok(vec![Step::Panic]), Ok(vec![Step::Frame(0)])]);
    run.told.until("the failure", |told| told.iter().any(|t| t.is_failure(Failure::Corrupt)));
    run.clock.advance(Duration::from_secs(3));
    run.told.until("frames again", |told| told.iter().any(|t| t.frame_epoch() == Some(2)));
    run.stop();
}

#[test]
fn a_file_that_is_not_repeated_ends_by_itself() {
    let file = camera(CameraSource::File { path: "a.mp4".into(), repeat: false });
    let run = run(file, vec![Ok(vec![Step::Frame(0), Step::Fail(Failure::Ended)])]);
    let Run { told, handle, stopper: _stopper, .. } = run;
    handle.join();
    assert!(matches!(told.all().last(), Some(Told::State(CameraState::Ended, Some(Failure::Ended)))));
}

#[test]
fn it_stops_in_every_state() {
    let scripts: [(&str, Script); 4] = [
        ("connecting", Ok(vec![Step::Silence])),
        ("connected", Ok(vec![Step::Frame(0), Step::Silence])),
        ("waiting", Err(Failure::Unreachable)),
        ("refused", Err(Failure::Unauthorized)),
    ];
    for (state, script) in scripts {
        let run = run(live(), vec![script]);
        run.told.until(state, |told| count(told, state) == 1);
        // Returns only when the thread has ended, with the clock standing still.
        let told = run.stop();
        assert!(told.last().is_some_and(|t| t.is_state("stopped")));
    }
}
