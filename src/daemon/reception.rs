//! Who answers at the control socket: the status from the first moment, the gallery and the event log once they are open.

use std::sync::{Arc, Mutex, OnceLock};

use crate::api::Report;
use crate::api::control::{Handler, Peer};
use crate::bail;
use crate::base::error::Result;
use crate::events::desk::{Clerk, Question};
use crate::gallery::Keeper;
use crate::gallery::command::{Command, Progress, Reply};
use crate::gallery::keeper::execute_shared;
use crate::stats::snapshot::Snapshot;

const LOADING: &str = "the daemon is still loading: try again when it is ready";

/// Answers requests.
pub struct Reception {
    report: Report,
    keeper: OnceLock<Arc<Mutex<Keeper>>>,
    clerk: OnceLock<Clerk>,
}

impl Reception {
    /// Answers the status.
    pub fn new(report: Report) -> Self {
        Self { report, keeper: OnceLock::new(), clerk: OnceLock::new() }
    }

    /// From now on also gallery commands.
    pub fn serve(&self, keeper: Arc<Mutex<Keeper>>) {
        let _ = self.keeper.set(keeper);
    }

    /// From now on also questions about the event log.
    pub fn serve_events(&self, clerk: Clerk) {
        let _ = self.clerk.set(clerk);
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
        let Some(keeper) = self.keeper.get() else { bail!(Temporary, "{LOADING}") };
        execute_shared(keeper, &peer.actor(), command, body, progress)
    }

    fn events(&self, question: &Question) -> Result<Reply> {
        let Some(clerk) = self.clerk.get() else { bail!(Temporary, "{LOADING}") };
        clerk.answer(question)
    }
}
