//! Which event of a batch may go next, and how many from the start are taken. Pure.
//!
//! ```text
//!   batch   0:door  1:yard  2:door  3:gate  4:door
//!   lanes   door 0 ──▶ 2 ──▶ 4      yard 1      gate 3        in flight at first: 0, 1, 3
//! ```
//!
//! One event of a lane (a camera) is in flight at a time: the next goes when it is acknowledged. So whatever is lost on the way, no
//! event of a camera is stored before an earlier one. After the first failure nothing behind it is begun; what was stored behind it
//! comes again with the same id.

use std::collections::HashMap;
use std::hash::Hash;

/// The state of one batch.
#[derive(Debug)]
pub(super) struct Lanes {
    /// The next event of the same lane.
    next: Vec<Option<usize>>,
    /// The first event of each lane.
    heads: Vec<usize>,
    taken: Vec<bool>,
    /// Nothing from here on counts or is begun.
    limit: usize,
}

impl Lanes {
    /// Of the lanes of a batch's events, in order.
    pub(super) fn new<K: Eq + Hash>(keys: impl IntoIterator<Item = K>) -> Self {
        let (mut next, mut heads) = (Vec::new(), Vec::new());
        let mut last: HashMap<K, usize> = HashMap::new();
        for (index, key) in keys.into_iter().enumerate() {
            next.push(None);
            match last.insert(key, index) {
                None => heads.push(index),
                Some(before) => {
                    if let Some(slot) = next.get_mut(before) {
                        *slot = Some(index);
                    }
                }
            }
        }
        let limit = next.len();
        Self { taken: vec![false; limit], next, heads, limit }
    }

    /// What may go at once.
    pub(super) fn heads(&self) -> &[usize] {
        &self.heads
    }

    /// The event has its receipt; returns the one that may go now.
    pub(super) fn taken(&mut self, index: usize) -> Option<usize> {
        if let Some(taken) = self.taken.get_mut(index) {
            *taken = true;
        }
        self.next.get(index).copied().flatten().filter(|&next| next < self.limit)
    }

    /// The event failed. True if it is the first that did, as far as is known.
    pub(super) fn failed(&mut self, index: usize) -> bool {
        let first = index < self.limit;
        self.limit = self.limit.min(index);
        first
    }

    /// So many from the start have their receipt.
    pub(super) fn prefix(&self) -> usize {
        self.taken.iter().take_while(|taken| **taken).count()
    }

    /// Nothing more can come: all before the first failure have their receipt.
    pub(super) fn done(&self) -> bool {
        self.prefix() >= self.limit
    }
}
