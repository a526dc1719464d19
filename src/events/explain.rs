//! A decision in words: why it was made, and what would have changed it.
//!
//! ```text
//!   Sighting ──▶ why:       each rule with what was measured and what was asked for
//!            ├─▶ otherwise: the least change of each that would have given another verdict
//!            └─▶ made with: model, gallery, index, frames
//! ```
//!
//! All of it follows from the event: it says the same years later, whatever the configuration and the gallery are then.

use std::fmt::Write as _;

use serde::Serialize;

use super::schema::{AskedFor, DecisionName, Identity, Sighting};
use crate::decide::HYSTERESIS;
use crate::types::decision::{Stage, ThresholdOrigin, Undecided};
use crate::types::face::Refusal;

/// Half of the last decimal that events have: two figures nearer than this are told apart by nothing.
const ROUNDING: f64 = 0.00005;

/// A decision in words, each a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What was decided.
    pub decided: String,
    /// Why, rule by rule.
    pub why: Vec<String>,
    /// What would have changed it.
    pub otherwise: Vec<String>,
    /// What it was decided with.
    pub made_with: Vec<String>,
}

impl Explanation {
    /// Of a decision.
    pub fn of(seen: &Sighting) -> Self {
        let (why, otherwise) = match (seen.decision, seen.stage) {
            (DecisionName::Recognized, Some(Stage::Withdrawn)) => (withdrawn(seen), Vec::new()),
            (DecisionName::Recognized, stage) => (recognized(seen), instead_of_recognized(seen, stage)),
            (DecisionName::Unknown, _) => (unknown(seen), instead_of_unknown(seen)),
            (DecisionName::Undecided, _) => (undecided(seen), instead_of_undecided(seen)),
        };
        Self { decided: decided(seen), why, otherwise, made_with: made_with(seen) }
    }
}

fn decided(seen: &Sighting) -> String {
    let who = || seen.identity.as_ref().map_or_else(|| "somebody".to_owned(), name);
    match (seen.decision, seen.stage) {
        (DecisionName::Recognized, Some(Stage::Withdrawn)) => {
            format!("That this is {} was taken back.", who())
        }
        (DecisionName::Recognized, Some(Stage::Confirmed)) => {
            format!("This is {}, confirmed.", who())
        }
        (DecisionName::Recognized, _) => format!("This is {}, preliminarily.", who()),
        (DecisionName::Unknown, _) => "This is nobody who is enrolled.".to_owned(),
        (DecisionName::Undecided, _) => "Nothing can be said of who this is.".to_owned(),
    }
}

fn name(identity: &Identity) -> String {
    let name = identity.name.clone().unwrap_or_else(|| format!("identity {}", identity.id));
    if identity.lists.is_empty() { name } else { format!("{name} ({})", identity.lists.join(", ")) }
}

fn recognized(seen: &Sighting) -> Vec<String> {
    let mut why = Vec::new();
    if let Some(score) = seen.score {
        why.push(format!("{} {}.", shots_score(seen, score), against_threshold(seen, score)));
    }
    why.extend(margin(seen));
    why.push(agreeing(seen));
    why
}

fn shots_score(seen: &Sighting, score: f64) -> String {
    match seen.frames.len() {
        0 | 1 => format!("The shot scores {score:.4} with them"),
        count => format!("The {count} best shots together score {score:.4} with them"),
    }
}

fn against_threshold(seen: &Sighting, score: f64) -> String {
    let (threshold, origin) = (seen.threshold, origin(seen.threshold_origin));
    if score >= threshold - ROUNDING {
        return format!("and reach the threshold of {threshold:.4}, {origin}");
    }
    format!(
        "and are {:.4} short of the threshold of {threshold:.4}, {origin}: who was recognised before is kept down to \
         {HYSTERESIS:.2} under it",
        threshold - score
    )
}

const fn origin(origin: ThresholdOrigin) -> &'static str {
    match origin {
        ThresholdOrigin::List => "which is their list's",
        ThresholdOrigin::Camera => "which is the camera's own",
        ThresholdOrigin::Budget => {
            "which was estimated from the camera's own scores to keep its budget of false alerts"
        }
        ThresholdOrigin::Config => "which is decide.threshold of the configuration",
        ThresholdOrigin::Model => "which is that of the model's manifest",
    }
}

