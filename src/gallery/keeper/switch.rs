//! Making another model the gallery's, without a gap.
//!
//! ```text
//!  begin ─▶ load the other embedder ─▶ embed kept crops, some at a time ─▶ build the index, compare both models ─▶ change over
//!  (lock)   (beside)                   (crops: lock; embedding: beside)    (templates: lock; the rest: beside)    (lock)
//!                                                                                                    │
//!        one transaction: templates, model, the switch that is remembered, audit entry ◀─────────────┤
//!        the other model's snapshot is searched ◀────────────────────────────────────────────────────┤
//!        whatever embeds faces changes over (Successor::take_over) ◀─────────────────────────────────┘
//! ```
//!
//! The old templates stay, so that there is a way back; those of the model before go. Who is enrolled or forgotten meanwhile is
//! seen to under the last lock: nobody who was forgotten comes back, and nobody who came late is missed.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use zeroize::Zeroizing;

use super::change::{ChangeSet, NewTemplate, Searched, TemplateChange};
use super::held::Held;
use super::load::{Fresh, Gathered, gather};
use super::open::model_settings;
use super::{Keeper, Model, steps};
use crate::bail;
use crate::base::error::Result;
use crate::base::faults;
use crate::gallery::audit::{Action, Draft};
use crate::gallery::command::{Actor, Command, Progress, Source, SourceKind};
use crate::gallery::enrol::Chip;
use crate::gallery::record::Standing;
use crate::gallery::report::{ModelScores, Pair, Switched};
use crate::gallery::snapshot::{Delta, GallerySnapshot, Warning};
use crate::gallery::succession::{self, Embedders, Succession, Successor};
use crate::types::ids::{IdentityId, ModelId, TemplateId};

/// Crops that are in memory at a time.
const AT_A_TIME: usize = 32;

/// What a switch starts from.
struct Begun {
    embedders: Arc<dyn Embedders>,
    /// The manifest of the model to come.
    manifest: PathBuf,
    /// The model that a rollback has to come to.
    expected: Option<ModelId>,
    from: Model,
    from_manifest: Option<PathBuf>,
    old: Arc<GallerySnapshot>,
    dry_run: bool,
    force: bool,
    action: Action,
}

/// A kept crop that the new model has no template of.
struct Piece {
    identity: IdentityId,
    tag: [u8; 32],
    /// A template that was made from the same picture.
    template: TemplateId,
}

/// The crop itself, and what stands beside the template it was kept with.
struct Opened {
    bytes: Zeroizing<Vec<u8>>,
    source: Source,
    quality: f32,
    at: jiff::Timestamp,
}

/// What was embedded so far.
#[derive(Default)]
struct Made {
    templates: Vec<(IdentityId, [u8; 32], NewTemplate)>,
    tried: HashSet<(IdentityId, [u8; 32])>,
}

/// What a trial is made of.
struct Prepared {
    gathered: Gathered,
    ready: BTreeSet<IdentityId>,
    lost: Vec<(IdentityId, String)>,
}

impl Prepared {
    fn build(self) -> Result<Trial> {
        let (snapshot, warnings) = self.gathered.build()?;
        Ok(Trial { snapshot: Arc::new(snapshot), warnings, ready: self.ready, lost: self.lost })
    }
}

/// The gallery as the new model would see it.
struct Trial {
    snapshot: Arc<GallerySnapshot>,
    warnings: Vec<Warning>,
    ready: BTreeSet<IdentityId>,
    lost: Vec<(IdentityId, String)>,
}

/// Carries out `SwitchModel` or `RollbackModel`.
pub(super) fn run(
    held: &mut impl Held,
    actor: &Actor,
    command: &Command,
    progress: &mut dyn FnMut(Progress),
) -> Result<Switched> {
    let begun = held.with(|keeper| keeper.begin_switch(command))?;
    let mut next = begun.embedders.load(&begun.manifest)?;
    let to = next.model().clone();
    if to.id == begun.from.id {
        bail!(
            Usage,
            "{}: the gallery is searched with this model already ({})",
            begun.manifest.display(),
            to.name
        );
    }
    if begun.expected.is_some_and(|expected| expected != to.id) {
        bail!(
            Data,
            "{} describes model {} now, not the one before the last switch: put that manifest back, or switch to the one that is \
             meant (watchlistd models switch)",
            begun.manifest.display(),
            to.id
        );
    }
    let mut made = Made::default();
    let pieces = held.with(|keeper| keeper.lacking(to.id));
    let mut said = |done: usize| {
        progress(Progress {
            what: "embedding kept crops".to_owned(),
            done: done as u64,
            of: pieces.len() as u64,
        });
    };
    for (number, part) in pieces.chunks(AT_A_TIME).enumerate() {
        said(number * AT_A_TIME);
        let opened = held.with(|keeper| keeper.open_crops(part))?;
        made.embed(part, opened, next.as_mut())?;
    }
    said(pieces.len());
    let prepared = held.with(|keeper| keeper.gather(&to, &made))?;
    // Searches and other commands go on.
    steps::tell(progress, "building the index");
    let trial = prepared.build()?;
    let report = Switched {
        switched: false,
        from: begun.from.id,
        to: to.id,
        ready: trial.ready.len() as u64,
        lost: trial.lost.clone(),
        embedded: made.templates.len() as u64,
        scores: vec![scores(&begun.old, begun.from.threshold), scores(&trial.snapshot, to.threshold)],
    };
    if begun.dry_run || (!trial.lost.is_empty() && !begun.force) {
        return Ok(report);
    }
    faults::point("switch.embedded");
    held.with(|keeper| keeper.change_over(actor, &begun, next, made, trial, report))
}

