//! `watchlistd-demo run`: start the camera, enrol, start the daemon, show and judge the events, end both.
//!
//! ```text
//!  camera (empty stage) ─▶ prepare ─▶ enrol ─▶ daemon ─▶ "connected" ─▶ the scene starts ─▶ ... ─▶ summary
//! ```
//!
//! The scene waits for the daemon's own word that frames arrive, so that a slow start misses nobody.

mod daemon;
mod event;
mod fresh;
mod settings;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select, tick, unbounded};
use jiff::Timestamp;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use watchlistd::base::error::{Error, Result};
use watchlistd::{bail, err};

use crate::camera::showtime::Showtime;
use crate::camera::{Camera, Options};
use crate::gallery;
use crate::judge::{Heard, Judge, TOLERANCE};
use crate::scene::Scene;
use crate::show::stage::Stage;
use daemon::{Daemon, STOP_LIMIT};
use event::{Event, Sighting};
use settings::Settings;
use table::{Table, Times};

/// Time the daemon has to load its models and connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// Time after the scene for the last tracks to end and be decided.
const GRACE: f64 = 2.0;

/// Seconds before the whole face is inside that somebody is announced: the daemon may see a part of it sooner.
const LEAD: f64 = 1.0;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// The daemon's configuration; its one camera is the demo's
    #[arg(long, value_name = "FILE", default_value = "config/demo.toml")]
    config: PathBuf,
    /// The daemon; the one beside this program when left out
    #[arg(long, value_name = "FILE")]
    daemon: Option<PathBuf>,
    /// The scene
    #[arg(long, value_name = "FILE", default_value = "config/demo/scene.toml")]
    scene: PathBuf,
    /// Folder of the photographs that set-up fetched
    #[arg(long, value_name = "DIR", default_value = "var/images")]
    images: PathBuf,
    /// Folder of what the demo makes: enrolment pictures, gallery, the daemon's log
    #[arg(long, value_name = "DIR", default_value = "var/demo")]
    out: PathBuf,
    /// Repeat the scene until Ctrl-C
    #[arg(long)]
    forever: bool,
}

/// Runs the demo. Success only if nobody was missed and nobody taken for somebody else.
///
/// # Errors
/// When something that the demo needs is missing, or the daemon fails.
pub fn run(arguments: &RunArguments) -> Result<ExitCode> {
    let stop = stop_signals()?;
    let mut table = Table::new();
    std::fs::create_dir_all(&arguments.out).map_err(|e| Error::io("create", &arguments.out, e))?;
    let settings = Settings::load(&arguments.config, &arguments.out)?;
    let binary = daemon_binary(arguments.daemon.as_deref())?;
    let scene = Scene::load(&arguments.scene)?;

    let showtime = Arc::new(Showtime::new(scene.length, arguments.forever));
    let options = Options { listen: settings.listen, path: settings.path.clone(), fps: 25, login: None };
    let stage = Stage::new(&scene, &arguments.images)?;
    let camera = Camera::start(stage, scene.size, showtime.clone(), &options)?;
    table.note(&format!("camera     {}", camera.url()));

    // After the camera: a demo that finds another one running must not touch its gallery.
    gallery::prepare(&scene, &arguments.images, &arguments.out)?;
    enrol(&binary, &arguments.config, &settings, &arguments.out.join("gallery"))?;

    let log = arguments.out.join("daemon.log");
    let daemon = Daemon::start(&binary, &arguments.config, &log)?;
    table.note(&format!("daemon     {} (its log: {})", binary.display(), log.display()));
    let judge = Judge::new(scene.visits.clone(), scene.length, arguments.forever);
    let show = Show {
        table,
        judge,
        scene,
        showtime,
        camera: settings.camera,
        forever: arguments.forever,
        zero: None,
        announced: 0,
        times: Times::default(),
    };
    show.run(daemon, &stop)
}

/// Where the demo is in its scene, and what it heard.
struct Show {
    table: Table,
    judge: Judge,
    scene: Scene,
    showtime: Arc<Showtime>,
    camera: String,
    forever: bool,
    /// Wall time of the scene's zero, once it has started.
    zero: Option<Timestamp>,
    /// Visits announced so far, over repetitions.
    announced: usize,
    times: Times,
}

