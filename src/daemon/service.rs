//! The daemon, from the checked configuration to its exit code.
//!
//! ```text
//!   open: models, gallery, sinks, sockets ─▶ READY ─▶ wait: SIGHUP ─▶ reload, all or nothing
//!                                                       SIGTERM ─▶ STOPPING ─▶ drain ─▶ 0
//!                                                       nobody reads our events any more ─▶ drain ─▶ 74
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{select, tick};
use uuid::Uuid;

use super::health::{Health, Told};
use super::logging;
use super::reception::Reception;
use super::signals::{Signal, Signals};
use super::state::{LifeCycle, Need, Phase};
use super::systemd::Notifier;
use super::watchdog::{self, Heartbeats};
use crate::api::{Report, control, event_socket, http};
use crate::base::clock::{Clock, Moment, SystemClock};
use crate::base::error::Result;
use crate::base::shutdown;
use crate::config::load::{self, Loaded};
use crate::config::place::Place;
use crate::config::{Config, Events, Sink, SinkKind, diff};
use crate::err;
use crate::events::desk::Clerk;
use crate::events::{EventMaker, HealthChange, HealthState, Ids, log};
use crate::gallery::command::{Actor, Command};
use crate::gallery::custody::Custody;
use crate::gallery::keeper::execute_shared;
use crate::gallery::store::on_read_only;
use crate::gallery::succession::models_in_use;
use crate::infer::models::Models;
use crate::pipeline::budget;
use crate::pipeline::live::{Live, Surroundings};
use crate::pull;
use crate::sinks;
use crate::sinks::Publisher;
use crate::snapshots::{self, Keys, Policy, Snapshots};
use crate::source::gst;
use crate::stats::{InferenceSetup, Stats};

/// The longest that loading may take before systemd is let to end it. A GPU's engine takes minutes.
const LOADING: Duration = Duration::from_secs(900);

/// How often we look whether a file camera was played to its end.
const LOOK_AROUND: Duration = Duration::from_millis(500);

/// How often we look how the parts are.
const LOOK_AT_HEALTH: Duration = Duration::from_secs(2);

/// How long those who come for events have for what is left of them at the end. What they do not take is there after the next start.
const LAST_WORD: Duration = Duration::from_millis(300);

/// The component of health events about the configuration.
const CONFIGURATION: &str = "configuration";

/// Runs until told to stop. `file` is read again at SIGHUP.
///
/// # Errors
/// What could not be opened, before anything is ready; or that the events could not be delivered.
pub fn run(loaded: Loaded, file: Option<PathBuf>) -> Result<()> {
    // Before any thread starts, so that all of them leave signals to the handler.
    let signals = Signals::install()?;
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let Some(mut daemon) = Daemon::open(loaded.config, &signals)? else {
        tracing::info!("stopped before it was ready");
        return Ok(());
    };
    daemon.ready()?;
    let ended = daemon.serve(&signals, file.as_deref());
    daemon.stop(ended)
}

struct Daemon {
    config: Config,
    around: Surroundings,
    life: Arc<LifeCycle>,
    live: Live,
    notifier: Notifier,
    _control: control::Server,
    http: Option<http::Server>,
    event_sockets: Vec<event_socket::Server>,
    watchdog: shutdown::Stopper,
    /// True while the file has mistakes that were told of.
    misconfigured: bool,
}

