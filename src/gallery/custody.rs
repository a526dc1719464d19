//! The gallery as the daemon has it: one keeper for all who ask, and the snapshots it puts into use.
//!
//! ```text
//!  commands ──▶ keeper (one at a time) ──swap──▶ shared ◀── searches
//!                  ▲                     └─told─▶ swaps ──▶ the gallery thread: tend(), when nobody has the keeper
//!                  └──────────────────────────────────────────────┘   ▲
//!  main thread ── reloaded(), set_embedders(): left here, and told ───┘   it never waits for the keeper
//!                           shared ◀── rebuild(): a base built beside, by the index thread, which needs nobody else
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::Timestamp;

use super::crypt::Key;
use super::keeper::{Estimated, Keeper, Model, Offered, Opening, Thresholds, hold, try_hold};
use super::keyring::KeyRing;
use super::life::{self, Reviews};
use super::lock::Holder;
use super::outside::Outside;
use super::review::EventReview;
use super::shared::SharedGallery;
use super::snapshot::Warning;
use super::succession::Embedders;
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::config::Config;
use crate::infer::models::Models;
use crate::types::ids::ModelId;

/// While somebody has the keeper: how long until it is looked again whether it is free.
const BUSY: Duration = Duration::from_secs(1);

/// Verdicts that wait to be heard.
const REVIEWS: usize = 256;

/// A running daemon's gallery. Shared, cheap to clone.
#[derive(Clone)]
pub struct Custody {
    /// Carries commands out, one at a time.
    pub keeper: Arc<Mutex<Keeper>>,
    /// What searches use.
    pub shared: Arc<SharedGallery>,
    /// Told that another snapshot is in use, or that there is something to tend: once for all that came since. One thread
    /// listens.
    pub swaps: Receiver<()>,
    told: Sender<()>,
    warnings: Arc<Mutex<Vec<Warning>>>,
    /// Thresholds of a configuration that was read again, until they are on record.
    thresholds: Arc<Mutex<Option<(Thresholds, ModelId, f32)>>>,
    /// Thresholds that were estimated, until they are on record.
    estimated: Arc<Mutex<VecDeque<Estimated>>>,
    embedders: Offered,
    /// The first verdict of an operator about each event. One thread listens.
    pub reviews: Receiver<EventReview>,
}

impl Custody {
    /// Opens the configured gallery, which is made if there is none.
    ///
    /// # Errors
    /// As [`Keeper::open`].
    pub fn open(config: &Config, models: &Models, clock: Arc<dyn Clock>) -> Result<Self> {
        let holder = Holder::this("run", Some(config.control.socket.clone()));
        let model = Model::configured(models, &config.decide);
        let custody = Self::of(Opening::configured(&config.gallery, Some(model), holder, clock))?;
        hold(&custody.keeper).note_thresholds(&Thresholds::of(config))?;
        hold(&custody.keeper).note_unknown_snapshots(config.snapshots.unknown)?;
        Ok(custody)
    }

    /// Opens a gallery. What came due while nobody looked happens before the first search: who expired meanwhile is not found.
    ///
    /// # Errors
    /// As [`Keeper::open`].
    pub fn of(opening: Opening) -> Result<Self> {
        let (told, swaps) = bounded(1);
        let warnings: Arc<Mutex<Vec<Warning>>> = Arc::default();
        let (tell, warned) = (told.clone(), warnings.clone());
        let on_swap = move |seen: super::keeper::Seen| {
            locked(&warned).extend(seen.warnings);
            // Full: who listens has not looked yet, and will see this one too.
            let _ = tell.try_send(());
        };
        let (mut keeper, notice) = Keeper::open(opening, Box::new(on_swap))?;
        if let Some(notice) = notice {
            notice.to_string().lines().for_each(|line| tracing::warn!("{line}"));
        }
        let (reviewed, reviews) = bounded(REVIEWS);
        keeper.tell_reviews(reviewed);
        keeper.catch_up();
        let (shared, embedders) = (keeper.shared(), keeper.embedders());
        let keeper = Arc::new(Mutex::new(keeper));
        let (thresholds, estimated) = (Arc::default(), Arc::default());
        Ok(Self { keeper, shared, swaps, told, warnings, thresholds, estimated, embedders, reviews })
    }

