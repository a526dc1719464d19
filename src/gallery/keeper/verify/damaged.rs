//! A gallery that does not open because something in it is damaged: it can be looked at, which says all that is wrong and not
//! only the first of it, and a backup can be put in its place.

use super::super::audit::verify_log;
use super::super::backup::{look_at, replace};
use super::super::open::{NO_MODEL, read_model};
use super::super::{Opening, json};
use super::Look;
use crate::base::error::{Error, Kind, Result};
use crate::err;
use crate::gallery::audit::HeadFile;
use crate::gallery::command::{Actor, Command, Desk, Progress, Reply};
use crate::gallery::lock::Lock;
use crate::gallery::master;
use crate::gallery::report::{BackedUp, Examination};
use crate::gallery::store::{Found, Store};
use crate::gallery::tombstones::Tombstones;

/// Carries out the commands that only look at the files, and the one that puts a backup in their place.
pub struct Damaged {
    opening: Opening,
    actor: Actor,
    /// Unless nothing in it can be read.
    store: Option<Store>,
    /// Why the gallery did not open.
    why: Error,
    /// Until a backup is in its place.
    lock: Option<Lock>,
}

impl Damaged {
    /// Opens what can be opened of it.
    ///
    /// # Errors
    /// `Temporary`, when somebody holds it meanwhile; `why`, when nothing can, and it was no gallery either: there is no head beside it.
    pub fn open(opening: Opening, actor: Actor, why: Error) -> Result<Self> {
        let lock = match Lock::take(&opening.path, &opening.holder, opening.patience) {
            Ok(lock) => lock,
            // Something can be done about that.
            Err(held) if held.kind() == Kind::Temporary => return Err(held),
            Err(_) => return Err(why),
        };
        let store = read_only(&opening).ok();
        if store.is_none() && !opening.path.with_extension("head").exists() {
            return Err(why);
        }
        Ok(Self { opening, actor, store, why, lock: Some(lock) })
    }

    fn verify(&self, store: &Store, progress: &mut dyn FnMut(Progress)) -> Result<Examination> {
        let mut look = Look::new(progress);
        look.tell(format!("the gallery does not open: {}", self.why.chain()));
        look.at_file(store);
        look.at_key(&self.opening.key, store);
        let read = store.read(|tables| {
            let model = read_model(tables)?.unwrap_or(NO_MODEL);
            look.at_rows(tables, &model, &Tombstones::beside(store.path()));
            Ok(())
        });
        look.note("the store", read);
        let head = look.at_log(store, &head_file(store))?;
        Ok(look.end(head))
    }

    fn restore(&mut self, backup: &[u8], progress: &mut dyn FnMut(Progress)) -> Result<BackedUp> {
        let Some(lock) = self.lock.take() else {
            return Err(err!(Software, "a backup was put in place of this gallery already"));
        };
        self.store = None;
        replace(&self.opening, lock, &self.actor, backup, progress)
    }
}

fn read_only(opening: &Opening) -> Result<Store> {
    let master = match (&opening.given_key, Store::look(&opening.path)?) {
        (Some(key), _) => key.clone(),
        (None, Found::Sealed(id)) => master::load_for(&opening.key, id)?,
        (None, _) => master::load(&opening.key)?,
    };
    Store::open_as_it_is(&opening.path, &master)
}

fn head_file(store: &Store) -> HeadFile {
    HeadFile::new(store.path().with_extension("head"), store.keys().audit.clone())
}

impl Desk for Damaged {
    fn ask(&mut self, command: Command, body: Vec<u8>, progress: &mut dyn FnMut(Progress)) -> Result<Reply> {
        match (command, &self.store) {
            (Command::RestorePreview { .. }, _) => json(&look_at(&self.opening, &body, progress)?),
            (Command::Restore { .. }, _) => json(&self.restore(&body, progress)?),
            (Command::Verify, Some(store)) => json(&self.verify(store, progress)?),
            (Command::AuditVerify { head }, Some(store)) => {
                json(&verify_log(store, &head_file(store), head.as_deref())?)
            }
            (_, Some(_)) => {
                Err(err!(Data, "{}; `watchlistd gallery verify` says all that is wrong", self.why.chain()))
            }
            (_, None) => Err(err!(Data, "{}", self.why.chain())),
        }
    }
}
