//! Taking templates in.
//!
//! ```text
//!  offers ─▶ each: read ─ whose? ─ there already? ─ gate ─▶ Intake ─▶ one ChangeSet ─▶ commit ─▶ answers
//!                            ▲                      ▲          │
//!                            └─ the gallery, and the offers before it in the same intake
//! ```

use std::sync::Arc;

use jiff::Timestamp;

use super::Keeper;
use super::change::{ChangeSet, CropChange, IdentityChange, NewTemplate, TemplateChange};
use super::edit::with_times;
use crate::base::error::Result;
use crate::gallery::audit::{Action, Draft, SealedPart};
use crate::gallery::command::{Actor, MOST_OFFERS, Offer, Review, Subject, TemplateData};
use crate::gallery::crypt::Key;
use crate::gallery::enrol::gate::{self, Limits, Neighbours};
use crate::gallery::enrol::{self, Chip};
use crate::gallery::report::Enrolment;
use crate::gallery::store::StoredIdentity;
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, TemplateId};
use crate::{bail, err};

/// Other identities that a new template is compared with.
const NEIGHBOURS: usize = 4;

/// An offer that was read.
struct Given {
    subject: Subject,
    data: TemplateData,
    /// Keyed tag of its source.
    tag: [u8; 32],
    embedding: Embedding,
    chip: Option<Chip>,
}

/// What was decided so far, and is not written yet. The next offer is looked at as if it were.
struct Intake {
    now: Timestamp,
    review: Review,
    change: ChangeSet,
    /// Beside each template of the change: its source's tag, and the name of its identity.
    beside: Vec<([u8; 32], Arc<str>)>,
}

impl Keeper {
    /// Enrols a template, unless the gate refuses it.
    pub(super) fn enrol(
        &mut self,
        actor: &Actor,
        subject: Subject,
        template: TemplateData,
        body: &[u8],
        review: Review,
    ) -> Result<Enrolment> {
        let offer = Offer { subject, template, body: body.len() };
        let answer = self.enrol_many(actor, vec![offer], body, review)?.pop();
        answer.ok_or_else(|| err!(Software, "no answer for a template"))
    }

    /// Enrols templates, each unless the gate refuses it, in one transaction.
    pub(super) fn enrol_many(
        &mut self,
        actor: &Actor,
        offers: Vec<Offer>,
        body: &[u8],
        review: Review,
    ) -> Result<Vec<Enrolment>> {
        let given = self.read_offers(offers, body)?;
        let mut intake =
            Intake { now: self.clock.now().wall, review, change: ChangeSet::default(), beside: Vec::new() };
        let mut answers =
            given.into_iter().map(|given| self.decide(&mut intake, given)).collect::<Result<Vec<_>>>()?;
        if intake.beside.is_empty() {
            return Ok(answers);
        }
        let done = self.commit(actor, intake.change)?;
        for answer in &mut answers {
            if let Enrolment::Stored { generation, .. } = answer {
                *generation = done.generation;
            }
        }
        Ok(answers)
    }

    /// Reads and checks what was sent, whoever sent it.
    fn read_offers(&self, offers: Vec<Offer>, mut body: &[u8]) -> Result<Vec<Given>> {
        if offers.len() > MOST_OFFERS {
            bail!(Data, "{} templates at a time: expected at most {MOST_OFFERS}", offers.len());
        }
        let tags: Vec<[u8; 32]> = self.store.read(|tables| {
            Ok(offers.iter().map(|offer| tables.source_tag(&offer.template.source.sha256)).collect())
        })?;
        let mut given = Vec::with_capacity(offers.len());
        for (Offer { subject, template: data, body: length }, tag) in offers.into_iter().zip(tags) {
            let Some((own, rest)) = body.split_at_checked(length) else {
                bail!(Data, "a template of {length} bytes in the {} that are left", body.len());
            };
            body = rest;
            let (embedding, chip) = enrol::unpack(&data, own)?;
            self.refuse_other_model(&embedding)?;
            subject.record.check()?;
            subject.record.lists.iter().try_for_each(|list| self.expect_list(list))?;
            given.push(Given { subject, data, tag, embedding, chip });
        }
        if !body.is_empty() {
            bail!(Data, "{} bytes more than the templates have", body.len());
        }
        Ok(given)
    }

