//! From a frame's detections to the shots worth embedding: one camera's memory of who is in front of it.
//!
//! ```text
//!                 ┌─ too small, cut off, turned away ──▶ Refused (counted)
//!   detection ─▶ track ─▶ screen ─▶ align ─▶ select ──▶ Shot: the first good one at once, then the best of each interval
//!                 └─ not seen for max_age ────────────▶ Ended, with the number of its shots
//! ```
//!
//! Pure but for the pixels it reads: times come with the frames, so a file gives the same answer every time. Nothing in
//! here depends on what inference answers, nor when.

use std::collections::BTreeMap;

use super::queue::Shot;
use super::tuning::Tuning;
use crate::align::Aligner;
use crate::base::clock::Moment;
use crate::snapshots;
use crate::snapshots::cut::{Crowded, Cutting, Picture, View};
use crate::track::shots::{Offer, ShotSelector};
use crate::track::{Ended, Sighting, Tracker};
use crate::types::decision::Sight;
use crate::types::face::{Detection, FaceCrop, Refusal};
use crate::types::frame::Frame;
use crate::types::geometry::Rect;
use crate::types::ids::{CameraId, ModelId, TrackId};

/// What a frame led to.
#[derive(Debug)]
pub enum Finding {
    /// A track is seen; each frame, each track.
    Seen {
        /// The track.
        track: TrackId,
        /// Place of its detection in the frame's list.
        detection: usize,
        /// False while the track may still be a false alarm of the detector.
        confirmed: bool,
        /// True once for each track: when it begins to count.
        first: bool,
    },
    /// A track begins to count; once for each, before its first shot.
    Appeared(TrackId, Sight),
    /// The best picture of the track so far, which may be kept.
    Picture(Box<Picture>),
    /// There would be one, if another face were not so near.
    Crowded,
    /// Embed this.
    Shot(Shot),
    /// A face that is not good enough. `confirmed` is false while its track may still be a false alarm.
    Refused {
        /// The track.
        track: TrackId,
        /// Why.
        refusal: Refusal,
        /// See above.
        confirmed: bool,
    },
    /// A track is over.
    Ended {
        /// The track.
        track: TrackId,
        /// When it was last seen.
        at: Moment,
        /// Shots handed out for it.
        shots: u32,
        /// False if it never counted.
        confirmed: bool,
    },
}

/// One camera's tracks and their pending shots.
pub struct Analyser {
    camera: CameraId,
    model: ModelId,
    aligner: Aligner,
    current: Option<Epoch>,
    /// Connections up to this one are over. A frame of theirs would start track numbers again.
    over: u32,
}

/// What is remembered of one connection.
struct Epoch {
    number: u32,
    tracker: Tracker,
    tracks: BTreeMap<TrackId, Memory>,
    tuning: Tuning,
    model: ModelId,
    aligner: Aligner,
}

/// What is remembered of one track.
struct Memory {
    /// Its first detection.
    since: Moment,
    selector: ShotSelector<Shot>,
    confirmed: bool,
    shots: u32,
    /// Quality of the best picture that was cut out.
    pictured: f32,
}

/// A picture takes the place of another only if the face is so much better: each costs a second look.
const CLEARLY_BETTER: f32 = 0.1;

impl Analyser {
    /// Remembers nothing. The aligner cuts for the model; its limits are replaced by the settings'.
    pub fn new(camera: CameraId, model: ModelId, aligner: Aligner) -> Self {
        Self { camera, model, aligner, current: None, over: 0 }
    }

    /// From the next frame on, faces are cut out for another model. Tracks go on, and each chooses its shots anew: one that was
    /// held back is of no use any more, and one that had all its shots may need some again.
    pub fn fit(&mut self, model: ModelId, aligner: &Aligner) {
        if model == self.model {
            return;
        }
        (self.model, self.aligner) = (model, aligner.clone());
        if let Some(epoch) = &mut self.current {
            epoch.model = model;
            epoch.aligner = aligner.clone().with_limits(epoch.tuning.limits.clone());
            for memory in epoch.tracks.values_mut() {
                memory.selector = ShotSelector::new(&epoch.tuning.track);
                if memory.confirmed {
                    memory.selector.confirm();
                }
            }
        }
    }

    /// Looks at a frame's detections. Masked ones must be gone already.
    pub fn look(&mut self, frame: &Frame, detections: &[Detection], tuning: &Tuning) -> Vec<Finding> {
        self.look_among(frame, detections, &[], tuning)
    }

    /// The same among `others`: faces that are not looked at, and must not be in a picture.
    pub fn look_among(
        &mut self,
        frame: &Frame,
        detections: &[Detection],
        others: &[Rect],
        tuning: &Tuning,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        if frame.epoch <= self.over {
            return findings;
        }
        if self.current.as_ref().is_none_or(|epoch| epoch.number != frame.epoch || epoch.tuning != *tuning) {
            self.start_epoch(frame.epoch, tuning, &mut findings);
        }
        if let Some(epoch) = &mut self.current {
            epoch.look(frame, detections, others, &mut findings);
        }
        findings
    }

