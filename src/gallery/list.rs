//! Lists: groups of identities that are looked for in the same way.

use serde::{Deserialize, Serialize};

use super::record::{ListName, MAX_TEXT};
use crate::bail;
use crate::base::error::Result;
pub use crate::types::matching::Publish;

/// A list's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct List {
    /// Its name.
    pub name: ListName,
    /// Least similarity score of a recognition for this list, 0 to 1; `None`: the camera's, else the configuration's, else
    /// the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Of the lists somebody is on, the one with the highest comes first in events. -1000 to 1000.
    #[serde(default)]
    pub priority: i32,
    /// What events may say. Of several lists, the one that says most counts.
    #[serde(default)]
    pub publish: Publish,
    /// What the list is for, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

impl List {
    /// A list with nothing set.
    pub fn new(name: ListName) -> Self {
        Self { name, threshold: None, priority: 0, publish: Publish::default(), purpose: None }
    }

    /// What cannot be a list's setting.
    ///
    /// # Errors
    /// `Data`, naming the setting.
    pub fn check(&self) -> Result<()> {
        if let Some(threshold) = self.threshold.filter(|t| !(0.0..=1.0).contains(t)) {
            bail!(Data, "list {}: threshold {threshold}: expected 0 to 1", self.name);
        }
        if !(-1000..=1000).contains(&self.priority) {
            bail!(Data, "list {}: priority {}: expected -1000 to 1000", self.name, self.priority);
        }
        let purpose = self.purpose.as_deref().unwrap_or_default();
        if purpose.len() > MAX_TEXT || purpose.chars().any(|c| c.is_control() && c != '\n') {
            bail!(
                Data,
                "list {}: purpose: expected at most {MAX_TEXT} bytes without control characters",
                self.name
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Kind;

    #[test]
    fn a_setting_that_cannot_be_is_refused_by_its_name() {
        let list = || List::new(ListName::default());
        let purpose = |text: &str| List { purpose: Some(text.to_owned()), ..list() };
        purpose("two\nlines, and 日本語").check().expect("a purpose");
        let wrong = [
            (purpose("a\tb"), "purpose"),
            (purpose("\u{1b}[31m"), "purpose"),
            (purpose(&"x".repeat(4097)), "purpose"),
            (List { threshold: Some(f32::NAN), ..list() }, "threshold"),
            (List { priority: 1001, ..list() }, "priority"),
        ];
        for (list, setting) in wrong {
            let refused = list.check().expect_err(setting);
            assert_eq!(refused.kind(), Kind::Data);
            assert!(refused.to_string().contains(&format!("list watchlist: {setting}")), "{refused}");
        }
    }
}