    /// Decides about one, and adds it to what is to be written.
    fn decide(&self, intake: &mut Intake, given: Given) -> Result<Enrolment> {
        let Given { subject, data, tag, embedding, chip } = given;
        let known = self.whose(intake, &subject)?;
        let id = known.as_ref().map(|identity| identity.id);
        if let Some((identity, template)) = id.and_then(|id| self.holds(intake, id, &data, &tag)) {
            return Ok(Enrolment::AlreadyThere { identity, template });
        }
        let neighbours = intake.beside(id, &embedding, self.neighbours(id, &embedding));
        let verdict = gate::judge(&neighbours, &Limits::of(self.model.threshold), intake.review);
        if verdict.refused {
            return Ok(Enrolment::Refused { doubts: verdict.doubts });
        }
        let new_identity = known.is_none();
        let identity = match known {
            Some(identity) => identity,
            None => intake.add_identity(subject)?,
        };
        if let Some(chip) = chip.filter(|_| self.keeps_crops) {
            let bytes = chip.to_bytes()?;
            intake.change.crops.push(CropChange::Put { identity: identity.id, tag, bytes });
        }
        let action = if new_identity { Action::Enrolled } else { Action::TemplateAdded };
        let template = TemplateId::generate();
        let named = SealedPart::of(&identity.record).with("source", data.source.name.as_str());
        let draft = Draft::new(action)
            .about(identity.id, named)
            .member(&identity.record.lists, identity.standing)
            .with("template", template.to_string())
            .with("model", data.model.hex())
            .with("quality", data.quality)
            .with("doubts", verdict.doubts.len())
            .with("review", serde_json::to_value(intake.review).unwrap_or_default());
        let draft = if new_identity { with_times(draft, &identity.record) } else { draft };
        intake.change.say_of(&identity, draft);
        let new = NewTemplate {
            id: template,
            embedding,
            quality: data.quality,
            source: data.source,
            created: intake.now,
        };
        intake.change.templates.push(TemplateChange::Add { identity: identity.id, template: new });
        intake.beside.push((tag, identity.record.name.shared()));
        // The generation is known when it is written.
        let doubts = verdict.doubts;
        Ok(Enrolment::Stored { identity: identity.id, new_identity, template, doubts, generation: 0 })
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
        self.model.expect_fit(embedding)
    }

    /// The identity that is meant, if it is there already or comes with an offer before.
    fn whose(&self, intake: &Intake, subject: &Subject) -> Result<Option<StoredIdentity>> {
        let there = match self.directory.subject(subject)? {
            Some(id) => Some(self.directory.expect(id)?.identity.clone()),
            None => None,
        };
        let mut all = there.into_iter().chain(intake.new_ones(subject).cloned());
        match (all.next(), all.next()) {
            (one, None) => Ok(one),
            (_, Some(_)) => Err(err!(
                Usage,
                "several identities are named {:?}; say which with --external-id",
                subject.record.name.as_str()
            )),
        }
    }

    /// The template that the identity has of that picture.
    fn holds(
        &self,
        intake: &Intake,
        id: IdentityId,
        data: &TemplateData,
        tag: &[u8; 32],
    ) -> Option<(IdentityId, TemplateId)> {
        let stored = self.directory.get(id).into_iter().flat_map(|entry| &entry.templates);
        let stored = stored.map(|row| (row.model, &row.source_tag, row.id));
        let new = intake.templates().filter(|(of, ..)| *of == id);
        let new = new.map(|(_, template, (tag, _))| (template.embedding.model(), tag, template.id));
        let mut all = stored.chain(new);
        all.find(|(model, source, _)| *model == data.model && *source == tag)
            .map(|(_, _, template)| (id, template))
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

impl Intake {
    fn templates(&self) -> impl Iterator<Item = (IdentityId, &NewTemplate, &([u8; 32], Arc<str>))> {
        let added = self.change.templates.iter().filter_map(|change| match change {
            TemplateChange::Add { identity, template } => Some((*identity, template)),
            TemplateChange::Remove(_) | TemplateChange::Move { .. } => None,
        });
        added.zip(&self.beside).map(|((identity, template), beside)| (identity, template, beside))
    }

    /// Those that come with it and are meant by the subject: see `Directory::subject`.
    fn new_ones(&self, subject: &Subject) -> impl Iterator<Item = &StoredIdentity> {
        let wanted = &subject.record;
        let new = self.change.identities.iter().filter_map(|change| match change {
            IdentityChange::Add(identity) => Some(identity),
            IdentityChange::Put(_) | IdentityChange::Remove(_) => None,
        });
        new.filter(move |identity| match &wanted.external_id {
            Some(id) => identity.record.external_id.as_ref() == Some(id),
            None => identity.record.name == wanted.name,
        })
    }

    /// The neighbours in the gallery, and those among the templates that come with it.
    fn beside(&self, own: Option<IdentityId>, embedding: &Embedding, stored: Neighbours) -> Neighbours {
        let mut all = stored;
        for (identity, template, (_, name)) in self.templates() {
            let Some(score) = template.embedding.similarity(embedding) else { continue };
            if Some(identity) == own {
                all.own.push((template.id, score));
            } else if let Some((.., best)) = all.others.iter_mut().find(|(id, ..)| *id == identity) {
                *best = best.max(score);
            } else {
                all.others.push((identity, name.to_string(), score));
            }
        }
        all
    }

    fn add_identity(&mut self, subject: Subject) -> Result<StoredIdentity> {
        let new = StoredIdentity {
            id: IdentityId::generate(),
            standing: subject.record.standing_at(self.now),
            record: subject.record,
            created: self.now,
            revision: 1,
            key: Key::generate()?,
            older: Vec::new(),
        };
        self.change.identities.push(IdentityChange::Add(new.clone()));
        Ok(new)
    }
}
