//! `sync = "second"`: lines are on the disk a second after they were written, also while nothing more comes.
//!
//! ```text
//!   sink: a line ─▶ dirty(file) ─▶ thread: waits a second, then fdatasync of all that came meanwhile
//! ```
//!
//! The sink waits for none of it, however slow the disk is.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::base::error::Result;
use crate::base::shutdown::{self, Stop, Stopper};
use crate::err;

/// How far the disk may be behind.
const BEHIND: Duration = Duration::from_secs(1);

/// `fdatasync`. A pipe or a device cannot be synced, and needs not be.
pub(super) fn sync(file: &File) -> io::Result<()> {
    match file.sync_data() {
        Err(e) if e.kind() != io::ErrorKind::InvalidInput => Err(e),
        _ => Ok(()),
    }
}

/// The thread. Dropped, it syncs what is left and ends.
pub(super) struct Syncer {
    files: Option<Sender<Arc<File>>>,
    /// The file that was sent last, and whether it is still to be synced: then another line of it is nothing new.
    last: Option<Arc<File>>,
    waiting: Arc<AtomicBool>,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Starts it for the files of `path`.
    pub fn start(path: &Path) -> Result<Self> {
        Self::with(path, sync)
    }

    /// With another way to sync.
    pub(super) fn with(path: &Path, sync: impl Fn(&File) -> io::Result<()> + Send + 'static) -> Result<Self> {
        let (stopper, stop) = shutdown::channel();
        let (files, dirty) = unbounded();
        let waiting = Arc::new(AtomicBool::new(false));
        let run = Run { path: path.to_owned(), dirty, waiting: waiting.clone(), stop, failing: false };
        let thread =
            std::thread::Builder::new().name("jsonl-sync".into()).spawn(move || run.run(sync)).map_err(
                |e| err!(Unavailable, "cannot start the thread that syncs the events file").because(e),
            )?;
        Ok(Self { files: Some(files), last: None, waiting, stopper, thread: Some(thread) })
    }

    /// Something was written to this file.
    pub fn dirty(&mut self, file: &Arc<File>) {
        let same = self.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, file));
        if same && self.waiting.load(Ordering::SeqCst) {
            return;
        }
        self.waiting.store(true, Ordering::SeqCst);
        self.last = Some(file.clone());
        self.files.iter().for_each(|files| drop(files.send(file.clone())));
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.files = None;
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Run {
    path: PathBuf,
    dirty: Receiver<Arc<File>>,
    waiting: Arc<AtomicBool>,
    stop: Stop,
    failing: bool,
}

impl Run {
    fn run(mut self, sync: impl Fn(&File) -> io::Result<()>) {
        while let Ok(first) = self.dirty.recv() {
            self.stop.wait(BEHIND);
            let mut files = vec![first];
            for file in self.dirty.try_iter() {
                if !files.iter().any(|known| Arc::ptr_eq(known, &file)) {
                    files.push(file);
                }
            }
            // Before the sync: a line that comes from now on asks for another one.
            self.waiting.store(false, Ordering::SeqCst);
            let result = files.iter().try_for_each(|file| sync(file));
            self.tell(&result);
        }
    }

    // Told once, not at each attempt.
    fn tell(&mut self, result: &io::Result<()>) {
        if let Err(error) = result
            && !self.failing
        {
            let path = self.path.display();
            tracing::error!(%error, %path, "events that count as delivered may not be on the disk");
        }
        self.failing = result.is_err();
    }
}