    /// Ends all tracks of connections up to `epoch`: the stream is gone.
    pub fn end(&mut self, epoch: u32) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.over = self.over.max(epoch);
        if self.current.as_ref().is_some_and(|current| current.number <= epoch)
            && let Some(mut current) = self.current.take()
        {
            current.end(&mut findings);
        }
        findings
    }

    /// Tracks that count, alive now.
    pub fn live(&self) -> usize {
        self.current.as_ref().map_or(0, |epoch| epoch.tracks.values().filter(|t| t.confirmed).count())
    }

    /// A new connection starts from nothing; new settings within one keep the tracks.
    fn start_epoch(&mut self, number: u32, tuning: &Tuning, findings: &mut Vec<Finding>) {
        let aligner = self.aligner.clone().with_limits(tuning.limits.clone());
        match self.current.take() {
            Some(mut epoch) if epoch.number == number => {
                epoch.tracker.set_config(tuning.track.clone());
                self.current = Some(Epoch { tuning: tuning.clone(), aligner, ..epoch });
                return;
            }
            Some(mut old) => old.end(findings),
            None => {}
        }
        self.current = Some(Epoch {
            number,
            tracker: Tracker::new(self.camera.clone(), number, tuning.track.clone()),
            tracks: BTreeMap::new(),
            tuning: tuning.clone(),
            model: self.model,
            aligner,
        });
    }
}

impl Epoch {
    fn look(
        &mut self,
        frame: &Frame,
        detections: &[Detection],
        others: &[Rect],
        findings: &mut Vec<Finding>,
    ) {
        let faces = || detections.iter().map(|d| d.bbox).chain(others.iter().copied()).collect();
        // Where no picture is cut out, nobody asks who else is there.
        let faces: Vec<Rect> = self.tuning.snapshots.as_ref().map(|_| faces()).unwrap_or_default();
        let update = self.tracker.update(frame.captured, frame.sequence, frame.size(), detections);
        for sighting in update.sightings() {
            if let Some(detection) = detections.get(sighting.detection) {
                self.sight(frame, sighting, detection, &faces, findings);
            }
        }
        self.release_due(frame.captured, findings);
        for ended in update.ended {
            self.end_track(&ended, findings);
        }
    }

    /// A track was seen: its face may be worth a shot.
    fn sight(
        &mut self,
        frame: &Frame,
        sighting: &Sighting,
        detection: &Detection,
        faces: &[Rect],
        findings: &mut Vec<Finding>,
    ) {
        let track = &sighting.track;
        let memory = self.tracks.entry(track.clone()).or_insert_with(|| Memory {
            since: frame.captured,
            selector: ShotSelector::new(&self.tuning.track),
            confirmed: false,
            shots: 0,
            pictured: -1.0,
        });
        let first = sighting.confirmed && !memory.confirmed;
        if first {
            memory.confirmed = true;
            memory.selector.confirm();
        }
        findings.push(Finding::Seen {
            track: track.clone(),
            detection: sighting.detection,
            confirmed: memory.confirmed,
            first,
        });
        if first {
            let (since, captured, sequence) = (memory.since, frame.captured, frame.sequence);
            let sight = Sight { since, captured, sequence, bbox: detection.bbox };
            findings.push(Finding::Appeared(track.clone(), sight));
        }
        let crop = match cut(&self.aligner, &self.tuning, frame, detection) {
            Ok(crop) => crop,
            Err(refusal) => {
                let (track, confirmed) = (track.clone(), memory.confirmed);
                return findings.push(Finding::Refused { track, refusal, confirmed });
            }
        };
        let quality = crop.quality().score;
        if let Some(cutting) = &self.tuning.snapshots
            && quality > memory.pictured + CLEARLY_BETTER
        {
            findings.push(match picture(&self.tuning, cutting, frame, track, detection, quality, faces) {
                Ok(picture) => {
                    memory.pictured = quality;
                    Finding::Picture(Box::new(picture))
                }
                Err(Crowded) => Finding::Crowded,
            });
        }
        let shot = Shot {
            track: track.clone(),
            model: self.model,
            crop,
            sequence: frame.sequence,
            captured: frame.captured,
            bbox: detection.bbox,
        };
        if self.tuning.every_face {
            memory.shots += 1;
            return findings.push(Finding::Shot(shot));
        }
        if let Offer::EmbedNow(chosen) = memory.selector.offer(frame.captured, quality, shot) {
            memory.shots += 1;
            findings.push(Finding::Shot(chosen.payload));
        }
    }

