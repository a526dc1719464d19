//! Who was on which list at some time.
//!
//! ```text
//!  sequence     1        2        3        4        5        6
//!  time       Mon      Tue    [ 1970 ]   Wed      Thu      Fri        at Wed: up to 4, although 3 bears an odd time
//!  by then?    yes      yes      yes      yes      no       no
//!  balance      1        2        3        4        3        2        the cut is where it is highest; of two such, the later
//! ```
//!
//! Entries have an order that nobody can change, and times by the box's clock, which may be set back and forth. So the log is
//! cut in one place, and what is before it had happened by then: the place that the fewest times speak against. Entries of one
//! day in a row speak with one voice, so that ten thousand pictures enrolled under a wrong date do not outvote a year. While
//! the clock only went forward, this is the last entry at or before the time that is asked for. Where as many days speak for
//! one place as for another, nobody can know; `audit show` gives the entries in their order with their times.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::action::Action;
use super::entry::{Entry, FORGOTTEN, Row};
use crate::base::error::Result;
use crate::err;
use crate::gallery::record::Standing;
use crate::gallery::report::Member;
use crate::types::ids::IdentityId;

const DAY: i64 = 24 * 60 * 60;

/// Stands for the name of somebody about whom no entry had one.
const UNNAMED: &str = "unnamed";

/// Everybody who was on a list at that time, in any standing, by name. An identity's state is that of the last entry about it
/// that says `lists` and `standing`; `forgotten` ends it. Somebody forgotten since still was a member, called [`FORGOTTEN`].
///
/// `name_of` opens the name in a row about the identity; `None`, if its key is gone. Memory grows with the identities, not
/// with the log.
///
/// # Errors
/// Of the first row that cannot be read.
pub fn members_at(
    rows: impl Iterator<Item = Result<Row>>,
    at: Timestamp,
    name_of: impl Fn(&Row, IdentityId) -> Option<String>,
) -> Result<Vec<Member>> {
    let mut cut = Cut::default();
    let (mut settled, mut pending) = (States::new(), States::new());
    for row in rows {
        let row = row?;
        let entry = row.entry()?;
        let best = cut.is_best_after(entry.at, at);
        note(&mut pending, row, entry)?;
        if best {
            settle(&mut settled, &mut pending);
        }
    }
    let mut members: Vec<Member> =
        settled.into_iter().filter_map(|(identity, state)| state.member(identity, &name_of)).collect();
    members.sort_by(|a, b| (&a.name, a.identity.0).cmp(&(&b.name, b.identity.0)));
    Ok(members)
}

type States = BTreeMap<IdentityId, State>;

/// What the entries since the last cut say of an identity.
#[derive(Default)]
struct State {
    membership: Option<Membership>,
    /// The last row with a name.
    named: Option<Row>,
}

enum Membership {
    On(Vec<String>, Standing),
    Gone,
}

fn note(states: &mut States, row: Row, entry: Entry) -> Result<()> {
    let Some(identity) = entry.identity else { return Ok(()) };
    let membership = membership(&entry)?;
    let state = states.entry(identity).or_default();
    if row.sealed.is_some() {
        state.named = Some(row);
    }
    state.membership = membership.or(state.membership.take());
    Ok(())
}

fn membership(entry: &Entry) -> Result<Option<Membership>> {
    if entry.action() == Some(Action::Forgotten) {
        return Ok(Some(Membership::Gone));
    }
    let (Some(lists), Some(standing)) = (entry.detail.get("lists"), entry.detail.get("standing")) else {
        return Ok(None);
    };
    let odd = |e| err!(Data, "audit entry {}: no lists and standing", entry.sequence).because(e);
    let lists: Vec<String> = parse(lists).map_err(odd)?;
    Ok(Some(Membership::On(lists, parse(standing).map_err(odd)?)))
}

fn parse<T: serde::de::DeserializeOwned>(value: &Value) -> serde_json::Result<T> {
    serde_json::from_value(value.clone())
}

/// What was pending has happened by the time that is asked for.
fn settle(settled: &mut States, pending: &mut States) {
    for (identity, newer) in std::mem::take(pending) {
        if matches!(newer.membership, Some(Membership::Gone)) {
            settled.remove(&identity);
            continue;
        }
        let state = settled.entry(identity).or_default();
        state.membership = newer.membership.or(state.membership.take());
        state.named = newer.named.or(state.named.take());
    }
}

impl State {
    fn member(
        self,
        identity: IdentityId,
        name_of: impl Fn(&Row, IdentityId) -> Option<String>,
    ) -> Option<Member> {
        let Some(Membership::On(lists, standing)) = self.membership else { return None };
        if lists.is_empty() {
            return None;
        }
        let name = match &self.named {
            Some(row) => name_of(row, identity).unwrap_or_else(|| FORGOTTEN.to_owned()),
            None => UNNAMED.to_owned(),
        };
        Some(Member { identity, name, lists, standing })
    }
}

/// Finds the place that the fewest times speak against.
#[derive(Default)]
struct Cut {
    balance: i64,
    best: i64,
    /// Day of the entry before, and whether it was by then.
    before: Option<(i64, bool)>,
}

impl Cut {
    /// Counts an entry. True if the log is better cut after it than anywhere before.
    fn is_best_after(&mut self, entry: Timestamp, asked: Timestamp) -> bool {
        let by_then = entry <= asked;
        let voice = (entry.as_second().div_euclid(DAY), by_then);
        if self.before.replace(voice) != Some(voice) {
            self.balance += if by_then { 1 } else { -1 };
        }
        let is_best = self.balance >= self.best;
        self.best = self.best.max(self.balance);
        is_best
    }
}
