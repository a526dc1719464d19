//! Ten thousand times somebody tampers with a log, and each time it is found.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::tampering::{Sample, WAYS};
use super::*;
use crate::gallery::audit::chain::link;
use crate::gallery::audit::verify::{Link, verify_by};

const LABEL: &str = "the head kept outside";

/// Logs of 1 to 150 entries, chained by `link`.
fn samples(link: Link, rng: &mut Rng) -> Vec<Sample> {
    let lengths = (1..=20).chain((21..=150).step_by(7));
    lengths.map(|length| sample(link, length, rng)).collect()
}

fn sample(link: Link, length: usize, rng: &mut Rng) -> Sample {
    let (fork, people) = (rng.usize(..length), people(3));
    let (mut chain, mut rows) = (Chain::resume(key(1), None), Vec::new());
    extend(&mut chain, &mut rows, &people, fork, rng);
    let mut branch = rows.clone();
    extend(&mut chain.clone(), &mut branch, &people, length - fork, rng);
    extend(&mut chain, &mut rows, &people, length - fork, rng);
    for rows in [&mut rows, &mut branch] {
        let mut previous = Head::start(&key(1)).mac;
        for row in rows {
            row.mac = link(&key(1), &previous, row);
            previous = row.mac;
        }
    }
    Sample { rows, branch, fork }
}

/// How often each way was tried, and how often nothing was found.
type Count = BTreeMap<&'static str, (usize, usize)>;

fn try_all(link: Link, tries: usize, heads: bool) -> Count {
    let mut rng = Rng::with_seed(20260101);
    let samples = samples(link, &mut rng);
    for sample in &samples {
        let report = verify_by(link, &key(1), ok(&sample.rows), &[]);
        assert!(report.is_clean(), "an honest log: {:?}", report.sentences());
    }
    let (mut count, mut done) = (Count::new(), 0);
    while done < tries {
        let sample = &samples[rng.usize(..samples.len())];
        let (name, tamper, single) = WAYS[done % WAYS.len()];
        // Too short for it, or by chance nothing was changed: another log.
        let Some((rows, head)) = tamper(sample, &mut rng).filter(|(rows, _)| *rows != sample.rows) else {
            continue;
        };
        let head = head.filter(|_| heads).map(|head| (LABEL, head));
        let report = verify_by(link, &key(1), ok(&rows), head.as_slice());
        let told = report.problems.len();
        assert!(!single || told <= 1, "{name}: one change, {told} problems: {:?}", report.sentences());
        let (tried, unfound) = count.entry(name).or_default();
        *tried += 1;
        *unfound += usize::from(told == 0);
        done += 1;
    }
    count
}

#[test]
fn every_one_of_10_000_tamperings_is_found() {
    let count = try_all(link, 10_000, true);
    for (name, (tried, unfound)) in &count {
        eprintln!("{tried:5} tried, {:5} found: {name}", tried - unfound);
    }
    let (tried, unfound) = count.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    eprintln!("{tried:5} tried, {:5} found", tried - unfound);
    assert_eq!((tried, unfound), (10_000, 0));
    assert_eq!(count.len(), WAYS.len(), "each way was tried");
}

/// The ways that are found no more with that MAC.
fn unfound(link: Link, heads: bool) -> Vec<&'static str> {
    let count = try_all(link, 50 * WAYS.len(), heads);
    count.into_iter().filter(|(_, (_, unfound))| *unfound > 0).map(|(name, _)| name).collect()
}

/// The test above notices what the MAC leaves out, and a head that is not asked: each of these lets something pass. (The
/// sequence is in the body as well; either would do.)
#[test]
fn a_weaker_chain_is_seen_to_fail() {
    let without_sealed: Link = |key, previous, row| link(key, previous, &Row { sealed: None, ..row.clone() });
    assert_eq!(
        unfound(without_sealed, true),
        ["sealed: a bit flipped", "sealed: another row's", "sealed: cut short", "sealed: empty or put in"]
    );

    let without_body: Link =
        |key, previous, row| link(key, previous, &Row { body: String::new(), ..row.clone() });
    assert!(unfound(without_body, true).contains(&"body: another actor"));

    let without_previous: Link = |key, _, row| link(key, &[0; 32], row);
    assert_eq!(unfound(without_previous, true), ["replaced by the branch's row of that sequence"]);

    assert_eq!(
        unfound(link, false),
        [
            "an old copy, head kept",
            "cut short, head kept",
            "deleted: the last, head kept",
            "emptied, head kept",
            "the branch's end, head kept"
        ]
    );
}
