//! Out of a bundle.

use std::collections::HashMap;

use zeroize::Zeroizing;

use super::super::change::{ChangeSet, CropChange, IdentityChange, ListChange, NewTemplate, TemplateChange};
use super::super::edit::{with_changes, with_external_tag, with_times};
use super::super::held::Held;
use super::super::steps::{self, Steps};
use super::super::{Keeper, lists};
use super::here::Present;
use crate::bail;
use crate::base::error::{Error, Result};
use crate::base::faults;
use crate::gallery::audit::{Action, Draft, SealedPart};
use crate::gallery::bundle::{
    self, BundledCrop, MediaType, Opened, Plan, Planned, PlannedTemplate, PublicKey, What,
};
use crate::gallery::command::{Actor, Progress, SecretText};
use crate::gallery::crypt::Key;
use crate::gallery::enrol::Chip;
use crate::gallery::life::standing_after_change;
use crate::gallery::report::Imported;
use crate::gallery::store::{Forgotten, StoredIdentity, StoredSigner, Tables};

/// Takes a bundle in, as one change, or says what that would be. It is decrypted and checked beside the others, and so are its
/// crops; what it means here is worked out and written at once.
pub(in crate::gallery::keeper) fn import(
    held: &mut impl Held,
    actor: &Actor,
    bundle: &[u8],
    identity: Option<&SecretText>,
    (dry_run, force): (bool, bool),
    progress: &mut dyn FnMut(Progress),
) -> Result<Imported> {
    let (signers, crops) = held.with(|keeper| {
        let signers = keeper.signers()?;
        Ok::<_, Error>((signers, keeper.keeps_crops && !dry_run))
    })?;
    let label = |key: &PublicKey| known(&signers, key).map(|signer| signer.label.clone());
    steps::tell(progress, "opening the bundle");
    let opened = bundle::receive(bundle, identity, &label)?;
    let decoded = if crops { Decoded::of(&opened, progress) } else { Decoded::default() };
    held.with(|keeper| keeper.import(actor, &opened, &decoded, dry_run, force, progress))
}

/// Crops of a bundle that can be decoded, as they are kept, by where the bundle holds them.
#[derive(Default)]
struct Decoded(HashMap<*const u8, Zeroizing<Vec<u8>>>);

impl Decoded {
    fn of(opened: &Opened, progress: &mut dyn FnMut(Progress)) -> Self {
        let all = || opened.content.identities.iter().flat_map(|identity| &identity.crops);
        let mut steps = Steps::begin(progress, "looking at crops", all().count());
        let mut decoded = HashMap::new();
        for crop in all() {
            if crop.media_type == MediaType::Crop
                && let Ok(bytes) = kept(crop)
            {
                decoded.insert(crop.bytes.as_ptr(), bytes);
            }
            steps.step();
        }
        Self(decoded)
    }

    /// One that could not be decoded is tried again, and says why.
    fn get(&self, crop: &BundledCrop) -> Result<Zeroizing<Vec<u8>>> {
        self.0.get(&crop.bytes.as_ptr()).map_or_else(|| kept(crop), |bytes| Ok(bytes.clone()))
    }
}

/// What is kept can be decoded: a model switch counts on it.
fn kept(crop: &BundledCrop) -> Result<Zeroizing<Vec<u8>>> {
    Chip::from_bytes(&crop.bytes)?.to_bytes()
}

