//! What decides beside the gallery, as far as the audit log has to tell it: the thresholds in force.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ChangeSet, Keeper};
use crate::base::error::Result;
use crate::gallery::audit::{Action, Draft};
use crate::gallery::command::Actor;
use crate::{config, err};

/// The setting that remembers them.
const SETTING: &str = "thresholds";

/// Thresholds of the configuration and of its cameras.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// `decide.threshold`; `None`: the model's.
    all: Option<f32>,
    /// Cameras with one of their own.
    cameras: BTreeMap<String, f32>,
}

impl Thresholds {
    /// Those of the configuration.
    pub fn of(config: &config::Config) -> Self {
        let own = |camera: &config::Camera| Some((camera.id.as_str().to_owned(), camera.threshold?));
        Self { all: config.decide.threshold, cameras: config.cameras.iter().filter_map(own).collect() }
    }
}

impl Keeper {
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
