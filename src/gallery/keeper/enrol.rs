//! Taking a template in.

use super::Keeper;
use super::change::{ChangeSet, CropChange, IdentityChange, NewTemplate, TemplateChange};
use crate::bail;
use crate::base::error::Result;
use crate::gallery::audit::{Action, Draft, SealedPart};
use crate::gallery::command::{Actor, Review, Subject, TemplateData};
use crate::gallery::crypt::Key;
use crate::gallery::enrol;
use crate::gallery::enrol::gate::{self, Limits, Neighbours};
use crate::gallery::report::Enrolment;
use crate::gallery::store::StoredIdentity;
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, TemplateId};

/// Other identities that a new template is compared with.
const NEIGHBOURS: usize = 4;

impl Keeper {
    /// Enrols a template, unless the gate refuses it.
    pub(super) fn enrol(
        &mut self,
        actor: &Actor,
        subject: Subject,
        data: &TemplateData,
        body: &[u8],
        review: Review,
    ) -> Result<Enrolment> {
        let (embedding, chip) = enrol::unpack(data, body)?;
        self.refuse_other_model(&embedding)?;
        subject.record.check()?;
        for list in &subject.record.lists {
            self.expect_list(list)?;
        }
        let known = self.directory.subject(&subject)?;
        let tag = self.store.read(|tables| Ok(tables.source_tag(&data.source.sha256)))?;
        if let Some(entry) = known.and_then(|id| self.directory.get(id))
            && let Some(row) = entry.templates.iter().find(|r| r.model == data.model && r.source_tag == tag)
        {
            return Ok(Enrolment::AlreadyThere { identity: entry.identity.id, template: row.id });
        }
        let verdict =
            gate::judge(&self.neighbours(known, &embedding), &Limits::of(self.model.threshold), review);
        if verdict.refused {
            return Ok(Enrolment::Refused { doubts: verdict.doubts });
        }

        let now = self.clock.now().wall;
        let mut change = ChangeSet::default();
        let identity = match known {
            Some(id) => self.directory.expect(id)?.identity.clone(),
            None => {
                let standing = subject.record.standing_at(now);
                let (id, key) = (IdentityId::generate(), Key::generate()?);
                let new = StoredIdentity {
                    id,
                    record: subject.record,
                    standing,
                    created: now,
                    revision: 1,
                    key,
                    older: Vec::new(),
                };
                change.identities.push(IdentityChange::Add(new.clone()));
                new
            }
        };
        let template = NewTemplate {
            id: TemplateId::generate(),
            embedding,
            quality: data.quality,
            source: data.source.clone(),
            created: now,
        };
        let id = template.id;
        if let Some(chip) = chip.filter(|_| self.keeps_crops) {
            change.crops.push(CropChange::Put { identity: identity.id, tag, bytes: chip.to_bytes()? });
        }
        let action = if known.is_none() { Action::Enrolled } else { Action::TemplateAdded };
        let named = SealedPart::of(&identity.record).with("source", data.source.name.as_str());
        let draft = Draft::new(action)
            .about(identity.id, named)
            .member(&identity.record.lists, identity.standing)
            .with("template", id.to_string())
            .with("model", data.model.hex())
            .with("quality", data.quality)
            .with("doubts", verdict.doubts.len())
            .with("review", serde_json::to_value(review).unwrap_or_default());
        change.say_of(&identity, draft);
        change.templates.push(TemplateChange::Add { identity: identity.id, template });
        let done = self.commit(actor, change)?;
        Ok(Enrolment::Stored {
            identity: identity.id,
            new_identity: known.is_none(),
            template: id,
            doubts: verdict.doubts,
            generation: done.generation,
        })
    }

    fn refuse_other_model(&self, embedding: &Embedding) -> Result<()> {
        let used = self.model.name.is_empty() || embedding.model() == self.model.id;
        if !used {
            bail!(
                Data,
                "the template is of model {}, the gallery is used with {} ({}): enrol with that model, or switch \
                 (watchlistd models switch)",
                embedding.model(),
                self.model.id,
                self.model.name
            );
        }
        Ok(())
    }

    /// Those who are near a new template, whatever their standing.
    fn neighbours(&self, own: Option<IdentityId>, embedding: &Embedding) -> Neighbours {
        let snapshot = self.shared.current();
        let others = snapshot
            .nearest_of_all(embedding, NEIGHBOURS + 1)
            .into_iter()
            .filter(|candidate| Some(candidate.identity) != own)
            .map(|candidate| (candidate.identity, candidate.name.to_string(), candidate.score))
            .collect();
        let own = own.map(|id| snapshot.scores_of(id, embedding)).unwrap_or_default();
        Neighbours { own, others }
    }
}
