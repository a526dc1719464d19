//! What an import would do, worked out before anything is changed.
//!
//! ```text
//!  each identity of the bundle: forgotten here? ─yes─▶ skipped
//!     │ no
//!     ▼
//!  here by external id, else by id ─yes─▶ merged into that one, or unchanged
//!     │ no                                (the two name different identities: a conflict, and nothing is imported)
//!     ▼
//!  all of its templates here, at others? ─yes─▶ unchanged: it was merged into them here
//!     │ no                                        (pictures of somebody forgotten here: skipped, and with all of them the identity)
//!     ▼
//!  added, with the id it has everywhere
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::content::{BundledCrop, BundledIdentity, BundledTemplate, Header, ModelContract, Opened};
use super::keys::PublicKey;
use super::merge::merged;
use crate::base::error::Result;
use crate::gallery::command::{Source, SourceKind};
use crate::gallery::list::List;
use crate::gallery::record::{ExternalId, ListName, Record};
use crate::gallery::report::{ImportChange, Imported};
use crate::types::ids::{IdentityId, ModelId, TemplateId};
use crate::{bail, err};

/// Most conflicts that an error names.
const SHOWN: usize = 20;

/// What has to be known of the gallery that a bundle is imported into.
pub trait Here {
    /// The record of the identity with that id, if it is here.
    ///
    /// # Errors
    /// All of these: when the store cannot be read.
    fn record(&self, id: IdentityId) -> Result<Option<Record>>;
    /// Who has that external id here.
    fn owner_of(&self, external_id: &ExternalId) -> Result<Option<IdentityId>>;
    /// True if a template of that id is here, whoever's it is.
    fn holds_template(&self, id: TemplateId) -> Result<bool>;
    /// True if the identity has a template of that model from that source (SHA-256, hexadecimal).
    fn holds_source(&self, identity: IdentityId, model: ModelId, sha256: &str) -> Result<bool>;
    /// True if an identity with that id or that external id was forgotten here.
    fn is_forgotten(&self, id: IdentityId, external_id: Option<&ExternalId>) -> Result<bool>;
    /// True if the template was a picture of somebody who was forgotten here, whoever's it is in the bundle.
    fn is_forgotten_template(&self, id: TemplateId) -> Result<bool>;
    /// Generation of the last bundle imported from that signer.
    fn last_generation(&self, signer: &PublicKey) -> Result<Option<u64>>;
    /// The models whose templates are used here.
    fn models(&self) -> Result<Vec<ModelContract>>;
    /// True if there is such a list.
    fn has_list(&self, name: &ListName) -> Result<bool>;
    /// True if enrolment crops are kept.
    fn keeps_crops(&self) -> bool;
}

/// What an import does. The vectors and crops stay in the bundle it was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<'a> {
    /// Who signed the bundle.
    pub signer: PublicKey,
    /// What the signer is called here.
    pub label: &'a str,
    /// The sender's generation: the signer's last one, once this is imported.
    pub generation: u64,
    /// Lists that are new here and that somebody comes onto. A list that is here keeps its settings.
    pub lists: Vec<&'a List>,
    /// What each identity of the bundle gets, in the bundle's order.
    pub identities: Vec<Planned<'a>>,
}

/// What one identity gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned<'a> {
    /// The identity as it is in the bundle.
    pub theirs: &'a BundledIdentity,
    /// What happens to it.
    pub what: What,
    /// The identity here: another one than in the bundle, if they have the external id in common.
    pub target: IdentityId,
    /// Its record afterwards.
    pub record: Record,
    /// True if that differs from the record that is here, or none is.
    pub record_changed: bool,
    /// When it was enrolled: the bundle's time, for an identity that is added.
    pub created: Timestamp,
    /// Templates to store.
    pub templates: Vec<PlannedTemplate<'a>>,
}

/// A template to store.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedTemplate<'a> {
    /// The template as it is in the bundle.
    pub theirs: &'a BundledTemplate,
    /// Where it comes from, seen from here: an import, named after the signer; the hash stays the picture's.
    pub source: Source,
    /// The crop of that source, if crops are kept here and no template before this one brings it. It may be here already, for a
    /// template of another model.
    pub crop: Option<&'a BundledCrop>,
}

/// What happens to an identity of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// It is new here.
    Added,
    /// It is here, and gets something new.
    Merged,
    /// It is here, with all of this.
    Unchanged,
    /// It was forgotten here, or all that it has are pictures of somebody who was; and stays so.
    Forgotten,
}

impl What {
    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            What::Added => "added",
            What::Merged => "merged",
            What::Unchanged => "unchanged",
            What::Forgotten => "forgotten",
        }
    }
}

