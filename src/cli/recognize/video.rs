//! A video: through the daemon's stages, and a second time to draw what was decided.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::RecognizeArgs;
use crate::base::clock::{Clock, Moment, SimulatedClock};
use crate::base::error::{Error, Kind, Result};
use crate::cli::faces::LookArgs;
use crate::cli::{context, output};
use crate::config::Config;
use crate::events::{EventMaker, Ids};
use crate::gallery::SharedGallery;
use crate::image::draw;
use crate::image::labels::{self, Annotation};
use crate::image::text::isolated;
use crate::image::warp::stretch;
use crate::infer::models::Models;
use crate::pipeline::judge::Policy;
use crate::pipeline::offline::{self, Observer, Settings, Sighting};
use crate::pipeline::tuning::Tuning;
use crate::source::gst;
use crate::source::gst::writer::VideoWriter;
use crate::source::{Failure, Next, Source, SourceError};
use crate::types::decision::{Decision, Notice, Verdict};
use crate::types::frame::Frame;
use crate::types::ids::{CameraId, TrackId};
use crate::{bail, err};

/// Prints events and tracks, and writes the annotated video.
pub(super) fn recognize(
    file: &Path,
    args: &RecognizeArgs,
    config: &Config,
    models: &Models,
    gallery: &Arc<SharedGallery>,
) -> Result<()> {
    let camera = CameraId::new("file")?;
    let settings = settings(args, config)?;
    let start = args.video.start.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let mut scribe = Scribe::new(config, args.video.detail.as_deref(), args.out.is_some())?;
    let policy = Policy::of(config, models.default_threshold());
    let source = open(file, start)?;
    let totals = offline::run(source, camera, models, gallery.clone(), policy, &settings, &mut scribe)
        .map_err(|e| with_name(file, &e))?;
    scribe.finish()?;
    let tracks: Vec<TrackReport> =
        scribe.tracks.values().filter(|t| t.counts).map(|t| t.report.clone()).collect();
    output::json(&json!({ "video": file, "totals": totals, "tracks": tracks }))?;
    if let Some(out) = &args.out {
        draw(file, start, out, &scribe)?;
    }
    Ok(())
}

fn settings(args: &RecognizeArgs, config: &Config) -> Result<Settings> {
    let mut settings = as_the_daemon(&args.look, config, args.video.workers, args.video.fps)?;
    settings.tuning.gate = !args.video.any_quality && !args.video.every_face;
    settings.tuning.every_face = args.video.every_face;
    Ok(settings)
}

/// Settings with which a recording is gone over as the daemon does a camera.
///
/// # Errors
/// `Usage`.
pub(in crate::cli) fn as_the_daemon(
    look: &LookArgs,
    config: &Config,
    workers: Option<usize>,
    fps: Option<f32>,
) -> Result<Settings> {
    if let Some(fps) = fps.filter(|fps| !(*fps > 0.0 && *fps <= 1000.0)) {
        bail!(Usage, "--fps {fps}: expected a number above 0 and at most 1000");
    }
    let tuning = Tuning {
        input: look.input,
        min_score: look.min_score.min(config.track.low_score),
        roi: None,
        masks: Vec::new(),
        limits: config.quality.clone(),
        track: crate::config::Track { high_score: look.min_score, ..config.track.clone() },
        gate: true,
        every_face: false,
        snapshots: None,
    };
    Ok(Settings { workers: context::workers(workers)?, tuning, fps })
}

/// Opens a recording that began at `start`.
///
/// # Errors
/// `NoInput`, `Unavailable`, `Data`.
pub(in crate::cli) fn open(file: &Path, start: jiff::Timestamp) -> Result<Box<dyn Source>> {
    let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::new(start));
    gst::open_file(file, &CameraId::new("file")?, &clock).map_err(|e| source_error(file, &e))
}

fn source_error(file: &Path, error: &SourceError) -> Error {
    let kind = match error.failure {
        Failure::NotFound => Kind::NoInput,
        Failure::Unsupported => Kind::Unavailable,
        _ => Kind::Data,
    };
    Error::new(kind, about(file, &error.message))
}

/// An error of a recording, with its name.
pub(in crate::cli) fn with_name(file: &Path, error: &Error) -> Error {
    Error::new(error.kind(), about(file, &error.chain()))
}

