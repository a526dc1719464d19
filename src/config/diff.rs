//! What a reload changes.
//!
//! Cameras, tracking, quality and decisions change while the daemon runs. Everything else is opened once at the start:
//! a change there is named, and waits for a restart.

use super::{Camera, Config, Sink};
use crate::types::ids::CameraId;

/// What a changed camera needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CameraChange {
    /// What is opened, or how, is different: the stream has to be opened again.
    Reconnect,
    /// Only what is done with its frames is different: the stream goes on, without losing a frame.
    Retune,
}

/// The difference of two configurations. Cameras are in the order of their configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Cameras that are new.
    pub added: Vec<CameraId>,
    /// Cameras that are gone.
    pub removed: Vec<CameraId>,
    /// Cameras that are in both and differ.
    pub changed: Vec<(CameraId, CameraChange)>,
    /// `[track]` differs.
    pub track: bool,
    /// `[quality]` differs.
    pub quality: bool,
    /// `[decide]` differs.
    pub decide: bool,
    /// `[shadow]` differs.
    pub shadow: bool,
    /// Sections that differ and are not reloaded: they need a restart.
    pub needs_restart: Vec<&'static str>,
}

impl Changes {
    /// True if the two were the same.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Compares the running configuration with a new one.
pub fn diff(old: &Config, new: &Config) -> Changes {
    Changes {
        added: missing_from(&new.cameras, &old.cameras),
        removed: missing_from(&old.cameras, &new.cameras),
        changed: changed(&old.cameras, &new.cameras),
        track: old.track != new.track,
        quality: old.quality != new.quality,
        decide: old.decide != new.decide,
        shadow: old.shadow != new.shadow,
        needs_restart: needs_restart(old, new),
    }
}

/// The configuration that runs after a reload: `new`, with the sections that need a restart as they are in `old`.
#[must_use]
pub fn reloaded(old: &Config, new: Config) -> Config {
    // Every section is named, so that one added later has to be put in one of the two groups.
    let Config {
        track,
        quality,
        decide,
        shadow,
        cameras,
        models: _,
        inference: _,
        gallery: _,
        events: _,
        sinks: _,
        snapshots: _,
        http: _,
        control: _,
        log: _,
    } = new;
    Config { track, quality, decide, shadow, cameras, ..old.clone() }
}

fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let sections = [
        ("models", old.models != new.models),
        ("inference", old.inference != new.inference),
        ("gallery", old.gallery != new.gallery),
        ("events", old.events != new.events || differ(old, new, Sink::is_built_in)),
        ("sinks", differ(old, new, |sink| !sink.is_built_in())),
        ("snapshots", old.snapshots != new.snapshots),
        ("http", old.http != new.http),
        ("control", old.control != new.control),
        ("log", old.log != new.log),
    ];
    sections.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

fn differ(old: &Config, new: &Config, which: impl Fn(&Sink) -> bool) -> bool {
    let of = |config: &'_ Config| config.sinks.iter().filter(|sink| which(sink)).cloned().collect::<Vec<_>>();
    of(old) != of(new)
}

fn find<'a>(cameras: &'a [Camera], id: &CameraId) -> Option<&'a Camera> {
    cameras.iter().find(|camera| camera.id == *id)
}

fn missing_from(cameras: &[Camera], others: &[Camera]) -> Vec<CameraId> {
    cameras.iter().map(|c| &c.id).filter(|id| find(others, id).is_none()).cloned().collect()
}

fn changed(old: &[Camera], new: &[Camera]) -> Vec<(CameraId, CameraChange)> {
    new.iter()
        .filter_map(|camera| Some((camera.id.clone(), change(find(old, &camera.id)?, camera)?)))
        .collect()
}

