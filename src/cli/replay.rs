//! `watchlistd replay VIDEO`
//!
//! ```text
//!   recording ─▶ the daemon's stages ─┬─▶ decided as configured ──────────────▶ last word of each track ─┐
//!                                     └─▶ and as the command line changes it ─▶ last word of each track ─┴─▶ differences
//!             (with another embedder they are gone through twice)
//! ```
//!
//! Tracks and their shots depend on neither threshold nor embedder, so that a track is the same one in both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::console::Console;
use super::context::{self, ModelArgs};
use super::faces::{self, LookArgs};
use super::recognize::{open_recording, recording_error, recording_settings};
use super::table::Column;
use super::{ConfigArgs, output};
use crate::bail;
use crate::base::error::Result;
use crate::config::{Config, Decide, Fusion, Threshold};
use crate::gallery::{SharedGallery, reading};
use crate::infer::models::Models;
use crate::pipeline::judge::Policy;
use crate::pipeline::offline::{self, Observer, Settings, Sighting};
use crate::pipeline::shadow::{Comparison, Opinion};
use crate::types::decision::Notice;
use crate::types::frame::Frame;
use crate::types::ids::{CameraId, TrackId};

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    watchlistd replay lobby.mp4 --threshold 0.5\n  \
    watchlistd replay lobby.mp4 --embedder facenet-512 --json | jq -c 'select(.differs)'\n\n\
    Exit status: 0 both say the same of every track; 1 they do not; others as watchlistd(1) says.")]
pub struct ReplayArgs {
    /// A video: whatever GStreamer plays.
    #[arg(value_name = "VIDEO")]
    file: PathBuf,
    /// Least similarity score of a recognition, for all lists, too.
    #[arg(long, value_name = "SCORE", value_parser = faces::parse_share, help_heading = "What is changed")]
    threshold: Option<f32>,
    /// Least distance to the second identity.
    #[arg(long, value_name = "DISTANCE", value_parser = faces::parse_share, help_heading = "What is changed")]
    margin: Option<f32>,
    /// Shots that must agree before a recognition is confirmed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), help_heading = "What is changed")]
    confirm: Option<u32>,
    /// Best shots that are fused into what is decided on.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), help_heading = "What is changed")]
    fuse: Option<u32>,
    /// What each of these shots weighs.
    #[arg(long, value_enum, value_name = "HOW", help_heading = "What is changed")]
    fusion: Option<Fusing>,
    /// Another embedder, by its name in `models list` or its manifest. Enrolled pictures without a template of it are embedded again
    /// from their kept crops, in memory.
    #[arg(long, value_name = "MODEL", help_heading = "What is changed")]
    embedder: Option<String>,
    /// Frames a second that are looked at; every frame without it.
    #[arg(long, value_name = "FPS")]
    fps: Option<f32>,
    /// Worker threads; one a core without it.
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Print JSON: one object for each track, also of those that both judge alike.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

/// `decide.fusion`, as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Fusing {
    /// All the same.
    Mean,
    /// Each its quality score.
    Quality,
}

impl From<Fusing> for Fusion {
    fn from(fusing: Fusing) -> Self {
        match fusing {
            Fusing::Mean => Self::Mean,
            Fusing::Quality => Self::Quality,
        }
    }
}

/// What became of a track in one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct Outcome {
    /// Its last word; null where the lists of who was recognised publish nothing.
    decision: Option<&'static str>,
    identity: Option<Arc<str>>,
    score: Option<f32>,
    threshold: Option<f32>,
}

impl Outcome {
    fn agrees(&self, other: &Self) -> bool {
        (&self.decision, &self.identity) == (&other.decision, &other.identity)
    }

    fn words(&self) -> String {
        let who = self.identity.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        let score = self.score.zip(self.threshold).map(|(score, of)| format!(", {score:.2} of {of:.2}"));
        format!("{}{who}{}", self.decision.unwrap_or("-"), score.unwrap_or_default())
    }
}

/// A track in both.
#[derive(Debug, Serialize)]
struct Compared {
    track: String,
    first_s: f64,
    last_s: f64,
    differs: bool,
    old: Outcome,
    new: Outcome,
}

