//! What it costs later searches that somebody was deleted: the gallery before and after, in turns.

use std::collections::HashMap;
use std::time::Instant;

use watchlistd::gallery::GallerySnapshot;
use watchlistd::gallery::snapshot::{Delta, Model, Person};
use watchlistd::index::Rows;
use watchlistd::types::embedding::Embedding;
use watchlistd::types::ids::{IdentityId, TemplateId};
use watchlistd::types::matching::IndexKind;

/// The median search after the deletion of one identity, of the median one before; `each` templates a person.
pub fn ratio(kind: IndexKind, rows: &Rows, each: usize, probes: &[Embedding]) -> f64 {
    let people: Vec<IdentityId> = (0..rows.len() / each).map(|_| IdentityId::generate()).collect();
    let person = Person { name: "somebody".into(), external_id: None, lists: [].into(), searched: true };
    let all: HashMap<_, _> = people.iter().map(|id| (*id, person.clone())).collect();
    let model = Model { id: rows.model(), dimension: rows.dimension() };
    let templates: Vec<(IdentityId, TemplateId, Embedding)> = (0..rows.len())
        .map(|row| (people[row / each], TemplateId::generate(), rows.embedding(row as u32).expect("a row")))
        .collect();
    let gone = templates.iter().filter(|(id, ..)| *id == people[0]).map(|(id, template, _)| (*id, *template));
    let delta = Delta { removed: gone.collect(), people: vec![(people[0], None)], ..Delta::default() };
    let before = GallerySnapshot::new(model, kind, 1, all, templates.into_iter().map(Ok)).expect("a gallery");
    let before = match kind {
        IndexKind::Exact => before,
        IndexKind::Hnsw => before.rebuilt().expect("a graph").0,
    };
    let after = before.after(2, delta).expect("one less");
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..5 {
        for (snapshot, times) in [&before, &after].into_iter().zip(&mut times) {
            for probe in probes {
                let started = Instant::now();
                std::hint::black_box(snapshot.search(probe, 5));
                times.push(started.elapsed().as_secs_f64());
            }
        }
    }
    let [before, after] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    after / before
}
