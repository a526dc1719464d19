//! One picture at a time.

use std::path::Path;

use super::examine::{Picture, examine};
use super::models::FaceFinder;
use super::offer::{known, offer};
use super::outcome::{Outcome, Report};
use super::{Choice, Options};
use crate::base::error::Result;
use crate::gallery::command::Desk;
use crate::gallery::record::Record;

/// Enrols pictures as they come: models on one side, the gallery on the other.
pub struct Enroller<'a> {
    finder: &'a mut dyn FaceFinder,
    desk: &'a mut dyn Desk,
    options: Options,
}

impl<'a> Enroller<'a> {
    /// Nothing is asked and nothing is run yet.
    pub fn new(finder: &'a mut dyn FaceFinder, desk: &'a mut dyn Desk, options: Options) -> Self {
        Self { finder, desk, options }
    }

    /// Enrols the face in one picture.
    ///
    /// # Errors
    /// When the models or the desk fail; what is wrong with the picture is an [`Outcome`].
    pub fn enrol_file(&mut self, record: &Record, path: &Path) -> Result<Report> {
        self.enrol_face(record, path, self.options.choice)
    }

    /// The same with another choice of face.
    ///
    /// # Errors
    /// As [`Enroller::enrol_file`].
    pub fn enrol_face(&mut self, record: &Record, path: &Path, choice: Choice) -> Result<Report> {
        let outcome = match Picture::read(path) {
            Ok(picture) => self.enrol(record, path, picture, choice)?,
            Err(reason) => Outcome::Refused { reason },
        };
        Ok(Report { path: path.to_owned(), name: Some(record.name.to_string()), outcome })
    }

    fn enrol(&mut self, record: &Record, path: &Path, picture: Picture, choice: Choice) -> Result<Outcome> {
        let Picture { bytes, sha256 } = picture;
        // Which of several faces is asked for is known once they are found.
        let any = matches!(choice, Choice::Number(_));
        if !any && known(self.desk, record, self.finder.model(), vec![sha256.clone()])? == [true] {
            return Ok(Outcome::AlreadyThere);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match examine(self.finder, &self.options, choice, &bytes, &name)? {
            Ok(face) => offer(self.desk, record, path, face.source(sha256), &face, self.options.review),
            Err(reason) => Ok(Outcome::Refused { reason }),
        }
    }
}
