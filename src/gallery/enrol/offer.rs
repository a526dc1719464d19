//! What is asked of a desk, and what its answers mean.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::body::pack;
use super::examine::Examined;
use super::outcome::{Outcome, Reason};
use crate::base::error::Result;
use crate::gallery::command::{Command, Desk, Review, Source, SourceKind, Subject, TemplateData};
use crate::gallery::record::Record;
use crate::gallery::report::{Description, Enrolment};
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
    let template = TemplateData {
        model: face.embedding.model(),
        dimension: face.embedding.dimension(),
        quality: face.quality.score,
        source: Source { kind: SourceKind::File, name: shown(path), sha256 },
    };
    let mut body = pack(&face.embedding, face.chip.as_ref())?;
    let command = Command::Enrol { subject: Subject { record: record.clone() }, template, review };
    Ok(match ask(desk, command, std::mem::take(&mut *body))? {
        Enrolment::Stored { identity, new_identity, template, doubts, .. } => {
            Outcome::Enrolled { identity, new_identity, template, quality: face.quality, doubts }
        }
        Enrolment::AlreadyThere { .. } => Outcome::AlreadyThere,
        Enrolment::Refused { doubts } => Outcome::Refused { reason: Reason::Doubtful { doubts } },
    })
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
