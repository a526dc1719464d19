//! Whose snapshots are kept, and for how long.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config;
use crate::types::decision::{Decision, Stage, Verdict};
use crate::types::ids::IdentityId;
use crate::types::matching::Publish;

/// Times by list, and of those who are on none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// By list. Of several lists, the longest time counts. A list that is not here keeps none.
    pub lists: BTreeMap<String, Duration>,
    /// Of `unknown` events; `None`: none are kept.
    pub unknown: Option<Duration>,
}

impl Policy {
    /// The configuration's.
    pub fn of(config: &config::Snapshots) -> Self {
        let lists = config.lists.iter().map(|(list, time)| (list.to_string(), *time)).collect();
        Self { lists, unknown: config.unknown }
    }

    /// True if any are kept at all.
    pub fn is_on(&self) -> bool {
        !self.lists.is_empty() || self.unknown.is_some()
    }

    /// Who is in the snapshot of this decision, and how long it is kept; `None`, if there is to be none: of what is not confirmed,
    /// of lists that keep none, and where no event would refer to it.
    pub(super) fn keeps(&self, decision: &Decision) -> Option<(Option<IdentityId>, Duration)> {
        match &decision.verdict {
            Verdict::Recognized { identity, stage: Stage::Confirmed, .. } => {
                let time = decision.lists.iter().filter_map(|list| self.lists.get(&**list)).max()?;
                (decision.publish != Publish::Nothing).then_some((Some(*identity), *time))
            }
            Verdict::Unknown => self.unknown.map(|time| (None, time)),
            Verdict::Recognized { .. } | Verdict::Undecided { .. } => None,
        }
    }
}

/// Which snapshots of the track show somebody else by what they are kept for: true, those of a stranger; false, those of the person.
pub(super) fn disproves(decision: &Decision) -> Option<bool> {
    match &decision.verdict {
        Verdict::Recognized { stage, .. } => Some(*stage != Stage::Withdrawn),
        Verdict::Unknown | Verdict::Undecided { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshots::testing::{decision, recognized};

    const DAY: Duration = Duration::from_secs(86_400);

    fn policy() -> Policy {
        let lists = BTreeMap::from([("vip".to_owned(), 30 * DAY), ("staff".to_owned(), DAY)]);
        Policy { lists, unknown: None }
    }

    #[test]
    fn only_who_is_confirmed_for_a_list_that_is_named_is_kept_for_the_longest_of_its_times() {
        let keeps = |stage, lists: &[&str]| policy().keeps(&recognized(stage, lists)).map(|(_, time)| time);
        assert_eq!(keeps(Stage::Confirmed, &["staff", "vip", "other"]), Some(30 * DAY));
        assert_eq!(keeps(Stage::Confirmed, &["other", "staff"]), Some(DAY));
        assert_eq!(keeps(Stage::Confirmed, &["other"]), None, "a list that is not named");
        assert_eq!(keeps(Stage::Confirmed, &[]), None, "no list");
        assert_eq!(keeps(Stage::Preliminary, &["vip"]), None, "not sure yet");
        assert_eq!(keeps(Stage::Withdrawn, &["vip"]), None);
        let silent = Decision { publish: Publish::Nothing, ..recognized(Stage::Confirmed, &["vip"]) };
        assert_eq!(policy().keeps(&silent), None, "no event would refer to it");
    }

    #[test]
    fn strangers_are_kept_only_where_that_is_switched_on() {
        assert_eq!(policy().keeps(&decision(Verdict::Unknown)), None);
        let on = Policy { unknown: Some(DAY), ..Policy::default() };
        assert_eq!(on.keeps(&decision(Verdict::Unknown)), Some((None, DAY)));
        assert_eq!(
            on.keeps(&recognized(Stage::Confirmed, &["vip"])),
            None,
            "nor somebody who is no stranger"
        );
        assert!(on.is_on() && policy().is_on() && !Policy::default().is_on());
    }
}
