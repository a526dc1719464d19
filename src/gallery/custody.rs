//! The gallery as the daemon has it: one keeper for all who ask, and the snapshots it puts into use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};

use super::keeper::{Keeper, Model, Opening, Seen};
use super::life;
use super::lock::Holder;
use super::shared::SharedGallery;
use super::succession::Embedders;
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::config::Config;
use crate::infer::models::Models;

/// A running daemon's gallery. Shared, cheap to clone.
#[derive(Clone)]
pub struct Custody {
    /// Carries commands out, one at a time.
    pub keeper: Arc<Mutex<Keeper>>,
    /// What searches use.
    pub shared: Arc<SharedGallery>,
    /// Told of every snapshot that comes into use. One thread listens.
    pub swaps: Receiver<Seen>,
}

impl Custody {
    /// Opens the configured gallery, which is made if there is none.
    ///
    /// # Errors
    /// As [`Keeper::open`].
    pub fn open(config: &Config, models: &Models, clock: Arc<dyn Clock>) -> Result<Self> {
        let holder = Holder::this("run", Some(config.control.socket.clone()));
        let model = Model::configured(models, &config.decide);
        let opening = Opening::configured(&config.gallery, Some(model), holder, clock);
        let (told, swaps) = unbounded();
        let (mut keeper, notice) = Keeper::open(opening, Box::new(move |seen| drop(told.send(seen))))?;
        if let Some(notice) = notice {
            notice.to_string().lines().for_each(|line| tracing::warn!("{line}"));
        }
        keeper.note_thresholds(config)?;
        let shared = keeper.shared();
        Ok(Self { keeper: Arc::new(Mutex::new(keeper)), shared, swaps })
    }

    /// How long until there may be something to tend.
    pub fn wait(&self) -> Duration {
        // Whoever is at it now may take long; there is time until the next look.
        self.keeper.try_lock().map_or(Duration::from_secs(1), |keeper| keeper.wait()).min(life::MAX_WAIT)
    }

    /// Starts and ends what is due, and builds the base again when too much lies beside it.
    ///
    /// # Errors
    /// When the store cannot be written; it is tried again.
    pub fn tend(&self) -> Result<()> {
        self.lock().tick()?;
        let current = self.shared.current();
        if current.wants_rebuilding() {
            // Beside: commands and searches go on.
            let (rebuilt, warning) = current.rebuilt()?;
            if let Some(warning) = warning {
                tracing::warn!("{warning}");
            }
            self.lock().stand_on(&rebuilt)?;
        }
        Ok(())
    }

    /// From now on the model can be switched.
    pub fn set_embedders(&self, embedders: Arc<dyn Embedders>) {
        self.lock().set_embedders(embedders);
    }

    /// The configuration was read again.
    ///
    /// # Errors
    /// As a commit.
    pub fn reloaded(&self, config: &Config) -> Result<()> {
        self.lock().note_thresholds(config)
    }

    fn lock(&self) -> MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
