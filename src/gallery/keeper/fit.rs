//! Templates have as many numbers as their model gives.

use super::change::{ChangeSet, TemplateChange};
use super::{Keeper, Model};
use crate::bail;
use crate::base::error::Result;
use crate::types::embedding::Embedding;

impl Model {
    /// False for an embedding that says it is this model's and has another number of numbers.
    pub(super) fn fits(&self, embedding: &Embedding) -> bool {
        embedding.model() != self.id || embedding.dimension() == self.dimension
    }

    /// It fits.
    ///
    /// # Errors
    /// `Data`, with both numbers.
    pub(super) fn expect_fit(&self, embedding: &Embedding) -> Result<()> {
        if !self.fits(embedding) {
            bail!(
                Data,
                "a template of {} numbers: model {} ({}) gives {}",
                embedding.dimension(),
                self.id,
                self.name,
                self.dimension
            );
        }
        Ok(())
    }
}

impl Keeper {
    /// Every template that comes in fits, whichever way it comes.
    ///
    /// # Errors
    /// As [`Model::expect_fit`].
    pub(super) fn expect_all_fit(&self, change: &ChangeSet) -> Result<()> {
        let next = change.searched.as_ref().map(|searched| &searched.model);
        for template in &change.templates {
            let TemplateChange::Add { template, .. } = template else { continue };
            std::iter::once(&self.model)
                .chain(next)
                .try_for_each(|model| model.expect_fit(&template.embedding))?;
        }
        Ok(())
    }
}
