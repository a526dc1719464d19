//! The gallery as one generation of it was: what a search answers from.
//!
//! ```text
//!  people (name, lists, searched for?)      parts: rows of templates, each with an index
//!        ▲                                   [ base: the index wanted, most rows ][ 64 ][ 8 ][ 1 ]  exact, growing by halves
//!        └────── owner of each row ──────────────┘        hidden: rows that are no longer anybody's
//!
//!  a change ─▶ a new snapshot that shares all parts but one; the old one stays as it is for whoever holds it
//!
//!  base:  exact ──rebuilt() beside, audited, then onto()──▶ graph ──distrusting()──▶ exact, until the next start
//!           ▲ every new gallery: nobody waits for a graph      │ does not find all: refused, with a warning
//!           └──────────────────────────────────────────────────┘
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

mod change;
mod warning;

pub use change::Delta;
pub use warning::Warning;

use super::record::{ExternalId, Record, Standing};
use crate::base::error::Result;
use crate::index::exact::Exact;
use crate::index::{Hit, Index, Rows, build};
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, ModelId, TemplateId};
use crate::types::matching::{Candidate, IndexChoice, IndexKind, ListRule, Match};

/// Rows fetched at first for a few identities: as many templates as somebody usually has, several times.
const FIRST_FETCH: usize = 64;
/// Probes that pass over the templates together: each block of rows is read once for all of them.
const AT_ONCE: usize = 64;
/// The base is built again when this many rows lie beside it or are hidden in it, or a quarter of its own.
const LOOSE: usize = 1024;

/// What a search needs to know of an identity.
#[derive(Debug, Clone)]
pub struct Person {
    /// Its display name.
    pub name: Arc<str>,
    /// Another system's id of it.
    pub external_id: Option<Arc<str>>,
    /// The lists it is on, the most important first.
    pub lists: Arc<[Arc<ListRule>]>,
    /// True if it is looked for: its time has come and is not over, and it is on a list.
    pub searched: bool,
}

impl Person {
    /// From the record; `rules` are the settings of all lists.
    pub fn of(record: &Record, standing: Standing, rules: &HashMap<String, Arc<ListRule>>) -> Self {
        let lists: Vec<Arc<ListRule>> =
            record.lists.iter().filter_map(|list| rules.get(list.as_str()).cloned()).collect();
        Self {
            name: record.name.shared(),
            external_id: record.external_id.as_ref().map(ExternalId::shared),
            searched: standing == Standing::Active && !lists.is_empty(),
            lists: ListRule::in_order(lists),
        }
    }
}

/// Whose a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Owner {
    identity: IdentityId,
    template: TemplateId,
}

/// Templates with an index over them.
struct Part {
    rows: Arc<Rows>,
    owners: Vec<Owner>,
    index: Box<dyn Index>,
}

impl Part {
    fn build(kind: IndexKind, rows: Rows, owners: Vec<Owner>) -> Result<Self> {
        let rows = Arc::new(rows);
        Ok(Self { index: build(kind, rows.clone())?, rows, owners })
    }

    fn owned(&self, hits: Vec<Hit>) -> Vec<(Owner, f32)> {
        hits.into_iter().filter_map(|hit| Some((*self.owners.get(hit.row as usize)?, hit.score))).collect()
    }

    /// With that index in place of the exact one; or as it is, and why.
    fn with_index(self, kind: IndexKind) -> (Self, Option<Warning>) {
        match build(kind, self.rows.clone()) {
            Ok(index) => (Self { index, ..self }, None),
            Err(cause) => (self, Some(Warning::IndexRefused(cause.chain()))),
        }
    }

    /// Several parts as one, without what is hidden.
    fn join(kind: IndexKind, model: Model, parts: &[Arc<Part>], hidden: &HashSet<Owner>) -> Result<Self> {
        let most = parts.iter().map(|part| part.owners.len()).sum();
        let mut rows = Rows::with_capacity(model.id, model.dimension, most)?;
        let mut owners = Vec::with_capacity(most);
        for part in parts {
            let owner = |row: u32| part.owners.get(row as usize);
            let kept = |row: u32| owner(row).is_some_and(|owner| !hidden.contains(owner));
            rows.extend(&part.rows, kept)?;
            owners.extend(part.owners.iter().filter(|owner| !hidden.contains(owner)));
        }
        Self::build(kind, rows, owners)
    }
}

/// How the parts are searched.
#[derive(Clone, Copy)]
enum Way {
    /// By their indexes.
    Index,
    /// By comparing with every row.
    Exactly,
}

/// Rows to fetch at first for `k` identities.
fn first_fetch(k: usize) -> usize {
    k.saturating_mul(4).max(FIRST_FETCH)
}

