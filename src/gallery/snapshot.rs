//! The gallery as one generation of it was: what a search answers from.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::queries::Queries;
use super::store::{Identity, Store};
use crate::base::error::Result;
use crate::err;
use crate::index::{Hit, Index, Rows, build};
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, ModelId};
use crate::types::matching::{Candidate, IndexKind, Match};

/// Rows fetched at first for a few identities: as many templates as somebody usually has, several times.
const FIRST_FETCH: usize = 64;

/// What an operator should know about a gallery that was loaded.
#[derive(Debug, Clone, PartialEq)]
pub enum Warning {
    /// Nobody can be recognised.
    Empty,
    /// Some templates were made by another model than the configured one.
    OtherModel {
        /// That model.
        model: ModelId,
        /// Its templates.
        templates: u64,
        /// The configured model.
        configured: ModelId,
    },
    /// The index that was asked for could not be used; exact search answers in its place.
    IndexRefused(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Empty => {
                f.write_str("the gallery is empty for the configured model: everyone is unknown")
            }
            Warning::OtherModel { model, templates, configured } => write!(
                f,
                "gallery holds {templates} templates of model {model}, the configured model is {configured}: re-enrol"
            ),
            Warning::IndexRefused(why) => {
                write!(f, "searching exactly in place of the configured index: {why}")
            }
        }
    }
}

/// One generation of the gallery for one model. Immutable.
pub struct GallerySnapshot {
    generation: u64,
    model: ModelId,
    identities: Vec<Identity>,
    /// The identity of each row, as a position in `identities`.
    owners: Vec<u32>,
    index: Box<dyn Index>,
}

impl GallerySnapshot {
    /// Reads the model's templates, all as of one moment, and builds the index.
    ///
    /// # Errors
    /// `Data`, when a template is damaged or has not `dimension` numbers; as [`Store::list`] otherwise.
    pub fn load(
        store: &Store,
        model: ModelId,
        dimension: usize,
        kind: IndexKind,
    ) -> Result<(Self, Vec<Warning>)> {
        let (content, mut warnings) =
            store.at_one_moment(|queries| Content::read(queries, model, dimension))?;
        let rows = Arc::new(content.rows);
        let index = match build(kind, rows.clone()) {
            Err(cause) if kind != IndexKind::Exact => {
                warnings.push(Warning::IndexRefused(cause.chain()));
                build(IndexKind::Exact, rows)?
            }
            built => built?,
        };
        let Content { generation, identities, owners, .. } = content;
        Ok((Self { generation, model, identities, owners, index }, warnings))
    }

    /// The generation of the store it was read from.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The model of its templates.
    pub fn model(&self) -> ModelId {
        self.model
    }

    /// The index that answers.
    pub fn index(&self) -> IndexKind {
        self.index.kind()
    }

    /// Number of templates searched.
    pub fn templates(&self) -> usize {
        self.owners.len()
    }

    /// All identities, those without a template of this model included.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// The `k` nearest identities, each with the score of its best template. From the exact index they are
    /// exactly these; of equal scores the identity enrolled first comes first.
    pub fn search(&self, probe: &Embedding, k: usize) -> Match {
        let mut fetch = k.saturating_mul(4).max(FIRST_FETCH);
        let candidates = loop {
            let hits = self.index.search(probe, fetch);
            let best = self.best_of_each(&hits, k);
            // Whoever is not among the hits has no template better than the last of them.
            if best.len() >= k || hits.len() < fetch || fetch >= self.templates() {
                break best;
            }
            fetch = fetch.saturating_mul(4);
        };
        Match { candidates, model: self.model, generation: self.generation, index: self.index.kind() }
    }

    fn best_of_each(&self, hits: &[Hit], k: usize) -> Vec<Candidate> {
        let mut seen: Vec<IdentityId> = Vec::with_capacity(k.min(hits.len()));
        let mut best = Vec::with_capacity(k.min(hits.len()));
        for hit in hits {
            let owner = self.owners.get(hit.row as usize).and_then(|&o| self.identities.get(o as usize));
            let Some(identity) = owner.filter(|identity| best.len() < k && !seen.contains(&identity.id))
            else {
                continue;
            };
            seen.push(identity.id);
            best.push(Candidate { identity: identity.id, name: identity.name.clone(), score: hit.score });
        }
        best
    }
}

impl fmt::Debug for GallerySnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "GallerySnapshot(generation {}, model {}, {} identities, {} templates, {})",
            self.generation,
            self.model,
            self.identities.len(),
            self.templates(),
            self.index().as_str()
        )
    }
}

/// What is read in one transaction.
struct Content {
    generation: u64,
    identities: Vec<Identity>,
    owners: Vec<u32>,
    rows: Rows,
}

