//! The camera's thread: does what the [`Machine`] says.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::machine::{Action, CameraState, Machine};
use super::report::Report;
use super::{FrameSink, Opener};
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::base::join::join_within;
use crate::base::shutdown::Stop;
use crate::config::{Camera, CameraSource};
use crate::err;
use crate::source::sampler::Sampler;
use crate::source::{Failure, Next, Source, SourceError};
use crate::types::frame::Frame;
use crate::types::geometry::Size;

/// The longest the thread sleeps or reads without looking at the clock and at the stop signal.
const SLICE: Duration = Duration::from_millis(250);

/// Starts supervisors.
#[derive(Debug)]
pub struct Supervisor;

/// A running supervisor.
#[derive(Debug)]
pub struct Handle {
    retry: Sender<()>,
    /// Bits of an f32.
    detect_fps: Arc<AtomicU32>,
    thread: JoinHandle<()>,
}

impl Supervisor {
    /// Starts the camera's thread; its first connection is `epoch`. It ends within about a second of `stop`, or after a file that is not repeated.
    ///
    /// # Errors
    /// `Temporary`, when the system gives no thread.
    pub fn spawn(
        camera: Camera,
        epoch: u32,
        opener: Arc<dyn Opener>,
        clock: Arc<dyn Clock>,
        stop: Stop,
        out: Arc<dyn FrameSink>,
    ) -> Result<Handle> {
        let (retry, retried) = bounded(1);
        let name = format!("camera {}", camera.id);
        let detect_fps = Arc::new(AtomicU32::new(camera.detect_fps.to_bits()));
        let mut driver = Driver::new(camera, opener, clock, stop, out, retried);
        driver.machine = driver.machine.from_epoch(epoch);
        driver.detect_fps = detect_fps.clone();
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || driver.run())
            .map_err(|e| err!(Temporary, "cannot start a camera's thread").because(e))?;
        Ok(Handle { retry, detect_fps, thread })
    }
}

impl Handle {
    /// Opens the camera at once if it waits, a refused password included.
    pub fn retry_now(&self) {
        // Full: a retry is asked for already. Closed: the thread has ended.
        let _ = self.retry.try_send(());
    }

    /// Chooses this many frames a second from the next frame on; the connection stays.
    pub fn set_detect_fps(&self, fps: f32) {
        self.detect_fps.store(fps.to_bits(), Ordering::Relaxed);
    }

    /// True once the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the thread's end.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("a camera's supervisor panicked; this is a bug");
        }
    }

    /// Waits at most `limit` for the thread's end; true if it ended well.
    pub fn join_within(self, limit: Duration) -> bool {
        join_within(self.thread, limit)
    }
}

/// An open connection.
struct Connection {
    source: Box<dyn Source>,
    /// The sequence number the next frame has if none is lost.
    expected: u64,
    size: Option<Size>,
    sampler: Sampler,
    /// The rate the sampler was made for, as bits.
    fps: u32,
}

struct Driver {
    camera: Camera,
    opener: Arc<dyn Opener>,
    clock: Arc<dyn Clock>,
    stop: Stop,
    out: Arc<dyn FrameSink>,
    retried: Receiver<()>,
    machine: Machine,
    report: Report,
    detect_fps: Arc<AtomicU32>,
    connection: Option<Connection>,
}

impl Driver {
    fn new(
        camera: Camera,
        opener: Arc<dyn Opener>,
        clock: Arc<dyn Clock>,
        stop: Stop,
        out: Arc<dyn FrameSink>,
        retried: Receiver<()>,
    ) -> Self {
        let finite = matches!(camera.source, CameraSource::File { repeat: false, .. });
        let machine = Machine::new(camera.stall, finite, fastrand::u64(..));
        let report = Report::default();
        let detect_fps = Arc::new(AtomicU32::new(camera.detect_fps.to_bits()));
        Self { camera, opener, clock, stop, out, retried, machine, report, detect_fps, connection: None }
    }

    fn run(mut self) {
        loop {
            if self.stop.is_set() {
                self.close();
                self.machine.stop();
                self.tell(CameraState::Stopped, None);
                return;
            }
            match self.machine.next(self.now()) {
                Action::Open { epoch } => self.open(epoch),
                Action::Read(most) => self.read(most.min(SLICE)),
                Action::Wait(most) => self.wait(most.min(SLICE)),
                Action::Finish => return,
            }
        }
    }

