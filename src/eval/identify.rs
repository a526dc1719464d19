//! Open-set identification: searches of people who are enrolled, and of people who are not.
//!
//! ```text
//!  templates ─▶ exact index ─▶ for each look: each identity's score ─┬ mated: own score and its rank
//!  (a look: one probe, or several as one)                            └ non-mated: the highest score
//!  FPIR(N, T): non-mated probes whose highest score reaches T
//!  FNIR(N, R, T): mated probes whose own identity is not among the R best, or under T
//! ```

use serde::Serialize;

use super::Failures;
use super::acquire::{Acquisition, Template};
use super::bootstrap::{PeopleTrial, intervals};
use super::claim::{Claim, Target};
use super::enrolled::Enrolled;
use super::interval::{Interval, Share};
use super::looks::{Fusing, Look, fuse, looks};
use super::partition::Partition;
use super::quality::{self, Bin, Probe};
use super::roc::Roc;
use super::verify::{InUse, OperatingPoint};
use crate::base::error::Result;
use crate::types::embedding::Embedding;

/// False positive identification rates at which misses are reported.
pub const TARGETS: [Target; 7] = [
    Target::of(3, 10),
    Target::one_in(10),
    Target::of(3, 100),
    Target::one_in(100),
    Target::of(3, 1_000),
    Target::one_in(1_000),
    Target::one_in(10_000),
];

/// How the figures are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// What becomes of mated probes without a template, or whose identity has none.
    pub failures: Failures,
    /// The threshold that is in use, -1 to 1.
    pub threshold: f32,
    /// Pictures of one person that make one search, as the shots of a track do. At least 1.
    pub shots: usize,
    /// How they are made one.
    pub fusing: Fusing,
    /// Templates whose mean makes an identity's score: its best ones. At least 1.
    pub best_templates: usize,
    /// R of FNIR(N, R, T): among how many of the best the own identity has to be. At least 1.
    pub rank: usize,
    /// Draws of the bootstrap over people; 0: none.
    pub repeats: usize,
    /// Decides the draws.
    pub seed: u64,
}

/// What a search gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Search {
    /// Whose picture it is.
    pub person: u32,
    /// True if the person is enrolled.
    pub mated: bool,
    /// `None`: the probe, or its identity, has no template.
    pub found: Option<Found>,
}

/// A search that could be made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Mated: the own identity's score. Non-mated: the highest one.
    pub score: f32,
    /// Mated: 1 if no other identity has as high a score, and so on. Non-mated: 1.
    pub rank: usize,
}

/// The figures of an identification.
#[derive(Debug, Clone, Serialize)]
pub struct Identification {
    /// Identities in the gallery: N. Those without a template are not in it.
    pub identities: usize,
    /// Templates in the gallery.
    pub templates: usize,
    /// Enrolled people of whom no picture gave a template: failures to enrol.
    pub failed_to_enrol: Share,
    /// Searches of enrolled people.
    pub mated: u64,
    /// Searches of other people that could be made.
    pub non_mated: u64,
    /// Probes without a template, of several pictures none: failures to acquire.
    pub failed_to_acquire: Share,
    /// Mated searches with the own identity in the first place, whatever the score: 1 - FNIR(N, 1, -1).
    pub rank_1: Share,
    /// Among the first five: 1 - FNIR(N, 5, -1).
    pub rank_5: Share,
    /// R of the figures below.
    pub rank: usize,
    /// Misses at [`TARGETS`].
    pub at: Vec<SearchPoint>,
    /// What the threshold in use gives.
    pub in_use: SearchInUse,
    /// Scores by what was measured of the probes.
    pub quality: Vec<Bin>,
    #[serde(skip)]
    det: Roc,
}

/// A false positive identification rate that is aimed at, and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchPoint {
    /// The rate that is aimed at.
    pub target: f64,
    /// What the number of non-mated searches allows to say. Without enough of them the fields below are null.
    pub claim: Claim,
    /// Non-mated searches that a figure needs.
    pub trials_needed: u64,
    /// T: least score that counts; null also where nothing does.
    pub threshold: Option<f32>,
    /// FPIR(N, T).
    pub fpir: Option<Share>,
    /// FNIR(N, R, T), with Wilson's interval.
    pub fnir: Option<Share>,
    /// The interval by people, in which the threshold varies, too.
    pub fnir_interval: Option<Interval>,
}

/// What a threshold gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchInUse {
    /// T.
    pub threshold: f32,
    /// FPIR(N, T).
    pub fpir: Share,
    /// FNIR(N, R, T).
    pub fnir: Share,
}

impl SearchPoint {
    fn of(det: &Roc, target: Target, hits_by_people: Option<Interval>) -> Self {
        let point = OperatingPoint::of(det, target, hits_by_people);
        Self {
            target: point.far,
            claim: point.claim,
            trials_needed: point.trials_needed,
            threshold: point.threshold,
            fpir: point.false_accepts,
            fnir: point.tar.map(misses),
            fnir_interval: point
                .tar_interval
                .map(|hits| Interval { low: 1.0 - hits.high, high: 1.0 - hits.low }),
        }
    }
}