    /// Hands out what is due, also of tracks that were not seen in this frame.
    fn release_due(&mut self, now: Moment, findings: &mut Vec<Finding>) {
        for memory in self.tracks.values_mut() {
            if let Some(chosen) = memory.selector.release(now) {
                memory.shots += 1;
                findings.push(Finding::Shot(chosen.payload));
            }
        }
    }

    fn end_track(&mut self, ended: &Ended, findings: &mut Vec<Finding>) {
        let Some(mut memory) = self.tracks.remove(&ended.track) else { return };
        if let Some(held) = memory.selector.finish() {
            memory.shots += 1;
            findings.push(Finding::Shot(held.payload));
        }
        findings.push(Finding::Ended {
            track: ended.track.clone(),
            at: ended.last_seen,
            shots: memory.shots,
            // With every face embedded, a single sighting has been heard of too, and has to be closed.
            confirmed: ended.confirmed || memory.shots > 0,
        });
    }

    fn end(&mut self, findings: &mut Vec<Finding>) {
        for ended in self.tracker.finish() {
            self.end_track(&ended, findings);
        }
    }
}

/// Cuts pictures of the face out that may be kept.
fn picture(
    tuning: &Tuning,
    cutting: &Cutting,
    frame: &Frame,
    track: &TrackId,
    detection: &Detection,
    quality: f32,
    faces: &[Rect],
) -> Result<Picture, Crowded> {
    let view = View { roi: tuning.roi(frame.size()), masks: &tuning.masks };
    let (face, scene) = snapshots::cut::cut(frame.pixels(), &detection.bbox, faces, view, cutting)?;
    Ok(Picture { track: track.clone(), quality, captured: frame.captured, face, scene })
}