    fn now(&self) -> Duration {
        self.clock.now().mono
    }

    fn open(&mut self, epoch: u32) {
        self.tell(CameraState::Connecting, None);
        let (opener, camera) = (&self.opener, &self.camera);
        match guarded(|| opener.open(camera, epoch)) {
            Ok(source) => {
                let fps = self.detect_fps.load(Ordering::Relaxed);
                let sampler = Sampler::new(f32::from_bits(fps));
                self.connection = Some(Connection { source, expected: 0, size: None, sampler, fps });
            }
            Err(error) => self.fail(error),
        }
    }

    fn read(&mut self, most: Duration) {
        let Some(connection) = &mut self.connection else {
            return self.fail(SourceError::new(Failure::Unreachable, "the camera is not open"));
        };
        match guarded(|| connection.source.next(most)) {
            Ok(Next::Frame(frame)) => self.frame(frame),
            Ok(Next::TimedOut) => self.silence(),
            Err(error) => self.fail(error),
        }
    }

    fn frame(&mut self, frame: Frame) {
        let now = self.now();
        if self.machine.frame(now) {
            self.tell(CameraState::Connected, None);
            if self.report.recovered() {
                tracing::info!(camera = %self.camera.id, "frames come again");
            }
        }
        if self.machine.is_healthy(now) {
            self.report.healthy();
        }
        let Some(connection) = &mut self.connection else { return };
        let lost = frame.sequence.saturating_sub(connection.expected);
        connection.expected = frame.sequence + 1;
        self.out.received(lost + 1, lost);
        if connection.size != Some(frame.size()) {
            connection.size = Some(frame.size());
            if let Ok(info) = guarded(|| Ok(connection.source.info())) {
                self.out.info(info);
            }
        }
        let fps = self.detect_fps.load(Ordering::Relaxed);
        if connection.fps != fps {
            connection.fps = fps;
            connection.sampler = Sampler::new(f32::from_bits(fps));
        }
        if connection.sampler.take(frame.captured.mono, frame.sequence) {
            self.out.frame(frame);
        } else {
            self.out.skipped();
        }
    }

    fn silence(&mut self) {
        if self.machine.has_stalled(self.now()) {
            let seconds = self.camera.stall.as_secs_f32();
            self.fail(SourceError::new(
                Failure::Stalled,
                format!("no picture for {seconds} s (cameras.stall); the camera is opened again"),
            ));
        }
    }

    fn fail(&mut self, error: SourceError) {
        self.close();
        if self.machine.state() == CameraState::Connected {
            // Asked for while all was well: it must not cut short a wait that begins only now.
            let _ = self.retried.try_recv();
        }
        let now = self.now();
        self.machine.failed(now, error.failure);
        self.tell(self.machine.state(), Some(&error));
        if self.machine.state() == CameraState::Ended {
            tracing::info!(camera = %self.camera.id, "{error}");
        } else if let Some(times) = self.report.failure(now, error.failure) {
            tracing::warn!(camera = %self.camera.id, failure = error.failure.as_str(), times, "{error}");
        }
    }

    fn tell(&self, state: CameraState, why: Option<&SourceError>) {
        self.out.state(self.machine.epoch(), state, why);
    }

    /// Drops the source; a panic in its teardown stays in here.
    fn close(&mut self) {
        let connection = self.connection.take();
        let _ = guarded(|| {
            drop(connection);
            Ok(())
        });
    }

    fn wait(&mut self, most: Duration) {
        let retry = select! {
            recv(self.stop.closed()) -> _ => false,
            recv(self.retried) -> told => {
                // The handle is gone: nobody can ask any more, and a closed channel must not make this spin.
                if told.is_err() {
                    self.retried = crossbeam_channel::never();
                }
                told.is_ok()
            },
            default(most) => false,
        };
        if retry {
            self.machine.retry_now(self.now());
        }
    }
}

/// Runs code of a source. A panic becomes a failure: one camera's bug must not take the others with it.
fn guarded<T>(run: impl FnOnce() -> Result<T, SourceError>) -> Result<T, SourceError> {
    // The connection is thrown away after a panic, so no half-changed state is looked at again.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        // The payload is not repeated: it could hold an address.
        Err(SourceError::new(
            Failure::Corrupt,
            "the source panicked (a bug; see the line above); it is opened again",
        ))
    })
}
