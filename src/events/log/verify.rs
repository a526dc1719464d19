//! Looking at a log from end to end, changing nothing.

use std::collections::BTreeMap;
use std::path::Path;

use super::head::Head;
use super::reader::{Found, Reader};
use super::ring::Ring;
use super::store::State;
use crate::bail;
use crate::base::error::Result;
use crate::base::sqlite;
use crate::gallery::crypt::Key;
use crate::types::ids::IdentityId;

/// Rows that are read at once.
const PAGE: usize = 1000;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Which events there should be.
    pub state: State,
    /// Events that are as they were accepted.
    pub events: u64,
    /// Ranges that retention took.
    pub expired: Vec<(u64, u64)>,
    /// Ranges that are not as they were written, or are missing.
    pub damaged: Vec<(u64, u64)>,
    /// True if a head that was kept tells of more than there is.
    pub cut: bool,
    /// Names that are kept, by whom they are of: how many of them open, and how many do not because the key is gone.
    pub names: BTreeMap<IdentityId, (u64, u64)>,
}

/// Looks at every row of the log at `path`. `head` is one that was kept elsewhere.
///
/// # Errors
/// As SQLite; `Data`, when the file itself is damaged, or the key is another.
pub fn verify(path: &Path, key: &Key, ring: &dyn Ring, head: Option<Head>) -> Result<Verified> {
    let mut reader = Reader::of_any(path, key)?;
    sqlite::check(&reader.connection, &reader.place)?;
    let state = reader.after(None, 0, 0, 0)?.state;
    let cut = head.is_some_and(|head| head.epoch == state.epoch && head.last > state.last);
    let mut seen =
        Verified { state, events: 0, expired: Vec::new(), damaged: Vec::new(), cut, names: BTreeMap::new() };
    let mut cursor = state.first.saturating_sub(1);
    while cursor < state.last {
        let page = reader.after(Some(state.epoch), cursor, state.last, PAGE)?;
        if page.state.epoch != state.epoch {
            bail!(Temporary, "{}: another log took its place meanwhile: ask again", reader.place);
        }
        for found in page.found {
            match found {
                Found::Row(row) => {
                    seen.events += 1;
                    if let (Some(id), Some(opens)) = (row.identity, row.name_opens(state.epoch, ring)) {
                        let (open, closed) = seen.names.entry(id).or_default();
                        *(if opens { open } else { closed }) += 1;
                    }
                }
                Found::Expired(first, last) => seen.expired.push((first, last)),
                Found::Damaged(first, last) => seen.damaged.push((first, last)),
            }
        }
        if page.until <= cursor {
            break;
        }
        cursor = page.until;
    }
    Ok(seen)
}
