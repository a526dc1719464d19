//! One keeper for several who ask: what takes long lets the others in.
//!
//! ```text
//!  carry_out ─┬─ at once: looked up, or one commit ────────────────────────── under the lock
//!             └─ long:    begin (lock) ─▶ read, decrypt, compute (beside) ─▶ commit (lock), if it still holds
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::{Keeper, exchange, json, look, rotate, switch, verify};
use crate::bail;
use crate::base::error::Result;
use crate::gallery::command::{Actor, Command, Progress, Reply};

/// A keeper, held for a moment at a time.
pub(super) trait Held {
    fn with<T>(&mut self, run: impl FnOnce(&mut Keeper) -> T) -> T;
}

/// Nobody else asks it.
pub(super) struct Alone<'a>(pub(super) &'a mut Keeper);

impl Held for Alone<'_> {
    fn with<T>(&mut self, run: impl FnOnce(&mut Keeper) -> T) -> T {
        run(self.0)
    }
}

/// Others ask it meanwhile.
struct Shared<'a>(&'a Mutex<Keeper>);

impl Held for Shared<'_> {
    fn with<T>(&mut self, run: impl FnOnce(&mut Keeper) -> T) -> T {
        run(&mut hold(self.0))
    }
}

/// The keeper, once nobody else has it. If a command panicked with it, it is read again from the store first.
pub fn hold(keeper: &Mutex<Keeper>) -> MutexGuard<'_, Keeper> {
    match keeper.lock() {
        Ok(keeper) => keeper,
        Err(poisoned) => mended(keeper, poisoned),
    }
}

/// As [`hold`], unless somebody else has it.
pub fn try_hold(keeper: &Mutex<Keeper>) -> Option<MutexGuard<'_, Keeper>> {
    match keeper.try_lock() {
        Ok(keeper) => Some(keeper),
        Err(TryLockError::WouldBlock) => None,
        Err(TryLockError::Poisoned(poisoned)) => Some(mended(keeper, poisoned)),
    }
}

/// A transaction was made as a whole or not at all; what was in memory may be half of it.
fn mended<'a>(
    keeper: &Mutex<Keeper>,
    poisoned: PoisonError<MutexGuard<'a, Keeper>>,
) -> MutexGuard<'a, Keeper> {
    let mut guard = poisoned.into_inner();
    match guard.reload() {
        Ok(()) => {
            guard.broken = false;
            tracing::error!("a command failed half way; the gallery was read again");
            keeper.clear_poison();
        }
        Err(error) => {
            guard.broken = true;
            tracing::error!(
                error = error.chain(),
                "a command failed half way, and the gallery cannot be read again"
            );
        }
    }
    guard
}

/// [`Keeper::execute`] for one of several who share a keeper: what takes long lets the others in.
///
/// # Errors
/// As there.
pub fn execute_shared(
    keeper: &Mutex<Keeper>,
    actor: &Actor,
    command: Command,
    body: &[u8],
    progress: &mut dyn FnMut(Progress),
) -> Result<Reply> {
    // Who asks may not be able to read what the daemon can.
    if let Command::SwitchModel { manifest, .. } = &command
        && manifest.extension().is_none_or(|end| end != "toml")
    {
        bail!(Usage, "{}: expected a model's manifest, NAME.toml", manifest.display());
    }
    carry_out(&mut Shared(keeper), actor, command, body, progress)
}

/// Carries a command out.
pub(super) fn carry_out(
    held: &mut impl Held,
    actor: &Actor,
    command: Command,
    body: &[u8],
    progress: &mut dyn FnMut(Progress),
) -> Result<Reply> {
    match command {
        Command::Confusable { most } => json(&look::confusable(held, most, progress)),
        Command::Verify => json(&verify::verify(held, progress)?),
        Command::KeyExport { recipients, passphrase } => {
            rotate::key_export(held, actor, recipients, passphrase, progress)
        }
        Command::KeyRotate { key, deep } => {
            json(&rotate::key_rotate(held, actor, key.as_ref(), deep, progress)?)
        }
        Command::Export { lists, recipients, crops } => {
            exchange::export(held, actor, &lists, &recipients, crops, progress)
        }
        Command::Import { dry_run, force, identity } => {
            json(&exchange::import(held, actor, body, identity.as_ref(), (dry_run, force), progress)?)
        }
        Command::SwitchModel { .. } | Command::RollbackModel => {
            json(&switch::run(held, actor, &command, progress)?)
        }
        command => held.with(|keeper| keeper.at_once(actor, command, body, progress)),
    }
}