impl Made {
    /// Embeds crops. One that gives no embedding is as good as none: its identity may be lost, and is named then.
    fn embed(
        &mut self,
        pieces: &[Piece],
        opened: Vec<Option<Opened>>,
        next: &mut dyn Successor,
    ) -> Result<()> {
        let (mut chips, mut about) = (Vec::new(), Vec::new());
        for (piece, opened) in pieces.iter().zip(opened) {
            self.tried.insert((piece.identity, piece.tag));
            let Some(opened) = opened else { continue };
            match Chip::from_bytes(&opened.bytes) {
                Ok(chip) => {
                    chips.push(chip);
                    about.push((piece, opened));
                }
                Err(error) => unusable(piece, &error),
            }
        }
        for ((piece, opened), embedding) in about.into_iter().zip(next.embed(&chips)?) {
            let embedding = match embedding {
                Ok(embedding) if embedding.model() == next.model().id => embedding,
                Ok(_) => bail!(Software, "the embedder made an embedding of another model"),
                Err(error) => {
                    unusable(piece, &error);
                    continue;
                }
            };
            let source = Source { kind: SourceKind::Crop, ..opened.source };
            let id = TemplateId::generate();
            let template = NewTemplate { id, embedding, quality: opened.quality, source, created: opened.at };
            self.templates.push((piece.identity, piece.tag, template));
        }
        Ok(())
    }
}

fn unusable(piece: &Piece, error: &crate::base::error::Error) {
    tracing::warn!(identity = %piece.identity, error = error.chain(), "a kept crop cannot be embedded");
}

impl Keeper {
    fn begin_switch(&self, command: &Command) -> Result<Begun> {
        let offered = self.embedders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(embedders) = offered else {
            bail!(Unavailable, "no models are at hand here to switch to: try again when the daemon is ready");
        };
        if self.model.name.is_empty() {
            bail!(Data, "the gallery was never used with a model: enrol somebody first (watchlistd enroll)");
        }
        let last = self.store.read(Succession::read)?.filter(|last| last.to == self.model.id);
        let from_manifest = match &last {
            Some(last) => Some(last.to_manifest.clone()),
            None => {
                let configured = embedders.configured();
                embedders.identify(&configured).is_ok_and(|id| id == self.model.id).then_some(configured)
            }
        };
        let begun = Begun {
            embedders,
            manifest: PathBuf::new(),
            expected: None,
            from: self.model.clone(),
            from_manifest,
            old: self.shared.current(),
            dry_run: false,
            // Who has no template of the model before is named, and was warned of: there is no other way back.
            force: true,
            action: Action::ModelRolledBack,
        };
        if let Command::SwitchModel { manifest, dry_run, force } = command {
            let (manifest, dry_run, force) = (manifest.clone(), *dry_run, *force);
            return Ok(Begun { manifest, dry_run, force, action: Action::ModelChanged, ..begun });
        }
        let Some(last) = last else {
            bail!(NoInput, "the gallery's model was never switched: there is none to go back to");
        };
        let Some(manifest) = last.from_manifest else {
            bail!(
                NoInput,
                "the manifest of the model before the last switch ({}) was not known then: name it (watchlistd models switch)",
                last.from
            );
        };
        Ok(Begun { manifest, expected: Some(last.from), ..begun })
    }

