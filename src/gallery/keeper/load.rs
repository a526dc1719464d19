//! Reading the gallery: everybody, and the templates that are searched.
//!
//! ```text
//!  templates of the model, read once ─┬─ what stands beside ─▶ directory ◀─ identities, lists, templates of other models, crops
//!                                     └─ vectors ────────────▶ Gathered ──built──▶ snapshot
//! ```

use std::collections::{BTreeMap, HashMap};

use super::Directory;
use super::open::Model;
use crate::base::error::Result;
use crate::gallery::snapshot::{self, GallerySnapshot, Person, Warning};
use crate::gallery::store::{Tables, TemplateRow};
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, ModelId, TemplateId};
use crate::types::matching::IndexChoice;

/// A template as a snapshot takes it.
pub(in crate::gallery) type Fresh = (IdentityId, TemplateId, Embedding);

/// What a snapshot is built from. Building one may take minutes, and needs nothing but this.
pub(in crate::gallery) struct Gathered {
    model: snapshot::Model,
    choice: IndexChoice,
    generation: u64,
    people: HashMap<IdentityId, Person>,
    templates: Vec<Fresh>,
    /// Those that were left out.
    unfit: Vec<Warning>,
    /// How many templates there are of other models.
    others: BTreeMap<ModelId, u64>,
}

/// Reads the model's templates. With `fresh` ones, which are not stored yet: as it will be after the change that stores them.
///
/// # Errors
/// `Data`, naming the first template that does not open.
pub(in crate::gallery) fn gather(
    tables: &Tables<'_>,
    directory: &Directory,
    model: &Model,
    choice: IndexChoice,
    fresh: Option<Vec<Fresh>>,
) -> Result<Gathered> {
    let Vectors { mut templates, unfit } = vectors(tables, directory, model, &mut drop)?;
    keep_wanted(&mut templates, directory);
    let generation = tables.generation()? + u64::from(fresh.is_some());
    templates.extend(fresh.into_iter().flatten());
    let read = Vectors { templates, unfit };
    Ok(assemble(directory, model, choice, generation, read))
}

/// What is searched.
struct Vectors {
    templates: Vec<Fresh>,
    /// Those that were left out.
    unfit: Vec<Warning>,
}

/// Reads the model's templates; what stands beside each goes to `beside`.
fn vectors(
    tables: &Tables<'_>,
    directory: &Directory,
    model: &Model,
    beside: &mut dyn FnMut(TemplateRow),
) -> Result<Vectors> {
    let mut read = Vectors { templates: Vec::new(), unfit: Vec::new() };
    let key_of = |id| directory.get(id).map(|entry| entry.identity.key.clone());
    tables.each_vector(model.id, &key_of, |template| {
        let (row, embedding) = template?;
        let (identity, id) = (row.identity, row.id);
        if model.fits(&embedding) {
            read.templates.push((identity, id, embedding));
        } else {
            // One row that should not be there keeps nobody else from being found.
            let (dimension, expected) = (embedding.dimension(), model.dimension);
            read.unfit.push(Warning::Unfit { identity, template: id, dimension, expected });
        }
        beside(row);
        Ok(())
    })?;
    Ok(read)
}

/// A directory of less than is stored is one of what may be searched for.
fn keep_wanted(templates: &mut Vec<Fresh>, directory: &Directory) {
    let wanted = |(identity, id, _): &Fresh| {
        directory.get(*identity).is_some_and(|entry| entry.templates.iter().any(|row| row.id == *id))
    };
    templates.retain(wanted);
}

/// Everybody, and what is searched, as of one moment. The templates are read once for both.
pub(in crate::gallery) struct Everything {
    pub(in crate::gallery) directory: Directory,
    generation: u64,
    vectors: Vectors,
}

impl Everything {
    /// Reads it.
    ///
    /// # Errors
    /// `Data`, naming the first row that does not open.
    pub(in crate::gallery) fn read(tables: &Tables<'_>, model: &Model) -> Result<Self> {
        let mut directory = Directory::without_pictures(tables)?;
        let mut rows = Vec::new();
        let vectors = vectors(tables, &directory, model, &mut |row| rows.push(row))?;
        rows.extend(tables.template_rows_of_others(model.id)?);
        rows.sort_unstable_by_key(|row| (row.identity, row.id));
        directory.put_pictures(rows, tables.crop_rows()?)?;
        Ok(Self { directory, generation: tables.generation()?, vectors })
    }

    /// The directory, and what a snapshot of the people in it is built from.
    pub(in crate::gallery) fn gathered(self, model: &Model, choice: IndexChoice) -> (Directory, Gathered) {
        let Self { directory, generation, mut vectors } = self;
        keep_wanted(&mut vectors.templates, &directory);
        let gathered = assemble(&directory, model, choice, generation, vectors);
        (directory, gathered)
    }
}

fn assemble(
    directory: &Directory,
    model: &Model,
    choice: IndexChoice,
    generation: u64,
    read: Vectors,
) -> Gathered {
    let people: HashMap<IdentityId, Person> =
        directory.iter().filter_map(|e| Some((e.identity.id, directory.person(e.identity.id)?))).collect();
    let mut others: BTreeMap<ModelId, u64> = BTreeMap::new();
    for row in directory.iter().flat_map(|entry| &entry.templates).filter(|row| row.model != model.id) {
        *others.entry(row.model).or_default() += 1;
    }
    let model = snapshot::Model { id: model.id, dimension: model.dimension };
    let Vectors { templates, unfit } = read;
    Gathered { model, choice, generation, people, templates, unfit, others }
}

impl Gathered {
    /// The snapshot, and what an operator should know of it.
    ///
    /// # Errors
    /// `Data`, when a template has not the model's dimension.
    pub(in crate::gallery) fn build(self) -> Result<(GallerySnapshot, Vec<Warning>)> {
        let Self { model, choice, generation, people, templates, unfit, others } = self;
        let templates = templates.into_iter().map(Ok);
        let mut warnings = unfit;
        let snapshot = GallerySnapshot::new(model, choice, generation, people, templates)?;
        // Templates of another model beside those of this one are what a model switch leaves, and no news.
        if snapshot.is_empty() {
            warnings.insert(0, Warning::Empty);
            warnings.extend(others.into_iter().map(|(other, templates)| Warning::OtherModel {
                model: other,
                templates,
                configured: model.id,
            }));
        }
        Ok((snapshot, warnings))
    }
}
