//! The gallery as one generation of it was: what a search answers from.
//!
//! ```text
//!  people (name, lists, searched for?)      parts: rows of templates, each with an index
//!        ▲                                   [ base: configured index, most rows ][ 64 ][ 8 ][ 1 ]  exact, growing by halves
//!        └────── owner of each row ──────────────┘        hidden: rows that are no longer anybody's
//!
//!  a change ─▶ a new snapshot that shares all parts but one; the old one stays as it is for whoever holds it
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use super::record::{ExternalId, Record, Standing};
use crate::base::error::Result;
use crate::index::{Hit, Index, Rows, build};
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, ModelId, TemplateId};
use crate::types::matching::{Candidate, IndexKind, ListRule, Match};

/// Rows fetched at first for a few identities: as many templates as somebody usually has, several times.
const FIRST_FETCH: usize = 64;
/// The base is built again when this many rows lie beside it or are hidden in it, or a quarter of its own.
const LOOSE: usize = 1024;

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
    /// A template of the configured model has another number of numbers, and is left out.
    Unfit {
        /// Whose it is.
        identity: IdentityId,
        /// Which.
        template: TemplateId,
        /// Numbers it has.
        dimension: usize,
        /// Numbers it should have.
        expected: usize,
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
            Warning::Unfit { identity, template, dimension, expected } => write!(
                f,
                "template {template} of identity {identity} has {dimension} numbers, its model gives {expected}: it is not \
                 searched; remove it (watchlistd gallery remove-template {template}) and enrol the picture again"
            ),
            Warning::IndexRefused(why) => {
                write!(f, "searching exactly in place of the configured index: {why}")
            }
        }
    }
}

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
    kind: IndexKind,
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
    /// A snapshot of these people and templates. When the index that is asked for cannot be built, exact search takes its
    /// place, and the warning says so.
    ///
    /// # Errors
    /// `Data`, when a template has not the model's dimension, and what reading the templates gives.
    pub fn new(
        model: Model,
        kind: IndexKind,
        generation: u64,
        people: HashMap<IdentityId, Person>,
        templates: impl IntoIterator<Item = Result<(IdentityId, TemplateId, Embedding)>>,
    ) -> Result<(Self, Vec<Warning>)> {
        let templates = templates.into_iter();
        let mut rows = Rows::with_capacity(model.id, model.dimension, templates.size_hint().0)?;
        let mut owners = Vec::with_capacity(templates.size_hint().0);
        for template in templates {
            let (identity, template, embedding) = template?;
            rows.push(&embedding)?;
            owners.push(Owner { identity, template });
        }
        let (base, warning) = base(kind, Arc::new(rows), owners)?;
        let snapshot = Self {
            generation,
            model,
            kind,
            people: Arc::new(people),
            parts: vec![Arc::new(base)],
            hidden: Arc::default(),
            unwiped: false,
            built_for: Weak::new(),
            templates: OnceLock::new(),
        };
        Ok((snapshot, warning.into_iter().collect()))
    }

    /// An empty one, for a store that is not there yet.
    ///
    /// # Errors
    /// `Data`, when the model has no dimension.
    pub fn empty(model: Model, kind: IndexKind) -> Result<Self> {
        Ok(Self::new(model, kind, 0, HashMap::new(), [])?.0)
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
        self.parts.first().map_or(self.kind, |base| base.index.kind())
    }

    /// The index that was asked for.
    pub fn kind(&self) -> IndexKind {
        self.kind
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
        let candidates = self.nearest(probe, k, |person| person.searched);
        Match { candidates, model: self.model.id, generation: self.generation, index: self.index() }
    }

    /// The same among all identities, whatever their standing: for the gate and for the operator.
    pub fn nearest_of_all(&self, probe: &Embedding, k: usize) -> Vec<Candidate> {
        self.nearest(probe, k, |_| true)
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

    /// True if vectors of that identity are in memory, hidden or not.
    #[cfg(test)]
    pub(super) fn has_rows_of(&self, identity: IdentityId) -> bool {
        self.parts.iter().flat_map(|part| &part.owners).any(|owner| owner.identity == identity)
    }

    fn nearest(&self, probe: &Embedding, k: usize, wanted: impl Fn(&Person) -> bool) -> Vec<Candidate> {
        let rows: usize = self.parts.iter().map(|part| part.owners.len()).sum();
        let mut fetch = k.saturating_mul(4).max(FIRST_FETCH);
        loop {
            let hits = self.hits(probe, fetch);
            let best = self.best_of_each(&hits, k, &wanted);
            // Whoever is not among the hits has no template better than the last of them.
            if best.len() >= k || hits.len() < fetch || fetch >= rows {
                return best;
            }
            fetch = fetch.saturating_mul(4);
        }
    }

    /// The best `fetch` rows of all parts, best first.
    fn hits(&self, probe: &Embedding, fetch: usize) -> Vec<(Owner, f32)> {
        let of_part = |part: &Arc<Part>| -> Vec<(Owner, f32)> {
            let owned = |hit: Hit| Some((*part.owners.get(hit.row as usize)?, hit.score));
            part.index.search(probe, fetch).into_iter().filter_map(owned).collect()
        };
        let mut hits: Vec<(Owner, f32)> = self.parts.iter().flat_map(of_part).collect();
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
        for (part, row, owner) in self.live_rows() {
            let Some(probe) = part.rows.embedding(row) else { continue };
            for other in self.nearest_of_all(&probe, most.clamp(2, 16) + 1) {
                if other.identity != owner.identity {
                    let pair = (owner.identity.min(other.identity), owner.identity.max(other.identity));
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

/// What makes the next snapshot of one: templates that came and went, and the people as they are now.
#[derive(Default)]
pub struct Delta {
    /// Templates that are new, or somebody else's than before.
    pub added: Vec<(IdentityId, TemplateId, Embedding)>,
    /// Templates that are gone, or somebody else's than before, with whose they were.
    pub removed: Vec<(IdentityId, TemplateId)>,
    /// People who changed; `None`: who is gone.
    pub people: Vec<(IdentityId, Option<Person>)>,
}

impl GallerySnapshot {
    /// The snapshot after a change. The base is shared, unless so much lies beside it that an exact one is built again;
    /// see [`GallerySnapshot::wants_rebuilding`] for others.
    ///
    /// # Errors
    /// `Data`, when a template is another model's.
    pub fn after(&self, generation: u64, delta: Delta) -> Result<Self> {
        let mut people = self.people.clone();
        if !delta.people.is_empty() {
            let map = Arc::make_mut(&mut people);
            for (id, person) in delta.people {
                match person {
                    Some(person) => drop(map.insert(id, person)),
                    None => drop(map.remove(&id)),
                }
            }
        }
        let mut hidden = self.hidden.clone();
        if !delta.removed.is_empty() || !delta.added.is_empty() {
            let set = Arc::make_mut(&mut hidden);
            set.extend(delta.removed.iter().map(|&(identity, template)| Owner { identity, template }));
        }
        let mut next = Self { generation, people, ..self.shared_with(self.parts.clone(), hidden) };
        let mut gone: HashSet<TemplateId> = delta.removed.iter().map(|&(_, template)| template).collect();
        for (_, template, _) in &delta.added {
            gone.remove(template);
        }
        for (identity, template, embedding) in delta.added {
            next.add(Owner { identity, template }, &embedding)?;
        }
        next.wipe(&gone)?;
        if next.kind == IndexKind::Exact && next.wants_rebuilding() {
            next = next.rebuilt()?.0;
        }
        Ok(next)
    }

    /// Adds a row beside the base. Parts of like size become one, so that there are few of them and each row is copied a few
    /// times at most.
    fn add(&mut self, owner: Owner, embedding: &Embedding) -> Result<()> {
        if self.hidden.contains(&owner) {
            Arc::make_mut(&mut self.hidden).remove(&owner);
            if self.parts.iter().any(|part| part.owners.contains(&owner)) {
                // It lies there already, hidden while it was somebody else's.
                return Ok(());
            }
        }
        let mut rows = Rows::with_capacity(self.model.id, self.model.dimension, 1)?;
        rows.push(embedding)?;
        self.parts.push(Arc::new(Part::build(IndexKind::Exact, rows, vec![owner])?));
        while let [_, .., before, last] = self.parts.as_slice()
            && before.owners.len() < 2 * last.owners.len()
        {
            let at = self.parts.len() - 2;
            let pair = self.parts.split_off(at);
            let joined = Part::join(IndexKind::Exact, self.model, &pair, &HashSet::new())?;
            self.parts.push(Arc::new(joined));
        }
        Ok(())
    }

    /// Takes the rows of templates that are gone out of memory, whoever they were of: beside the base at once. A base is marked,
    /// to be built again. They stay hidden: a base that is being built may have them.
    fn wipe(&mut self, gone: &HashSet<TemplateId>) -> Result<()> {
        let of_gone = |owner: &&Owner| gone.contains(&owner.template);
        let holds = |part: &Arc<Part>| part.owners.iter().any(|owner| of_gone(&owner));
        if gone.is_empty() || !self.parts.iter().any(holds) {
            return Ok(());
        }
        let (model, mut parts) = (self.model, self.parts.iter());
        let base = parts.next().cloned();
        self.unwiped |= base.as_ref().is_some_and(holds);
        let mut wiped: Vec<Arc<Part>> = base.into_iter().collect();
        for part in parts {
            let owners: HashSet<Owner> = part.owners.iter().filter(of_gone).copied().collect();
            if owners.is_empty() {
                wiped.push(part.clone());
            } else if owners.len() < part.owners.len() {
                let one = std::slice::from_ref(part);
                wiped.push(Arc::new(Part::join(IndexKind::Exact, model, one, &owners)?));
            }
        }
        self.parts = wiped;
        Ok(())
    }

    /// True if the base should be built again: so much lies beside it, or is hidden in it; or it has rows of templates that are
    /// gone.
    pub fn wants_rebuilding(&self) -> bool {
        let base = self.parts.first().map_or(0, |base| base.owners.len());
        let beside: usize = self.parts.iter().skip(1).map(|part| part.owners.len()).sum();
        self.unwiped || beside.max(self.hidden.len()) > LOOSE.max(base / 4)
    }

    /// The same content with one base that holds all of it. For an approximate index this takes as long as building one:
    /// do it beside, and give the result to [`GallerySnapshot::onto`].
    ///
    /// # Errors
    /// `Data`, when it cannot be built.
    pub fn rebuilt(&self) -> Result<(Self, Option<Warning>)> {
        let joined = Part::join(IndexKind::Exact, self.model, &self.parts, &self.hidden)?;
        let Part { rows, owners, .. } = joined;
        let (base, warning) = base(self.kind, rows, owners)?;
        let rebuilt = self.shared_with(vec![Arc::new(base)], Arc::default());
        let built_for = self.parts.first().map(Arc::downgrade).unwrap_or_default();
        Ok((Self { unwiped: false, built_for, ..rebuilt }, warning))
    }

    /// This snapshot, standing on the base that was `rebuilt` from an earlier one meanwhile. If it has another base than that one
    /// had (another model's, or one that came in another way), the rebuilt one is of no use, and this is the snapshot as it was:
    /// nobody knows what went in between.
    ///
    /// # Errors
    /// As [`GallerySnapshot::rebuilt`].
    pub fn onto(&self, rebuilt: &Self) -> Result<Self> {
        let base = self.parts.first().map(Arc::downgrade).unwrap_or_default();
        if rebuilt.model != self.model || !rebuilt.built_for.ptr_eq(&base) {
            return Ok(self.shared_with(self.parts.clone(), self.hidden.clone()));
        }
        let in_base: HashSet<Owner> =
            rebuilt.parts.iter().flat_map(|part| part.owners.iter().copied()).collect();
        // Whatever is somebody's now and did not get into the new base: what came meanwhile, and what was hidden then.
        let elsewhere: HashSet<Owner> = in_base.union(&self.hidden).copied().collect();
        let beside = Part::join(IndexKind::Exact, self.model, &self.parts, &elsewhere)?;
        let mut parts = rebuilt.parts.clone();
        if !beside.owners.is_empty() {
            parts.push(Arc::new(beside));
        }
        let hidden: HashSet<Owner> = self.hidden.intersection(&in_base).copied().collect();
        // What went while it was built lies in it.
        let unwiped = !hidden.is_empty();
        Ok(Self { unwiped, ..self.shared_with(parts, Arc::new(hidden)) })
    }

    fn shared_with(&self, parts: Vec<Arc<Part>>, hidden: Arc<HashSet<Owner>>) -> Self {
        Self {
            generation: self.generation,
            model: self.model,
            kind: self.kind,
            people: self.people.clone(),
            parts,
            hidden,
            unwiped: self.unwiped,
            built_for: Weak::new(),
            templates: OnceLock::new(),
        }
    }
}

/// A part with the index that was asked for, or an exact one and the reason.
fn base(kind: IndexKind, rows: Arc<Rows>, owners: Vec<Owner>) -> Result<(Part, Option<Warning>)> {
    match build(kind, rows.clone()) {
        Ok(index) => Ok((Part { rows, owners, index }, None)),
        Err(cause) if kind != IndexKind::Exact => {
            let index = build(IndexKind::Exact, rows.clone())?;
            Ok((Part { rows, owners, index }, Some(Warning::IndexRefused(cause.chain()))))
        }
        Err(cause) => Err(cause),
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