/// True if there was nobody to tell apart from.
fn is_alone(seen: &Sighting) -> bool {
    seen.score.zip(seen.margin).is_some_and(|(score, margin)| margin >= score + 1.0 - 2.0 * ROUNDING)
}

fn margin(seen: &Sighting) -> Option<String> {
    let margin = seen.margin?;
    if is_alone(seen) {
        return Some("Nobody else is enrolled to confuse them with.".to_owned());
    }
    let mut text = if margin < 0.0 {
        format!("Somebody else scores {:.4} more", -margin)
    } else {
        format!("The next nearest identity scores {margin:.4} less")
    };
    if let Some(asked) = seen.asked {
        let _ = write!(text, "; {:.4} is asked for", asked.margin);
        if margin < asked.margin - ROUNDING && margin >= 0.0 && seen.decision == DecisionName::Recognized {
            text.push_str(", but for who was recognised before");
        }
    }
    Some(text + ".")
}

fn agreeing(seen: &Sighting) -> String {
    let (agreeing, shots) = (seen.agreeing, counted(seen.shots, "shot"));
    let mut text = format!("Of {shots}, {agreeing} say the same by themselves");
    if let Some(asked) = seen.asked {
        let _ = write!(text, "; a confirmation takes {}", asked.confirm);
    }
    text + "."
}

fn instead_of_recognized(seen: &Sighting, stage: Option<Stage>) -> Vec<String> {
    let mut otherwise = Vec::new();
    if let Some(score) = seen.score {
        otherwise.push(format!("With a threshold above {score:.4} they would not have been recognised."));
    }
    let Some(asked) = seen.asked else { return otherwise };
    if let Some(margin) = seen.margin.filter(|_| !is_alone(seen)) {
        otherwise.push(format!(
            "With decide.margin above {margin:.4}, or another identity nearer by {:.4}, it would have been undecided (ambiguous).",
            (margin - asked.margin).max(0.0)
        ));
    }
    otherwise.push(match stage {
        Some(Stage::Confirmed) => {
            format!("With decide.confirm above {} it would have been preliminary.", seen.agreeing)
        }
        _ if seen.agreeing < asked.confirm => {
            let missing = asked.confirm - seen.agreeing;
            format!("With {} more that says the same it would have been confirmed.", counted(missing, "shot"))
        }
        _ => format!("With a margin of {:.4} it would have been confirmed.", asked.margin),
    });
    otherwise
}

fn withdrawn(seen: &Sighting) -> Vec<String> {
    let Some(score) = seen.score else {
        return vec![
            "They are no longer among the nearest: they were removed from the gallery or from their lists, or others are nearer."
                .to_owned(),
        ];
    };
    let least = seen.threshold - f64::from(HYSTERESIS);
    let mut why = Vec::new();
    if seen.margin.is_some_and(|margin| margin < 0.0) {
        why.extend(margin(seen));
    }
    if score < seen.threshold - ROUNDING {
        let beyond = if score < least { "more than " } else { "" };
        why.push(format!(
            "The shots score {score:.4} with them: {beyond}{} under the threshold of {:.4}, {}.",
            if score < least { format!("{HYSTERESIS:.2}") } else { format!("{:.4}", seen.threshold - score) },
            seen.threshold,
            origin(seen.threshold_origin)
        ));
    }
    if why.is_empty() {
        why.push(format!("The shots still score {score:.4} with them."));
        why.extend(margin(seen));
    }
    why
}

fn unknown(seen: &Sighting) -> Vec<String> {
    let mut why = vec![match seen.score {
        None => "Nobody is enrolled who is looked for.".to_owned(),
        Some(score) => format!(
            "The nearest identity scores {score:.4}, and the threshold is {:.4}, {}.",
            seen.threshold,
            origin(seen.threshold_origin)
        ),
    }];
    why.extend(fair_look(seen));
    why
}

fn fair_look(seen: &Sighting) -> Option<String> {
    let (asked, looked) = (seen.asked?, seen.looked_ms?);
    Some(format!(
        "There were {} in {}; a fair look takes {} in {}.",
        counted(seen.shots, "shot"),
        seconds(looked),
        counted(asked.fair_shots, "shot"),
        seconds(asked.fair_look_ms)
    ))
}