impl SearchInUse {
    fn of(det: &Roc, threshold: f32) -> Self {
        let InUse { far, tar, .. } = InUse::of(det, threshold);
        Self { threshold, fpir: far, fnir: misses(tar) }
    }
}

fn misses(hits: Share) -> Share {
    Share::of(hits.trials - hits.count, hits.trials)
}

impl Identification {
    /// Enrols and searches. `of` gives the acquisition of a picture of a person.
    ///
    /// # Errors
    /// `Data`, when nobody could be enrolled.
    pub fn of<'a>(
        parts: &Partition,
        people: usize,
        of: impl Fn((u32, u32)) -> Option<&'a Acquisition>,
        settings: &Settings,
    ) -> Result<Self> {
        let template = |place: &(u32, u32)| of(*place).and_then(Acquisition::template);
        let enrolled: Vec<(u32, &Embedding)> =
            parts.templates.iter().filter_map(|p| Some((p.0, &template(p)?.embedding))).collect();
        let gallery = Enrolled::of(&enrolled, settings.best_templates)?;
        let looks =
            |pictures, mated| looks(pictures, settings.shots).into_iter().map(move |own| (own, mated));
        let probes: Vec<(Search, Option<Look>)> = looks(&parts.mated, true)
            .chain(looks(&parts.non_mated, false))
            .filter_map(|(own, mated)| {
                let person = own.first()?.0;
                let shots: Vec<&Template> = own.iter().filter_map(template).collect();
                let probe = fuse(&shots, settings.fusing);
                let found =
                    probe.as_ref().and_then(|p| gallery.search(&p.embedding, mated.then_some(person)));
                Some((Search { person, mated, found }, probe))
            })
            .collect();
        let searches: Vec<Search> = probes.iter().map(|(search, _)| *search).collect();
        let acquired = probes.iter().filter(|(_, probe)| probe.is_some()).count();
        let (det, hits_by_people) = (det(&searches, settings)?, by_people(&searches, people, settings));
        let identities = gallery.identities;
        Ok(Self {
            identities,
            templates: enrolled.len(),
            failed_to_enrol: Share::of((parts.enrolled - identities) as u64, parts.enrolled as u64),
            mated: det.mated(),
            non_mated: det.non_mated(),
            failed_to_acquire: Share::of((probes.len() - acquired) as u64, probes.len() as u64),
            rank_1: hits(&searches, 1, settings.failures),
            rank_5: hits(&searches, 5, settings.failures),
            rank: settings.rank,
            at: TARGETS.iter().zip(hits_by_people).map(|(t, by)| SearchPoint::of(&det, *t, by)).collect(),
            in_use: SearchInUse::of(&det, settings.threshold),
            quality: quality::bins(&measured(&probes, settings)),
            det,
        })
    }

    /// The curve: false positive identification rate against 1 - FNIR.
    pub fn det(&self) -> &Roc {
        &self.det
    }
}

/// The score that a search counts with: a mated one whose own identity is not among the best counts as one that found nothing.
fn counted(search: &Search, rank: usize) -> Option<f32> {
    search.found.filter(|found| found.rank <= rank).map(|found| found.score)
}

/// Mated searches count if they could be made or failures are errors, non-mated ones if they could be made.
fn counts(search: &Search, failures: Failures) -> bool {
    search.found.is_some() || (search.mated && failures == Failures::Wrong)
}

fn det(searches: &[Search], settings: &Settings) -> Result<Roc> {
    let scores = |mated: bool| -> Vec<f32> {
        let own = searches.iter().filter(|search| search.mated == mated);
        own.filter_map(|search| counted(search, settings.rank)).collect()
    };
    let mated = scores(true);
    let all = searches.iter().filter(|s| s.mated && counts(s, settings.failures)).count();
    Roc::new(&mated, &scores(false), (all - mated.len()) as u64)
}

fn by_people(searches: &[Search], people: usize, settings: &Settings) -> Vec<Option<Interval>> {
    let trials: Vec<PeopleTrial> = searches
        .iter()
        .filter(|search| counts(search, settings.failures))
        .map(|search| {
            let Search { person, mated, .. } = *search;
            PeopleTrial { score: counted(search, settings.rank), a: person, b: person, mated }
        })
        .collect();
    intervals(&trials, people, &TARGETS, settings.repeats, settings.seed).tar
}

fn hits(searches: &[Search], rank: usize, failures: Failures) -> Share {
    let mated = || searches.iter().filter(|search| search.mated && counts(search, failures));
    let hits = mated().filter(|search| counted(search, rank).is_some()).count();
    Share::of(hits as u64, mated().count() as u64)
}

/// The probes that searched, judged by the threshold in use.
fn measured(probes: &[(Search, Option<Look>)], settings: &Settings) -> Vec<Probe> {
    let judge = |(search, probe): &(Search, Option<Look>)| {
        let score = search.found?.score;
        let reaches = counted(search, settings.rank).is_some_and(|score| score >= settings.threshold);
        Some(Probe {
            measured: probe.as_ref()?.measured,
            mated: search.mated,
            score,
            wrong: search.mated != reaches,
        })
    };
    probes.iter().filter_map(judge).collect()
}