fn change(old: &Camera, new: &Camera) -> Option<CameraChange> {
    if old == new {
        return None;
    }
    // Named one by one: a field added later has to be thought about here.
    let Camera {
        id: _,
        source,
        decoder,
        stall,
        detect_fps: _,
        input: _,
        min_score: _,
        min_face: _,
        roi: _,
        masks: _,
        threshold: _,
        place: _,
    } = new;
    let same_stream = *source == old.source && *decoder == old.decoder && *stall == old.stall;
    Some(if same_stream { CameraChange::Retune } else { CameraChange::Reconnect })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::secret::Secret;
    use crate::config::{CameraSource, EventFile, Rtsp, SinkKind, Threshold, Transport};
    use crate::types::geometry::Point;

    fn id(name: &str) -> CameraId {
        CameraId::new(name).unwrap()
    }

    fn camera(name: &str) -> Camera {
        let url = format!("rtsp://{name}/live").parse().unwrap();
        Camera::new(id(name), CameraSource::Rtsp(Rtsp::new(url)))
    }

    fn config(cameras: &[&str]) -> Config {
        Config { cameras: cameras.iter().map(|name| camera(name)).collect(), ..Config::default() }
    }

    fn rtsp(camera: &mut Camera) -> &mut Rtsp {
        match &mut camera.source {
            CameraSource::Rtsp(rtsp) => rtsp,
            _ => unreachable!("made so above"),
        }
    }

    #[test]
    fn the_same_twice_is_no_change() {
        assert!(diff(&config(&["a", "b"]), &config(&["a", "b"])).is_empty());
        assert!(diff(&config(&["a", "b"]), &config(&["b", "a"])).is_empty(), "order is no change");
    }

    #[test]
    fn cameras_come_and_go() {
        let changes = diff(&config(&["a", "b"]), &config(&["b", "c"]));
        assert_eq!(changes, Changes { added: vec![id("c")], removed: vec![id("a")], ..Changes::default() });
    }

    #[test]
    fn what_is_done_with_frames_does_not_reconnect() {
        let edits: [fn(&mut Camera); 7] = [
            |c| c.threshold = Some(Threshold::Score(0.5)),
            |c| c.detect_fps = 2.0,
            |c| c.roi = Some([0.0, 0.0, 0.5, 0.5]),
            |c| c.masks = vec![vec![Point { x: 0.0, y: 0.0 }; 3]],
            |c| c.min_face = Some(80.0),
            |c| c.min_score = 0.9,
            |c| c.input = crate::types::geometry::Size::new(320, 192),
        ];
        for edit in edits {
            let (old, mut new) = (config(&["a", "b"]), config(&["a", "b"]));
            edit(&mut new.cameras[1]);
            assert_eq!(diff(&old, &new).changed, [(id("b"), CameraChange::Retune)]);
        }
    }

    #[test]
    fn what_is_opened_reconnects_even_with_a_threshold_beside_it() {
        let edits: [fn(&mut Camera); 6] = [
            |c| rtsp(c).url = "rtsp://elsewhere/".parse().unwrap(),
            |c| rtsp(c).transport = Transport::Udp,
            |c| rtsp(c).latency = Duration::from_secs(1),
            |c| rtsp(c).password = Some(Secret::new("new")),
            |c| c.decoder = Some("avdec_h264".into()),
            |c| c.stall = Duration::from_secs(20),
        ];
        for edit in edits {
            let (old, mut new) = (config(&["a"]), config(&["a"]));
            edit(&mut new.cameras[0]);
            new.cameras[0].threshold = Some(Threshold::Score(0.5));
            assert_eq!(diff(&old, &new).changed, [(id("a"), CameraChange::Reconnect)]);
        }
    }

    #[test]
    fn the_key_the_crops_the_review_and_the_group_wait_for_a_restart() {
        type Edit = (fn(&mut Config), &'static str);
        let edits: [Edit; 4] = [
            (|c| c.gallery.key_file = Some("/k".into()), "gallery"),
            (|c| c.gallery.keep_crops = true, "gallery"),
            (|c| c.gallery.review = crate::gallery::command::Review::Strict, "gallery"),
            (|c| c.control.group = Some("watchlist".into()), "control"),
        ];
        for (edit, section) in edits {
            let (old, mut new) = (config(&["a"]), config(&["a"]));
            edit(&mut new);
            assert_eq!(diff(&old, &new).needs_restart, [section]);
            assert_eq!(reloaded(&old, new), old);
        }
    }

    #[test]
    fn a_change_of_the_log_or_of_a_sink_names_its_section() {
        type Edit = (fn(&mut Config), &'static str);
        let edits: [Edit; 5] = [
            (|c| c.events.retention *= 2, "events"),
            (|c| c.events.budget += 1, "events"),
            (|c| c.sinks.retain(|sink| sink.name != "journal"), "events"),
            (|c| c.sinks.retain(|sink| sink.name != "archive"), "sinks"),
            (|c| c.sinks.iter_mut().filter(|s| s.name == "archive").for_each(|s| s.required = true), "sinks"),
        ];
        for (edit, section) in edits {
            let mut old = config(&["a"]);
            old.sinks.push(Sink::new("archive", SinkKind::Jsonl(EventFile::new("/e.jsonl"))));
            let mut new = old.clone();
            edit(&mut new);
            assert_eq!(diff(&old, &new).needs_restart, [section]);
            assert_eq!(reloaded(&old, new), old);
        }
    }

    #[test]
    fn sections_are_reloaded_or_wait_for_a_restart_and_are_said_to() {
        let old = config(&["a"]);
        let mut new = old.clone();
        new.track.min_hits += 1;
        new.quality.min_face += 1.0;
        new.decide.confirm += 1;
        let changes = diff(&old, &new);
        assert!(changes.track && changes.quality && changes.decide && changes.needs_restart.is_empty());
        assert_eq!(reloaded(&old, new.clone()), new);

        new.models.folder = "/elsewhere".into();
        new.inference.workers = Some(7);
        new.gallery.path = "/elsewhere.db".into();
        new.sinks.remove(0);
        new.sinks.push(Sink::new("archive", SinkKind::Jsonl(EventFile::new("/e.jsonl"))));
        new.snapshots.unknown = Some(Duration::from_secs(3600));
        new.http.listen = None;
        new.control.socket = "/elsewhere.sock".into();
        new.log.filter = "debug".into();
        let all =
            ["models", "inference", "gallery", "events", "sinks", "snapshots", "http", "control", "log"];
        assert_eq!(diff(&old, &new).needs_restart, all);
        let running = reloaded(&old, new.clone());
        assert_eq!(running.decide, new.decide);
        assert_eq!(diff(&running, &new).needs_restart, all, "still waiting at the next reload");
    }
}
