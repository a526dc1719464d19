//! Who answers at the control socket: the status from the first moment, and the gallery once it is open.

use std::sync::{Arc, Mutex, OnceLock};

use crate::api::Report;
use crate::api::control::{Handler, Peer};
use crate::bail;
use crate::base::error::Result;
use crate::gallery::Keeper;
use crate::gallery::command::{Command, Progress, Reply};
use crate::gallery::keeper::execute_shared;
use crate::stats::snapshot::Snapshot;

/// Answers requests.
pub struct Reception {
    report: Report,
    keeper: OnceLock<Arc<Mutex<Keeper>>>,
}

impl Reception {
    /// Answers the status.
    pub fn new(report: Report) -> Self {
        Self { report, keeper: OnceLock::new() }
    }

    /// From now on also gallery commands.
    pub fn serve(&self, keeper: Arc<Mutex<Keeper>>) {
        let _ = self.keeper.set(keeper);
    }
}

impl Handler for Reception {
    fn status(&self) -> Snapshot {
        self.report.snapshot()
    }

    fn gallery(
        &self,
        peer: &Peer,
        command: Command,
        body: &[u8],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Reply> {
        let Some(keeper) = self.keeper.get() else {
            bail!(Temporary, "the daemon is still loading: try again when it is ready");
        };
        execute_shared(keeper, &peer.actor(), command, body, progress)
    }
}
