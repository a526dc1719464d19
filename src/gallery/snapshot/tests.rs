use std::collections::BTreeMap;

use super::*;
use crate::index::synthetic::Population;
use crate::types::matching::Publish;

const MODEL: Model = Model { id: ModelId([1; 32]), dimension: 128 };

fn person(name: &str, searched: bool) -> Person {
    let rule = ListRule { name: "watchlist".into(), threshold: None, priority: 0, publish: Publish::Name };
    Person { name: name.into(), external_id: None, lists: [Arc::new(rule)].into(), searched }
}

/// With the graph that it waits for.
fn settled(snapshot: GallerySnapshot) -> GallerySnapshot {
    if !snapshot.wants_rebuilding() {
        return snapshot;
    }
    snapshot.onto(&snapshot.rebuilt().expect("rebuilt").0).expect("stands on it")
}

/// What a gallery holds, kept in the plainest way.
#[derive(Default)]
struct Oracle {
    people: BTreeMap<IdentityId, Person>,
    templates: BTreeMap<TemplateId, (IdentityId, Embedding)>,
}

impl Oracle {
    fn snapshot(&self, kind: IndexKind) -> GallerySnapshot {
        let people = self.people.clone().into_iter().collect();
        let mut rows: Vec<_> = self.templates.iter().map(|(id, (who, e))| (*who, *id, e.clone())).collect();
        rows.sort_by_key(|(who, id, _)| (*who, *id));
        settled(GallerySnapshot::new(MODEL, kind, 1, people, rows.into_iter().map(Ok)).expect("builds"))
    }

    /// The k best identities, by looking at every template.
    fn search(&self, probe: &Embedding, k: usize) -> Vec<(IdentityId, f32)> {
        let mut best: HashMap<IdentityId, f32> = HashMap::new();
        for (who, embedding) in self.templates.values() {
            if self.people.get(who).is_some_and(|person| person.searched) {
                let score = embedding.similarity(probe).expect("one model");
                best.entry(*who).and_modify(|s| *s = s.max(score)).or_insert(score);
            }
        }
        let mut all: Vec<_> = best.into_iter().collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(k);
        all
    }

    fn agrees(&self, snapshot: &GallerySnapshot, probe: &Embedding, k: usize) {
        let (found, expected) = (snapshot.search(probe, k).candidates, self.search(probe, k));
        assert_eq!(found.len(), expected.len());
        for (candidate, (who, score)) in found.iter().zip(expected) {
            assert_eq!(candidate.identity, who);
            assert!((candidate.score - score).abs() < 1e-5);
        }
    }
}

#[test]
fn k_identities_come_out_even_when_one_holds_nearly_all_templates() {
    let mut people = Population::new(MODEL.id, MODEL.dimension, 1);
    let mut oracle = Oracle::default();
    let ids: Vec<IdentityId> = (0..7).map(|_| IdentityId::generate()).collect();
    ids.iter().for_each(|id| drop(oracle.people.insert(*id, person("somebody", true))));
    for picture in 0..400 {
        let who = if picture < 340 { 0 } else { picture % 6 + 1 };
        oracle.templates.insert(TemplateId::generate(), (ids[who], people.template(who)));
    }
    for kind in [IndexKind::Exact, IndexKind::Hnsw] {
        let snapshot = oracle.snapshot(kind);
        assert_eq!((snapshot.templates(), snapshot.index()), (400, kind));
        for (who, k) in [(0, 1), (0, 3), (0, 7), (0, 100), (3, 2), (900, 5), (0, 0)] {
            oracle.agrees(&snapshot, &people.template(who), k);
        }
    }
}

#[test]
fn an_empty_one_finds_nobody_and_says_so() {
    let probe = Population::new(MODEL.id, MODEL.dimension, 2).template(0);
    for kind in [IndexKind::Exact, IndexKind::Hnsw] {
        let empty = GallerySnapshot::empty(MODEL, kind).expect("builds");
        assert!(empty.is_empty() && empty.search(&probe, 3).candidates.is_empty());
    }
    let shorter = Embedding::new(MODEL.id, vec![1.0, 0.0]).expect("a vector");
    let row = Ok((IdentityId::generate(), TemplateId::generate(), shorter));
    let refused = GallerySnapshot::new(MODEL, IndexKind::Exact, 1, HashMap::new(), [row]);
    assert_eq!(refused.expect_err("2 is not 128").kind(), crate::base::error::Kind::Data);
}