impl Show {
    fn run(mut self, mut daemon: Daemon, stop: &Receiver<()>) -> Result<ExitCode> {
        let started = Instant::now();
        let ticks = tick(Duration::from_millis(100));
        let lines = daemon.lines().clone();
        loop {
            select! {
                recv(lines) -> line => match line {
                    Ok(line) => self.hear(&line)?,
                    Err(_) => return Err(daemon.died()),
                },
                recv(stop) -> _ => break,
                recv(ticks) -> _ => {
                    self.announce();
                    if self.zero.is_none() && started.elapsed() > CONNECT_LIMIT {
                        return Err(self.never_connected(&mut daemon));
                    }
                    if self.over() {
                        break;
                    }
                }
            }
        }
        let ended = self.showtime.elapsed().unwrap_or(0.0);
        let stopped = daemon.stop();
        // What it published while it drained counts.
        for line in lines.try_iter() {
            self.hear(&line)?;
        }
        let summary = self.judge.summary(ended);
        self.table.summary(&summary, &self.times);
        let took = stopped.took.as_secs_f64();
        match stopped.status {
            Some(status) if status.success() => {
                self.table.note(&format!("the daemon stopped in {took:.1} s"));
            }
            Some(status) => bail!(Software, "the daemon did not stop cleanly: {status} after {took:.1} s"),
            None => bail!(Software, "the daemon did not stop within {STOP_LIMIT:?} and was killed"),
        }
        Ok(if summary.passed() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    fn hear(&mut self, line: &str) -> Result<()> {
        let event = Event::parse(line)
            .map_err(|e| err!(Data, "the daemon's output holds a line that is no event: {e}"))?;
        match event {
            Some(Event::Camera { camera, state, message }) => {
                let why = message.map(|m| format!(": {m}")).unwrap_or_default();
                self.table.note(&format!("camera     {camera} is {state}{why}"));
                if self.zero.is_none() && camera == self.camera && state == "connected" {
                    self.zero = Some(self.showtime.start(0.0));
                    self.table.head();
                }
            }
            Some(Event::Sighting(sighting)) => self.judge_sighting(&sighting),
            None => {}
        }
        Ok(())
    }

    fn judge_sighting(&mut self, sighting: &Sighting) {
        let since_zero = |zero: Timestamp| sighting.captured.duration_since(zero).as_secs_f64();
        // Before the start the stage is empty, so whatever is seen then is wrong too.
        let time = self.zero.map_or(-1.0, since_zero);
        let heard =
            Heard { time, track: sighting.track.clone(), bbox: sighting.bbox, said: sighting.said.clone() };
        self.announce();
        let remark = self.judge.hear(&heard);
        self.times.note(sighting);
        self.table.event(time, sighting, &remark);
    }

    /// Tells who has come into the picture since the last time.
    fn announce(&mut self) {
        let Some(now) = self.showtime.elapsed() else { return };
        let count = self.scene.visits.len();
        let limit = if self.forever { usize::MAX } else { count };
        while self.announced < limit {
            let (round, index) = (self.announced / count.max(1), self.announced % count.max(1));
            let Some(visit) = self.scene.visits.get(index) else { break };
            let comes = round as f64 * self.scene.length + visit.visible.0;
            if comes - LEAD > now {
                break;
            }
            self.table.enters(comes - LEAD, &visit.who, visit.enrolled);
            self.announced += 1;
        }
    }

    fn over(&self) -> bool {
        let end = self.scene.length + GRACE.max(TOLERANCE);
        !self.forever && self.showtime.elapsed().is_some_and(|now| now >= end)
    }

    fn never_connected(&self, daemon: &mut Daemon) -> Error {
        let limit = CONNECT_LIMIT.as_secs();
        let log = daemon.died().chain();
        err!(Unavailable, "no \"connected\" event of camera {} within {limit} s: {log}", self.camera)
    }
}

/// Fills a fresh gallery with the pictures, by the daemon's own command.
fn enrol(binary: &Path, config: &Path, settings: &Settings, pictures: &Path) -> Result<()> {
    fresh::begin(&settings.gallery)?;
    let mut enrol = Command::new(binary);
    enrol.args(["enroll", "--config"]).arg(config).arg("--dir").arg(pictures);
    let status = enrol.status().map_err(|e| Error::io("start", binary, e))?;
    if !status.success() {
        bail!(Unavailable, "enrolling the demo's people failed ({status})");
    }
    Ok(())
}

fn daemon_binary(given: Option<&Path>) -> Result<PathBuf> {
    let beside = || {
        let own = std::env::current_exe().ok()?;
        Some(own.with_file_name("watchlistd"))
    };
    let path = given.map(Path::to_owned).or_else(beside);
    let path = path.ok_or_else(|| err!(Software, "cannot tell where this program is; give --daemon"))?;
    if !path.is_file() {
        bail!(NoInput, "the daemon is not at {}: build it (make build) or give --daemon", path.display());
    }
    Ok(path)
}

/// A message for each SIGINT or SIGTERM.
fn stop_signals() -> Result<Receiver<()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|e| err!(Unavailable, "cannot listen for signals").because(e))?;
    let (sender, receiver) = unbounded();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if sender.send(()).is_err() {
                break;
            }
        }
    });
    Ok(receiver)
}
