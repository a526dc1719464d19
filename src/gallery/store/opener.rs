//! Opens the rows of templates on all processors, and gives them in the order in which they were read.
//!
//! ```text
//!  SQLite, the caller's thread ──128 rows──▶ opened by a thread of its own ┐
//!                              ──128 rows──▶ opened by another             ┴─in order─▶ the caller's thread
//! ```
//!
//! Opening a template costs several times what reading its row does; a gallery is opened row by row at each start.

use std::collections::VecDeque;
use std::thread::{Builder, available_parallelism, scope};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::templates::Raw;
use crate::base::error::Result;
use crate::err;
use crate::gallery::crypt::Key;

/// Rows handed over together; fewer than that are opened where they are.
const BATCH: usize = 128;

/// A row that was read, with its identity's key, if there is one.
pub(super) struct Sealed {
    pub(super) raw: Raw,
    pub(super) key: Option<Key>,
}

/// What was sealed; or the id of the row that does not open.
pub(super) type Opened<T> = Result<T, Vec<u8>>;

/// How a row is opened.
pub(super) type Open<T> = fn(&Raw, &Key) -> Option<T>;

impl Sealed {
    fn open<T>(&self, open: Open<T>) -> Opened<T> {
        let Self { raw, key } = self;
        key.as_ref().and_then(|key| open(raw, key)).ok_or_else(|| raw.id().to_owned())
    }
}

struct Batch<T> {
    rows: Vec<Sealed>,
    answer: Sender<Vec<Opened<T>>>,
}

impl<T> Batch<T> {
    fn open(self, open: Open<T>) {
        // Nobody waits for it where another row has ended the reading.
        let _ = self.answer.send(self.rows.iter().map(|row| row.open(open)).collect());
    }
}

/// Opens the rows that `next` gives, until it gives none. `each` gets them in the same order.
///
/// # Errors
/// The first that `next` or `each` gives.
pub(super) fn open_all<T: Send>(
    open: Open<T>,
    mut next: impl FnMut() -> Result<Option<Sealed>>,
    mut each: impl FnMut(Opened<T>) -> Result<()>,
) -> Result<()> {
    let mut rows = batch(&mut next)?;
    if rows.len() < BATCH {
        return rows.iter().map(|row| row.open(open)).try_for_each(each);
    }
    scope(|scope| {
        let most = available_parallelism().map_or(1, usize::from);
        let (work, queue) = bounded::<Batch<T>>(most);
        let start = |_: &usize| {
            let queue = queue.clone();
            let opens = move || queue.iter().for_each(|batch| batch.open(open));
            Builder::new().name("gallery-open".into()).spawn_scoped(scope, opens).is_ok()
        };
        let threads = (0..most).filter(start).count();
        drop(queue);
        let mut waiting: VecDeque<Receiver<Vec<Opened<T>>>> = VecDeque::new();
        while !rows.is_empty() {
            let (answer, opened) = bounded(1);
            let batch_of = Batch { rows, answer };
            if threads == 0 {
                batch_of.open(open);
            } else if work.send(batch_of).is_err() {
                return Err(gone());
            }
            waiting.push_back(opened);
            if waiting.len() > 2 * threads {
                waiting.pop_front().map_or(Ok(()), |opened| deliver(&opened, &mut each))?;
            }
            rows = batch(&mut next)?;
        }
        drop(work);
        waiting.iter().try_for_each(|opened| deliver(opened, &mut each))
    })
}

fn batch(next: &mut impl FnMut() -> Result<Option<Sealed>>) -> Result<Vec<Sealed>> {
    let mut rows = Vec::with_capacity(BATCH);
    while rows.len() < BATCH
        && let Some(row) = next()?
    {
        rows.push(row);
    }
    Ok(rows)
}

fn deliver<T>(
    opened: &Receiver<Vec<Opened<T>>>,
    each: &mut impl FnMut(Opened<T>) -> Result<()>,
) -> Result<()> {
    opened.recv().map_err(|_| gone())?.into_iter().try_for_each(each)
}

fn gone() -> crate::base::error::Error {
    err!(Software, "a thread that opens templates is gone")
}