/// Thousands of random changes; after each the snapshot answers as one built anew would, and rebuilding it, also beside
/// further changes, changes no answer.
#[test]
fn any_history_of_changes_answers_as_a_snapshot_built_anew() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut population = Population::new(MODEL.id, MODEL.dimension, 3);
    for kind in [IndexKind::Exact, IndexKind::Hnsw] {
        let mut oracle = Oracle::default();
        let mut snapshot = oracle.snapshot(kind);
        let mut building: Option<GallerySnapshot> = None;
        for step in 0..1500u64 {
            let delta = random_change(&mut rng, &mut population, &mut oracle);
            let before = snapshot.search(&population.template(1), 3);
            let next = snapshot.after(step, delta).expect("a change");
            assert_eq!(snapshot.search(&population.template(1), 0).generation, before.generation);
            snapshot = next;
            if step % 300 == 150 {
                building = Some(snapshot.rebuilt().expect("rebuilt").0);
            }
            if step % 300 == 200 {
                snapshot = snapshot.onto(&building.take().expect("begun")).expect("moved over");
            }
            let probe = population.template(rng.usize(0..40));
            oracle.agrees(&snapshot, &probe, rng.usize(0..6));
            let searched = oracle.templates.values().filter(|(who, _)| oracle.people[who].searched);
            assert_eq!(snapshot.templates(), searched.count());
        }
    }
}

fn random_change(rng: &mut fastrand::Rng, population: &mut Population, oracle: &mut Oracle) -> Delta {
    let mut delta = Delta::default();
    let anybody = |rng: &mut fastrand::Rng, oracle: &Oracle| {
        (!oracle.people.is_empty())
            .then(|| *oracle.people.keys().nth(rng.usize(..oracle.people.len())).expect("one"))
    };
    let any_template = |rng: &mut fastrand::Rng, oracle: &Oracle| {
        let at = (!oracle.templates.is_empty()).then(|| rng.usize(..oracle.templates.len()))?;
        oracle.templates.iter().nth(at).map(|(id, (who, embedding))| (*id, *who, embedding.clone()))
    };
    match rng.u8(0..12) {
        0..=5 => {
            let known = anybody(rng, oracle).filter(|_| rng.bool());
            let who = known.unwrap_or_else(IdentityId::generate);
            if known.is_none() {
                oracle.people.insert(who, person("new", rng.u8(0..5) > 0));
                delta.people.push((who, oracle.people.get(&who).cloned()));
            }
            let (id, embedding) = (TemplateId::generate(), population.template(rng.usize(0..40)));
            oracle.templates.insert(id, (who, embedding.clone()));
            delta.added.push((who, id, embedding));
        }
        6 | 7 => {
            if let Some((id, who, _)) = any_template(rng, oracle) {
                oracle.templates.remove(&id);
                delta.removed.push((who, id));
            }
        }
        8 | 9 => {
            // To somebody else, and sometimes back again later.
            if let (Some((id, from, embedding)), Some(to)) = (any_template(rng, oracle), anybody(rng, oracle))
                && from != to
            {
                oracle.templates.insert(id, (to, embedding.clone()));
                delta.removed.push((from, id));
                delta.added.push((to, id, embedding));
            }
        }
        10 => {
            if let Some(who) = anybody(rng, oracle) {
                oracle.people.insert(who, person("changed", rng.bool()));
                delta.people.push((who, oracle.people.get(&who).cloned()));
            }
        }
        _ => {
            if let Some(who) = anybody(rng, oracle) {
                oracle.people.remove(&who);
                let gone: Vec<TemplateId> =
                    oracle.templates.iter().filter(|(_, (w, _))| *w == who).map(|(id, _)| *id).collect();
                for id in gone {
                    oracle.templates.remove(&id);
                    delta.removed.push((who, id));
                }
                delta.people.push((who, None));
            }
        }
    }
    delta
}

#[test]
fn a_base_of_another_model_is_not_stood_on() {
    let mut first = Population::new(MODEL.id, MODEL.dimension, 4);
    let other = Model { id: ModelId([2; 32]), dimension: 64 };
    let mut second = Population::new(other.id, other.dimension, 4);
    let who = IdentityId::generate();
    let snapshot = |model, embedding| {
        let people = HashMap::from([(who, person("Ana", true))]);
        let rows = [Ok((who, TemplateId::generate(), embedding))];
        settled(GallerySnapshot::new(model, IndexKind::Hnsw, 1, people, rows).expect("builds"))
    };
    let (before, now) = (snapshot(MODEL, first.template(1)), snapshot(other, second.template(1)));
    // The model was switched while a base was built beside.
    let after = now.onto(&before.rebuilt().expect("rebuilt").0).expect("goes on");
    assert_eq!(after.model(), other.id);
    assert_eq!(after.search(&second.template(1), 1).candidates.len(), 1);
    assert!(after.search(&first.template(1), 1).candidates.is_empty());
}