    /// Kept crops that the model has no template of.
    fn lacking(&self, model: ModelId) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for entry in self.directory.iter() {
            for tag in &entry.crops {
                let mut same = entry.templates.iter().filter(|row| row.source_tag == *tag);
                if same.clone().any(|row| row.model == model) {
                    continue;
                }
                if let Some(row) = same.next() {
                    pieces.push(Piece { identity: entry.identity.id, tag: *tag, template: row.id });
                }
            }
        }
        pieces
    }

    /// The crops, where they still are. One that does not open is said, and is none.
    fn open_crops(&self, pieces: &[Piece]) -> Result<Vec<Option<Opened>>> {
        let at = self.clock.now().wall;
        self.store.read(|tables| {
            let open = |piece: &Piece| -> Result<Option<Opened>> {
                let Some(entry) = self.directory.get(piece.identity) else { return Ok(None) };
                let key = &entry.identity.key;
                let Some(bytes) = tables.crop(piece.identity, key, &piece.tag)? else { return Ok(None) };
                let stored = tables.templates_of(piece.identity, key)?;
                let stored = stored.into_iter().find(|stored| stored.row.id == piece.template);
                Ok(stored.map(|stored| Opened {
                    bytes,
                    source: stored.source,
                    quality: stored.row.quality,
                    at,
                }))
            };
            let opened = |piece| {
                open(piece).unwrap_or_else(|error| {
                    unusable(piece, &error);
                    None
                })
            };
            Ok(pieces.iter().map(opened).collect())
        })
    }

    /// True if the template may still be stored: nothing about its identity and crop has changed since it was made.
    fn takes(&self, identity: IdentityId, tag: &[u8; 32], model: ModelId) -> bool {
        self.directory.get(identity).is_some_and(|entry| {
            let has = entry.templates.iter().any(|row| row.model == model && row.source_tag == *tag);
            entry.crops.contains(tag) && !has
        })
    }

    /// Those of the templates that were made that may still be stored.
    fn fresh(&self, to: &Model, made: &Made) -> Vec<Fresh> {
        let fresh = made.templates.iter().filter(|(identity, tag, _)| self.takes(*identity, tag, to.id));
        fresh.map(|(id, _, new)| (*id, new.id, new.embedding.clone())).collect()
    }

    /// The gallery as the model would see it with the templates that were made.
    fn gather(&self, to: &Model, made: &Made) -> Result<Prepared> {
        let fresh = self.fresh(to, made);
        let (ready, lost) = self.ready_and_lost(to, made, &fresh);
        let choice = self.shared.current().choice();
        let gathered = self.store.read(|tables| gather(tables, &self.directory, to, choice, Some(fresh)))?;
        Ok(Prepared { gathered, ready, lost })
    }

    /// Who would be found with the model, and who would not be found any more.
    fn ready_and_lost(
        &self,
        to: &Model,
        made: &Made,
        fresh: &[Fresh],
    ) -> (BTreeSet<IdentityId>, Vec<(IdentityId, String)>) {
        let mut ready: BTreeSet<IdentityId> = fresh.iter().map(|(identity, ..)| *identity).collect();
        let has = |row: &&crate::gallery::store::TemplateRow, model| row.model == model;
        let mut lost = Vec::new();
        for entry in self.directory.iter() {
            let identity = &entry.identity;
            if entry.templates.iter().any(|row| has(&row, to.id)) {
                ready.insert(identity.id);
            }
            // Who is not looked for yet would not be found when their time comes.
            let wanted = identity.standing != Standing::Expired;
            let known = entry.templates.iter().any(|row| has(&row, self.model.id));
            // Who came while crops were embedded has one that was not tried yet.
            let hope = entry.crops.iter().any(|tag| !made.tried.contains(&(identity.id, *tag)));
            if wanted && known && !hope && !ready.contains(&identity.id) {
                lost.push((identity.id, identity.record.name.to_string()));
            }
        }
        (ready, lost)
    }

    /// The trial after what was changed since. It stands on the index that was built for it.
    fn caught_up(&self, to: &Model, made: &Made, trial: Trial) -> Result<Trial> {
        let fresh = self.fresh(to, made);
        let (ready, lost) = self.ready_and_lost(to, made, &fresh);
        let held: HashSet<(IdentityId, TemplateId)> = trial.snapshot.held().collect();
        let rows = self.directory.iter().flat_map(|entry| &entry.templates);
        let stored: HashSet<_> =
            rows.filter(|row| row.model == to.id).map(|row| (row.identity, row.id)).collect();
        let mut wanted = stored.clone();
        wanted.extend(fresh.iter().map(|(identity, template, _)| (*identity, *template)));
        let mut added: Vec<Fresh> =
            fresh.into_iter().filter(|(id, t, _)| !held.contains(&(*id, *t))).collect();
        let lacking: BTreeSet<IdentityId> = stored.difference(&held).map(|(identity, _)| *identity).collect();
        self.store.read(|tables| {
            for id in lacking {
                for found in tables.templates_of(id, &self.directory.expect(id)?.identity.key)? {
                    let key = (found.row.identity, found.row.id);
                    if stored.contains(&key) && !held.contains(&key) {
                        added.push((key.0, key.1, found.embedding));
                    }
                }
            }
            Ok(())
        })?;
        let here = self.directory.iter().map(|entry| entry.identity.id);
        let gone = trial.snapshot.people().keys().filter(|id| self.directory.get(**id).is_none());
        let people = here.chain(gone.copied()).map(|id| (id, self.directory.person(id))).collect();
        let removed = held.difference(&wanted).copied().collect();
        let generation = self.store.read(|tables| tables.generation())? + 1;
        let snapshot = trial.snapshot.after(generation, Delta { added, removed, people })?;
        Ok(Trial { snapshot: Arc::new(snapshot), warnings: trial.warnings, ready, lost })
    }

    /// The last part: what came meanwhile is seen to, and then everything changes at once.
    fn change_over(
        &mut self,
        actor: &Actor,
        begun: &Begun,
        mut next: Box<dyn Successor>,
        mut made: Made,
        trial: Trial,
        mut report: Switched,
    ) -> Result<Switched> {
        if self.model.id != begun.from.id {
            bail!(
                Temporary,
                "the gallery was switched to {} ({}) by another command meanwhile: look at it, and try again",
                self.model.name,
                self.model.id
            );
        }
        let to = next.model().clone();
        let mut late = self.lacking(to.id);
        late.retain(|piece| !made.tried.contains(&(piece.identity, piece.tag)));
        made.embed(&late, self.open_crops(&late)?, next.as_mut())?;
        let same = self.store.read(|tables| tables.generation())? + 1 == trial.snapshot.generation();
        let unchanged = same && late.is_empty();
        let trial = if unchanged { trial } else { self.caught_up(&to, &made, trial)? };
        (report.ready, report.lost) = (trial.ready.len() as u64, trial.lost);
        if !report.lost.is_empty() && !begun.force {
            return Ok(report);
        }
        let mut change = ChangeSet::default();
        let mut fresh = 0u64;
        for (identity, tag, template) in made.templates {
            if self.takes(identity, &tag, to.id) {
                fresh += 1;
                change.templates.push(TemplateChange::Add { identity, template });
            }
        }
        // Two models are kept: this one, and the way back.
        let kept = [begun.from.id, to.id];
        let rows = self.directory.iter().flat_map(|entry| &entry.templates);
        let outdated: Vec<_> = rows.filter(|row| !kept.contains(&row.model)).cloned().collect();
        let removed = outdated.len();
        change.wipe = removed > 0;
        change.templates.extend(outdated.into_iter().map(TemplateChange::Remove));
        let switch = Succession {
            from: begun.from.id,
            from_manifest: begun.from_manifest.clone(),
            to: to.id,
            to_manifest: begun.manifest.clone(),
        };
        change.settings = model_settings(&to);
        change.settings.push((succession::SETTING, Some(switch.text()?)));
        change.say(
            Draft::new(begun.action)
                .with("from", begun.from.id.hex())
                .with("to", to.id.hex())
                .with("embedded", fresh)
                .with("ready", report.ready)
                .with("lost", report.lost.len())
                .with("removed", removed),
        );
        let Trial { snapshot, warnings, .. } = trial;
        change.searched = Some(Searched { model: to.clone(), snapshot, warnings });
        let done = self.commit(actor, change);
        faults::point("switch.committed");
        // Whatever failed after the transaction: if it is searched now, faces are embedded for it.
        if self.model.id == to.id {
            next.take_over();
        }
        let done = done?;
        tracing::info!(
            from = %begun.from.name, to = %to.name, model = %to.id, generation = done.generation, "the gallery's model is another"
        );
        (report.switched, report.embedded) = (true, fresh);
        Ok(report)
    }
}

