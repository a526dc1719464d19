//! Counters of the snapshots.

use super::counter::{ByLabel, Counter, Gauge, Timing};
use super::labels::{SnapshotGone, SnapshotMiss};
use super::snapshot::SnapshotsSnapshot;

/// What became of pictures of who was recognised.
#[derive(Debug, Default)]
pub struct SnapshotStats {
    /// Cutting pictures out of frames, the second look at them included.
    pub made: Timing,
    /// Encoding, sealing and storing one.
    pub store: Timing,
    /// Snapshots that came to the disk.
    pub kept: Counter,
    /// What there might have been.
    pub missed: ByLabel<SnapshotMiss>,
    /// What was deleted.
    pub removed: ByLabel<SnapshotGone>,
    /// Snapshots in the store.
    pub held: Gauge,
    /// Bytes of the store that hold something.
    pub bytes: Gauge,
    /// 1 while the store cannot be written or read.
    pub failing: Gauge,
}

impl SnapshotStats {
    /// The figures now.
    pub fn snapshot(&self) -> SnapshotsSnapshot {
        SnapshotsSnapshot {
            made: self.made.runs(),
            made_s: self.made.seconds(),
            kept: self.kept.get(),
            kept_s: self.store.seconds(),
            missed: self.missed.snapshot(),
            removed: self.removed.snapshot(),
            held: self.held.get(),
            bytes: self.bytes.get(),
            failing: self.failing.get() == 1,
        }
    }
}