/// Whether there may be a graph, where the choice wants one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Graph {
    Welcome,
    /// It did not find all that was put into this base. The next base is tried again.
    Refused,
    /// It answered otherwise than exact search did, too often.
    Distrusted,
}

/// Which base a snapshot stands on. It keeps no vector in memory.
#[derive(Debug)]
pub struct Base(Weak<Part>);

impl PartialEq for Base {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

/// The model whose templates are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// Its id.
    pub id: ModelId,
    /// Numbers in its embeddings.
    pub dimension: usize,
}

/// One generation of the gallery for one model. Immutable.
pub struct GallerySnapshot {
    generation: u64,
    model: Model,
    choice: IndexChoice,
    graph: Graph,
    people: Arc<HashMap<IdentityId, Person>>,
    /// The base first. Only it may be approximate.
    parts: Vec<Arc<Part>>,
    hidden: Arc<HashSet<Owner>>,
    /// True if the base still has rows of templates that are gone, which are to leave memory.
    unwiped: bool,
    /// Of a rebuilt one: the base in place of which it was built.
    built_for: Weak<Part>,
    /// Counted when somebody asks.
    templates: OnceLock<usize>,
}

impl GallerySnapshot {
    /// A snapshot of these people and templates. It answers at once, and so exactly; where a graph is wanted, it
    /// [wants rebuilding](GallerySnapshot::wants_rebuilding).
    ///
    /// # Errors
    /// `Data`, when a template has not the model's dimension, and what reading the templates gives.
    pub fn new(
        model: Model,
        choice: impl Into<IndexChoice>,
        generation: u64,
        people: HashMap<IdentityId, Person>,
        templates: impl IntoIterator<Item = Result<(IdentityId, TemplateId, Embedding)>>,
    ) -> Result<Self> {
        let templates = templates.into_iter();
        let mut rows = Rows::with_capacity(model.id, model.dimension, templates.size_hint().0)?;
        let mut owners = Vec::with_capacity(templates.size_hint().0);
        for template in templates {
            let (identity, template, embedding) = template?;
            rows.push(&embedding)?;
            owners.push(Owner { identity, template });
        }
        let base = Part::build(IndexKind::Exact, rows, owners)?;
        Ok(Self {
            generation,
            model,
            choice: choice.into(),
            graph: Graph::Welcome,
            people: Arc::new(people),
            parts: vec![Arc::new(base)],
            hidden: Arc::default(),
            unwiped: false,
            built_for: Weak::new(),
            templates: OnceLock::new(),
        })
    }

    /// An empty one, for a store that is not there yet.
    ///
    /// # Errors
    /// `Data`, when the model has no dimension.
    pub fn empty(model: Model, choice: impl Into<IndexChoice>) -> Result<Self> {
        Self::new(model, choice, 0, HashMap::new(), [])
    }

    /// The generation of the store it was read from.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The model of its templates.
    pub fn model(&self) -> ModelId {
        self.model.id
    }

    /// The model of its templates, with their dimension.
    pub fn model_and_dimension(&self) -> Model {
        self.model
    }

    /// The index that answers.
    pub fn index(&self) -> IndexKind {
        self.parts.first().map_or(IndexKind::Exact, |base| base.index.kind())
    }

    /// The base that it stands on.
    pub fn base(&self) -> Base {
        Base(self.parts.first().map(Arc::downgrade).unwrap_or_default())
    }

    /// What was asked for.
    pub fn choice(&self) -> IndexChoice {
        self.choice
    }

    /// Number of templates of people who are looked for.
    pub fn templates(&self) -> usize {
        *self.templates.get_or_init(|| {
            let searched = |owner: &Owner| self.people.get(&owner.identity).is_some_and(|p| p.searched);
            self.live_rows().filter(|(_, _, owner)| searched(owner)).count()
        })
    }

    /// All identities, those who are not looked for now and those without a template of this model included.
    pub fn people(&self) -> &HashMap<IdentityId, Person> {
        &self.people
    }

    /// Number of people who are looked for.
    pub fn identities(&self) -> usize {
        self.people.values().filter(|person| person.searched).count()
    }

    /// Every template that is somebody's, with whose it is, those who are not looked for now included.
    pub fn held(&self) -> impl Iterator<Item = (IdentityId, TemplateId)> {
        self.live_rows().map(|(_, _, owner)| (owner.identity, owner.template))
    }

    /// True if nobody can be found.
    pub fn is_empty(&self) -> bool {
        self.templates() == 0
    }

    /// The `k` nearest identities that are looked for, each with the score of its best template. From the exact index they
    /// are exactly these; of equal scores the identity enrolled first comes first.
    pub fn search(&self, probe: &Embedding, k: usize) -> Match {
        let candidates = self.nearest(probe, k, Way::Index, |person| person.searched);
        Match { candidates, model: self.model.id, generation: self.generation, index: self.index() }
    }