/// How a model sees the gallery.
fn scores(snapshot: &GallerySnapshot, threshold: f32) -> ModelScores {
    let pairs = snapshot.closest_pairs(usize::MAX);
    let mut nearest: std::collections::BTreeMap<IdentityId, f32> = std::collections::BTreeMap::new();
    for &(a, b, score) in &pairs {
        for id in [a, b] {
            let best = nearest.entry(id).or_insert(score);
            *best = best.max(score);
        }
    }
    let named =
        |id: IdentityId| (id, snapshot.people().get(&id).map_or_else(String::new, |p| p.name.to_string()));
    let confusable = pairs
        .iter()
        .filter(|(.., score)| *score >= threshold)
        .map(|&(a, b, score)| Pair { score, identities: [named(a), named(b)], above_threshold: true })
        .collect();
    ModelScores {
        model: snapshot.model(),
        threshold,
        mated: mean(snapshot.all_nearest_own()),
        non_mated: mean(nearest.into_values().collect()),
        confusable,
    }
}

fn mean(scores: Vec<f32>) -> Option<f32> {
    let sum: f64 = scores.iter().map(|&score| f64::from(score)).sum();
    (!scores.is_empty()).then(|| (sum / scores.len() as f64) as f32)
}

#[cfg(test)]
mod tests;
