//! Ways to tamper with a log that somebody has who can write the store and has not the audit key.

use fastrand::Rng;

use super::*;

/// A log, and another that was the same up to `fork` and went on differently under the same key: a copy of the box's disk
/// that was started too.
pub(super) struct Sample {
    pub(super) rows: Vec<Row>,
    pub(super) branch: Vec<Row>,
    pub(super) fork: usize,
}

/// What it makes of the log, and the head that is kept outside, if only that can show it. `None` if the log is too short for it.
type Tamper = fn(&Sample, &mut Rng) -> Option<(Vec<Row>, Option<Head>)>;

/// Name; how; whether it touches one row only, so that just one problem may be told.
pub(super) const WAYS: &[(&str, Tamper, bool)] = &[
    ("body: a character changed", |s, r| edit(s, r, character), true),
    (
        "body: another generation",
        |s, r| edit(s, r, |row, _, r| body(row, |e| e.generation += r.u64(1..9))),
        true,
    ),
    ("body: another actor", |s, r| edit(s, r, |row, _, _| body(row, |e| e.actor = "nobody".into())), true),
    (
        "body: another identity",
        |s, r| edit(s, r, |row, _, _| body(row, |e| e.identity = Some(IdentityId::generate()))),
        true,
    ),
    ("body: a space added", |s, r| edit(s, r, |row, _, _| row.body.push(' ')), true),
    ("body: cut short", |s, r| edit(s, r, |row, _, r| row.body.truncate(r.usize(..row.body.len()))), true),
    ("sealed: a bit flipped", |s, r| edit_sealed(s, r, |bytes, r| flip(bytes, r)), true),
    ("sealed: cut short", |s, r| edit_sealed(s, r, |bytes, r| bytes.truncate(r.usize(..bytes.len()))), true),
    ("sealed: taken away", |s, r| edit(s, r, |row, _, _| row.sealed = None), true),
    ("sealed: empty or put in", |s, r| edit(s, r, |row, _, _| row.sealed = Some(Vec::new())), true),
    ("sealed: another row's", |s, r| edit(s, r, |row, other, _| row.sealed.clone_from(&other.sealed)), true),
    ("mac: a bit flipped", |s, r| edit(s, r, |row, _, r| flip(&mut row.mac, r)), true),
    ("mac: another row's", |s, r| edit(s, r, |row, other, _| row.mac = other.mac), true),
    ("sequence: another", |s, r| edit(s, r, |row, _, r| row.sequence = r.u64(..2 * row.sequence + 2)), false),
    ("body and mac", |s, r| edit(s, r, |row, _, r| (row.body.push(' '), flip(&mut row.mac, r)).0), true),
    ("all columns: another row's", replaced_as_it_is, false),
    (
        "all columns but sequence: another row's",
        |s, r| edit(s, r, |row, other, _| *row = Row { sequence: row.sequence, ..other.clone() }),
        false,
    ),
    ("another row's, made to say it is this one", |s, r| edit(s, r, renumbered), true),
    ("replaced by the branch's row of that sequence", branch_row, true),
    ("deleted: one", |s, r| delete(s, r, 1), false),
    (
        "deleted: a run",
        |s, r| {
            let most = s.rows.len() / 2;
            delete(s, r, most)
        },
        false,
    ),
    ("deleted: one, and the rest renumbered", delete_and_renumber, false),
    ("deleted: the first", |s, _| (s.rows.len() > 1).then(|| (s.rows[1..].to_vec(), None)), false),
    ("deleted: the last, head kept", |s, _| cut(s, s.rows.len().checked_sub(1)?), false),
    ("cut short, head kept", |s, r| cut(s, r.usize(..s.rows.len())), false),
    ("emptied, head kept", |s, _| cut(s, 0), false),
    ("swapped: two rows", |s, r| swap(s, r, true), false),
    ("swapped: two places", |s, r| swap(s, r, false), false),
    ("turned round: a run", turn, false),
    ("repeated", |s, r| insert(s, r, |row, _| row), false),
    ("put in: a copy, and the rest renumbered", |s, r| insert_and_renumber(s, r), false),
    (
        "put in: a forged one",
        |s, r| {
            insert(s, r, |mut row, r| {
                row.body.push(' ');
                flip(&mut row.mac, r);
                row
            })
        },
        false,
    ),
    ("appended: a forged one", append, false),
    ("the branch's end, head kept", branch_end, false),
    ("an old copy, head kept", |s, _| (s.fork < s.rows.len()).then(|| cut(s, s.fork))?, false),
    (
        "all written anew with another key",
        |s, r| {
            let rows = other_key(s, r);
            Some((rows, None))
        },
        false,
    ),
];

fn pick(rows: &[Row], rng: &mut Rng) -> Option<usize> {
    (!rows.is_empty()).then(|| rng.usize(..rows.len()))
}

fn edit(
    sample: &Sample,
    rng: &mut Rng,
    how: fn(&mut Row, &Row, &mut Rng),
) -> Option<(Vec<Row>, Option<Head>)> {
    let mut rows = sample.rows.clone();
    let (at, other) = (pick(&rows, rng)?, pick(&rows, rng)?);
    let other = rows[other].clone();
    how(&mut rows[at], &other, rng);
    Some((rows, None))
}

fn edit_sealed(
    sample: &Sample,
    rng: &mut Rng,
    how: fn(&mut Vec<u8>, &mut Rng),
) -> Option<(Vec<Row>, Option<Head>)> {
    let mut rows = sample.rows.clone();
    let at = pick(&rows, rng)?;
    how(rows[at].sealed.as_mut()?, rng);
    Some((rows, None))
}

