//! The workers that run inference, and what they find to do.
//!
//! ```text
//!   cameras put frames in          ┌───────────── state (one lock) ─────────────┐
//!   their lanes' mailboxes ──ring──▶ ready: lanes with something to do, in turn │──▶ worker 1 ┐ detector + embedder,
//!                                  │ shots: crops to embed                      │──▶ worker 2 ┘ sessions of their own
//!   workers put shots back ────────▶                                            │
//!                                  └────────────────────────────────────────────┘
//! ```
//!
//! A worker embeds before it detects: what was begun is finished first, and a shot is worth more than another frame. A lane
//! stands in `ready` at most once and is held by at most one worker, so a camera's frames are looked at in order by one
//! owner at a time, and cameras take turns.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::budget;
use super::lane::Lane;
use super::queue::{Dropped, Shot, ShotQueue};
use crate::base::clock::Clock;

/// How shots become batches.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// Most shots in one batch.
    pub max: usize,
    /// How long a batch may wait to fill; zero on a CPU, where batching buys nothing.
    pub wait: Duration,
}

/// What a worker is to do next.
pub enum Job {
    /// Look at the camera's newest frame.
    Look(Arc<Lane>),
    /// Embed these; the others are to be reported as dropped.
    Embed(Vec<Shot>, Vec<Dropped>),
    /// Nothing for a moment; call again.
    Idle,
    /// No work will come any more.
    Stop,
}

struct State {
    ready: VecDeque<Arc<Lane>>,
    shots: ShotQueue,
    active: usize,
    closing: bool,
}

/// Hands work to workers.
pub struct Pool {
    state: Mutex<State>,
    wake: Condvar,
    settled: Condvar,
    batching: Batching,
    clock: Arc<dyn Clock>,
}

impl Pool {
    /// A pool without work.
    pub fn new(batching: Batching, max_crop_age: Duration, clock: Arc<dyn Clock>) -> Self {
        let state = State {
            ready: VecDeque::new(),
            shots: ShotQueue::new(budget::SHOT_QUEUE, max_crop_age),
            active: 0,
            closing: false,
        };
        Self { state: Mutex::new(state), wake: Condvar::new(), settled: Condvar::new(), batching, clock }
    }

    /// A lane has something to do.
    pub fn ring(&self, lane: &Arc<Lane>) {
        if lane.claim_turn() {
            self.lock().ready.push_back(lane.clone());
            self.wake.notify_one();
        }
    }

    /// A worker is done with a lane.
    pub fn release(&self, lane: &Arc<Lane>) {
        lane.end_turn();
        if lane.has_work() {
            self.ring(lane);
        }
    }

    /// Queues shots; what had to go for them comes back.
    pub fn submit(&self, shots: impl IntoIterator<Item = Shot>) -> Vec<Dropped> {
        let now = self.clock.now();
        let mut state = self.lock();
        let dropped: Vec<Dropped> = shots.into_iter().filter_map(|shot| state.shots.put(shot, now)).collect();
        if !state.shots.is_empty() {
            self.wake.notify_one();
        }
        dropped
    }

    /// The next job for a worker. Each job but `Idle` and `Stop` is ended with [`Pool::done`].
    pub fn next(&self) -> Job {
        let mut state = self.lock();
        let now = self.clock.now();
        let batch_is_due = self.batch_wait(&state, now).is_some_and(|wait| wait.is_zero() || state.closing);
        if batch_is_due {
            let (taken, dropped) = state.shots.take(self.batching.max, now);
            if !taken.is_empty() || !dropped.is_empty() {
                state.active += 1;
                return Job::Embed(taken, dropped);
            }
        }
        if let Some(lane) = state.ready.pop_front() {
            state.active += 1;
            return Job::Look(lane);
        }
        if state.closing && state.active == 0 && state.shots.is_empty() {
            self.wake.notify_all();
            return Job::Stop;
        }
        let wait = self.batch_wait(&state, now).unwrap_or(budget::WORKER_IDLE).min(budget::WORKER_IDLE);
        // Whichever way it wakes, the caller asks again.
        drop(
            self.wake
                .wait_timeout(state, wait.max(Duration::from_micros(100)))
                .unwrap_or_else(PoisonError::into_inner),
        );
        Job::Idle
    }

    /// A job is done.
    pub fn done(&self) {
        let mut state = self.lock();
        state.active -= 1;
        if state.closing {
            self.wake.notify_all();
        }
        self.settled.notify_all();
    }

    /// Waits until there is nothing to do, or until `timeout`; true if all was done.
    pub fn settle(&self, timeout: Duration) -> bool {
        let busy = |s: &mut State| s.active > 0 || !s.ready.is_empty() || !s.shots.is_empty();
        let (_state, waited) = self
            .settled
            .wait_timeout_while(self.lock(), timeout, busy)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    /// Workers finish what is queued and get [`Job::Stop`].
    pub fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_all();
    }

    /// Shots that wait to be embedded.
    pub fn waiting_shots(&self) -> usize {
        self.lock().shots.len()
    }

    /// How long the waiting shots may still wait for company; `None` if none waits.
    fn batch_wait(&self, state: &State, now: crate::base::clock::Moment) -> Option<Duration> {
        let oldest = state.shots.oldest()?;
        if state.shots.len() >= self.batching.max {
            return Some(Duration::ZERO);
        }
        Some(self.batching.wait.saturating_sub(now.since(oldest)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
