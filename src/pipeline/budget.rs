//! Every queue size and timeout of the pipeline in one table, each with its reason.

use std::time::Duration;

/// Shots that may wait for an embedder. At one shot a track, this is more faces than any box keeps up with; a shot is
/// about 40 kB, so the queue holds at most 10 MB.
pub const SHOT_QUEUE: usize = 256;

/// Messages from the workers to the decider. It handles one in well under a millisecond, so this never fills unless a
/// search stalls; workers then wait, and frames are dropped and counted at the mailboxes.
pub const DECIDER_QUEUE: usize = 1024;

/// Tending the gallery may take this long before the watchdog ends the process: writes wait for a slow disk, and for a command that has
/// the store.
pub const GALLERY_STUCK: Duration = Duration::from_secs(900);

/// How long a drain may take before the process exits anyway. systemd and people wait ten seconds.
pub const DRAIN: Duration = Duration::from_secs(8);

/// How often an idle worker looks around, so that a lost wake-up costs latency, not a stuck camera.
pub const WORKER_IDLE: Duration = Duration::from_millis(250);

/// A detection or a batch that takes longer than this is stuck: it starves the watchdog.
pub const INFERENCE_STUCK: Duration = Duration::from_secs(20);

/// A decision (a search, a publication) that takes longer than this is stuck.
pub const DECISION_STUCK: Duration = Duration::from_secs(10);

/// How long the graph's checker rests after each look: comparing a large gallery whole takes some 0.1 s of an idle core.
pub const CHECK_PAUSE: Duration = Duration::from_secs(1);

/// Candidates asked of the gallery: the best, the second for the margin, and a few for the record.
pub const CANDIDATES: usize = 5;