/// The message with the file's name before it, unless it is in it.
fn about(file: &Path, message: &str) -> String {
    let name = file.display().to_string();
    if message.contains(&name) { message.to_owned() } else { format!("{name}: {message}") }
}

/// A track in the last line.
#[derive(Debug, Clone, Serialize)]
struct TrackReport {
    track: String,
    first_s: f64,
    last_s: f64,
    sightings: u64,
    embedded: u64,
    decision: String,
    identity: Option<Arc<str>>,
    lists: Vec<Arc<str>>,
    score: Option<f32>,
}

struct TrackRecord {
    report: TrackReport,
    counts: bool,
}

/// Writes down what happens.
struct Scribe {
    maker: EventMaker,
    tracks: BTreeMap<TrackId, TrackRecord>,
    /// Faces by frame, for the annotated video; `None` where none is made: a day's recording has millions.
    frames: Option<BTreeMap<u64, Vec<Sighting>>>,
    detail: Option<BufWriter<std::fs::File>>,
    /// The first thing that could not be written.
    failure: Option<Error>,
}

impl Scribe {
    fn new(config: &Config, detail: Option<&Path>, to_draw: bool) -> Result<Self> {
        let detail = detail
            .map(|path| {
                std::fs::File::create(path)
                    .map(BufWriter::new)
                    .map_err(|e| err!(CannotCreate, "cannot write {}", path.display()).because(e))
            })
            .transpose()?;
        let maker = EventMaker::new(&config.events.source, uuid::Uuid::nil(), Ids::Numbered);
        let frames = to_draw.then(BTreeMap::new);
        Ok(Self { maker, tracks: BTreeMap::new(), frames, detail, failure: None })
    }

    fn record(&mut self, track: &TrackId, at: Moment) -> &mut TrackRecord {
        self.tracks.entry(track.clone()).or_insert_with(|| TrackRecord {
            report: TrackReport {
                track: track.to_string(),
                first_s: seconds(at),
                last_s: seconds(at),
                sightings: 0,
                embedded: 0,
                decision: "none".to_owned(),
                identity: None,
                lists: Vec::new(),
                score: None,
            },
            counts: false,
        })
    }

    fn write_detail(&mut self, frame: &Frame, sightings: &[Sighting]) -> std::io::Result<()> {
        let Some(out) = &mut self.detail else { return Ok(()) };
        let faces: Vec<_> = sightings
            .iter()
            .map(|s| json!({ "track": s.track.to_string(), "box": s.detection.bbox, "score": s.detection.score }))
            .collect();
        let line = json!({ "frame": frame.sequence, "time_s": seconds(frame.captured), "faces": faces });
        writeln!(out, "{line}")
    }

    fn note(&mut self, written: Result<()>) {
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(out) = &mut self.detail {
            out.flush().map_err(|e| err!(Io, "cannot write the detail file").because(e))?;
        }
        self.failure.take().map_or(Ok(()), Err)
    }
}

impl Observer for Scribe {
    fn frame(&mut self, frame: &Frame, sightings: &[Sighting]) {
        for sighting in sightings {
            let record = self.record(&sighting.track, frame.captured);
            record.report.sightings += 1;
            record.report.last_s = seconds(frame.captured);
            record.counts |= sighting.confirmed;
        }
        let written = self.write_detail(frame, sightings);
        self.note(written.map_err(|e| err!(Io, "cannot write the detail file").because(e)));
        if let Some(frames) = &mut self.frames {
            frames.insert(frame.sequence, sightings.to_vec());
        }
    }

    fn embedded(&mut self, track: &TrackId) {
        if let Some(record) = self.tracks.get_mut(track) {
            record.report.embedded += 1;
        }
    }

    fn notice(&mut self, notice: &Notice) {
        // As the daemon would publish it; the tracks of the last line name everybody.
        let event = match notice {
            Notice::Appeared(appearance) => Some(self.maker.appeared(appearance, appearance.sight.captured)),
            Notice::Decided(decision) => {
                self.decision(decision);
                self.maker.decision(decision, decision.captured)
            }
            Notice::Left(departure) => Some(self.maker.left(departure, departure.last_seen)),
        };
        if let Some(event) = event {
            let written = output::json(&event);
            self.note(written);
        }
    }
}