impl Plan<'_> {
    /// How many identities this happens to.
    pub fn count(&self, what: What) -> u64 {
        self.identities.iter().filter(|planned| planned.what == what).count() as u64
    }

    /// The plan for the operator.
    pub fn report(&self, dry_run: bool) -> Imported {
        let change = |planned: &Planned<'_>| ImportChange {
            name: planned.theirs.record.name.to_string(),
            external_id: planned.theirs.record.external_id.as_ref().map(ToString::to_string),
            what: planned.what.as_str().to_owned(),
            templates: planned.templates.len() as u64,
        };
        Imported {
            dry_run,
            signer: self.label.to_owned(),
            generation: self.generation,
            added: self.count(What::Added),
            merged: self.count(What::Merged),
            unchanged: self.count(What::Unchanged),
            templates: self.identities.iter().map(|planned| planned.templates.len() as u64).sum(),
            forgotten: self.count(What::Forgotten),
            lists: self.lists.iter().map(|list| list.name.to_string()).collect(),
            changes: self.identities.iter().map(change).collect(),
        }
    }
}

/// Works out what importing the bundle does here. `force`: even if it is older than the last one from its signer.
///
/// # Errors
/// `Data`: templates of a model that is not used here; older than the last bundle from that signer; identities that contradict
/// those here, all of them named. And what `here` gives.
pub fn plan<'a>(opened: &'a Opened, here: &dyn Here, force: bool) -> Result<Plan<'a>> {
    let content = &opened.content;
    if !force {
        not_older(opened, here)?;
    }
    models_known(opened, here)?;
    let mut planner = Planner { opened, here, targets: HashMap::new(), conflicts: Vec::new() };
    let identities = content.identities.iter().map(|identity| planner.identity(identity));
    let identities = identities.collect::<Result<Vec<_>>>()?;
    planner.no_conflicts()?;
    let lists = new_lists(&content.lists, &identities, here)?;
    Ok(Plan {
        signer: opened.signer,
        label: &opened.label,
        generation: content.header.generation,
        lists,
        identities,
    })
}

fn not_older(opened: &Opened, here: &dyn Here) -> Result<()> {
    let Header { generation, origin, .. } = &opened.content.header;
    match here.last_generation(&opened.signer)? {
        Some(last) if *generation < last => bail!(
            Data,
            "the bundle is of generation {generation} of {origin:?}; generation {last} of {:?} was imported before: export again there, or \
             import it with --force if the sender went back to a backup",
            opened.label
        ),
        _ => Ok(()),
    }
}

/// Refuses the bundle if a template in it was made by a model that is not used here, or that is said to be another.
fn models_known(opened: &Opened, here: &dyn Here) -> Result<()> {
    let known: BTreeMap<ModelId, ModelContract> =
        here.models()?.into_iter().map(|model| (model.id, model)).collect();
    let templates = opened.content.identities.iter().flat_map(|identity| &identity.templates);
    let used: BTreeSet<ModelId> = templates.map(|template| template.embedding.model()).collect();
    for model in opened.content.header.models.iter().filter(|model| used.contains(&model.id)) {
        match known.get(&model.id) {
            Some(same) if same.dimension == model.dimension => {}
            Some(same) => bail!(
                Data,
                "model {} has {} dimensions in the bundle and {} here: one of the two manifests is wrong",
                named(model),
                model.dimension,
                same.dimension
            ),
            None => return Err(another_model(model, known.values())),
        }
    }
    Ok(())
}

fn another_model<'a>(
    theirs: &ModelContract,
    known: impl Iterator<Item = &'a ModelContract>,
) -> crate::base::error::Error {
    let known: Vec<String> = known.map(named).collect();
    let known = if known.is_empty() { "no model at all".to_owned() } else { known.join(", ") };
    err!(
        Data,
        "the bundle has another model's templates: made by {}, while this gallery uses {known}. Templates compare only within \
         one model: use the same model on both boxes (`watchlistd models switch`), or export again from a box that uses this one's",
        named(theirs)
    )
}

fn named(model: &ModelContract) -> String {
    format!("{:?} ({})", model.name, model.id)
}

