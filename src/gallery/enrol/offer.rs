//! What is asked of a desk, and what its answers mean.

use std::collections::BTreeSet;
use std::path::Path;

use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::body::pack;
use super::examine::Examined;
use super::outcome::{Outcome, Reason};
use crate::base::error::Result;
use crate::gallery::command::{Command, Desk, Offer, Review, Source, SourceKind, Subject, TemplateData};
use crate::gallery::record::{ListName, Record};
use crate::gallery::report::{Description, Enrolment, ListUse};
use crate::types::face::Quality;
use crate::types::ids::ModelId;
use crate::{bail, err};

/// Most characters of a file's name that are kept.
const MAX_NAME: usize = 200;

/// What the gallery is: whether it keeps crops, and which model it searches.
///
/// # Errors
/// The desk's.
pub fn describe(desk: &mut dyn Desk) -> Result<Description> {
    ask(desk, Command::Describe, Vec::new())
}

/// That the gallery has the lists that people are to be put on.
///
/// # Errors
/// `NoInput`, naming those that it has not and those that it has; and the desk's.
pub fn expect_lists<'a>(desk: &mut dyn Desk, records: impl IntoIterator<Item = &'a Record>) -> Result<()> {
    let wanted: BTreeSet<&ListName> = records.into_iter().flat_map(|record| &record.lists).collect();
    let there: Vec<ListUse> = ask(desk, Command::Lists, Vec::new())?;
    let there: BTreeSet<&ListName> = there.iter().map(|used| &used.list.name).collect();
    let missing: Vec<&str> = wanted.difference(&there).map(|name| name.as_str()).collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let there: Vec<&str> = there.iter().map(|name| name.as_str()).collect();
    bail!(
        NoInput,
        "there is no list {}; there are: {}. `watchlistd gallery set-list {first}` makes it",
        missing.join(", "),
        there.join(", ")
    )
}

/// Which of the pictures (SHA-256) are enrolled for somebody and a model.
pub(super) fn known(
    desk: &mut dyn Desk,
    record: &Record,
    model: ModelId,
    sources: Vec<String>,
) -> Result<Vec<bool>> {
    let count = sources.len();
    let subject = Subject { record: record.clone() };
    let known: Vec<bool> = ask(desk, Command::Known { subject, model, sources }, Vec::new())?;
    if known.len() != count {
        bail!(Software, "the gallery answered for {} pictures, asked for {count}", known.len());
    }
    Ok(known)
}

/// Offers a face for enrolment.
pub(super) fn offer(
    desk: &mut dyn Desk,
    record: &Record,
    path: &Path,
    sha256: String,
    face: &Examined,
    review: Review,
) -> Result<Outcome> {
    let mut body = pack(&face.embedding, face.chip.as_ref())?;
    let (subject, template) = (Subject { record: record.clone() }, template(path, sha256, face));
    let command = Command::Enrol { subject, template, review };
    Ok(outcome(ask(desk, command, std::mem::take(&mut *body))?, face.quality))
}

/// A face to enrol, and whose it is.
pub(super) struct Candidate<'a> {
    pub(super) record: &'a Record,
    pub(super) path: &'a Path,
    pub(super) sha256: String,
    pub(super) face: Box<Examined>,
}

/// Offers several, at most [`MOST_OFFERS`](crate::gallery::command::MOST_OFFERS): an outcome for each, in their order. When this
/// returns, all that is to be stored is.
pub(super) fn offer_all(
    desk: &mut dyn Desk,
    candidates: Vec<Candidate<'_>>,
    review: Review,
) -> Result<Vec<Outcome>> {
    let bodies = candidates.iter().map(|c| pack(&c.face.embedding, c.face.chip.as_ref()));
    let bodies: Vec<_> = bodies.collect::<Result<_>>()?;
    // In one piece: a vector that grows leaves copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(bodies.iter().map(|own| own.len()).sum()));
    bodies.iter().for_each(|own| body.extend_from_slice(own));
    let qualities: Vec<Quality> = candidates.iter().map(|c| c.face.quality).collect();
    let offers =
        candidates.into_iter().zip(&bodies).map(|(Candidate { record, path, sha256, face }, own)| {
            let (subject, template) = (Subject { record: record.clone() }, template(path, sha256, &face));
            Offer { subject, template, body: own.len() }
        });
    let command = Command::EnrolMany { offers: offers.collect(), review };
    let answers: Vec<Enrolment> = ask(desk, command, std::mem::take(&mut *body))?;
    if answers.len() != qualities.len() {
        bail!(Software, "the gallery answered for {} faces, asked for {}", answers.len(), qualities.len());
    }
    Ok(answers.into_iter().zip(qualities).map(|(answer, quality)| outcome(answer, quality)).collect())
}

fn template(path: &Path, sha256: String, face: &Examined) -> TemplateData {
    TemplateData {
        model: face.embedding.model(),
        dimension: face.embedding.dimension(),
        quality: face.quality.score,
        source: Source { kind: SourceKind::File, name: shown(path), sha256 },
    }
}

fn outcome(answer: Enrolment, quality: Quality) -> Outcome {
    match answer {
        Enrolment::Stored { identity, new_identity, template, doubts, .. } => {
            Outcome::Enrolled { identity, new_identity, template, quality, doubts }
        }
        Enrolment::AlreadyThere { .. } => Outcome::AlreadyThere,
        Enrolment::Refused { doubts } => Outcome::Refused { reason: Reason::Doubtful { doubts } },
    }
}

/// The file's name as it is kept: what drives a terminal is spelled out.
fn shown(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let spelled = name.chars().flat_map(|c| {
        let (plain, spelled) =
            if c.is_control() { (None, Some(c.escape_unicode())) } else { (Some(c), None) };
        plain.into_iter().chain(spelled.into_iter().flatten())
    });
    spelled.take(MAX_NAME).collect()
}

fn ask<T: DeserializeOwned>(desk: &mut dyn Desk, command: Command, body: Vec<u8>) -> Result<T> {
    let reply = desk.ask(command, body, &mut |_| ())?;
    serde_json::from_value(reply.value).map_err(|e| {
        err!(Software, "the gallery's answer is not understood; are both of one version?").because(e)
    })
}
