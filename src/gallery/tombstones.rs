//! The ids of those who were forgotten, in a file of their own: a store that is replaced by an older copy does not bring
//! them back.
//!
//! One line each: the identity's id, the keyed tag of its external id or `-`, when, and the ids of the templates that were
//! pictures of this person. It only ever grows, and is written as a whole each time: a line that a power cut tore would spoil
//! the one that is appended to it.

use std::path::{Path, PathBuf};

use super::store::Forgotten;
use crate::bail;
use crate::base::durable;
use crate::base::error::{Error, Result};
use crate::types::ids::{IdentityId, ModelId, TemplateId};

/// The file beside the store.
#[derive(Debug, Clone)]
pub struct Tombstones {
    path: PathBuf,
    /// Those that a full disk did not take; they go with the next ones.
    owed: Vec<Forgotten>,
}

impl Tombstones {
    /// That of the store at `store`.
    pub fn beside(store: &Path) -> Self {
        Self { path: store.with_extension("forgotten"), owed: Vec::new() }
    }

    /// Takes away what a killed process left beside it. The caller holds the gallery's lock.
    pub fn clean_up(&self) {
        durable::clean_up(&self.path);
    }

    /// Everybody in it.
    ///
    /// # Errors
    /// `Data`, when it holds what is no line of it; as reading a file.
    pub fn read(&self) -> Result<Vec<Forgotten>> {
        let mut all = Vec::new();
        for (number, line) in (1..).zip(self.text()?.lines()) {
            let Some(forgotten) = parse(line) else {
                bail!(
                    Data,
                    "{}:{number}: expected an identity's id, a tag or -, a time, and templates' ids; restore the file from a backup, or \
                     remove the line",
                    self.path.display()
                );
            };
            all.push(forgotten);
        }
        Ok(all)
    }

    fn text(&self) -> Result<String> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(e) => Err(Error::io("read the list of the forgotten", &self.path, e)),
        }
    }

    /// Adds these, and those that could not be added before, and returns when they are on the disk.
    ///
    /// # Errors
    /// As reading and writing a file. What was not written is owed, and written the next time, or when the gallery is opened.
    pub fn append(&mut self, forgotten: &[Forgotten]) -> Result<()> {
        self.owed.extend_from_slice(forgotten);
        if self.owed.is_empty() {
            return Ok(());
        }
        let mut text = self.text()?;
        self.owed.iter().for_each(|forgotten| text.push_str(&line(forgotten)));
        durable::write(&self.path, text.as_bytes(), 0o600)?;
        self.owed.clear();
        durable::hand_over(&self.path)
    }
}

fn line(forgotten: &Forgotten) -> String {
    // 32 bytes in hexadecimal, as a model's id.
    let tag = forgotten.external_tag.map_or_else(|| "-".to_owned(), |tag| ModelId(tag).hex());
    let templates: String = forgotten.templates.iter().map(|id| format!(" {id}")).collect();
    format!("{} {tag} {}{templates}\n", forgotten.identity, forgotten.at)
}

fn parse(line: &str) -> Option<Forgotten> {
    let mut words = line.split(' ');
    let identity: IdentityId = words.next()?.parse().ok()?;
    let external_tag = match words.next()? {
        "-" => None,
        hex => Some(ModelId::from_hex(hex)?.0),
    };
    let at = words.next()?.parse().ok()?;
    let templates: Option<Vec<TemplateId>> = words.map(|word| word.parse().ok()).collect();
    Some(Forgotten { identity, external_tag, at, templates: templates? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn somebody(tag: Option<[u8; 32]>) -> Forgotten {
        let templates = (0..tag.iter().len() * 2).map(|_| TemplateId::generate()).collect();
        let at = jiff::Timestamp::UNIX_EPOCH;
        Forgotten { identity: IdentityId::generate(), external_tag: tag, at, templates }
    }

    #[test]
    fn who_was_added_is_read_and_what_is_no_line_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = Tombstones::beside(&folder.path().join("gallery.db"));
        assert!(file.read().expect("none yet").is_empty());
        let (ana, ben) = (somebody(None), somebody(Some([7; 32])));
        file.append(std::slice::from_ref(&ana)).expect("written");
        file.append(std::slice::from_ref(&ben)).expect("written");
        assert_eq!(file.read().expect("readable"), [ana, ben]);
        let path = folder.path().join("gallery.forgotten");
        let whole = std::fs::read(&path).expect("there");
        for bad in [&whole[..whole.len() - 5], b"nonsense\n", b"\0\0\0"] {
            std::fs::write(&path, bad).expect("written");
            assert!(file.read().is_err(), "somebody who was forgotten must not come back unnoticed");
        }
    }

    #[test]
    fn who_could_not_be_written_is_written_with_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gallery.forgotten");
        let mut file = Tombstones::beside(&folder.path().join("gallery.db"));
        let (ana, ben) = (somebody(None), somebody(None));
        std::fs::create_dir(&path).expect("in the way");
        assert!(file.append(std::slice::from_ref(&ana)).is_err());
        std::fs::remove_dir(&path).expect("out of the way");
        file.append(std::slice::from_ref(&ben)).expect("written");
        assert_eq!(file.read().expect("readable"), [ana, ben]);
        file.append(&[]).expect("nothing to do");
    }
}
