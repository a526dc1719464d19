//! Identities that go to another box, or come from one.
//!
//! ```text
//!  directory, store ─▶ Content ─▶ bundle::write, encrypt ─▶ a file ─▶ bundle::receive ─▶ plan beside what is here ─▶ ChangeSet
//!        export                                           another box     trusted signers        import              one commit
//! ```

mod export;
mod here;
mod import;
mod trust;

pub(super) use export::export;
pub(super) use import::import;

use super::Keeper;
use crate::bail;
use crate::base::error::Result;
use crate::gallery::bundle::ModelContract;

impl Keeper {
    /// The model whose templates go out and are taken in.
    ///
    /// # Errors
    /// `Unavailable`, in a gallery that was never used with one.
    fn contract(&self) -> Result<ModelContract> {
        let model = &self.model;
        if model.name.is_empty() {
            bail!(
                Unavailable,
                "this gallery was never used with a model, so nothing says which templates are its own: start the daemon once \
                 (watchlistd run), then try again"
            );
        }
        Ok(ModelContract {
            id: model.id,
            name: model.name.clone(),
            dimension: model.dimension,
            threshold: model.threshold,
        })
    }
}