impl Daemon {
    /// Opens everything but cameras, which connect in their own time. `None`: told to stop meanwhile.
    fn open(config: Config, signals: &Signals) -> Result<Option<Self>> {
        let notifier = Notifier;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let stats = Arc::new(Stats::new(clock.now()));
        let heartbeats = Heartbeats::new(clock.clone());
        let life = Arc::new(LifeCycle::default());
        let report = Report {
            stats: stats.clone(),
            beats: heartbeats.clone(),
            life: life.clone(),
            clock: clock.clone(),
        };

        // The socket first: it is what tells two daemons apart.
        let rule = control::Rule::configured(config.control.group.as_deref())?;
        let reception = Arc::new(Reception::new(report.clone()));
        let control = control::Server::start(&config.control.socket, rule, reception.clone())?;
        let readers = Arc::new(http::Readers::new(&config.http.readers, &stats)?);
        let serve = |listen| http::Server::start(listen, report, readers.clone());
        let http = config.http.listen.map(serve).transpose()?;
        gst::init()?;
        let (chosen, other) = models_in_use(&config)?;
        if let Some(warning) = other {
            tracing::warn!("{warning}");
        }
        let models = notifier.extend_during(LOADING, || Models::load(&chosen, &config.inference))?;
        life.have(Need::Models);
        if told_to_stop(signals) {
            return Ok(None);
        }
        let custody = Custody::open(&config, &models, clock.clone())?;
        reception.serve(custody.keeper.clone());
        life.have(Need::Gallery);

        let maker = Arc::new(EventMaker::new(&config.events.source, Uuid::now_v7(), Ids::random()));
        let snapshots = snapshots(&config, &custody, &stats, &clock, &heartbeats)?;
        let publisher = Arc::new(publish(&config, &custody, &maker, &stats, &clock, &heartbeats)?);
        reception.serve_events(Clerk::new(publisher.inspector()));
        let source = pull::Source::new(publisher.reading(), maker.clone(), clock.clone());
        let event_sockets = event_socket::start_all(&config.sinks, &source, &stats)?;
        readers.open(source);
        readers.show(album(&custody));
        let opener = Arc::new(gst::GstOpener::new(clock.clone()));
        let around = Surroundings {
            clock,
            stats,
            heartbeats: heartbeats.clone(),
            custody,
            maker,
            publisher,
            snapshots,
            opener,
        };
        note_models(&models, &around);
        // Workers open their models here, and a GPU builds its engines.
        let live = notifier.extend_during(LOADING, || Live::start(&config, &models, around.clone()))?;
        life.have(Need::Stages);
        if told_to_stop(signals) {
            live.drain();
            return Ok(None);
        }

        let (watchdog, watched) = shutdown::channel();
        watchdog::feed(heartbeats, notifier, watched)?;
        Ok(Some(Self {
            config,
            around,
            life,
            live,
            notifier,
            _control: control,
            http,
            event_sockets,
            watchdog,
            misconfigured: false,
        }))
    }

    fn ready(&mut self) -> Result<()> {
        self.life.become_phase(Phase::Ready)?;
        if self.config.cameras.is_empty() {
            tracing::warn!("no camera is configured: add one under [cameras] and reload");
        }
        self.notifier.ready(&self.summary());
        tracing::info!(cameras = self.config.cameras.len(), "ready");
        self.tell(HealthChange::of_all(HealthState::Ready, Some(&self.summary())));
        Ok(())
    }

    /// Waits for signals; ends when it is time to stop, with the reason if that is not a signal.
    fn serve(&mut self, signals: &Signals, file: Option<&Path>) -> Result<()> {
        let gone = self.around.publisher.gone().clone();
        let (around, health) = (tick(LOOK_AROUND), tick(LOOK_AT_HEALTH));
        let mut parts = Health::default();
        loop {
            select! {
                recv(signals.receiver()) -> signal => match signal {
                    Ok(Signal::Reload) => self.reload(file),
                    Ok(Signal::Stop) | Err(_) => return Ok(()),
                },
                recv(gone) -> _ => return Err(err!(Io, "nobody reads the events any more: standard output is closed")),
                recv(around) -> _ => if self.live.all_ended() {
                    tracing::info!("every camera was a file and has been played to its end");
                    return Ok(());
                },
                recv(health) -> _ => self.look_at_health(&mut parts),
            }
        }
    }

    fn look_at_health(&self, parts: &mut Health) {
        let now = self.around.clock.now();
        let snapshot = self.around.stats.snapshot(now, self.life.phase().as_str(), Vec::new());
        for Told { state, part, message } in parts.look(&snapshot, now) {
            self.tell(HealthChange::of_part(state, &part, message));
        }
    }

    /// Reads the configuration again: all of it, or nothing.
    fn reload(&mut self, file: Option<&Path>) {
        self.notifier.reloading();
        let _ = self.life.become_phase(Phase::Reloading);
        // Log files and event files are reopened whatever the configuration says: logrotate needs it.
        self.around.publisher.reopen();
        match load::load(file, load::environment(), &Place::of_process(file)) {
            Ok(loaded) => {
                self.apply(loaded);
                self.reloaded();
            }
            Err(errors) => {
                for line in errors.to_string().lines() {
                    tracing::error!("{line}");
                }
                tracing::error!("the configuration was not changed: correct it and reload again");
                self.not_reloaded();
            }
        }
        let _ = self.life.become_phase(Phase::Ready);
        self.notifier.ready(&self.summary());
    }

