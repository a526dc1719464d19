//! A change of the gallery, worked out before anything is written: what the store, the directory and the snapshot become.

use std::sync::Arc;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::Model;
use crate::gallery::audit::Draft;
use crate::gallery::command::Source;
use crate::gallery::crypt::Key;
use crate::gallery::list::List;
use crate::gallery::record::ListName;
use crate::gallery::snapshot::{GallerySnapshot, Warning};
use crate::gallery::store::{Forgotten, StoredIdentity, StoredSigner, StoredTemplate, TemplateRow};
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, TemplateId};

/// One change: all of it happens, or nothing.
#[derive(Default)]
pub(in crate::gallery) struct ChangeSet {
    pub(in crate::gallery) identities: Vec<IdentityChange>,
    pub(in crate::gallery) templates: Vec<TemplateChange>,
    pub(in crate::gallery) crops: Vec<CropChange>,
    pub(in crate::gallery) lists: Vec<ListChange>,
    pub(in crate::gallery) forgotten: Vec<Forgotten>,
    /// Signers as they are from now on.
    pub(in crate::gallery) signers: Vec<StoredSigner>,
    pub(in crate::gallery) settings: Vec<(&'static str, Option<String>)>,
    /// Another model whose templates are searched from now on.
    pub(in crate::gallery) searched: Option<Searched>,
    /// Entries of the audit log, each with the key that seals its name.
    pub(in crate::gallery) entries: Vec<(Draft, Option<Key>)>,
    /// True if the write-ahead log must be emptied after it, because something was destroyed.
    pub(in crate::gallery) wipe: bool,
}

/// Another model, and its snapshot of the gallery after the change: of the next generation.
pub(in crate::gallery) struct Searched {
    pub(in crate::gallery) model: Model,
    pub(in crate::gallery) snapshot: Arc<GallerySnapshot>,
    pub(in crate::gallery) warnings: Vec<Warning>,
}

/// An identity that comes, changes or goes.
pub(in crate::gallery) enum IdentityChange {
    /// Somebody new.
    Add(StoredIdentity),
    /// Another record, standing or key.
    Put(StoredIdentity),
    /// Gone, with its key and everything of it.
    Remove(IdentityId),
}

/// A template that comes, goes or moves.
pub(in crate::gallery) enum TemplateChange {
    Add {
        identity: IdentityId,
        template: NewTemplate,
    },
    Remove(TemplateRow),
    /// To another identity, whose key seals it.
    Move {
        template: StoredTemplate,
        to: IdentityId,
    },
}

/// A template to store.
pub(in crate::gallery) struct NewTemplate {
    pub(in crate::gallery) id: TemplateId,
    pub(in crate::gallery) embedding: Embedding,
    pub(in crate::gallery) quality: f32,
    pub(in crate::gallery) source: Source,
    pub(in crate::gallery) created: Timestamp,
}

/// A crop that comes or goes.
pub(in crate::gallery) enum CropChange {
    Put { identity: IdentityId, tag: [u8; 32], bytes: Zeroizing<Vec<u8>> },
    Remove { identity: IdentityId, tag: [u8; 32] },
}

/// A list that is made, changed or removed.
pub(in crate::gallery) enum ListChange {
    Put(List),
    Remove(ListName),
}

impl ChangeSet {
    /// With an entry of the audit log that names nobody.
    pub(in crate::gallery) fn say(&mut self, draft: Draft) {
        self.entries.push((draft, None));
    }

    /// With an entry whose name is sealed under the identity's key.
    pub(in crate::gallery) fn say_of(&mut self, identity: &StoredIdentity, draft: Draft) {
        self.entries.push((draft, Some(identity.key.clone())));
    }

    /// True if who is searched for, or how, becomes another.
    pub(super) fn changes_content(&self) -> bool {
        !(self.identities.is_empty()
            && self.templates.is_empty()
            && self.crops.is_empty()
            && self.lists.is_empty()
            && self.forgotten.is_empty()
            && self.searched.is_none())
    }
}