fn instead_of_unknown(seen: &Sighting) -> Vec<String> {
    let Some(score) = seen.score else {
        return vec!["Whoever is enrolled and looks like this would have been recognised.".to_owned()];
    };
    let clear = |asked: AskedFor| is_alone(seen) || seen.margin.is_none_or(|m| m >= asked.margin - ROUNDING);
    let verdict = match seen.asked.map(clear) {
        Some(false) => "it would have been undecided (ambiguous): the next nearest identity is too near",
        _ => "the nearest identity would have been recognised",
    };
    vec![format!("With a threshold of {score:.4} or less, {verdict}.")]
}

fn undecided(seen: &Sighting) -> Vec<String> {
    match seen.reason {
        Some(Undecided::Ambiguous) => {
            let reach = seen.score.map(|score| {
                format!("The nearest identity scores {score:.4}; the threshold is {:.4}.", seen.threshold)
            });
            reach.into_iter().chain(margin(seen)).collect()
        }
        Some(Undecided::NoGoodShot) => {
            let what = seen.refusal.map_or("not good enough", refused);
            vec![format!("No shot was good enough to be compared: most were {what}.")]
        }
        Some(Undecided::Overload) => {
            vec!["Shots were dropped because the box had more to do than it could.".to_owned()]
        }
        Some(Undecided::TooShort) | None => fair_look(seen)
            .into_iter()
            .chain(seen.score.map(|score| {
                format!("The nearest identity scored {score:.4}; the threshold is {:.4}.", seen.threshold)
            }))
            .collect(),
    }
}

fn instead_of_undecided(seen: &Sighting) -> Vec<String> {
    match seen.reason {
        Some(Undecided::Ambiguous) => seen.margin.map(|margin| {
            format!(
                "With decide.margin at {:.4} or less the nearest would have been recognised.",
                margin.max(0.0)
            )
        }),
        Some(Undecided::NoGoodShot) => seen.refusal.and_then(limit).map(|limit| {
            format!("A looser {limit} would have let such shots through, at the price of more mistakes.")
        }),
        Some(Undecided::Overload) => Some(
            "Fewer frames a second (cameras.ID.detect_fps), or more workers, would have left time for them."
                .to_owned(),
        ),
        Some(Undecided::TooShort) | None => seen.asked.map(|asked| too_short(seen, asked)),
    }
    .into_iter()
    .collect()
}

fn too_short(seen: &Sighting, asked: AskedFor) -> String {
    let shots = asked.fair_shots.saturating_sub(seen.shots);
    let time = asked.fair_look_ms.saturating_sub(seen.looked_ms.unwrap_or(0));
    let missing = match (shots, time) {
        (0, time) => seconds(time),
        (shots, 0) => counted(shots, "shot"),
        (shots, time) => format!("{} and {}", counted(shots, "shot"), seconds(time)),
    };
    format!("With {missing} more it would have been unknown.")
}

const fn refused(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::TooSmall => "of too small a face",
        Refusal::Blurred => "blurred",
        Refusal::ExtremePose => "of a face that was turned or tilted too far",
        Refusal::TooDark => "too dark",
        Refusal::TooBright => "too bright",
        Refusal::CutOff => "of a face that was partly outside the frame",
        Refusal::BadLandmarks => "of what hardly was a face",
    }
}

/// What in the configuration let no such shot through.
const fn limit(refusal: Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::TooSmall => Some("quality.min_face"),
        Refusal::Blurred => Some("quality.min_sharpness"),
        Refusal::ExtremePose => Some("quality.max_yaw, max_pitch or max_roll"),
        Refusal::TooDark => Some("quality.min_brightness"),
        Refusal::TooBright => Some("quality.max_brightness"),
        Refusal::CutOff | Refusal::BadLandmarks => None,
    }
}

fn made_with(seen: &Sighting) -> Vec<String> {
    let mut with = vec![
        format!("Model {}.", seen.model),
        format!(
            "Generation {} of the gallery, searched with the {} index.",
            seen.gallery_generation,
            seen.index.as_str()
        ),
    ];
    let frames: Vec<String> = seen.frames.iter().map(u64::to_string).collect();
    if !frames.is_empty() {
        let quality = seen.quality.map(|quality| format!("; the best shot's quality is {quality:.2}"));
        let which = if frames.len() == 1 { "Frame" } else { "Frames" };
        with.push(format!(
            "{which} {} of connection {} of camera {}{}.",
            frames.join(", "),
            seen.at.epoch,
            seen.at.camera,
            quality.unwrap_or_default()
        ));
    }
    with
}

fn counted(count: u32, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn seconds(millis: u64) -> String {
    format!("{:.1} s", millis as f64 / 1000.0)
}