    fn reloaded(&mut self) {
        if std::mem::take(&mut self.misconfigured) {
            let message = "the configuration is right again";
            self.tell(HealthChange::of_part(HealthState::Recovered, CONFIGURATION, message));
        }
        self.tell(HealthChange::of_all(HealthState::Reloaded, Some(&self.summary())));
    }

    /// Told once: whoever corrects a file may need several attempts. What is wrong is in the log, and may hold addresses.
    fn not_reloaded(&mut self) {
        if !std::mem::replace(&mut self.misconfigured, true) {
            let message = "the configuration was not changed: the new one has mistakes, see the log";
            self.tell(HealthChange::of_part(HealthState::Degraded, CONFIGURATION, message));
        }
    }

    fn tell(&self, change: HealthChange<'_>) {
        let event = self.around.maker.health(change, self.around.clock.now());
        self.around.publisher.publish(event);
    }

    fn apply(&mut self, loaded: Loaded) {
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let changes = diff::diff(&self.config, &loaded.config);
        for key in &changes.needs_restart {
            tracing::warn!(key, "changed, and takes effect at the next restart");
        }
        let config = diff::reloaded(&self.config, loaded.config);
        for (camera, error) in self.live.apply(&config, &changes) {
            tracing::error!(%camera, error = error.chain(), "could not be started; reload to try again");
        }
        let (model, threshold) = self.live.model();
        self.around.custody.reloaded(&config, model, threshold);
        // An operator who corrected a password should not have to wait for it to be tried.
        self.live.retry_waiting();
        tracing::info!(
            added = changes.added.len(),
            removed = changes.removed.len(),
            changed = changes.changed.len(),
            "configuration reloaded"
        );
        self.config = config;
    }

    fn stop(mut self, ended: Result<()>) -> Result<()> {
        self.notifier.stopping();
        let _ = self.life.become_phase(Phase::Draining);
        tracing::info!("stopping: finishing what was seen");
        self.tell(HealthChange::of_all(HealthState::Stopping, None));
        let drained = self.live.drain();
        self.watchdog.stop();
        let Surroundings { publisher, maker, snapshots, .. } = self.around;
        drop(maker);
        let published = match Arc::try_unwrap(publisher) {
            Ok(publisher) => publisher.finish(Duration::from_secs(1)),
            Err(_) => Err(err!(Software, "the publisher is still in use")),
        };
        // The log has ended: whoever comes for events gets what is there.
        self.event_sockets.iter_mut().for_each(|socket| socket.drain(LAST_WORD));
        self.http.iter_mut().for_each(|http| http.drain(LAST_WORD));
        drop((self.event_sockets, self.http));
        if snapshots.is_some_and(|snapshots| !snapshots.finish(Duration::from_secs(1))) {
            tracing::error!("the snapshot store is stuck");
        }
        let _ = self.life.become_phase(Phase::Stopped);
        if !drained {
            tracing::error!("not everything was finished in time");
        }
        tracing::info!("stopped");
        ended.and(published)
    }

    fn summary(&self) -> String {
        let gallery = self.around.custody.shared.current();
        format!("{} cameras, {} identities", self.config.cameras.len(), gallery.identities())
    }
}

/// Opens the event log, and starts the sinks behind it.
fn publish(
    config: &Config,
    custody: &Custody,
    maker: &Arc<EventMaker>,
    stats: &Arc<Stats>,
    clock: &Arc<dyn Clock>,
    heartbeats: &Arc<Heartbeats>,
) -> Result<Publisher> {
    let chosen = sparing_the_journal(config);
    let sinks = sinks::from_config(&chosen, clock)?;
    let (key, ring) = custody.for_events();
    let teller = maker.clone();
    let path = place_of_log(config);
    if path != config.events.path {
        tracing::warn!(
            log = %path.display(),
            "the gallery's file system is read-only: the event log is not beside it, and is gone when the box is switched off"
        );
    }
    let options = log::Options {
        path,
        key,
        ring: Arc::new(ring),
        rules: rules(&config.events),
        sinks: sinks::places(&chosen),
        tell: Arc::new(move |lost, at| teller.lost(*lost, Moment { mono: Duration::ZERO, wall: at })),
        clock: clock.clone(),
        stats: stats.clone(),
    };
    let beat = heartbeats.register("event-log", budget::DECISION_STUCK);
    let log = log::EventLog::open(options, beat)?;
    Publisher::start(log, sinks, maker, stats, clock)
}