impl Keeper {
    fn import(
        &mut self,
        actor: &Actor,
        opened: &Opened,
        decoded: &Decoded,
        dry_run: bool,
        force: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Imported> {
        let signers = self.signers()?;
        let forgotten = self.forgotten()?;
        let plan = self.store.read(|tables| {
            let here = Present::of(self, tables, &signers, &forgotten)?;
            bundle::plan(opened, &here, force)
        })?;
        if known(&signers, &plan.signer).is_none() {
            bail!(Permission, "the signer of the bundle, {:?}, is not trusted any more", plan.label);
        }
        let report = plan.report(dry_run);
        if dry_run {
            return Ok(report);
        }
        let mut change = self.change_of(&plan, &report, decoded, progress)?;
        if let Some(signer) = known(&signers, &plan.signer) {
            let generation = Some(plan.generation);
            change.signers.push(StoredSigner { generation, ..signer.clone() });
        }
        faults::point("import.planned");
        steps::tell(progress, "storing");
        self.commit(actor, change)?;
        Ok(report)
    }

    /// Everybody who was forgotten, by the store and by the list beside it.
    pub(in crate::gallery) fn forgotten(&self) -> Result<Vec<Forgotten>> {
        let mut all = self.store.read(|tables| tables.forgotten())?;
        all.extend(self.tombstones.read()?);
        Ok(all)
    }

    fn change_of(
        &self,
        plan: &Plan<'_>,
        report: &Imported,
        decoded: &Decoded,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ChangeSet> {
        let mut change = ChangeSet::default();
        change.say(
            Draft::new(Action::Imported)
                .with("signer", plan.label)
                .with("key", plan.signer.to_string())
                .with("generation", plan.generation)
                .with("added", report.added)
                .with("merged", report.merged)
                .with("unchanged", report.unchanged)
                .with("templates", report.templates)
                .with("forgotten", report.forgotten),
        );
        for &list in &plan.lists {
            change.say(lists::set_draft(list, None).with("from", plan.label));
            change.lists.push(ListChange::Put(list.clone()));
        }
        let mut steps = Steps::begin(progress, "taking identities in", plan.identities.len());
        self.store.read(|tables| {
            for planned in &plan.identities {
                if matches!(planned.what, What::Added | What::Merged) {
                    self.take(tables, planned, plan.label, decoded, &mut change)?;
                }
                steps.step();
            }
            Ok(())
        })?;
        Ok(change)
    }

    /// What one identity gets.
    fn take(
        &self,
        tables: &Tables<'_>,
        planned: &Planned<'_>,
        label: &str,
        decoded: &Decoded,
        change: &mut ChangeSet,
    ) -> Result<()> {
        let (identity, draft) = match planned.what {
            What::Added => self.added(planned, change)?,
            _ => self.merged(planned, change)?,
        };
        let draft = draft
            .member(&identity.record.lists, identity.standing)
            .with("from", label)
            .with("templates", planned.templates.len());
        change.say_of(&identity, draft);
        let mut templates = planned.templates.iter();
        templates.try_for_each(|template| add_template(tables, &identity, template, decoded, change))
    }

    fn added(&self, planned: &Planned<'_>, change: &mut ChangeSet) -> Result<(StoredIdentity, Draft)> {
        let identity = StoredIdentity {
            id: planned.target,
            record: planned.record.clone(),
            standing: planned.record.standing_at(self.clock.now().wall),
            created: planned.created,
            revision: 1,
            key: Key::generate()?,
            older: Vec::new(),
        };
        change.identities.push(IdentityChange::Add(identity.clone()));
        let draft = Draft::new(Action::Enrolled).about(identity.id, SealedPart::of(&identity.record));
        let draft = with_times(draft, &identity.record);
        Ok((identity, draft))
    }

    fn merged(&self, planned: &Planned<'_>, change: &mut ChangeSet) -> Result<(StoredIdentity, Draft)> {
        let before = &self.directory.expect(planned.target)?.identity;
        if !planned.record_changed {
            let draft = Draft::new(Action::TemplateAdded).about(before.id, SealedPart::of(&before.record));
            return Ok((before.clone(), draft));
        }
        let record = planned.record.clone();
        record.check()?;
        let now = self.clock.now().wall;
        let identity = StoredIdentity {
            standing: standing_after_change(&before.record, before.standing, &record, now),
            revision: before.revision + 1,
            record,
            ..before.clone()
        };
        let named = SealedPart::of(&identity.record).with("before", before.record.name.as_str());
        let draft = Draft::new(Action::Changed).about(identity.id, named).with("revision", identity.revision);
        let draft = with_changes(draft, &before.record, &identity.record);
        let draft = with_external_tag(draft, self.left_behind(&before.record, Some(&identity.record))?);
        change.identities.push(IdentityChange::Put(identity.clone()));
        Ok((identity, draft))
    }
}

fn add_template(
    tables: &Tables<'_>,
    identity: &StoredIdentity,
    planned: &PlannedTemplate<'_>,
    decoded: &Decoded,
    change: &mut ChangeSet,
) -> Result<()> {
    let theirs = planned.theirs;
    if let Some(crop) = planned.crop.filter(|crop| crop.media_type == MediaType::Crop) {
        let bytes = decoded.get(crop)?;
        let tag = tables.source_tag(&crop.source);
        change.crops.push(CropChange::Put { identity: identity.id, tag, bytes });
    }
    let template = NewTemplate {
        id: theirs.id,
        embedding: theirs.embedding.clone(),
        quality: theirs.quality,
        source: planned.source.clone(),
        created: theirs.created,
    };
    change.templates.push(TemplateChange::Add { identity: identity.id, template });
    Ok(())
}

fn known<'a>(signers: &'a [StoredSigner], key: &PublicKey) -> Option<&'a StoredSigner> {
    signers.iter().find(|signer| signer.key == *key.as_bytes())
}
