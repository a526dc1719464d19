//! Into a bundle.

use std::collections::BTreeSet;

use super::super::held::Held;
use super::super::steps::{self, Steps};
use super::super::{Entry, Keeper, json};
use crate::base::error::{Error, Result};
use crate::err;
use crate::gallery::audit::{Action, Draft};
use crate::gallery::bundle::{
    self, BundledCrop, BundledIdentity, BundledTemplate, Content, Header, MediaType, ModelContract,
    SigningKey,
};
use crate::gallery::command::{Actor, Progress, Reply, Source};
use crate::gallery::keeper::ChangeSet;
use crate::gallery::list::List;
use crate::gallery::record::ListName;
use crate::gallery::report::Exported;
use crate::gallery::store::{Store, StoredTemplate, Tables};
use crate::types::ids::ModelId;

/// Those on one of these lists, or all, as a signed bundle: the answer's body. It is read, signed and encrypted beside the
/// others, and on record before it leaves.
pub(in crate::gallery::keeper) fn export(
    held: &mut impl Held,
    actor: &Actor,
    lists: &BTreeSet<ListName>,
    recipients: &[String],
    crops: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Reply> {
    let (begun, beside) = held.with(|keeper| {
        lists.iter().try_for_each(|list| keeper.expect_list(list))?;
        Ok::<_, Error>((Begun::of(keeper, lists)?, keeper.store.beside()))
    })?;
    let content = begun.content(&beside.open()?, lists, crops, progress)?;
    steps::tell(progress, "signing");
    let mut signed = bundle::write(&content, &begun.signer)?;
    let body = match recipients {
        [] => std::mem::take(&mut *signed),
        recipients => bundle::encrypt(&signed, recipients)?,
    };
    let count = |of: fn(&BundledIdentity) -> usize| content.identities.iter().map(of).sum::<usize>() as u64;
    let report = Exported {
        identities: content.identities.len() as u64,
        templates: count(|identity| identity.templates.len()),
        generation: content.header.generation,
        signer: begun.signer.public().to_string(),
        fingerprint: begun.signer.public().fingerprint(),
        encrypted: !recipients.is_empty(),
    };
    let mut change = ChangeSet::default();
    change.say(
        Draft::new(Action::Exported)
            .with("stage", "begun")
            .with("identities", report.identities)
            .with("templates", report.templates)
            .with("crops", count(|identity| identity.crops.len()))
            .with("lists", lists.iter().map(ListName::as_str).collect::<Vec<_>>())
            .with("recipients", recipients.len()),
    );
    held.with(|keeper| {
        keeper.wipe_again();
        begun.still_holds(keeper)?;
        keeper.on_record(actor, change)
    })?;
    Ok(Reply { body, ..json(&report)? })
}

/// What is exported, as it was when the export began.
struct Begun {
    entries: Vec<Entry>,
    lists: Vec<List>,
    model: ModelContract,
    signer: SigningKey,
    created: jiff::Timestamp,
}

impl Begun {
    fn of(keeper: &Keeper, lists: &BTreeSet<ListName>) -> Result<Self> {
        let wanted = |entry: &&Entry| lists.is_empty() || !entry.identity.record.lists.is_disjoint(lists);
        Ok(Self {
            entries: keeper.directory.iter().filter(wanted).cloned().collect(),
            lists: keeper.directory.lists().values().cloned().collect(),
            model: keeper.contract()?,
            signer: SigningKey::from_seed(&keeper.store.keys().signing),
            created: keeper.clock.now().wall,
        })
    }

    fn content(
        &self,
        store: &Store,
        lists: &BTreeSet<ListName>,
        crops: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Content> {
        let mut steps = Steps::begin(progress, "opening templates", self.entries.len());
        store.read(|tables| {
            let mut identities = Vec::with_capacity(self.entries.len());
            for entry in &self.entries {
                let mut bundled = bundled(tables, entry, self.model.id, crops)?;
                if !lists.is_empty() {
                    // Whoever gets the list `staff` need not learn who is on another one.
                    bundled.record.lists = &bundled.record.lists & lists;
                }
                identities.push(bundled);
                steps.step();
            }
            let used =
                |list: &&List| identities.iter().any(|identity| identity.record.lists.contains(&list.name));
            Ok(Content {
                lists: self.lists.iter().filter(used).cloned().collect(),
                header: Header {
                    origin: origin(),
                    generation: tables.generation()?,
                    created: self.created,
                    models: vec![self.model.clone()],
                },
                identities,
            })
        })
    }

    /// Nobody leaves in a bundle who was forgotten, or changed, while it was made.
    fn still_holds(&self, keeper: &Keeper) -> Result<()> {
        let same = |then: &Entry| {
            keeper.directory.get(then.identity.id).is_some_and(|now| {
                now.identity.revision == then.identity.revision
                    && now.identity.record == then.identity.record
                    && now.identity.standing == then.identity.standing
                    && now.templates == then.templates
                    && now.crops == then.crops
            })
        };
        if self.entries.iter().all(same) {
            return Ok(());
        }
        Err(err!(
            Temporary,
            "somebody in the bundle was changed or forgotten while it was made: export again"
        ))
    }
}

/// An identity with its templates of the model in use: those of another would only make the whole bundle be refused.
fn bundled(tables: &Tables<'_>, entry: &Entry, model: ModelId, with_crops: bool) -> Result<BundledIdentity> {
    let identity = &entry.identity;
    let mut templates = Vec::new();
    let mut crops = Vec::new();
    for stored in tables.templates_of(identity.id, &identity.key)? {
        let StoredTemplate { row, source, embedding } = stored;
        if row.model != model {
            continue;
        }
        let source = Source { sha256: source.sha256.to_ascii_lowercase(), ..source };
        if with_crops
            && entry.crops.contains(&row.source_tag)
            && let Some(bytes) = tables.crop(identity.id, &identity.key, &row.source_tag)?
        {
            let media_type = MediaType::of(&bytes).unwrap_or(MediaType::Crop);
            crops.push(BundledCrop { source: source.sha256.clone(), media_type, bytes });
        }
        templates.push(BundledTemplate {
            id: row.id,
            quality: row.quality,
            source,
            created: row.created,
            embedding,
        });
    }
    Ok(BundledIdentity {
        id: identity.id,
        record: identity.record.clone(),
        created: identity.created,
        revision: identity.revision,
        standing: identity.standing,
        templates,
        crops,
    })
}

/// What this box calls itself: for people, as anybody can call a box anything.
fn origin() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(128).collect();
    if name.is_empty() { "watchlistd".to_owned() } else { name }
}