/// Where the configuration says. Where that is beside a gallery on a read-only file system, beside the control socket: it lives
/// as long as the box is on.
pub fn place_of_log(config: &Config) -> PathBuf {
    let chosen = &config.events.path;
    if chosen.parent() != config.gallery.path.parent() || !on_read_only(&config.gallery.path) {
        return chosen.clone();
    }
    config.control.socket.with_file_name("events.db")
}

/// Shows pictures of snapshots to readers over HTTP, on record like every look at one.
fn album(custody: &Custody) -> http::Album {
    let keeper = custody.keeper.clone();
    Arc::new(move |reader, id, kind| {
        let (actor, command) = (Actor(format!("reader {reader}")), Command::Snapshot { id, kind });
        execute_shared(&keeper, &actor, command, &[], &mut |_| {}).map(|reply| reply.body)
    })
}

/// Opens the snapshot store, where pictures are kept, or were: what is there has to go when its time comes, and with whoever is
/// forgotten.
fn snapshots(
    config: &Config,
    custody: &Custody,
    stats: &Arc<Stats>,
    clock: &Arc<dyn Clock>,
    heartbeats: &Arc<Heartbeats>,
) -> Result<Option<Arc<Snapshots>>> {
    let settings = &config.snapshots;
    let policy = Policy::of(settings);
    if !policy.is_on() && !settings.path.exists() {
        return Ok(None);
    }
    if on_read_only(&config.gallery.path) {
        tracing::warn!("the gallery's file system is read-only: no snapshots are kept");
        return Ok(None);
    }
    if let Some(time) = settings.unknown {
        tracing::warn!(
            seconds = time.as_secs(),
            "snapshots.unknown is on: pictures of people who are not enrolled are kept"
        );
    }
    let (own, ring) = custody.for_snapshots();
    let options = snapshots::Options {
        path: settings.path.clone(),
        keys: Keys { own, ring: Arc::new(ring) },
        policy,
        budget: settings.budget,
        quality: settings.quality,
        clock: clock.clone(),
        stats: stats.snapshots.clone(),
    };
    let beat = heartbeats.register("snapshots", budget::DECISION_STUCK);
    let snapshots = Arc::new(Snapshots::start(options, beat)?);
    custody.set_outside(snapshots.clone());
    Ok(Some(snapshots))
}

fn rules(events: &Events) -> log::Rules {
    let lists = events.lists.iter().map(|(list, time)| (list.to_string(), *time)).collect();
    log::Rules { keep: events.retention, lists, budget: events.budget }
}

/// True if a stop came while something slow was loaded. A reload that came meanwhile has nothing to do.
fn told_to_stop(signals: &Signals) -> bool {
    signals.receiver().try_iter().any(|signal| signal == Signal::Stop)
}

/// Under systemd standard output ends in the journal: an event that is an entry there already would stand there twice.
fn sparing_the_journal(config: &Config) -> Vec<Sink> {
    let mut sinks = config.sinks.clone();
    if config.goes_to_journal() && logging::stdout_is_journal() {
        let all = sinks.len();
        sinks.retain(|sink| sink.kind != SinkKind::Stdout);
        if sinks.len() < all {
            tracing::info!(
                "events go to the journal as entries of their own, not also as lines of standard output"
            );
        }
    }
    sinks
}

fn note_models(models: &Models, around: &Surroundings) {
    let setup = InferenceSetup {
        device: models.device().to_string(),
        detector: models.detector_manifest().name.clone(),
        embedder: models.embedder_manifest().name.clone(),
        workers: models.plan().workers as u64,
    };
    tracing::info!(
        device = setup.device,
        detector = setup.detector,
        embedder = setup.embedder,
        model = %models.model_id(),
        workers = setup.workers,
        runtime = %models.runtime().library().display(),
        "models loaded"
    );
    around.stats.inference.set_setup(setup);
}