impl Scribe {
    fn decision(&mut self, decision: &Decision) {
        if let Some(record) = self.tracks.get_mut(&decision.track) {
            let (said, identity) = in_words(&decision.verdict);
            record.report.decision = said;
            record.report.identity = identity;
            record.report.lists = decision.lists.clone();
            record.report.score = decision.score;
        }
    }
}

fn in_words(verdict: &Verdict) -> (String, Option<Arc<str>>) {
    use crate::types::decision::Stage;
    match verdict {
        Verdict::Recognized { stage: Stage::Withdrawn, .. } => ("withdrawn".to_owned(), None),
        Verdict::Recognized { name, stage, .. } => (format!("{stage:?}").to_lowercase(), name.clone()),
        Verdict::Unknown => ("unknown".to_owned(), None),
        Verdict::Undecided { .. } => ("undecided".to_owned(), None),
    }
}

fn seconds(moment: Moment) -> f64 {
    (moment.mono.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Plays the video again and draws each face with its track's final verdict, from its first frame on. Frames that were not
/// looked at show the faces of the last one that was.
fn draw(file: &Path, start: jiff::Timestamp, out: &Path, scribe: &Scribe) -> Result<()> {
    let mut source = open(file, start)?;
    let mut writer: Option<VideoWriter> = None;
    let fps = source.info().fps.unwrap_or(25.0);
    let mut faces: &[Sighting] = &[];
    loop {
        let frame = match source.next(Duration::from_secs(20)) {
            Ok(Next::Frame(frame)) => frame,
            Ok(Next::TimedOut) => bail!(Data, "{}: the video gave nothing for 20 s", file.display()),
            Err(error) if error.failure == Failure::Ended => break,
            Err(error) => return Err(source_error(file, &error)),
        };
        let looked_at = scribe.frames.as_ref().and_then(|frames| frames.get(&frame.sequence));
        faces = looked_at.map_or(faces, Vec::as_slice);
        let mut picture = stretch(frame.pixels(), frame.size())?;
        let annotations: Vec<_> = faces.iter().filter_map(|sighting| annotation(sighting, scribe)).collect();
        labels::annotate(&mut picture, &annotations);
        let writer = match &mut writer {
            Some(writer) => writer,
            None => writer.insert(VideoWriter::create(out, frame.size(), fps)?),
        };
        writer.write(&picture, frame.captured.mono)?;
    }
    match writer {
        Some(writer) => writer.finish(),
        None => bail!(Data, "{}: no frame in it", file.display()),
    }
}

/// Of a face whose track counts.
fn annotation<'a>(sighting: &'a Sighting, scribe: &Scribe) -> Option<Annotation<'a>> {
    let record = scribe.tracks.get(&sighting.track).filter(|record| record.counts)?;
    let (text, color) = match &record.report.identity {
        Some(name) => (format!("{} {:.2}", isolated(name), record.report.score.unwrap_or(0.0)), draw::GREEN),
        None => (record.report.decision.to_string(), draw::RED),
    };
    Some(Annotation { face: &sighting.detection, text, color })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::face::Detection;
    use crate::types::frame::RgbImage;
    use crate::types::geometry::{Point, Rect, Size};

    fn sighting() -> Sighting {
        let bbox = Rect { x1: 1.0, y1: 1.0, x2: 9.0, y2: 9.0 };
        let detection = Detection { bbox, landmarks: [Point { x: 5.0, y: 5.0 }; 5], score: 0.9 };
        let track = TrackId { camera: CameraId::new("file").expect("a name"), epoch: 1, number: 1 };
        Sighting { track, detection, confirmed: true }
    }

    #[test]
    fn faces_are_kept_only_for_a_video_that_is_drawn() {
        for to_draw in [false, true] {
            let mut scribe = Scribe::new(&Config::default(), None, to_draw).expect("no file");
            for sequence in 0..3 {
                let pixels = RgbImage::new(Size::new(16, 16), vec![0; 16 * 16 * 3]).expect("a picture");
                let clock = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH);
                let camera = CameraId::new("file").expect("a name");
                let frame = Frame::new(camera, 1, sequence, clock.now(), Arc::new(pixels)).expect("a frame");
                scribe.frame(&frame, &[sighting()]);
            }
            assert_eq!(scribe.frames.as_ref().map(BTreeMap::len), to_draw.then_some(3));
            let record = scribe.tracks.values().next().expect("a track");
            assert_eq!(record.report.sightings, 3, "tracks are counted all the same");
        }
    }
}
