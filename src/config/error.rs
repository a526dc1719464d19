//! Mistakes in the configuration: all of them, each with its key, what was expected, what was found and where.

use std::fmt;

use crate::base::error::{Error, Kind};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key's path: `cameras.door.detect_fps`. Empty where the mistake belongs to a file as a whole.
    pub key: String,
    /// What was expected and, unless it may be secret, what was found.
    pub message: String,
    /// `FILE:LINE`, `FILE:LINE:COLUMN` or the environment variable; `None` where nobody wrote anything.
    pub origin: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key.is_empty(), &self.origin) {
            (true, Some(origin)) => write!(f, "{origin}: {}", self.message),
            (true, None) => f.write_str(&self.message),
            (false, Some(origin)) => write!(f, "{}: {} ({origin})", self.key, self.message),
            (false, None) => write!(f, "{}: {}", self.key, self.message),
        }
    }
}

/// Every mistake of a configuration; never empty. Displays one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Problem>);

impl ConfigErrors {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        debug_assert!(!problems.is_empty(), "errors without an error");
        Self(problems)
    }

    /// The mistakes: files first, then by section.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigErrors> for Error {
    /// An error of kind [`Kind::Config`] (exit code 78) whose message has one line for each mistake.
    fn from(errors: ConfigErrors) -> Self {
        Error::new(Kind::Config, errors.to_string())
    }
}
