//! What lies in a database's file besides what is stored in it: deleted rows, free pages, slack.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use super::places;

/// Bytes that are taken for a piece of a stored value if one has them in this order.
const PIECE: usize = 8;
/// Bytes in a row that no stored value explains, and how many different ones make them look random. Of 64 random bytes 57 differ;
/// of SQLite's own tables of cells fewer than 50. The shortest thing that is sealed has 72.
const WINDOW: usize = 64;
const DIFFERENT: usize = 50;

/// Where the file holds what looks random and is no part of any stored value.
pub fn unexplained(database: &Path) -> Vec<Range<usize>> {
    let stored: HashSet<[u8; PIECE]> =
        places::values(database).iter().flat_map(|value| pieces(&value.bytes).collect::<Vec<_>>()).collect();
    let bytes = std::fs::read(database).expect("readable");
    let mut explained = vec![false; bytes.len()];
    for (at, piece) in pieces(&bytes).enumerate() {
        if stored.contains(&piece) {
            explained[at..at + PIECE].fill(true);
        }
    }
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in 0..bytes.len().saturating_sub(WINDOW - 1) {
        let window = at..at + WINDOW;
        if explained[window.clone()].contains(&true) || different(&bytes[window.clone()]) < DIFFERENT {
            continue;
        }
        match found.last_mut().filter(|last| last.end >= at) {
            Some(last) => last.end = window.end,
            None => found.push(window),
        }
    }
    found
}

fn pieces(bytes: &[u8]) -> impl Iterator<Item = [u8; PIECE]> {
    bytes.windows(PIECE).map(|piece| piece.try_into().expect("that long"))
}

fn different(bytes: &[u8]) -> usize {
    bytes.iter().collect::<HashSet<_>>().len()
}