/// Cuts the face out, if it is good enough.
fn cut(
    aligner: &Aligner,
    tuning: &Tuning,
    frame: &Frame,
    detection: &Detection,
) -> Result<FaceCrop, Refusal> {
    if tuning.gate {
        aligner.screen(detection, frame.size())?;
    }
    let crop = aligner.align(frame.pixels(), detection)?;
    match crop.quality().refusal {
        Some(refusal) if tuning.gate => Err(refusal),
        _ => Ok(crop),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::{Camera, CameraSource, Config};
    use crate::infer::Alignment;
    use crate::types::frame::RgbImage;
    use crate::types::geometry::{Point, Size};

    const SIZE: Size = Size::new(640, 480);
    const TEMPLATE: [(f32, f32); 5] = [(38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)];

    fn camera() -> CameraId {
        CameraId::new("door").expect("an id")
    }

    fn analyser() -> Analyser {
        let template = TEMPLATE.map(|(x, y)| Point { x, y });
        let alignment = Alignment::FivePoint { size: Size::new(112, 112), template };
        let aligner = Aligner::new(alignment, Config::default().quality).expect("a crop size");
        Analyser::new(camera(), ModelId([1; 32]), aligner)
    }

    /// The defaults, without the quality gate: these frames are flat.
    fn tuning() -> Tuning {
        let source = CameraSource::Test { pattern: "ball".to_owned(), size: SIZE, fps: 25 };
        Tuning { gate: false, ..Tuning::of(&Camera::new(camera(), source), &Config::default()) }
    }

    fn frame(epoch: u32, sequence: u64, ms: u64) -> Frame {
        let pixels = RgbImage::new(SIZE, vec![90; SIZE.area() as usize * 3]).expect("a picture");
        let captured = Moment { mono: Duration::from_millis(ms), wall: jiff::Timestamp::UNIX_EPOCH };
        Frame::new(camera(), epoch, sequence, captured, Arc::new(pixels)).expect("within the limits")
    }

    fn face(x: f32) -> Detection {
        let landmarks = TEMPLATE.map(|(dx, dy)| Point { x: x + dx, y: 100.0 + dy });
        Detection::new(Rect::new(x, 100.0, x + 112.0, 212.0), landmarks, 0.95, SIZE).expect("a face")
    }

    fn ended(findings: &[Finding]) -> Vec<(u64, bool)> {
        let of = |finding: &Finding| match finding {
            Finding::Ended { track, confirmed, .. } => Some((track.number, *confirmed)),
            _ => None,
        };
        findings.iter().filter_map(of).collect()
    }

    fn numbers(findings: &[Finding]) -> Vec<u64> {
        let of = |finding: &Finding| match finding {
            Finding::Seen { track, .. } => Some(track.number),
            _ => None,
        };
        findings.iter().filter_map(of).collect()
    }

    #[test]
    fn other_settings_end_no_track_and_no_number_comes_twice() {
        let (mut analyser, mut settings) = (analyser(), tuning());
        for i in 0..3 {
            analyser.look(&frame(1, i, i * 200), &[face(50.0)], &settings);
        }
        settings.track.max_shots += 1;
        settings.limits.min_face += 1.0;
        let findings = analyser.look(&frame(1, 3, 600), &[face(50.0), face(400.0)], &settings);
        assert_eq!(ended(&findings), []);
        assert_eq!(numbers(&findings), [1, 2], "the first goes on, the second has a number of its own");
    }

    #[test]
    fn a_connection_that_is_over_does_not_start_again() {
        let (mut analyser, settings) = (analyser(), tuning());
        for i in 0..3 {
            analyser.look(&frame(1, i, i * 200), &[face(50.0)], &settings);
        }
        assert_eq!(ended(&analyser.end(1)), [(1, true)]);
        assert!(
            analyser.look(&frame(1, 3, 600), &[face(50.0)], &settings).is_empty(),
            "its numbers are used up"
        );
        assert_eq!(numbers(&analyser.look(&frame(2, 0, 800), &[face(50.0)], &settings)), [1]);
        assert_eq!(ended(&analyser.end(1)), [], "an old request does not end the new connection");
    }

    #[test]
    fn a_frame_a_second_is_enough_to_be_followed() {
        for interval in [1000, 2000, 4000] {
            let (mut analyser, settings) = (analyser(), tuning());
            let shots: usize = (0..4)
                .map(|i| analyser.look(&frame(1, i, i * interval), &[face(50.0 + i as f32)], &settings))
                .map(|findings| findings.iter().filter(|f| matches!(f, Finding::Shot(_))).count())
                .sum();
            assert!(shots >= 1, "every {interval} ms: nothing was embedded");
            assert_eq!(analyser.live(), 1);
        }
    }

    fn pictures(findings: &[Finding]) -> usize {
        findings.iter().filter(|finding| matches!(finding, Finding::Picture(_))).count()
    }

    #[test]
    fn pictures_are_cut_out_only_where_they_may_be_kept_and_only_for_a_better_face() {
        let on = Some(Cutting { scene: Some(4.0), side: 320 });
        for (snapshots, expected) in [(None, 0), (on, 1)] {
            let (mut analyser, settings) = (analyser(), Tuning { snapshots, ..tuning() });
            let looked = (0..9).map(|i| analyser.look(&frame(1, i, i * 200), &[face(50.0)], &settings));
            let cut: usize = looked.map(|findings| pictures(&findings)).sum();
            assert_eq!(cut, expected, "the same face again and again");
        }
    }

    #[test]
    fn a_face_that_is_not_looked_at_is_kept_out_of_pictures_all_the_same() {
        let snapshots = Some(Cutting { scene: Some(4.0), side: 320 });
        let (mut analyser, settings) = (analyser(), Tuning { snapshots, ..tuning() });
        let too_near = Rect::new(110.0, 100.0, 220.0, 212.0);
        let findings = analyser.look_among(&frame(1, 0, 0), &[face(50.0)], &[too_near], &settings);
        assert_eq!(pictures(&findings), 0);
        assert!(findings.iter().any(|finding| matches!(finding, Finding::Crowded)), "{findings:?}");
        let findings = analyser.look_among(&frame(1, 1, 200), &[face(50.0)], &[], &settings);
        assert_eq!(pictures(&findings), 1);
    }

    #[test]
    fn a_false_alarm_that_was_refused_says_that_it_never_counted() {
        let (mut analyser, settings) = (analyser(), Tuning { gate: true, ..tuning() });
        let findings = analyser.look(&frame(1, 0, 0), &[face(50.0)], &settings);
        let refused = |f: &Finding| matches!(f, Finding::Refused { confirmed: false, .. });
        assert!(findings.iter().any(refused), "a flat picture is blurred: {findings:?}");
        assert_eq!(ended(&analyser.end(1)), [(1, false)]);
    }

    #[test]
    fn the_number_of_shots_that_the_end_names_were_handed_out() {
        for every_face in [false, true] {
            let (mut analyser, settings) = (analyser(), Tuning { every_face, ..tuning() });
            let mut handed_out = 0;
            let mut named = 0;
            for i in 0..30 {
                // Somebody stays, somebody passes, somebody is seen once.
                let mut faces = vec![face(50.0)];
                faces.extend((5..12).contains(&i).then(|| face(400.0)));
                faces.extend((i == 20).then(|| face(250.0)));
                let mut findings = analyser.look(&frame(1, i, i * 200), &faces, &settings);
                if i == 29 {
                    findings.extend(analyser.end(1));
                }
                for finding in findings {
                    match finding {
                        Finding::Shot(_) => handed_out += 1,
                        Finding::Ended { shots, .. } => named += shots,
                        _ => {}
                    }
                }
            }
            assert!(handed_out > 0);
            assert_eq!(handed_out, named, "every face: {every_face}");
        }
    }
}
