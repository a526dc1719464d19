//! What was seen, in groups that belong together, and how much of it comes in clusters.

use std::collections::BTreeMap;

use super::scores::{BINS, Block, Scores, bin_of};
use super::tail::Group;

/// What was seen under one threshold is taken together, and sizes of the gallery that differ little.
pub(super) fn groups(scores: &Scores) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for block in scores.blocks() {
        let Block { judged, .. } = block;
        let size = rounded(judged.identities);
        let end = bin_of(judged.threshold);
        let known = groups.iter().position(|group| group.end == end && group.identities == size);
        let place = known.unwrap_or_else(|| {
            groups.push(Group::new(judged.threshold, size));
            groups.len() - 1
        });
        let group = &mut groups[place];
        for (bin, count) in block.non_matches.iter().filter(|(bin, _)| **bin < end) {
            group.seen[usize::from(*bin)] += count;
        }
        for (bin, count) in block.rejected.iter().filter(|(bin, _)| **bin >= end) {
            group.rejected[usize::from(*bin)] += count;
        }
        group.alerts += block.alerts;
        group.judged += block.confirmed + block.rejected.values().sum::<u32>();
    }
    groups
}

/// Non-matches of all groups by bin.
pub(super) fn seen(groups: &[Group]) -> Vec<u64> {
    (0..BINS).map(|bin| groups.iter().map(|group| u64::from(group.seen[bin])).sum()).collect()
}

/// To three parts in a hundred.
fn rounded(identities: u32) -> u32 {
    let log = (f64::from(identities.max(1)).ln() / 0.03).round() * 0.03;
    log.exp().round() as u32
}

/// The lowest bin with at most so many scores from it on.
pub(super) fn bin_above(seen: &[u64], most: f64) -> u16 {
    let mut sum = 0.0;
    for (bin, count) in seen.iter().enumerate().rev() {
        sum += *count as f64;
        if sum > most {
            return (bin + 1).min(BINS - 1) as u16;
        }
    }
    0
}

/// A first guess at a.
pub(super) fn level(groups: &[Group], first: u16, reference: u32) -> f64 {
    let (mut under, mut all) = (0.0, 0.0);
    for group in groups.iter().filter(|group| group.end > first) {
        let ratio = f64::from(group.identities.max(1)) / f64::from(reference.max(1));
        let low: u32 = group.seen[..usize::from(first)].iter().sum();
        let sum: u32 = group.seen.iter().sum();
        under += f64::from(low) * ratio;
        all += f64::from(sum) * ratio;
    }
    (-((under + 0.5) / (all + 1.0)).ln()).max(1e-6).ln()
}

/// How many scores of the tail come together: the variance of their number in an hour, and in a day, over that of single ones
/// (the index of dispersion), the larger, at least 1. One person who comes by again and again is such a cluster; a composite likelihood is
/// tempered by it (Ribatet, Cooley and Davison 2012).
pub(super) fn dispersion(scores: &Scores, first: u16) -> f64 {
    let kind = |block: &Block| (bin_of(block.judged.threshold), rounded(block.judged.identities));
    let mut sums: BTreeMap<(u16, u32), (f64, f64)> = BTreeMap::new();
    for block in scores.blocks() {
        let (seen, peaks) = counts(block, first);
        let sum = sums.entry(kind(block)).or_default();
        *sum = (sum.0 + seen, sum.1 + peaks);
    }
    let mut hours: Vec<(i64, f64, f64)> = Vec::new();
    for block in scores.blocks() {
        let (seen, peaks) = counts(block, first);
        let (all_seen, all_peaks) = sums.get(&kind(block)).copied().unwrap_or_default();
        if seen > 0.0 && all_peaks > 0.0 {
            let part = all_peaks / all_seen;
            hours.push((block.judged.hour, peaks - seen * part, seen * part * (1.0 - part)));
        }
    }
    index(&hours, 1).max(index(&hours, 24)).max(1.0)
}

/// Scores of a block that were seen whole, and those of them from `first` on.
fn counts(block: &Block, first: u16) -> (f64, f64) {
    let end = bin_of(block.judged.threshold);
    let sum = |from: u16| -> u32 {
        if from < end { block.non_matches.range(from..end).map(|(_, count)| count).sum() } else { 0 }
    };
    (f64::from(sum(0)), f64::from(sum(first)))
}

/// Squares of what periods of `length` hours differ by, over what single scores would. Taken as sums, so that hours in which hardly
/// anybody came count little.
fn index(hours: &[(i64, f64, f64)], length: i64) -> f64 {
    let mut periods: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    for (hour, difference, variance) in hours {
        let sum = periods.entry(hour.div_euclid(length)).or_default();
        *sum = (sum.0 + difference, sum.1 + variance);
    }
    let (squares, expected) = periods.values().fold((0.0, 0.0), |(s, e), (d, v)| (s + d * d, e + v));
    if expected > 0.0 { squares / expected } else { 1.0 }
}
