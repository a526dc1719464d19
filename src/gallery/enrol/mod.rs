//! From pictures to templates, strictly: one picture, one face, good enough, or a refusal that says why.
//!
//! ```text
//!  file ─ bounded read ─ SHA-256 ─ there already? ─▶ examine: decode ─ detect ─ choose ─ crop ─ quality ─ embed
//!                                                        (needs models only: workers may run it)   │
//!                                   one transaction a picture: stop and resume at will  ◀─ store ◀─┘
//! ```

mod faces;
mod models;
mod outcome;
mod walk;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

pub use faces::Choice;
pub use models::{FaceFinder, Models};
pub use outcome::{Like, Outcome, Reason, Report, Seen};
pub use walk::{Job, plan};

use super::name::Name;
use super::store::{Added, NewTemplate, Store};
use crate::base::error::{Kind, Result};
use crate::types::embedding::Embedding;
use crate::types::face::Quality;
use crate::types::ids::IdentityId;

/// The largest picture file that is read, in bytes.
pub const MAX_FILE: u64 = 64 << 20;

/// How pictures are enrolled.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Least detector score of a face, 0 to 1. Faces under it do not count.
    pub min_score: f32,
    /// Which face, where there are several.
    pub choice: Choice,
    /// From this similarity on, a template of somebody else is worth a warning; `None`: nobody is compared.
    pub alike: Option<f32>,
}

/// Enrols pictures, one at a time.
pub struct Enroller<'a> {
    finder: &'a mut dyn FaceFinder,
    store: &'a mut Store,
    options: Options,
    known: Vec<Known>,
}

/// Somebody's template, to warn of a face enrolled under two names.
struct Known {
    identity: IdentityId,
    name: String,
    embedding: Embedding,
}

/// A face that may be stored.
pub struct Examined {
    /// Its embedding.
    pub embedding: Embedding,
    /// What was measured.
    pub quality: Quality,
}

impl<'a> Enroller<'a> {
    /// Reads what is enrolled, if the options ask for warnings.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(finder: &'a mut dyn FaceFinder, store: &'a mut Store, options: Options) -> Result<Self> {
        let known = if options.alike.is_some() { Known::all(store, &*finder)? } else { Vec::new() };
        Ok(Self { finder, store, options, known })
    }

    /// Enrols the face in one picture.
    ///
    /// # Errors
    /// When the models or the store fail; what is wrong with the picture is an [`Outcome`].
    pub fn enrol_file(&mut self, name: &Name, path: &Path) -> Result<Report> {
        let outcome = match read(path) {
            Ok(bytes) => self.enrol(name, path, &bytes)?,
            Err(detail) => Outcome::Refused { reason: Reason::Unreadable { detail } },
        };
        Ok(Report { path: path.to_owned(), name: Some(name.to_string()), outcome })
    }

    /// Enrols `root/<identity>/*`, in order, each picture in a transaction of its own: what was done before an
    /// interruption is found again by its hash. `progress` gets how many are done, of how many, and the last report.
    ///
    /// # Errors
    /// As [`plan`] and [`Enroller::enrol_file`].
    pub fn enrol_dir(
        &mut self,
        root: &Path,
        mut progress: impl FnMut(usize, usize, &Report),
    ) -> Result<Vec<Report>> {
        let jobs = plan(root)?;
        let mut reports = Vec::with_capacity(jobs.len());
        for job in &jobs {
            let report = match (&job.refused, &job.name) {
                (None, Some(name)) => self.enrol_file(name, &job.path)?,
                (refused, name) => Report {
                    path: job.path.clone(),
                    name: name.as_ref().map(Name::to_string),
                    outcome: Outcome::Refused { reason: refused.clone().unwrap_or_else(nameless) },
                },
            };
            reports.push(report);
            if let Some(last) = reports.last() {
                progress(reports.len(), jobs.len(), last);
            }
        }
        Ok(reports)
    }

    fn enrol(&mut self, name: &Name, path: &Path, bytes: &[u8]) -> Result<Outcome> {
        let source_sha256: [u8; 32] = Sha256::digest(bytes).into();
        if self.store.holds(name, self.finder.model(), &source_sha256)? {
            return Ok(Outcome::AlreadyThere);
        }
        let source = path.file_name().unwrap_or_default().to_string_lossy();
        let Examined { embedding, quality } = match examine(self.finder, &self.options, bytes, &source)? {
            Ok(face) => face,
            Err(reason) => return Ok(Outcome::Refused { reason }),
        };
        let template =
            NewTemplate { embedding: &embedding, quality: quality.score, source: &source, source_sha256 };
        let enrolled = self.store.enrol(name, &template)?;
        let Added::New(template) = enrolled.template else { return Ok(Outcome::AlreadyThere) };
        let like = self.most_like(&embedding, enrolled.identity);
        if self.options.alike.is_some() {
            self.known.push(Known { identity: enrolled.identity, name: name.to_string(), embedding });
        }
        let (identity, new_identity) = (enrolled.identity, enrolled.new_identity);
        Ok(Outcome::Enrolled { identity, new_identity, template, quality, like })
    }

    /// The most similar template of somebody else, if it is too similar.
    fn most_like(&self, embedding: &Embedding, identity: IdentityId) -> Option<Like> {
        let others = self.known.iter().filter(|known| known.identity != identity);
        let scored = others.filter_map(|known| Some((known, known.embedding.similarity(embedding)?)));
        let (known, score) = scored.max_by(|a, b| a.1.total_cmp(&b.1))?;
        (score >= self.options.alike?).then(|| Like { name: known.name.clone(), score })
    }
}

