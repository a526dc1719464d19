//! A gallery that does not open because something in it is damaged: it can be looked at, which says all that is wrong and not
//! only the first of it.

use super::super::audit::verify_log;
use super::super::open::{NO_MODEL, read_model};
use super::super::{Opening, json};
use super::Look;
use crate::base::error::{Error, Result};
use crate::err;
use crate::gallery::audit::HeadFile;
use crate::gallery::command::{Command, Desk, Progress, Reply};
use crate::gallery::lock::Lock;
use crate::gallery::master::{self, KeySource};
use crate::gallery::report::Examination;
use crate::gallery::store::{Found, Store};
use crate::gallery::tombstones::Tombstones;

/// Carries out the commands that only look at the files.
pub struct Damaged {
    store: Store,
    key: KeySource,
    /// Why the gallery did not open.
    why: Error,
    _lock: Lock,
}

impl Damaged {
    /// Opens the store for reading.
    ///
    /// # Errors
    /// `why`, when the store itself cannot be read either.
    pub fn open(opening: Opening, why: Error) -> Result<Self> {
        let Opening { path, key, given_key, holder, patience, .. } = opening;
        let opened = || -> Result<(Lock, Store)> {
            let lock = Lock::take(&path, &holder, patience)?;
            let master = match (given_key, Store::look(&path)?) {
                (Some(key), _) => key,
                (None, Found::Sealed(id)) => master::load_for(&key, id)?,
                (None, _) => master::load(&key)?,
            };
            Ok((lock, Store::open_read_only(&path, &master)?))
        };
        match opened() {
            Ok((lock, store)) => Ok(Self { store, key, why, _lock: lock }),
            Err(_) => Err(why),
        }
    }

    fn verify(&self, progress: &mut dyn FnMut(Progress)) -> Result<Examination> {
        let path = self.store.path();
        let mut look = Look::new(progress);
        look.tell(format!("the gallery does not open: {}", self.why.chain()));
        look.at_file(&self.store);
        look.at_key(&self.key, &self.store);
        let read = self.store.read(|tables| {
            let model = read_model(tables)?.unwrap_or(NO_MODEL);
            look.at_rows(tables, &model, &Tombstones::beside(path));
            Ok(())
        });
        look.note("the store", read);
        let head = look.at_log(&self.store, &self.head_file())?;
        Ok(look.end(head))
    }

    fn head_file(&self) -> HeadFile {
        HeadFile::new(self.store.path().with_extension("head"), self.store.keys().audit.clone())
    }
}

impl Desk for Damaged {
    fn ask(&mut self, command: Command, _: Vec<u8>, progress: &mut dyn FnMut(Progress)) -> Result<Reply> {
        match command {
            Command::Verify => json(&self.verify(progress)?),
            Command::AuditVerify { head } => {
                json(&verify_log(&self.store, &self.head_file(), head.as_deref())?)
            }
            _ => Err(err!(Data, "{}; `watchlistd gallery verify` says all that is wrong", self.why.chain())),
        }
    }
}
