//! Opening the log: what is there, whether it is whole, and what becomes of it if it is not.

use std::sync::Arc;

use uuid::Uuid;

use super::Options;
use super::head::{Head, HeadFile};
use super::row::Row;
use super::salvage::{self, Rescue};
use super::store::{State, Store};
use super::writer::settle_sinks;
use crate::base::error::Result;
use crate::base::faults;
use crate::err;
use crate::events::{Lost, LostReason};

/// The log that is configured, which knows the configured sinks.
///
/// Making them its own is the first that is written to it. Where a page has room is looked at only then: a log that reads well may be
/// found damaged here.
pub(super) fn open_for_sinks(options: &Arc<Options>, head: &HeadFile) -> Result<Store> {
    let mut store = open(options, head)?;
    match settle_sinks(&mut store, &options.sinks) {
        Ok(()) => Ok(store),
        Err(error) if salvage::is_called_for(&error) => {
            tracing::error!(
                error = error.chain(),
                "the event log is damaged where it is written: what can be read of it is saved"
            );
            save(options, Some(&store), head.read(&options.key))
        }
        Err(error) => Err(error),
    }
}

/// The log that is configured: the one that is there, a new one, or what could be saved of a damaged one.
fn open(options: &Arc<Options>, head: &HeadFile) -> Result<Store> {
    crate::base::sqlite::make_folder(&crate::base::sqlite::Place::new(&options.path, &super::schema::NAMES))?;
    salvage::finish_begun(&options.path)?;
    let head = head.read(&options.key);
    match Store::open(&options.path, &options.key) {
        Ok(Some(store)) if is_cut(&store.state, head) => {
            tracing::error!(
                log = %options.path.display(),
                "the event log ends at {} and had {} events: its tail was cut off",
                store.state.last,
                head.map_or(0, |head| head.last)
            );
            save(options, Some(&store), head)
        }
        // Nothing is in it, not even the word that there was another one: the start that made it came no further.
        Ok(Some(store)) if store.state.last == 0 => begin(options, store, head),
        Ok(Some(store)) => Ok(store),
        Ok(None) => {
            let store = Store::create(&options.path, &options.key, Uuid::now_v7())?;
            faults::point("events.created");
            begin(options, store, head)
        }
        Err(error) if salvage::is_called_for(&error) => {
            tracing::error!(
                error = error.chain(),
                "the event log is damaged: what can be read of it is saved"
            );
            save(options, None, head)
        }
        Err(error) => Err(error),
    }
}

/// True if the head tells of more than there is. One of another epoch says nothing: a log that was put back is another one.
fn is_cut(state: &State, head: Option<Head>) -> bool {
    head.is_some_and(|head| head.epoch == state.epoch && head.last > state.last)
}

/// A new log. Where a head says that there was another one, its loss is told first.
fn begin(options: &Options, mut store: Store, head: Option<Head>) -> Result<Store> {
    let another = |head: &Head| head.last > 0 && head.epoch != store.state.epoch;
    if let Some(head) = head.filter(another) {
        tracing::error!(log = %options.path.display(), "the event log is gone; a new one begins");
        let now = options.clock.now().wall;
        let loss = Lost { of_log: Some(head.epoch), ..Lost::range(LostReason::Salvaged, 1, head.last) };
        store.write(|draft| {
            let event = (options.tell)(&loss, now);
            let row = Row::of(event, draft.state.epoch, draft.next(), now, &*options.ring)?;
            draft.append(&row)
        })?;
    }
    Ok(store)
}

/// Saves what can be read of the log, and opens what was saved. `open` is the log as it was open until now; its connection stays
/// usable until another one takes its place.
pub(super) fn save(options: &Options, open: Option<&Store>, head: Option<Head>) -> Result<Store> {
    // An attempt that came no further than that may have taken the damaged log away already.
    if salvage::finish_begun(&options.path)? {
        return opened(options);
    }
    if let Some(open) = open {
        // What is only in its write-ahead log belongs to it.
        open.checkpoint();
    }
    let rescue = Rescue {
        path: &options.path,
        key: &options.key,
        ring: &*options.ring,
        sinks: &options.sinks,
        tell: &options.tell,
        head,
        now: options.clock.now().wall,
    };
    let saved = rescue.run()?;
    tracing::warn!(
        events = saved.events,
        lost = saved.lost,
        "the event log goes on in a new epoch with what could be read; the damaged one is kept beside it as .damaged"
    );
    opened(options)
}

fn opened(options: &Options) -> Result<Store> {
    Store::open(&options.path, &options.key)?
        .ok_or_else(|| err!(Software, "the saved event log {} is empty", options.path.display()))
}