impl Known {
    fn all(store: &Store, finder: &dyn FaceFinder) -> Result<Vec<Self>> {
        let names: std::collections::HashMap<_, _> =
            store.list()?.into_iter().map(|i| (i.id, i.name)).collect();
        let templates = store.templates(finder.model())?.into_iter();
        let named = templates.filter_map(|t| Some((names.get(&t.identity)?.to_string(), t)));
        Ok(named.map(|(name, t)| Self { identity: t.identity, name, embedding: t.embedding }).collect())
    }
}

/// Finds the face of a picture and embeds it, or says why not. Needs no store. `name` is for messages.
///
/// # Errors
/// When a model fails; never because of what the picture shows.
pub fn examine(
    finder: &mut dyn FaceFinder,
    options: &Options,
    bytes: &[u8],
    name: &str,
) -> Result<Result<Examined, Reason>> {
    let picture = match finder.decode(bytes, name) {
        Ok(picture) => picture,
        Err(cause) if cause.kind() == Kind::Data => {
            return Ok(Err(Reason::Unreadable { detail: without(&cause.chain(), name) }));
        }
        Err(cause) => return Err(cause),
    };
    let face = match faces::choose(finder.detect(&picture)?, options.min_score, options.choice) {
        Ok(face) => face,
        Err(reason) => return Ok(Err(reason)),
    };
    let crop = match finder.crop(&picture, &face) {
        Ok(crop) => crop,
        Err(refusal) => return Ok(Err(Reason::no_crop(refusal))),
    };
    let quality = *crop.quality();
    if let Some(refusal) = quality.refusal {
        return Ok(Err(Reason::bad_face(refusal, &quality, finder.limits())));
    }
    Ok(match finder.embed(&crop)? {
        Ok(embedding) => Ok(Examined { embedding, quality }),
        Err(cause) => Err(Reason::NoEmbedding { detail: cause.chain() }),
    })
}

/// Reads a file whole, if it is one and not too large. The message is without the name, which every report starts with.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |cause: std::io::Error| format!("cannot be read: {cause}");
    if !path.metadata().map_err(failed)?.is_file() {
        return Err("is no file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("is larger than {} MiB", MAX_FILE >> 20));
    }
    Ok(bytes)
}

fn without(message: &str, name: &str) -> String {
    let rest = message.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
    rest.unwrap_or(message).to_owned()
}

/// A job without a name always carries a reason; this is what a future one without would say.
fn nameless() -> Reason {
    Reason::Misplaced { detail: "belongs to no identity".to_owned() }
}
