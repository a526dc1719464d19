//! What every index promises, run against each of them.

use super::synthetic::Population;
use super::{Hit, Index, Rows, build};
use crate::types::embedding::Embedding;
use crate::types::ids::ModelId;
use crate::types::matching::IndexKind;

const MODEL: ModelId = ModelId([1; 32]);
const DIMENSION: usize = 512;
const KINDS: [IndexKind; 2] = [IndexKind::Exact, IndexKind::Hnsw];

fn index_of<'a>(kind: IndexKind, templates: impl IntoIterator<Item = &'a Embedding>) -> Box<dyn Index> {
    let mut rows = Rows::with_capacity(MODEL, DIMENSION, 0).expect("a dimension");
    templates.into_iter().for_each(|t| rows.push(t).expect("one model"));
    build(kind, rows).expect("an index that finds its templates")
}

fn draw(count: usize, seed: u64) -> (Population, Vec<Embedding>) {
    let mut people = Population::new(MODEL, DIMENSION, seed);
    let templates = (0..count).map(|n| people.template(n / 4)).collect();
    (people, templates)
}

fn assert_sorted(hits: &[Hit]) {
    for pair in hits.windows(2) {
        let in_order =
            pair[0].score > pair[1].score || (pair[0].score == pair[1].score && pair[0].row < pair[1].row);
        assert!(in_order, "{pair:?}");
    }
}

#[test]
fn nothing_is_found_in_nothing() {
    let (mut people, _) = draw(0, 1);
    for kind in KINDS {
        let index = index_of(kind, []);
        assert!(index.is_empty());
        assert_eq!(index.kind(), kind);
        assert!(index.search(&people.template(0), 3).is_empty());
    }
}

#[test]
fn one_template_answers_every_probe() {
    let (mut people, templates) = draw(1, 2);
    for kind in KINDS {
        let index = index_of(kind, &templates);
        let hits = index.search(&people.template(99), 3);
        assert_eq!((hits.len(), hits[0].row), (1, 0));
        assert!(index.search(&templates[0], 0).is_empty());
    }
}

#[test]
fn a_crowd_of_duplicates_hides_nobody_and_comes_in_row_order() {
    let (_, mut templates) = draw(400, 3);
    let twin = templates[200].clone();
    templates.extend(std::iter::repeat_n(twin.clone(), 300));
    for kind in KINDS {
        let index = index_of(kind, &templates);
        let hits = index.search(&twin, 100);
        let rows: Vec<u32> = hits.iter().map(|hit| hit.row).collect();
        let expected: Vec<u32> = std::iter::once(200).chain(400..499).collect();
        assert_eq!(rows, expected, "{kind:?}");
        assert!(templates.iter().all(|t| (index.search(t, 1)[0].score - 1.0).abs() < 1e-5), "{kind:?}");
    }
}

#[test]
fn more_than_there_is_gives_all_there_is() {
    let (mut people, templates) = draw(700, 4);
    for kind in KINDS {
        let index = index_of(kind, &templates);
        for k in [699, 700, 701, usize::MAX] {
            let hits = index.search(&people.template(3), k);
            assert_eq!(hits.len(), k.min(700), "{kind:?}");
            assert_sorted(&hits);
        }
    }
}

#[test]
fn a_probe_that_cannot_be_compared_finds_nothing() {
    let (_, templates) = draw(50, 5);
    let stranger = Embedding::new(ModelId([2; 32]), templates[0].as_slice().to_vec()).expect("a vector");
    let shorter = Embedding::new(MODEL, vec![1.0; 128]).expect("a vector");
    for kind in KINDS {
        let index = index_of(kind, &templates);
        assert!(index.search(&stranger, 5).is_empty(), "{kind:?}");
        assert!(index.search(&shorter, 5).is_empty(), "{kind:?}");
    }
}

#[test]
fn opposite_and_equal_vectors_stay_in_range() {
    let (_, mut templates) = draw(300, 6);
    let opposite = templates[0].as_slice().iter().map(|x| -x).collect();
    templates.push(Embedding::new(MODEL, opposite).expect("a vector"));
    for kind in KINDS {
        let index = index_of(kind, &templates);
        let hits = index.search(&templates[0], 301);
        assert!(hits.iter().all(|hit| (-1.0..=1.0).contains(&hit.score)), "{kind:?}");
        assert_eq!((hits[0].row, hits[300].row), (0, 300), "{kind:?}");
        assert!(hits[300].score < -0.99999, "{kind:?}");
    }
}

#[test]
fn every_template_finds_itself_and_every_picture_its_person() {
    let (mut people, templates) = draw(1600, 7);
    let exact = index_of(IndexKind::Exact, &templates);
    for kind in KINDS {
        let index = index_of(kind, &templates);
        for (row, template) in templates.iter().enumerate() {
            assert_eq!(index.search(template, 1)[0].row as usize, row, "{kind:?}");
        }
        for number in 0..400 {
            // New pictures of the enrolled, and of strangers: the decision is made on the first hit.
            let probe = people.template(if number % 3 == 0 { number + 10_000 } else { number });
            let (hits, truth) = (index.search(&probe, 5), exact.search(&probe, 5));
            assert_sorted(&hits);
            let decided = |hits: &[Hit]| (hits[0].score >= 0.3).then_some(hits[0]);
            assert_eq!(decided(&hits), decided(&truth), "{kind:?}");
        }
    }
}

#[test]
fn two_builds_of_the_same_rows_answer_alike() {
    let (mut people, templates) = draw(1200, 8);
    for kind in KINDS {
        let (a, b) = (index_of(kind, &templates), index_of(kind, &templates));
        for number in 0..200 {
            let probe = people.template(number * 2);
            assert_eq!(a.search(&probe, 10), b.search(&probe, 10), "{kind:?}");
        }
    }
}

#[test]
fn several_probes_at_once_find_what_each_finds_alone() {
    let (mut people, templates) = draw(1500, 9);
    let stranger = Embedding::new(ModelId([2; 32]), templates[0].as_slice().to_vec()).expect("a vector");
    let mut probes: Vec<Embedding> = (0..150).map(|number| people.template(number * 3)).collect();
    probes.insert(70, stranger);
    for kind in KINDS {
        let index = index_of(kind, &templates);
        for k in [0, 1, 5, 64, 300, 1500] {
            let alone: Vec<Vec<Hit>> = probes.iter().map(|probe| index.search(probe, k)).collect();
            assert_eq!(index.search_many(&probes, k), alone, "{kind:?}, k = {k}");
        }
        assert!(index.search_many(&[], 5).is_empty());
    }
}