/// Runs it.
///
/// # Errors
/// A video that cannot be read, models that are not there, a gallery that is broken.
pub fn run(args: &ReplayArgs) -> Result<ExitCode> {
    args.changes_something()?;
    let config = context::load_for_tools(&args.config)?;
    let settings = recording_settings(&args.look, &config, args.workers, args.fps)?;
    let mut console = Console::of_process(args.json);
    let changed = args.rules(&config);
    let played = {
        let models = context::models(&config)?;
        let gallery = context::gallery(&config, &models)?;
        play(&args.file, &config, &changed, (&models, &gallery), &settings)?
    };
    let compared = match &args.embedder {
        None => played.tracks(),
        Some(embedder) => {
            let (models, gallery) = with_embedder(config.clone(), embedder)?;
            played.against(play(&args.file, &config, &changed, (&models, &gallery), &settings)?)
        }
    };
    let differing = compared.iter().filter(|track| track.differs).count();
    console.show_each(&compared, |console| {
        let rows: Vec<_> = compared.iter().filter(|track| track.differs).map(row).collect();
        let table = if rows.is_empty() { String::new() } else { console.table(&COLUMNS, rows) };
        format!("{table}{differing} of {} tracks are judged otherwise\n", compared.len())
    })?;
    Ok(if differing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl ReplayArgs {
    fn changes_something(&self) -> Result<()> {
        let scores = self.threshold.is_some() || self.margin.is_some();
        let shots = self.confirm.is_some() || self.fuse.is_some() || self.fusion.is_some();
        if !scores && !shots && self.embedder.is_none() {
            bail!(
                Usage,
                "nothing is changed: give --threshold, --margin, --confirm, --fuse, --fusion or --embedder; `watchlistd recognize` \
                 says what is decided as it is configured"
            );
        }
        Ok(())
    }

    /// The rules with what is changed.
    fn rules(&self, config: &Config) -> Decide {
        let usual = &config.decide;
        Decide {
            threshold: self.threshold.map(Threshold::Score),
            margin: self.margin.unwrap_or(usual.margin),
            confirm: self.confirm.unwrap_or(usual.confirm),
            fuse: self.fuse.unwrap_or(usual.fuse),
            fusion: self.fusion.map_or(usual.fusion, Fusion::from),
            ..usual.clone()
        }
    }
}

fn with_embedder(mut config: Config, embedder: &str) -> Result<(Models, Arc<SharedGallery>)> {
    let asked = ModelArgs { detector: None, embedder: Some(embedder.to_owned()) };
    let models = context::models_asked_for(&mut config, &asked)?;
    let (gallery, warnings) = reading::with_crops_embedded(&config, &models)?;
    for warning in warnings {
        output::tell(&format!("watchlistd: with {embedder}: {warning}"));
    }
    Ok((models, Arc::new(gallery)))
}

/// Plays the recording once: judged as configured, and by the changed rules beside that.
fn play(
    file: &Path,
    config: &Config,
    changed: &Decide,
    (models, gallery): (&Models, &Arc<SharedGallery>),
    settings: &Settings,
) -> Result<Played> {
    let source = open_recording(file, jiff::Timestamp::UNIX_EPOCH)?;
    let config = Config { shadow: Some(changed.clone()), ..config.clone() };
    let policy = Policy::of(&config, models.default_threshold());
    let mut played = Played { gallery: gallery.clone(), tracks: BTreeMap::new() };
    let camera = CameraId::new("file")?;
    offline::run(source, camera, models, gallery.clone(), policy, settings, &mut played)
        .map_err(|error| recording_error(file, &error))?;
    played.tracks.retain(|_, track| track.counts);
    Ok(played)
}

/// What was seen of a track.
#[derive(Debug, Clone, Default)]
struct Seen {
    first_s: f64,
    last_s: f64,
    counts: bool,
    decided: Outcome,
    changed: Outcome,
}

/// A recording that was played.
struct Played {
    gallery: Arc<SharedGallery>,
    tracks: BTreeMap<TrackId, Seen>,
}

impl Played {
    /// Each track as it was judged by both rules.
    fn tracks(self) -> Vec<Compared> {
        self.tracks
            .into_iter()
            .map(|(track, seen)| Compared::of(&track, &seen, seen.changed.clone()))
            .collect()
    }

    /// Each track as it was judged here, and by the changed rules in another play of the same recording.
    fn against(self, mut other: Played) -> Vec<Compared> {
        let changed = |track: &TrackId, other: &mut Played| {
            other.tracks.remove(track).map(|seen| seen.changed).unwrap_or_default()
        };
        self.tracks
            .iter()
            .map(|(track, seen)| Compared::of(track, seen, changed(track, &mut other)))
            .collect()
    }

    fn outcome(&self, opinion: &Opinion) -> Outcome {
        let snapshot = self.gallery.current();
        let name = |id| snapshot.people().get(&id).map(|person| person.name.clone());
        Outcome {
            decision: opinion.word,
            identity: opinion.identity.and_then(name),
            score: opinion.score,
            threshold: opinion.threshold,
        }
    }
}

impl Compared {
    fn of(track: &TrackId, seen: &Seen, new: Outcome) -> Self {
        Self {
            track: track.to_string(),
            first_s: seen.first_s,
            last_s: seen.last_s,
            differs: !seen.decided.agrees(&new),
            old: seen.decided.clone(),
            new,
        }
    }
}

impl Observer for Played {
    fn frame(&mut self, frame: &Frame, sightings: &[Sighting]) {
        let at = (frame.captured.mono.as_secs_f64() * 1000.0).round() / 1000.0;
        for sighting in sightings {
            let seen = self
                .tracks
                .entry(sighting.track.clone())
                .or_insert_with(|| Seen { first_s: at, ..Seen::default() });
            seen.last_s = at;
            seen.counts |= sighting.confirmed;
        }
    }

    fn embedded(&mut self, _: &TrackId) {}

    fn notice(&mut self, _: &Notice) {}

    fn compared(&mut self, comparison: &Comparison) {
        let (decided, changed) = (self.outcome(&comparison.decided), self.outcome(&comparison.shadow));
        if let Some(seen) = self.tracks.get_mut(&comparison.track) {
            (seen.decided, seen.changed) = (decided, changed);
        }
    }
}

const COLUMNS: [Column; 5] = [
    Column::whole("TRACK"),
    Column::number("FROM, s"),
    Column::number("TO, s"),
    Column::words("AS CONFIGURED"),
    Column::words("CHANGED"),
];

fn row(track: &Compared) -> Vec<String> {
    let time = |seconds: f64| format!("{seconds:.1}");
    vec![track.track.clone(), time(track.first_s), time(track.last_s), track.old.words(), track.new.words()]
}
