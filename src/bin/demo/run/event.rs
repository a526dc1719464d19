//! The daemon's events as any consumer reads them: one JSON object a line, unknown fields ignored.

use jiff::Timestamp;
use serde::Deserialize;
use watchlistd::types::decision::Stage;
use watchlistd::types::geometry::Rect;

use crate::judge::Said;

/// A line that was understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A camera changed state.
    Camera {
        /// Its name.
        camera: String,
        /// The new state's name.
        state: String,
        /// Why, where it failed.
        message: Option<String>,
    },
    /// Somebody was seen.
    Sighting(Sighting),
}

/// A recognised, unknown or undecided person.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// Camera that saw it.
    pub camera: String,
    /// The daemon's track.
    pub track: String,
    /// The verdict.
    pub said: Said,
    /// Where nothing could be said: why.
    pub reason: Option<String>,
    /// Score of the best identity.
    pub score: Option<f64>,
    /// Threshold applied.
    pub threshold: Option<f64>,
    /// From capture to publication, milliseconds.
    pub latency_ms: u64,
    /// From the capture of the track's first shot to that of the one behind it, milliseconds.
    pub looked_ms: u64,
    /// When the shot behind it was captured.
    pub captured: Timestamp,
    /// The face's box, pixels of the frame.
    pub bbox: Option<Rect>,
}

impl Sighting {
    /// From the capture of the track's first shot that was good enough to be embedded to the event, milliseconds.
    pub fn since_first_shot(&self) -> u64 {
        self.looked_ms.saturating_add(self.latency_ms)
    }
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    data: serde_json::Value,
}

#[derive(Deserialize)]
struct CameraData {
    camera: String,
    state: String,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    camera: String,
    track: String,
    stage: Option<Stage>,
    identity: Option<Identity>,
    reason: Option<String>,
    refusal: Option<String>,
    score: Option<f64>,
    threshold: Option<f64>,
    latency_ms: u64,
    #[serde(default)]
    looked_ms: u64,
    captured_at: Timestamp,
    bbox: Option<Corners>,
}

#[derive(Deserialize)]
struct Identity {
    name: String,
}

#[derive(Deserialize)]
struct Corners {
    x1: f32,
    y1: f32,
    x2: f32,
    y2: f32,
}

impl Event {
    /// Reads a line; `None` for a type this program does not know.
    ///
    /// # Errors
    /// What is wrong with a line that is no event.
    pub fn parse(line: &str) -> Result<Option<Self>, String> {
        let envelope: Envelope = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let Envelope { kind, data } = envelope;
        let read = |e: serde_json::Error| format!("{kind}: {e}");
        match kind.as_str() {
            "io.watchlistd.camera.v1" => {
                let CameraData { camera, state, message } = serde_json::from_value(data).map_err(read)?;
                Ok(Some(Event::Camera { camera, state, message }))
            }
            "io.watchlistd.recognized.v1" => {
                let mut data: Data = serde_json::from_value(data).map_err(read)?;
                let claim = data.identity.take().zip(data.stage);
                let (identity, stage) = claim.ok_or("a recognition without identity or stage")?;
                Ok(Some(data.sighting(Said::Recognized { name: identity.name, stage })))
            }
            "io.watchlistd.unknown.v1" => {
                let data: Data = serde_json::from_value(data).map_err(read)?;
                Ok(Some(data.sighting(Said::Unknown)))
            }
            "io.watchlistd.undecided.v1" => {
                let data: Data = serde_json::from_value(data).map_err(read)?;
                Ok(Some(data.sighting(Said::Undecided)))
            }
            _ => Ok(None),
        }
    }
}

impl Data {
    fn sighting(self, said: Said) -> Event {
        Event::Sighting(Sighting {
            camera: self.camera,
            track: self.track,
            said,
            reason: self.refusal.or(self.reason).map(|r| r.replace('_', " ")),
            score: self.score,
            threshold: self.threshold,
            latency_ms: self.latency_ms,
            looked_ms: self.looked_ms,
            captured: self.captured_at,
            bbox: self.bbox.map(|b| Rect::new(b.x1, b.y1, b.x2, b.y2)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: &str, data: &str) -> String {
        format!(r#"{{"specversion":"1.0","id":"x","type":"io.watchlistd.{kind}.v1","data":{data}}}"#)
    }

    #[test]
    fn a_recognition_is_read() {
        let text = line(
            "recognized",
            r#"{"camera":"entrance","track":"entrance/1/3","stage":"confirmed","identity":{"id":"i","name":"Ann"},
            "score":0.81,"threshold":0.4,"latency_ms":212,"looked_ms":500,"captured_at":"2026-01-02T03:04:05.678Z",
            "bbox":{"x1":1.0,"y1":2.0,"x2":3.0,"y2":5.5},"new_field":[1]}"#,
        );
        let Ok(Some(Event::Sighting(s))) = Event::parse(&text) else { panic!("a sighting") };
        assert_eq!(s.said, Said::Recognized { name: "Ann".into(), stage: Stage::Confirmed });
        assert_eq!((s.score, s.latency_ms, s.looked_ms), (Some(0.81), 212, 500));
        assert_eq!(s.since_first_shot(), 712);
        assert_eq!(s.bbox, Some(Rect::new(1.0, 2.0, 3.0, 5.5)));
        assert_eq!(s.captured.to_string(), "2026-01-02T03:04:05.678Z");
    }

    #[test]
    fn undecided_says_why_and_a_camera_its_state() {
        let text = line(
            "undecided",
            r#"{"camera":"c","track":"t","reason":"no_good_shot","refusal":"extreme_pose","latency_ms":1,
            "captured_at":"2026-01-02T03:04:05Z"}"#,
        );
        let Ok(Some(Event::Sighting(s))) = Event::parse(&text) else { panic!("a sighting") };
        assert_eq!((s.said, s.reason.as_deref()), (Said::Undecided, Some("extreme pose")));
        let text = line("camera", r#"{"camera":"c","state":"connected"}"#);
        let camera = Event::Camera { camera: "c".into(), state: "connected".into(), message: None };
        assert_eq!(Event::parse(&text), Ok(Some(camera)));
    }

    #[test]
    fn other_types_pass_by_and_broken_lines_are_named() {
        assert_eq!(Event::parse(&line("health", "{}")), Ok(None));
        assert!(Event::parse("recognised Ann").is_err());
        let nameless = r#"{"camera":"c","track":"t","stage":"confirmed","latency_ms":1,"captured_at":"2026-01-02T03:04:05Z"}"#;
        assert!(Event::parse(&line("recognized", nameless)).is_err_and(|e| e.contains("identity")));
    }
}