impl Content {
    fn read(queries: &Queries<'_>, model: ModelId, dimension: usize) -> Result<(Self, Vec<Warning>)> {
        let models = queries.models()?;
        let count = usize::try_from(models.get(&model).copied().unwrap_or(0)).unwrap_or(0);
        let identities = queries.identities()?;
        let position: HashMap<IdentityId, u32> = identities.iter().map(|i| i.id).zip(0..).collect();
        let mut rows = Rows::with_capacity(model, dimension, count)?;
        let mut owners = Vec::with_capacity(count);
        queries.each_template(model, |template| {
            let owner = position.get(&template.identity);
            owners.push(*owner.ok_or_else(|| err!(Data, "template {} belongs to no identity", template.id))?);
            rows.push(&template.embedding)
        })?;
        let content = Self { generation: queries.generation()?, identities, owners, rows };
        let others = models.into_iter().filter(|(other, _)| *other != model);
        let others = others.map(|(other, templates)| Warning::OtherModel {
            model: other,
            templates,
            configured: model,
        });
        let empty = content.rows.is_empty().then_some(Warning::Empty);
        Ok((content, empty.into_iter().chain(others).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gallery::name::Name;
    use crate::gallery::store::NewTemplate;
    use crate::index::synthetic::Population;

    const MODEL: ModelId = ModelId([1; 32]);
    const DIMENSION: usize = 128;

    fn add(store: &mut Store, name: &str, embedding: &Embedding, picture: u32) {
        let mut source_sha256 = [0; 32];
        source_sha256[..4].copy_from_slice(&picture.to_le_bytes());
        let template = NewTemplate { embedding, quality: 0.5, source: "a.jpg", source_sha256 };
        store.enrol(&Name::new(name).expect("a name"), &template).expect("stored");
    }

    fn new_store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("gallery.db")).expect("a store");
        (folder, store)
    }

    /// The k best identities, by looking at every template.
    fn oracle(templates: &[(String, Embedding)], probe: &Embedding, k: usize) -> Vec<(String, f32)> {
        let mut best: HashMap<&str, f32> = HashMap::new();
        for (name, template) in templates {
            let score = template.similarity(probe).expect("one model");
            best.entry(name).and_modify(|s| *s = s.max(score)).or_insert(score);
        }
        let mut all: Vec<_> = best.into_iter().map(|(name, score)| (name.to_owned(), score)).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(k);
        all
    }

    #[test]
    fn k_identities_come_out_even_when_one_holds_nearly_all_templates() {
        let (_folder, mut store) = new_store();
        let mut people = Population::new(MODEL, DIMENSION, 1);
        let mut templates = Vec::new();
        for picture in 0..400u32 {
            let person = if picture < 340 { 0 } else { picture as usize % 6 + 1 };
            let (name, embedding) = (format!("person {person}"), people.template(person));
            add(&mut store, &name, &embedding, picture);
            templates.push((name, embedding));
        }
        for kind in [IndexKind::Exact, IndexKind::Hnsw] {
            let (snapshot, warnings) = GallerySnapshot::load(&store, MODEL, DIMENSION, kind).expect("loads");
            assert_eq!((warnings.len(), snapshot.templates(), snapshot.generation()), (0, 400, 400));
            for (person, k) in [(0, 1), (0, 3), (0, 7), (0, 100), (3, 2), (900, 5), (0, 0)] {
                let probe = people.template(person);
                let found = snapshot.search(&probe, k);
                let expected = oracle(&templates, &probe, k);
                assert_eq!(found.candidates.len(), expected.len());
                for (candidate, (name, score)) in found.candidates.iter().zip(expected) {
                    assert_eq!(&*candidate.name, name, "{kind:?} person {person} k {k}");
                    assert!((candidate.score - score).abs() < 1e-5);
                }
                assert_eq!((found.index, found.generation, found.model), (kind, 400, MODEL));
            }
        }
    }

    #[test]
    fn an_empty_gallery_and_another_models_gallery_load_with_a_warning() {
        let (_folder, mut store) = new_store();
        let probe = Population::new(MODEL, DIMENSION, 2).template(0);
        for kind in [IndexKind::Exact, IndexKind::Hnsw] {
            let (snapshot, warnings) = GallerySnapshot::load(&store, MODEL, DIMENSION, kind).expect("loads");
            assert_eq!(warnings, [Warning::Empty]);
            assert!(snapshot.search(&probe, 3).candidates.is_empty());
        }
        let other = ModelId([2; 32]);
        add(&mut store, "Ana", &Population::new(other, 64, 2).template(0), 1);
        let (snapshot, warnings) =
            GallerySnapshot::load(&store, MODEL, DIMENSION, IndexKind::Exact).expect("loads");
        assert_eq!(snapshot.identities().len(), 1);
        assert!(snapshot.search(&probe, 3).candidates.is_empty());
        let text: Vec<String> = warnings.iter().map(Warning::to_string).collect();
        assert!(text[1].contains("gallery holds 1 templates of model 020202020202"), "{text:?}");
        assert!(text[1].contains("the configured model is 010101010101: re-enrol"), "{text:?}");
    }

    #[test]
    fn templates_of_another_length_are_an_error() {
        let (_folder, mut store) = new_store();
        add(&mut store, "Ana", &Population::new(MODEL, 64, 3).template(0), 1);
        let loaded = GallerySnapshot::load(&store, MODEL, DIMENSION, IndexKind::Exact);
        assert_eq!(loaded.expect_err("64 is not 128").kind(), crate::base::error::Kind::Data);
    }
}
