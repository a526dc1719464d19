use std::collections::HashMap;

use super::*;
use crate::base::clock::{Clock, SimulatedClock};
use crate::gallery::snapshot::{GallerySnapshot, Model, Person};
use crate::index::synthetic::Population;
use crate::index::{Hit, Index};
use crate::types::ids::{IdentityId, ModelId, TemplateId};

const MODEL: Model = Model { id: ModelId([1; 32]), dimension: 64 };
const PEOPLE: usize = 400;
const SEEN: Look = Look { recalled: true, agreed: true };

/// Leaves out the nearest of those whose row is a multiple of `every`.
struct Broken {
    index: Box<dyn Index>,
    every: u32,
}

impl Index for Broken {
    fn kind(&self) -> IndexKind {
        IndexKind::Hnsw
    }

    fn len(&self) -> usize {
        self.index.len()
    }

    fn search(&self, probe: &Embedding, k: usize) -> Vec<Hit> {
        self.index.search(probe, k).into_iter().filter(|hit| !hit.row.is_multiple_of(self.every)).collect()
    }
}

struct Scene {
    checker: Checker,
    samples: Arc<Samples>,
    stats: Arc<Stats>,
    people: Population,
}

impl Scene {
    /// A gallery whose graph loses every so many of its templates.
    fn losing(every: u32) -> Self {
        let mut people = Population::new(MODEL.id, MODEL.dimension, 5);
        let person = Person { name: "somebody".into(), external_id: None, lists: [].into(), searched: true };
        let rows: Vec<_> = (0..PEOPLE)
            .map(|number| Ok((IdentityId::generate(), TemplateId::generate(), people.template(number))))
            .collect();
        let all: HashMap<_, _> = rows.iter().flatten().map(|(who, ..)| (*who, person.clone())).collect();
        let exact = GallerySnapshot::new(MODEL, IndexKind::Hnsw, 1, all, rows).expect("a gallery");
        let broken = exact.answering_by(|index| Box::new(Broken { index, every }));
        let clock = SimulatedClock::new("2026-03-01T08:00:00Z".parse().expect("a time"));
        let (samples, stats) = (Arc::<Samples>::default(), Arc::new(Stats::new(clock.now())));
        let checker = Checker::new(Arc::new(SharedGallery::new(broken)), samples.clone(), stats.clone());
        Self { checker, samples, stats, people }
    }

    /// So many searches for people on the list, each looked at. True while the graph answers.
    fn look(&mut self, times: usize) -> bool {
        for number in 0..times {
            let probe = self.people.template(number % PEOPLE);
            self.samples.put(Sample { probe, threshold: 0.3 });
            self.checker.look();
        }
        self.checker.gallery.current().index() == IndexKind::Hnsw
    }
}

#[test]
fn a_graph_that_loses_people_is_found_out_and_exact_search_takes_its_place() {
    let mut scene = Scene::losing(40);
    assert!(!scene.look(PEOPLE), "one in forty is lost: found out within the first four hundred");
    let figures = scene.stats.gallery.snapshot();
    assert!(figures.index_distrusted);
    assert_eq!(
        figures.index_checks - figures.index_agreed,
        DISAGREEMENTS as u64 + 1,
        "as soon as it is over the floor"
    );
    let checks = figures.index_checks;
    assert!(!scene.look(50));
    assert_eq!(
        scene.stats.gallery.snapshot().index_checks,
        checks,
        "exact search is not held against itself"
    );
}

#[test]
fn a_graph_that_finds_all_stays() {
    let mut scene = Scene::losing(u32::MAX - 1);
    // Row 0 is a multiple of everything; it is looked for once, and that is below the floor.
    assert!(scene.look(PEOPLE));
    let figures = scene.stats.gallery.snapshot();
    assert_eq!((figures.index_checks, figures.index_agreed), (PEOPLE as u64, PEOPLE as u64 - 1));
    assert!(!figures.index_distrusted);
}

#[test]
fn looks_that_went_wrong_long_ago_are_forgotten() {
    let mut tally = Tally::default();
    let wrong = Look { agreed: false, ..SEEN };
    for _ in 0..5 {
        for _ in 0..DISAGREEMENTS {
            assert_eq!(tally.add(wrong), None);
        }
        for _ in 0..WINDOW {
            assert_eq!(tally.add(SEEN), None);
        }
    }
    let missed = Look { recalled: false, ..SEEN };
    let told: Vec<bool> = (0..=MISSES).map(|_| tally.add(missed).is_some()).collect();
    assert_eq!(told.iter().position(|&told| told), Some(MISSES));
}

#[test]
fn strangers_without_a_decision_agree_and_still_count_for_recall() {
    let candidate = |score| Candidate {
        identity: IdentityId::generate(),
        name: "somebody".into(),
        external_id: None,
        lists: [].into(),
        score,
    };
    let found = |candidates: Vec<Candidate>| Match {
        candidates,
        model: MODEL.id,
        generation: 1,
        index: IndexKind::Hnsw,
    };
    let (near, far, nobody) = (found(vec![candidate(0.4)]), found(vec![candidate(0.35)]), found(vec![]));
    assert_eq!(Look::at(&far, &near, 0.5), Look { recalled: false, agreed: true });
    assert_eq!(Look::at(&far, &near, 0.38), Look { recalled: false, agreed: false });
    assert_eq!(Look::at(&nobody, &near, 0.38), Look { recalled: false, agreed: false });
    assert_eq!(Look::at(&near, &near, 0.38), SEEN);
    assert_eq!(Look::at(&nobody, &nobody, 0.38), SEEN);
    let mut worse = near.clone();
    worse.candidates[0].score = 0.35;
    assert_eq!(
        Look::at(&worse, &near, 0.38),
        Look { recalled: true, agreed: false },
        "by a worse template of the same person"
    );
    let twins = (found(vec![candidate(0.4)]), found(vec![candidate(0.4)]));
    assert_eq!(Look::at(&twins.0, &twins.1, 0.38), SEEN, "as near");
}
