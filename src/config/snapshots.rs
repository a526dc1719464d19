//! `[snapshots]`: whose pictures are kept, how they look, and for how long.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::raw::{Node, Section, Wrong};
use super::read::{self, Read};
use super::{Snapshots, defaults};
use crate::gallery::record::ListName;

/// Least budget of the store: its own tables, a transaction's journal and some hundred snapshots fit in.
const LEAST_BUDGET: u64 = 16 << 20;
/// Most: what no disk has is a mistake.
const MOST_BUDGET: u64 = 1 << 50;

/// Reads the section. `taken` are the other stores, by key: the first one's folder is where the store is if nobody says otherwise.
pub(super) fn read(mut s: Section<'_>, base: &Path, taken: [(&'static str, &Path); 2]) -> Snapshots {
    let [(_, gallery), _] = taken;
    let d = Snapshots { path: gallery.with_file_name(defaults::SNAPSHOTS_FILE), ..Snapshots::default() };
    let snapshots = Snapshots {
        path: s.get("path", d.path, read::path(base)),
        unknown: s.get("unknown", d.unknown, read::unless("off", time)),
        budget: s.get("budget", d.budget, read::bytes(LEAST_BUDGET..=MOST_BUDGET)),
        scene: s.get("scene", d.scene, read::unless("off", read::number(2.0..=20.0))),
        scene_pixels: s.get("scene_pixels", d.scene_pixels, read::whole(160..=1920)),
        quality: s.get("quality", d.quality, read::whole(30..=95)),
        lists: lists(s.table("lists")),
    };
    for (key, path) in taken {
        if s.clean() && snapshots.path == path {
            s.conflict("path", format!("is {key}; the snapshot store needs a file of its own"));
        }
    }
    s.finish();
    snapshots
}

/// A minute to ten years.
fn time(node: &Node) -> Read<Duration> {
    const DAY: u64 = 86_400;
    read::duration(Duration::from_secs(60)..=Duration::from_secs(3650 * DAY))(node)
}

fn lists(mut s: Section<'_>) -> BTreeMap<ListName, Duration> {
    let read = |name: &str, node: &Node| match ListName::new(name) {
        Ok(list) => time(node).map(|time| (list, time)),
        Err(e) => Err(Wrong::Says(e.to_string())),
    };
    s.each(read).into_iter().collect()
}
