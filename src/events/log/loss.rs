//! What is said where events are no more.

use std::sync::Arc;

use jiff::Timestamp;

use super::Options;
use super::draft::Draft;
use super::row::Row;
use crate::base::error::Result;
use crate::events::{Event, Lost, LostReason};

/// Makes the event that tells of a loss.
pub type Teller = Arc<dyn Fn(&Lost, Timestamp) -> Event + Send + Sync>;

/// A loss takes the place of what is damaged between these two.
///
/// # Errors
/// As SQLite.
pub(super) fn tell_damaged(
    draft: &mut Draft<'_>,
    first: u64,
    last: u64,
    options: &Options,
    now: Timestamp,
) -> Result<()> {
    let (first, last) = (first.max(draft.state.first), last.min(draft.state.last));
    for (first, last) in draft.damaged(first, last)? {
        tracing::error!(
            first,
            last,
            "events of the log are damaged: they are not delivered, and told as lost"
        );
        let event = (options.tell)(&Lost::range(LostReason::Damaged, first, last), now);
        let row = Row::lost(event, draft.state.epoch, first, last, now, &*options.ring)?;
        draft.replace(&row)?;
    }
    Ok(())
}