    /// The same by comparing with every template, whatever the index: what an approximate one is held against.
    pub fn search_exactly(&self, probe: &Embedding, k: usize) -> Match {
        let candidates = self.nearest(probe, k, Way::Exactly, |person| person.searched);
        Match { candidates, model: self.model.id, generation: self.generation, index: IndexKind::Exact }
    }

    /// The same among all identities, whatever their standing: for the gate and for the operator.
    pub fn nearest_of_all(&self, probe: &Embedding, k: usize) -> Vec<Candidate> {
        self.nearest(probe, k, Way::Index, |_| true)
    }

    /// The same for each of several probes, in one pass over the templates.
    pub fn nearest_of_all_to(&self, probes: &[Embedding], k: usize) -> Vec<Vec<Candidate>> {
        let fetch = first_fetch(k);
        let of_part = |part: &Arc<Part>| (part.clone(), part.index.search_many(probes, fetch).into_iter());
        let mut found: Vec<_> = self.parts.iter().map(of_part).collect();
        let one = |probe: &Embedding| {
            let of_parts = found.iter_mut().map(|(part, hits)| part.owned(hits.next().unwrap_or_default()));
            let hits = self.merged(of_parts.collect(), fetch);
            let best = self.best_of_each(&hits, k, &|_| true);
            // Few identities hold the nearest templates: the long way.
            let enough = best.len() >= k || hits.len() < fetch;
            if enough { best } else { self.nearest_of_all(probe, k) }
        };
        probes.iter().map(one).collect()
    }

    /// Scores of an identity's templates with the probe.
    pub fn scores_of(&self, identity: IdentityId, probe: &Embedding) -> Vec<(TemplateId, f32)> {
        self.rows_of(identity)
            .filter_map(|(part, row, owner)| Some((owner.template, part.rows.similarity(row, probe)?)))
            .collect()
    }

    /// For each of an identity's templates the score of the nearest other one of it.
    pub fn nearest_own(&self, identity: IdentityId) -> HashMap<TemplateId, f32> {
        let rows: Vec<_> = self.rows_of(identity).collect();
        let nearest = |at: usize, part: &Part, row: u32| {
            let others = rows.iter().enumerate().filter(|(other, _)| *other != at);
            others
                .filter_map(|(_, (other, other_row, _))| {
                    part.rows.similarity_with(row, &other.rows, *other_row)
                })
                .max_by(f32::total_cmp)
        };
        let all = rows.iter().enumerate();
        all.filter_map(|(at, (part, row, owner))| Some((owner.template, nearest(at, part, *row)?))).collect()
    }

    /// For each template, of whomever, the score of the nearest other one of its identity; none for who has only one.
    pub fn all_nearest_own(&self) -> Vec<f32> {
        let mut rows: HashMap<IdentityId, Vec<(&Part, u32)>> = HashMap::new();
        self.live_rows()
            .for_each(|(part, row, owner)| rows.entry(owner.identity).or_default().push((part, row)));
        let nearest = |own: &[(&Part, u32)], at: usize| -> Option<f32> {
            let (part, row) = own.get(at)?;
            let others = own.iter().enumerate().filter(|(other, _)| *other != at);
            others
                .filter_map(|(_, (other, other_row))| {
                    part.rows.similarity_with(*row, &other.rows, *other_row)
                })
                .max_by(f32::total_cmp)
        };
        rows.values()
            .flat_map(|own| (0..own.len()).filter_map(|at| nearest(own, at)).collect::<Vec<_>>())
            .collect()
    }

    fn rows_of(&self, identity: IdentityId) -> impl Iterator<Item = (&Part, u32, Owner)> {
        // Comparing is cheap, and looking up is not: of ten thousand rows a few are theirs.
        let own = self.rows().filter(move |(_, _, owner)| owner.identity == identity);
        own.filter(|(_, _, owner)| self.is_live(owner))
    }

    /// Every row that is somebody's, with its part.
    fn live_rows(&self) -> impl Iterator<Item = (&Part, u32, Owner)> {
        self.rows().filter(|(_, _, owner)| self.is_live(owner))
    }

    fn rows(&self) -> impl Iterator<Item = (&Part, u32, Owner)> {
        let of = |part| move |(owner, row)| (part, row, owner);
        self.parts.iter().flat_map(move |part| part.owners.iter().copied().zip(0..).map(of(&**part)))
    }

    fn is_live(&self, owner: &Owner) -> bool {
        !self.hidden.contains(owner) && self.people.contains_key(&owner.identity)
    }