#[test]
fn a_template_that_is_gone_leaves_memory_also_where_it_lay_for_somebody_before() {
    let mut population = Population::new(MODEL.id, MODEL.dimension, 6);
    let (ana, ben, other) = (IdentityId::generate(), IdentityId::generate(), IdentityId::generate());
    let (moved, stays) = (TemplateId::generate(), TemplateId::generate());
    let vector = population.template(1);
    for kind in [IndexKind::Exact, IndexKind::Hnsw] {
        let people = [ana, ben, other].map(|who| (who, person("somebody", true))).into();
        let rows = [Ok((ana, moved, vector.clone())), Ok((other, stays, population.template(2)))];
        let snapshot = settled(GallerySnapshot::new(MODEL, kind, 1, people, rows).expect("builds"));
        let holds = |snapshot: &GallerySnapshot| {
            snapshot.parts.iter().flat_map(|part| &part.owners).any(|owner| owner.template == moved)
        };
        let to_ben =
            Delta { added: vec![(ben, moved, vector.clone())], removed: vec![(ana, moved)], people: vec![] };
        let snapshot = snapshot.after(2, to_ben).expect("moved");
        let before = snapshot.rebuilt().expect("rebuilt").0;
        let gone = Delta { removed: vec![(ben, moved)], ..Delta::default() };
        let snapshot = snapshot.after(3, gone).expect("gone");
        assert_eq!(
            (holds(&snapshot), snapshot.wants_rebuilding()),
            (kind == IndexKind::Hnsw, holds(&snapshot))
        );
        // What was built while it was there does not bring it back, and is built once more.
        let snapshot = snapshot.onto(&before).expect("goes on");
        assert_eq!((snapshot.templates(), snapshot.wants_rebuilding()), (1, holds(&snapshot)));
        let snapshot = snapshot.onto(&snapshot.rebuilt().expect("rebuilt").0).expect("goes on");
        assert_eq!((holds(&snapshot), snapshot.wants_rebuilding(), snapshot.templates()), (false, false, 1));
    }
}

fn crowd(templates: usize) -> (Oracle, Population) {
    let mut population = Population::new(MODEL.id, MODEL.dimension, 8);
    let mut oracle = Oracle::default();
    for number in 0..templates {
        let (who, template) = (IdentityId::generate(), TemplateId::generate());
        oracle.people.insert(who, person("somebody", true));
        oracle.templates.insert(template, (who, population.template(number)));
    }
    (oracle, population)
}

#[test]
fn nobody_waits_for_a_graph_and_it_is_built_once() {
    let (oracle, mut population) = crowd(600);
    let people = oracle.people.clone().into_iter().collect();
    let rows = oracle.templates.iter().map(|(id, (who, e))| Ok((*who, *id, e.clone())));
    let begun = GallerySnapshot::new(MODEL, IndexKind::Hnsw, 1, people, rows).expect("builds");
    assert_eq!((begun.index(), begun.wants_rebuilding()), (IndexKind::Exact, true));
    oracle.agrees(&begun, &population.template(7), 3);
    // Somebody goes while it is built: hidden at once, and not found afterwards.
    let (built, warning) = begun.rebuilt().expect("rebuilt");
    assert!(warning.is_none());
    let (gone, who) = oracle.templates.iter().map(|(id, (who, _))| (*id, *who)).next().expect("somebody");
    let vector = oracle.templates[&gone].1.clone();
    let delta = Delta { removed: vec![(who, gone)], people: vec![(who, None)], ..Delta::default() };
    let now = begun.after(2, delta).expect("gone").onto(&built).expect("stands on it");
    assert_eq!(now.index(), IndexKind::Hnsw);
    for snapshot in [&now, &settled(now.onto(&built).expect("the same"))] {
        assert!(snapshot.search(&vector, 5).candidates.iter().all(|c| c.identity != who));
        assert!(snapshot.search_exactly(&vector, 5).candidates.iter().all(|c| c.identity != who));
    }
    assert!(!settled(now).wants_rebuilding());
}

#[test]
fn a_graph_that_is_distrusted_answers_no_more_until_the_gallery_is_opened_again() {
    let (oracle, mut population) = crowd(600);
    let graph = oracle.snapshot(IndexKind::Hnsw);
    let probe = population.template(11);
    let changed = graph.after(2, Delta::default()).expect("nothing");
    let exact = changed.distrusting(&graph).expect("it stands on that base");
    assert_eq!((exact.index(), exact.generation(), exact.wants_rebuilding()), (IndexKind::Exact, 2, false));
    oracle.agrees(&exact, &probe, 3);
    let (rebuilt, _) = exact.rebuilt().expect("rebuilt");
    assert_eq!(rebuilt.index(), IndexKind::Exact);
    assert!(exact.distrusting(&graph).is_none(), "once");
    // Another base is none that was audited.
    assert!(oracle.snapshot(IndexKind::Hnsw).distrusting(&graph).is_none());
}

#[test]
fn several_probes_at_once_find_whom_each_finds_alone() {
    let (mut oracle, mut population) = crowd(300);
    // One holds more templates than are fetched at first.
    let who = *oracle.people.keys().next().expect("somebody");
    for _ in 0..200 {
        oracle.templates.insert(TemplateId::generate(), (who, population.template(1000)));
    }
    for kind in [IndexKind::Exact, IndexKind::Hnsw] {
        let snapshot = oracle.snapshot(kind);
        let probes: Vec<Embedding> = [3, 1000, 40, 1000, 2000].map(|n| population.template(n)).into();
        let together = snapshot.nearest_of_all_to(&probes, 5);
        let alone: Vec<_> = probes.iter().map(|probe| snapshot.nearest_of_all(probe, 5)).collect();
        assert_eq!(together, alone);
    }
}