fn flip(bytes: &mut [u8], rng: &mut Rng) {
    let at = rng.usize(..bytes.len());
    bytes[at] ^= 1 << rng.u8(..8);
}

fn character(row: &mut Row, _: &Row, rng: &mut Rng) {
    let mut bytes = std::mem::take(&mut row.body).into_bytes();
    let at = rng.usize(..bytes.len());
    bytes[at] = rng.u8(b' '..=b'~');
    row.body = String::from_utf8(bytes).expect("ASCII");
}

fn body(row: &mut Row, change: impl FnOnce(&mut Entry)) {
    let mut entry: Entry = serde_json::from_str(&row.body).expect("an entry");
    change(&mut entry);
    row.body = serde_json::to_string(&entry).expect("JSON");
}

fn renumber(row: &mut Row, sequence: u64) {
    row.sequence = sequence;
    body(row, |entry| entry.sequence = sequence);
}

fn renumbered(row: &mut Row, other: &Row, _: &mut Rng) {
    let sequence = row.sequence;
    *row = other.clone();
    renumber(row, sequence);
}

fn replaced_as_it_is(sample: &Sample, rng: &mut Rng) -> Option<(Vec<Row>, Option<Head>)> {
    let mut rows = sample.rows.clone();
    let (at, other) = (pick(&rows, rng)?, pick(&rows, rng)?);
    rows[at] = rows[other].clone();
    Some((rows, None))
}

/// A row that the same key wrote for that very place, only not after these entries. The last one is left alone: where the
/// branch begins there, it is a true log that only a head shows to be another.
fn branch_row(sample: &Sample, rng: &mut Rng) -> Option<(Vec<Row>, Option<Head>)> {
    let last = sample.rows.len().min(sample.branch.len()).checked_sub(1)?;
    let at = (sample.fork < last).then(|| rng.usize(sample.fork..last))?;
    let mut rows = sample.rows.clone();
    rows[at] = sample.branch[at].clone();
    Some((rows, None))
}

fn branch_end(sample: &Sample, _: &mut Rng) -> Option<(Vec<Row>, Option<Head>)> {
    (sample.fork < sample.rows.len()).then(|| (sample.branch.clone(), sample.rows.last().map(head_of)))
}

/// Up to `most` rows, never the last, which only a head shows.
fn delete(sample: &Sample, rng: &mut Rng, most: usize) -> Option<(Vec<Row>, Option<Head>)> {
    let mut rows = sample.rows.clone();
    let from = pick(rows.get(1..)?, rng)?;
    let to = (from + rng.usize(1..=most.max(1))).min(rows.len() - 1);
    rows.drain(from..to);
    Some((rows, None))
}

fn delete_and_renumber(sample: &Sample, rng: &mut Rng) -> Option<(Vec<Row>, Option<Head>)> {
    let mut rows = sample.rows.clone();
    let at = pick(rows.get(1..)?, rng)?;
    rows.remove(at);
    rows.iter_mut().zip(1..).skip(at).for_each(|(row, sequence)| renumber(row, sequence));
    Some((rows, None))
}

fn cut(sample: &Sample, at: usize) -> Option<(Vec<Row>, Option<Head>)> {
    Some((sample.rows[..at].to_vec(), Some(head_of(sample.rows.last()?))))
}

fn swap(sample: &Sample, rng: &mut Rng, keep_sequence: bool) -> Option<(Vec<Row>, Option<Head>)> {
    let mut rows = sample.rows.clone();
    let (a, b) = (pick(&rows, rng)?, pick(&rows, rng)?);
    rows.swap(a, b);
    if keep_sequence {
        (rows[a].sequence, rows[b].sequence) = (rows[b].sequence, rows[a].sequence);
    }
    Some((rows, None))
}

fn turn(sample: &Sample, rng: &mut Rng) -> Option<(Vec<Row>, Option<Head>)> {
    let mut rows = sample.rows.clone();
    let from = pick(&rows, rng)?;
    let to = rng.usize(from..rows.len());
    rows[from..=to].reverse();
    rows.iter_mut().zip(1..).for_each(|(row, sequence)| row.sequence = sequence);
    Some((rows, None))
}

fn insert(
    sample: &Sample,
    rng: &mut Rng,
    made: fn(Row, &mut Rng) -> Row,
) -> Option<(Vec<Row>, Option<Head>)> {
    let mut rows = sample.rows.clone();
    let (from, at) = (pick(&rows, rng)?, rng.usize(..=rows.len()));
    let row = made(rows[from].clone(), rng);
    rows.insert(at, row);
    Some((rows, None))
}

fn insert_and_renumber(sample: &Sample, rng: &mut Rng) -> Option<(Vec<Row>, Option<Head>)> {
    let mut rows = insert(sample, rng, |row, _| row)?.0;
    rows.iter_mut().zip(1..).for_each(|(row, sequence)| renumber(row, sequence));
    Some((rows, None))
}

fn append(sample: &Sample, rng: &mut Rng) -> Option<(Vec<Row>, Option<Head>)> {
    let mut rows = sample.rows.clone();
    let mut row = rows.last()?.clone();
    let next = row.sequence + 1;
    renumber(&mut row, next);
    row.mac = std::array::from_fn(|_| rng.u8(..));
    rows.push(row);
    Some((rows, None))
}

fn other_key(sample: &Sample, rng: &mut Rng) -> Vec<Row> {
    let (mut chain, mut rows) = (Chain::resume(key(2), None), Vec::new());
    extend(&mut chain, &mut rows, &people(2), sample.rows.len(), rng);
    rows
}