    /// The key of the event log, and the identities' keys for it.
    pub fn for_events(&self) -> (Key, KeyRing) {
        let keeper = hold(&self.keeper);
        let ring = keeper.ring();
        match keeper.forgotten() {
            Ok(all) => ring.departed_before(all.iter().map(|forgotten| forgotten.identity)),
            Err(error) => tracing::warn!(error = error.chain(), "who was forgotten before cannot be read"),
        }
        (keeper.events_key(), ring)
    }

    /// The keys of pictures that are kept: the gallery's own, and the identities'.
    pub fn for_snapshots(&self) -> (Key, KeyRing) {
        let keeper = hold(&self.keeper);
        (keeper.snapshots_key(), keeper.ring())
    }

    /// From now on what is kept there goes with whoever is forgotten.
    pub fn set_outside(&self, outside: Arc<dyn Outside>) {
        hold(&self.keeper).set_outside(outside);
    }

    /// What an operator should know of the snapshots that came into use since this was asked.
    pub fn warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut *locked(&self.warnings))
    }

    /// How long until there may be something to tend.
    pub fn wait(&self) -> Duration {
        if locked(&self.thresholds).is_some() || !locked(&self.estimated).is_empty() {
            return BUSY;
        }
        // Whoever is at it now may take long; there is time until the next look.
        try_hold(&self.keeper).map_or(BUSY, |keeper| keeper.wait()).min(life::MAX_WAIT)
    }

    /// Starts and ends what is due, and puts thresholds on record. What needs the keeper is left for the next time if somebody has it.
    ///
    /// # Errors
    /// When the store cannot be written; it is tried again.
    pub fn tend(&self) -> Result<()> {
        try_hold(&self.keeper).map_or(Ok(()), |mut keeper| self.catch_up(&mut keeper))
    }

    /// Builds the base of the snapshot in use again, if that is wanted: a graph may take minutes, while searches and commands go on.
    ///
    /// # Errors
    /// As [`super::GallerySnapshot::rebuilt`].
    pub fn rebuild(&self) -> Result<()> {
        let current = self.shared.current();
        if !current.wants_rebuilding() {
            return Ok(());
        }
        let (rebuilt, warning) = current.rebuilt()?;
        // The last one may go now, and with it the vectors of who is gone.
        drop(current);
        self.shared.stand_on(&rebuilt)?;
        locked(&self.warnings).extend(warning);
        self.swapped_beside();
        Ok(())
    }

    /// Another snapshot is in use that came from beside the keeper.
    pub fn swapped_beside(&self) {
        let _ = self.told.try_send(());
    }

    fn catch_up(&self, keeper: &mut Keeper) -> Result<()> {
        keeper.wipe_again();
        keeper.tick()?;
        let waiting = locked(&self.thresholds).clone();
        if let Some(waiting) = waiting {
            let (thresholds, model, threshold) = &waiting;
            keeper.note_thresholds(thresholds)?;
            keeper.note_model_threshold(*model, *threshold)?;
            // Another reload may have come meanwhile.
            locked(&self.thresholds).take_if(|now| *now == waiting);
        }
        loop {
            let first = locked(&self.estimated).front().cloned();
            let Some(first) = first else { break };
            keeper.note_estimated(&first)?;
            locked(&self.estimated).pop_front();
        }
        Ok(())
    }

    /// Review dates that have come now, in all and since then; and which moment now is. `None`, if somebody has the keeper.
    pub fn reviews_due(&self, since: Timestamp) -> Option<(Reviews, Timestamp)> {
        try_hold(&self.keeper).map(|keeper| keeper.reviews_due(since))
    }

    /// From now on the model can be switched.
    pub fn set_embedders(&self, embedders: Arc<dyn Embedders>) {
        *locked(&self.embedders) = Some(embedders);
    }

    /// A threshold was estimated. It comes on record when nobody has the keeper.
    pub fn estimated(&self, estimated: Estimated) {
        locked(&self.estimated).push_back(estimated);
        let _ = self.told.try_send(());
    }

    /// The configuration was read again. `model` is the one that faces are embedded with, and `own` its own threshold. Thresholds
    /// come on record when nobody has the keeper; a daemon that ends before does it at the next start.
    pub fn reloaded(&self, config: &Config, model: ModelId, own: f32) {
        let threshold = config.decide.score().unwrap_or(own);
        *locked(&self.thresholds) = Some((Thresholds::of(config), model, threshold));
        let _ = self.told.try_send(());
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