fn new_lists<'a>(lists: &'a [List], identities: &[Planned<'_>], here: &dyn Here) -> Result<Vec<&'a List>> {
    let changed = identities.iter().filter(|planned| planned.record_changed);
    let used: BTreeSet<&ListName> = changed.flat_map(|planned| &planned.theirs.record.lists).collect();
    let mut new = Vec::new();
    for list in lists.iter().filter(|list| used.contains(&list.name)) {
        if !here.has_list(&list.name)? {
            new.push(list);
        }
    }
    Ok(new)
}

/// Goes through a bundle's identities.
struct Planner<'a, 'h> {
    opened: &'a Opened,
    here: &'h dyn Here,
    /// Which identity of the bundle goes into which one here.
    targets: HashMap<IdentityId, IdentityId>,
    conflicts: Vec<String>,
}

impl<'a> Planner<'a, '_> {
    fn identity(&mut self, theirs: &'a BundledIdentity) -> Result<Planned<'a>> {
        if self.here.is_forgotten(theirs.id, theirs.record.external_id.as_ref())? {
            return Ok(untouched(theirs, What::Forgotten));
        }
        let target = self.target(theirs)?;
        let templates = self.templates(theirs, target.unwrap_or(theirs.id))?;
        let Some(target) = target else {
            if templates.is_empty() && !theirs.templates.is_empty() {
                let gone = |template: &BundledTemplate| self.here.is_forgotten_template(template.id);
                let gone = theirs.templates.iter().map(gone).collect::<Result<Vec<bool>>>()?;
                let what = if gone.contains(&true) { What::Forgotten } else { What::Unchanged };
                return Ok(untouched(theirs, what));
            }
            return Ok(Planned { templates, record_changed: true, ..untouched(theirs, What::Added) });
        };
        let here = self.here.record(target)?;
        let here =
            here.ok_or_else(|| err!(Software, "identity {target} has an external id, and no record"))?;
        let record = merged(&here, &theirs.record);
        let record_changed = record != here;
        let nothing_new = templates.is_empty() && !record_changed;
        let what = if nothing_new { What::Unchanged } else { What::Merged };
        Ok(Planned { target, record, record_changed, templates, ..untouched(theirs, what) })
    }

    /// The identity here that is this one: by external id, else by id.
    fn target(&mut self, theirs: &BundledIdentity) -> Result<Option<IdentityId>> {
        let by_external_id = match &theirs.record.external_id {
            Some(external_id) => self.here.owner_of(external_id)?,
            None => None,
        };
        let by_id = self.here.record(theirs.id)?.map(|_| theirs.id);
        if let (Some(owner), Some(same)) = (by_external_id, by_id)
            && owner != same
        {
            self.conflicts.push(format!("{same} is here, and so is its external id, but as that of {owner}"));
        }
        let target = by_external_id.or(by_id);
        if let Some(other) = self.targets.insert(target.unwrap_or(theirs.id), theirs.id) {
            let into = target.unwrap_or(theirs.id);
            self.conflicts
                .push(format!("{other} and {} are two in the bundle and one here, {into}", theirs.id));
        }
        Ok(target)
    }

    /// Those of its templates that are not here yet, by their id or by their source, and are of nobody who was forgotten.
    fn templates(&self, theirs: &'a BundledIdentity, target: IdentityId) -> Result<Vec<PlannedTemplate<'a>>> {
        let mut sources = HashSet::new();
        let mut cropped = HashSet::new();
        let crops: HashMap<&str, &BundledCrop> =
            theirs.crops.iter().map(|crop| (crop.source.as_str(), crop)).collect();
        let mut planned = Vec::new();
        for template in &theirs.templates {
            let (model, sha256) = (template.embedding.model(), template.source.sha256.as_str());
            let is_here =
                self.here.holds_template(template.id)? || self.here.holds_source(target, model, sha256)?;
            let skipped = is_here || self.here.is_forgotten_template(template.id)?;
            if skipped || !sources.insert((model, sha256)) {
                continue;
            }
            let wanted = self.here.keeps_crops() && cropped.insert(sha256);
            let crop = crops.get(sha256).copied().filter(|_| wanted);
            planned.push(PlannedTemplate { theirs: template, source: self.source(sha256), crop });
        }
        Ok(planned)
    }

    fn source(&self, sha256: &str) -> Source {
        Source { kind: SourceKind::Import, name: self.opened.label.clone(), sha256: sha256.to_owned() }
    }

    fn no_conflicts(&self) -> Result<()> {
        let count = self.conflicts.len();
        if count == 0 {
            return Ok(());
        }
        let mut shown = self.conflicts.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
        if count > SHOWN {
            shown.push_str(&format!("; and {} more", count - SHOWN));
        }
        bail!(
            Data,
            "{count} of the bundle's identities contradict those here, and nothing was imported: {shown}. Say who is who with \
             `watchlistd gallery merge`, here or at the sender, then import again"
        )
    }
}

fn untouched(theirs: &BundledIdentity, what: What) -> Planned<'_> {
    Planned {
        theirs,
        what,
        target: theirs.id,
        record: theirs.record.clone(),
        record_changed: false,
        created: theirs.created,
        templates: Vec::new(),
    }
}
