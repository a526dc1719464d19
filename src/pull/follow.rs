//! A reader's way along the log, for servers that wait without a thread for each.
//!
//! ```text
//!   next ─▶ read (a thread of the runtime's own, as SQLite blocks) ─┬─ events ─▶ Next::Events
//!             ▲                                                     ├─ passed some by ─▶ read on
//!             └────────── the bell, or a moment later ◀─────────────┴─ nothing there ─▶ wait ─▶ Next::Late, Next::Over
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Given, Place, Puller, Source};
use crate::base::error::Result;
use crate::err;
use crate::events::log::Rung;
use crate::sinks::shape::Shape;

/// How long it goes on reading what is not for this reader before it says how far it is.
const SCAN: Duration = Duration::from_secs(2);

/// How long until what cannot be read yet is tried again: the log's thread is about to put a loss event there.
const MOMENT: Duration = Duration::from_millis(20);

/// Follows the log for one reader.
pub struct Follow {
    puller: Arc<Puller>,
    rung: Rung,
    place: Place,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// These, at least one.
    Events(Vec<Given>),
    /// Nothing for this reader in that time; its place may have moved all the same.
    Late,
    /// There is nothing more, and nothing comes any more: the log has ended.
    Over,
}

impl Follow {
    /// From that place on.
    pub fn new(source: &Source, shape: Shape, place: Place) -> Self {
        Self { rung: source.listen(), puller: Arc::new(source.puller(shape)), place }
    }

    /// The place behind everything that came.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The next events, about `most` of them, as soon as there are any. If `until` is past, what is there is read all the same.
    ///
    /// # Errors
    /// The log cannot be read now.
    pub async fn next(&mut self, most: usize, until: Instant) -> Result<Next> {
        let enough = until.max(Instant::now() + SCAN);
        loop {
            // Looked at before reading: what was accepted before the end is read after it, too.
            let (_, over) = *self.rung.borrow_and_update();
            let before = self.place;
            let events = self.read(most).await?;
            let now = Instant::now();
            if !events.is_empty() {
                return Ok(Next::Events(events));
            }
            if self.place != before {
                if now >= enough {
                    return Ok(Next::Late);
                }
            } else if over {
                return Ok(Next::Over);
            } else if now >= until {
                return Ok(Next::Late);
            } else {
                self.wait(until).await;
            }
        }
    }

    async fn read(&mut self, most: usize) -> Result<Vec<Given>> {
        let (puller, place) = (self.puller.clone(), self.place);
        let read = spawn_blocking(move || puller.page(place, most)).await;
        let page =
            read.map_err(|_| err!(Software, "reading the event log failed: a bug in watchlistd"))??;
        self.place = page.next;
        Ok(page.events)
    }

    /// Until the log changes, or `until`.
    async fn wait(&mut self, until: Instant) {
        let (state, _) = *self.rung.borrow();
        if state.epoch != self.place.epoch || state.last > self.place.sequence {
            // There is something, and it could not be read.
            return sleep(MOMENT).await;
        }
        if let Ok(Err(_)) = timeout_at(until, self.rung.changed()).await {
            // Whoever rings has gone without a word; never, as the log's readers hold it.
            sleep(MOMENT).await;
        }
    }
}
