//! What is here already, for the plan of an import.

use std::collections::HashSet;

use super::super::{Directory, Keeper};
use crate::base::error::Result;
use crate::gallery::bundle::{Here, ModelContract, PublicKey};
use crate::gallery::record::{ExternalId, ListName, Record};
use crate::gallery::store::{Forgotten, StoredSigner, Tables};
use crate::types::ids::{IdentityId, ModelId, TemplateId};

/// The gallery as one plan sees it.
pub(super) struct Present<'a> {
    directory: &'a Directory,
    tables: &'a Tables<'a>,
    signers: &'a [StoredSigner],
    model: ModelContract,
    keeps_crops: bool,
    templates: HashSet<TemplateId>,
    sources: HashSet<(IdentityId, ModelId, [u8; 32])>,
    forgotten: HashSet<IdentityId>,
    forgotten_external_ids: HashSet<[u8; 32]>,
    forgotten_templates: HashSet<TemplateId>,
}

impl<'a> Present<'a> {
    pub(super) fn of(
        keeper: &'a Keeper,
        tables: &'a Tables<'a>,
        signers: &'a [StoredSigner],
        forgotten: &[Forgotten],
    ) -> Result<Self> {
        let rows = || keeper.directory.iter().flat_map(|entry| &entry.templates);
        Ok(Self {
            directory: &keeper.directory,
            tables,
            signers,
            model: keeper.contract()?,
            keeps_crops: keeper.keeps_crops,
            templates: rows().map(|row| row.id).collect(),
            sources: rows().map(|row| (row.identity, row.model, row.source_tag)).collect(),
            forgotten: forgotten.iter().map(|forgotten| forgotten.identity).collect(),
            forgotten_external_ids: forgotten.iter().filter_map(|forgotten| forgotten.external_tag).collect(),
            forgotten_templates: forgotten.iter().flat_map(|f| &f.templates).copied().collect(),
        })
    }
}

impl Here for Present<'_> {
    fn record(&self, id: IdentityId) -> Result<Option<Record>> {
        Ok(self.directory.get(id).map(|entry| entry.identity.record.clone()))
    }

    fn owner_of(&self, external_id: &ExternalId) -> Result<Option<IdentityId>> {
        Ok(self.directory.by_external_id(external_id))
    }

    fn holds_template(&self, id: TemplateId) -> Result<bool> {
        Ok(self.templates.contains(&id))
    }

    fn holds_source(&self, identity: IdentityId, model: ModelId, sha256: &str) -> Result<bool> {
        Ok(self.sources.contains(&(identity, model, self.tables.source_tag(sha256))))
    }

    /// Who was forgotten under an external id and was enrolled again here since, is here because somebody wanted it.
    fn is_forgotten(&self, id: IdentityId, external_id: Option<&ExternalId>) -> Result<bool> {
        let by_external_id =
            external_id.filter(|external| self.directory.by_external_id(external).is_none()).is_some_and(
                |external| self.forgotten_external_ids.contains(&self.tables.external_tag(external)),
            );
        Ok(by_external_id || self.forgotten.contains(&id))
    }

    fn is_forgotten_template(&self, id: TemplateId) -> Result<bool> {
        Ok(self.forgotten_templates.contains(&id))
    }

    fn last_generation(&self, signer: &PublicKey) -> Result<Option<u64>> {
        let signer = self.signers.iter().find(|known| known.key == *signer.as_bytes());
        Ok(signer.and_then(|known| known.generation))
    }

    fn models(&self) -> Result<Vec<ModelContract>> {
        Ok(vec![self.model.clone()])
    }

    fn has_list(&self, name: &ListName) -> Result<bool> {
        Ok(self.directory.lists().contains_key(name))
    }

    fn keeps_crops(&self) -> bool {
        self.keeps_crops
    }
}