    /// The same with another index over its base.
    #[cfg(test)]
    pub(crate) fn answering_by(&self, index: impl FnOnce(Box<dyn Index>) -> Box<dyn Index>) -> Self {
        let base = self.parts.first().expect("a base");
        let index = index(build(IndexKind::Exact, base.rows.clone()).expect("exact search"));
        let base = Part { index, rows: base.rows.clone(), owners: base.owners.clone() };
        self.shared_with(vec![Arc::new(base)], self.hidden.clone())
    }

    /// True if vectors of that identity are in memory, hidden or not.
    #[cfg(test)]
    pub(super) fn has_rows_of(&self, identity: IdentityId) -> bool {
        self.parts.iter().flat_map(|part| &part.owners).any(|owner| owner.identity == identity)
    }

    fn nearest(
        &self,
        probe: &Embedding,
        k: usize,
        way: Way,
        wanted: impl Fn(&Person) -> bool,
    ) -> Vec<Candidate> {
        let rows: usize = self.parts.iter().map(|part| part.owners.len()).sum();
        let mut fetch = first_fetch(k);
        loop {
            let hits = self.hits(probe, fetch, way);
            let best = self.best_of_each(&hits, k, &wanted);
            // Whoever is not among the hits has no template better than the last of them.
            if best.len() >= k || hits.len() < fetch || fetch >= rows {
                return best;
            }
            fetch = fetch.saturating_mul(4);
        }
    }

    /// The best `fetch` rows of all parts, best first.
    fn hits(&self, probe: &Embedding, fetch: usize, way: Way) -> Vec<(Owner, f32)> {
        let of_part = |part: &Arc<Part>| match way {
            Way::Exactly if part.index.kind() != IndexKind::Exact => {
                part.owned(Exact::plain(part.rows.clone()).search(probe, fetch))
            }
            Way::Index | Way::Exactly => part.owned(part.index.search(probe, fetch)),
        };
        self.merged(self.parts.iter().map(of_part).collect(), fetch)
    }

    fn merged(&self, of_parts: Vec<Vec<(Owner, f32)>>, fetch: usize) -> Vec<(Owner, f32)> {
        let mut hits = of_parts.concat();
        if self.parts.len() > 1 {
            // Stable: of equal scores the earlier part, and in it the earlier row, comes first.
            hits.sort_by(|a, b| b.1.total_cmp(&a.1));
        }
        hits.truncate(fetch);
        hits
    }

    fn best_of_each(
        &self,
        hits: &[(Owner, f32)],
        k: usize,
        wanted: &impl Fn(&Person) -> bool,
    ) -> Vec<Candidate> {
        let mut seen: Vec<IdentityId> = Vec::with_capacity(k.min(hits.len()));
        let mut best = Vec::with_capacity(k.min(hits.len()));
        for (owner, score) in hits {
            if best.len() >= k || seen.contains(&owner.identity) || self.hidden.contains(owner) {
                continue;
            }
            let Some(person) = self.people.get(&owner.identity).filter(|person| wanted(person)) else {
                continue;
            };
            seen.push(owner.identity);
            best.push(Candidate {
                identity: owner.identity,
                name: person.name.clone(),
                external_id: person.external_id.clone(),
                lists: person.lists.clone(),
                score: *score,
            });
        }
        best
    }

    /// For each identity the nearest other one, by their closest templates; pairs once, the closest first.
    pub fn closest_pairs(&self, most: usize) -> Vec<(IdentityId, IdentityId, f32)> {
        let mut pairs: HashMap<(IdentityId, IdentityId), f32> = HashMap::new();
        let mut rows = self
            .live_rows()
            .filter_map(|(part, row, owner)| Some((owner.identity, part.rows.embedding(row)?)));
        loop {
            let (owners, probes): (Vec<IdentityId>, Vec<Embedding>) = rows.by_ref().take(AT_ONCE).unzip();
            if probes.is_empty() {
                break;
            }
            for (own, others) in
                owners.into_iter().zip(self.nearest_of_all_to(&probes, most.clamp(2, 16) + 1))
            {
                for other in others.into_iter().filter(|other| other.identity != own) {
                    let pair = (own.min(other.identity), own.max(other.identity));
                    let score = pairs.entry(pair).or_insert(other.score);
                    *score = score.max(other.score);
                }
            }
        }
        let mut pairs: Vec<_> = pairs.into_iter().map(|((a, b), score)| (a, b, score)).collect();
        pairs.sort_by(|a, b| b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
        pairs.truncate(most);
        pairs
    }
}

impl fmt::Debug for GallerySnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "GallerySnapshot(generation {}, model {}, {} identities, {} templates, {})",
            self.generation,
            self.model.id,
            self.people.len(),
            self.templates(),
            self.index().as_str()
        )
    }
}

#[cfg(test)]
mod tests;
