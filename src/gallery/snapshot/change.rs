//! From one snapshot to the next: what a change shares, and when the base is built again.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock, Weak};

use super::{GallerySnapshot, Graph, LOOSE, Owner, Part, Person, Warning};
use crate::base::error::Result;
use crate::index::exact::Exact;
use crate::index::{Rows, kind_for};
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, TemplateId};
use crate::types::matching::IndexKind;

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
    /// The snapshot after a change. The base is shared, unless so much lies beside it that one is built again, and it is to be an exact
    /// one; see [`GallerySnapshot::wants_rebuilding`] for others.
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
        if next.wants_rebuilding() && next.wanted(next.held_rows()) == IndexKind::Exact {
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
    /// gone; or there is no graph yet, and there should be one.
    pub fn wants_rebuilding(&self) -> bool {
        let base = self.parts.first().map_or(0, |base| base.owners.len());
        let beside: usize = self.parts.iter().skip(1).map(|part| part.owners.len()).sum();
        self.unwiped || beside.max(self.hidden.len()) > LOOSE.max(base / 4) || self.lacks_graph(base)
    }

    fn lacks_graph(&self, base: usize) -> bool {
        let wanted = self.graph == Graph::Welcome && base > 0 && self.wanted(base) == IndexKind::Hnsw;
        wanted && self.index() == IndexKind::Exact
    }

    /// The index for a base of so many rows.
    fn wanted(&self, rows: usize) -> IndexKind {
        if self.graph == Graph::Distrusted { IndexKind::Exact } else { kind_for(self.choice, rows) }
    }

    /// Rows that a base of all would have.
    fn held_rows(&self) -> usize {
        let all: usize = self.parts.iter().map(|part| part.owners.len()).sum();
        all.saturating_sub(self.hidden.len())
    }

    /// The same content with one base that holds all of it. For an approximate index this takes as long as building one:
    /// do it beside, and give the result to [`GallerySnapshot::onto`]. One that does not find all that was put into it is refused:
    /// exact search takes its place, and the warning says so.
    ///
    /// # Errors
    /// `Data`, when it cannot be built.
    pub fn rebuilt(&self) -> Result<(Self, Option<Warning>)> {
        let joined = Part::join(IndexKind::Exact, self.model, &self.parts, &self.hidden)?;
        let (base, warning) = match self.wanted(joined.owners.len()) {
            IndexKind::Exact => (joined, None),
            graph => joined.with_index(graph),
        };
        let graph = match (self.graph, &warning) {
            (Graph::Distrusted, _) => Graph::Distrusted,
            (_, Some(_)) => Graph::Refused,
            (_, None) => Graph::Welcome,
        };
        let rebuilt = self.shared_with(vec![Arc::new(base)], Arc::default());
        let built_for = self.parts.first().map(Arc::downgrade).unwrap_or_default();
        Ok((Self { unwiped: false, built_for, graph, ..rebuilt }, warning))
    }

    /// This snapshot without the graph that `audited` answered from; as it is, if it stands on another base by now. No graph is
    /// built any more until the gallery is opened again.
    pub fn distrusting(&self, audited: &Self) -> Option<Self> {
        let (base, theirs) = (self.parts.first()?, audited.parts.first()?);
        if !Arc::ptr_eq(base, theirs) || self.index() == IndexKind::Exact {
            return None;
        }
        let exact = Part {
            index: Box::new(Exact::new(base.rows.clone())),
            rows: base.rows.clone(),
            owners: base.owners.clone(),
        };
        let parts = std::iter::once(Arc::new(exact)).chain(self.parts.iter().skip(1).cloned()).collect();
        Some(Self { graph: Graph::Distrusted, ..self.shared_with(parts, self.hidden.clone()) })
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
        Ok(Self { unwiped, graph: rebuilt.graph, ..self.shared_with(parts, Arc::new(hidden)) })
    }

    pub(super) fn shared_with(&self, parts: Vec<Arc<Part>>, hidden: Arc<HashSet<Owner>>) -> Self {
        Self {
            generation: self.generation,
            model: self.model,
            choice: self.choice,
            graph: self.graph,
            people: self.people.clone(),
            parts,
            hidden,
            unwiped: self.unwiped,
            built_for: Weak::new(),
            templates: OnceLock::new(),
        }
    }
}
