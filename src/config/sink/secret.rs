//! Secrets of sinks: files that only the daemon may read, or credentials of systemd. Never the configuration itself.

use std::path::Path;

use crate::base::secret::Secret;
use crate::config::credentials::Credentials;
use crate::config::raw::{Node, Section, Wrong, expected};
use crate::config::read::{self, Read};

/// Where a sink's secrets come from.
pub(super) struct Vault<'a> {
    pub credentials: &'a Credentials,
    pub base: &'a Path,
}

/// A secret that a key names.
#[derive(Clone, PartialEq)]
pub(super) enum Named {
    /// What its file holds.
    Known(Secret),
    /// Nothing was to be opened, or it could not be, which is told already.
    Unread,
}

impl Named {
    /// The secret, if it was read.
    pub fn known(self) -> Option<Secret> {
        match self {
            Named::Known(secret) => Some(secret),
            Named::Unread => None,
        }
    }

    /// The secret. Where nothing was opened it is an empty one: whoever asked for that sends nothing.
    pub fn secret(self) -> Secret {
        match self {
            Named::Known(secret) => secret,
            Named::Unread => Secret::new(""),
        }
    }
}

impl Vault<'_> {
    /// The secret whose file `key` names; `None` if the key is not set or its file is wrong.
    pub fn one(&self, s: &mut Section<'_>, key: &'static str) -> Option<Named> {
        s.read(key, |node| self.open(node))
    }

    /// The secrets whose files `key` names, of which there have to be 1 to `most`. Empty if the key is not set or wrong.
    pub fn several(&self, s: &mut Section<'_>, key: &'static str, most: usize) -> Vec<Named> {
        let files = s.read(key, |node| {
            let files = read::set("files that hold a secret each", file_name)(node)?;
            match files.len() > most {
                true => Err(Wrong::Says(format!("expected at most {most} files"))),
                false => files.iter().map(|file| self.open_file(file)).collect(),
            }
        });
        files.unwrap_or_default()
    }

    /// The secret whose file this value names.
    pub fn open(&self, node: &Node) -> Read<Named> {
        self.open_file(&file_name(node)?)
    }

    fn open_file(&self, name: &str) -> Read<Named> {
        let read = self.credentials.file(name, self.base).map_err(Wrong::Says)?;
        Ok(read.map_or(Named::Unread, Named::Known))
    }
}

fn file_name(node: &Node) -> Read<String> {
    match read::text(node) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => expected("the path of a file that holds the secret, or \"$CREDENTIALS_DIRECTORY/NAME\""),
    }
}

/// Refuses a secret that stands in the configuration itself, under any of the names that one might look for.
pub(super) fn forbid(s: &mut Section<'_>, key: &'static str, instead: &str) {
    s.forbid(key, &format!("a secret does not stand here; name a file that holds it by {instead}"));
}
