//! SQLite's errors in words that say what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::{Error as Sql, ErrorCode};

use crate::base::error::{Error, Kind, Result};

/// The store's file, for messages.
#[derive(Debug, Clone)]
pub struct Place(PathBuf);

impl Place {
    pub(in crate::gallery) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(in crate::gallery) fn path(&self) -> &Path {
        &self.0
    }

    /// Passes on what SQLite said while we wanted to `doing` the gallery.
    pub(in crate::gallery) fn sql<T>(&self, doing: &str, result: rusqlite::Result<T>) -> Result<T> {
        result.map_err(|cause| self.explain(doing, cause))
    }

    fn explain(&self, doing: &str, cause: Sql) -> Error {
        let (kind, advice) = match &cause {
            Sql::SqliteFailure(failure, _) => advice(failure.code),
            // A value of the wrong type: STRICT tables keep us from writing one.
            _ => (Kind::Data, "its content is damaged: restore a backup"),
        };
        Error::new(kind, format!("cannot {doing} {self}: {advice}")).because(cause)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gallery {}", self.0.display())
    }
}

fn advice(code: ErrorCode) -> (Kind, &'static str) {
    match code {
        ErrorCode::NotADatabase => {
            (Kind::Data, "the file is no SQLite database: gallery.path must name another")
        }
        ErrorCode::DatabaseCorrupt => (Kind::Data, "the file is damaged: restore a backup, or enrol again"),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            (Kind::Temporary, "another process is writing to it: try again")
        }
        ErrorCode::ReadOnly => (Kind::Permission, "it is open for reading only"),
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            (Kind::Permission, "this user may not")
        }
        ErrorCode::CannotOpen => {
            (Kind::Io, "it cannot be opened: check the folder's owner and mode, and the room on the disk")
        }
        ErrorCode::DiskFull => (Kind::Io, "the disk is full; make room and try again"),
        ErrorCode::SystemIoFailure => (
            Kind::Io,
            "the disk failed, is full, or its file system is read-only: see the system's log, and try again",
        ),
        _ => (Kind::Io, "SQLite failed"),
    }
}
