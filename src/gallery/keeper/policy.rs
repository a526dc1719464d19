//! What decides beside the gallery, as far as the audit log has to tell it: the thresholds in force.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ChangeSet, Keeper};
use crate::base::error::Result;
use crate::calibrate::budget::{Basis, Range};
use crate::gallery::audit::{Action, Draft};
use crate::gallery::command::Actor;
use crate::gallery::record::ListName;
use crate::{config, err};

/// The setting that remembers them.
const SETTING: &str = "thresholds";

/// Thresholds of the configuration and of its cameras.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// `decide.threshold`; `None`: the model's.
    all: Option<Asked>,
    /// Cameras with one of their own.
    cameras: BTreeMap<String, Asked>,
    /// Lists with a budget.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    lists: BTreeMap<String, Asked>,
}

/// A score, or a budget that one is estimated from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Asked {
    Score(f32),
    Budget { false_alerts_per_day: f64 },
}

impl From<config::Threshold> for Asked {
    fn from(threshold: config::Threshold) -> Self {
        match threshold {
            config::Threshold::Score(score) => Asked::Score(score),
            config::Threshold::Budget(budget) => Asked::Budget { false_alerts_per_day: budget.per_day },
        }
    }
}

impl Thresholds {
    /// Those of the configuration.
    pub fn of(config: &config::Config) -> Self {
        let own = |camera: &config::Camera| Some((camera.id.as_str().to_owned(), camera.threshold?.into()));
        let all = config.decide.threshold.map(Asked::from);
        let budget = |(list, budget): (&ListName, &config::AlertBudget)| {
            (list.to_string(), Asked::Budget { false_alerts_per_day: budget.per_day })
        };
        Self {
            all,
            cameras: config.cameras.iter().filter_map(own).collect(),
            lists: config.decide.lists.iter().map(budget).collect(),
        }
    }
}

/// A camera's threshold that was estimated, so that a budget of false alerts is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimated {
    /// The camera.
    pub camera: String,
    /// The list, if it is for one.
    pub list: Option<String>,
    /// The threshold before.
    pub from: f32,
    /// The threshold from now on.
    pub to: f32,
    /// The budget.
    pub false_alerts_per_day: f64,
    /// Why it is what it is.
    pub basis: Basis,
    /// False alerts a day that are to be expected.
    pub expected: Option<Range>,
}

impl Keeper {
    /// A threshold that was estimated goes on record.
    ///
    /// # Errors
    /// As a commit.
    pub fn note_estimated(&mut self, estimated: &Estimated) -> Result<()> {
        if self.read_only() {
            return Ok(());
        }
        let mut draft = Draft::new(Action::ThresholdChanged)
            .with("of", if estimated.list.is_some() { "list" } else { "camera" })
            .with("camera", estimated.camera.as_str())
            .with("from", shown(estimated.from))
            .with("to", shown(estimated.to))
            .with("false_alerts_per_day", estimated.false_alerts_per_day)
            .with("basis", estimated.basis.as_str());
        if let Some(list) = &estimated.list {
            draft = draft.with("list", list.as_str());
        }
        if let Some(Range { low, median, high }) = estimated.expected {
            let rounded: Vec<f64> = [low, median, high].iter().map(|n| (n * 1e4).round() / 1e4).collect();
            draft = draft.with("expected", rounded);
        }
        let mut change = ChangeSet::default();
        change.say(draft);
        self.commit(&Actor::daemon(), change).map(drop)
    }

    /// The thresholds in force from now on. A change of them, also one made while nothing ran, is on record.
    ///
    /// # Errors
    /// As a commit.
    pub fn note_thresholds(&mut self, now: &Thresholds) -> Result<()> {
        if self.read_only() {
            return Ok(());
        }
        let before = self.store.read(|tables| tables.setting(SETTING))?;
        let before: Option<Thresholds> = before.and_then(|text| serde_json::from_str(&text).ok());
        if before.as_ref() == Some(now) {
            return Ok(());
        }
        let value = |thresholds: &Thresholds| serde_json::to_value(thresholds).unwrap_or_default();
        let mut draft = Draft::new(Action::ThresholdChanged).with("to", value(now));
        if let Some(before) = &before {
            draft = draft.with("from", value(before));
        }
        let text = serde_json::to_string(now).map_err(|e| err!(Software, "thresholds").because(e))?;
        let mut change = ChangeSet { settings: vec![(SETTING, Some(text))], ..ChangeSet::default() };
        change.say(draft);
        self.commit(&Actor::daemon(), change).map(drop)
    }
}

/// A threshold as people write it, without the digits that a float of 32 bits has in one of 64.
fn shown(threshold: f32) -> f64 {
    (f64::from(threshold) * 1e4).round() / 1e4
}
