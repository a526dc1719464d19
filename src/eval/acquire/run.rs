//! All pictures, with all workers.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use sha2::{Digest as _, Sha256};

use super::{Acquisition, Examiner, Failure, Prepared, Template};
use crate::base::error::{Error, Result};
use crate::base::shutdown::Stop;
use crate::eval::cache::{Cache, Digest};
use crate::{bail, err};

/// The largest picture file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;
/// Answers that wait for the caller's thread, which may be waiting for the cache's disk.
const WAITING: usize = 256;

/// What became of the pictures, in their order.
#[derive(Debug)]
pub struct Acquired {
    /// One a picture.
    pub of: Vec<Acquisition>,
    /// How many were in the cache.
    pub from_cache: usize,
    /// How long it took, models not counted.
    pub took: Duration,
    /// Workers that did it.
    pub workers: usize,
}

/// Acquires all pictures. `on_done` hears how many are done. What is in the cache is taken from there, and what is not is put into it.
///
/// # Errors
/// When inference or the cache's disk fails; `Temporary`, when it was stopped before its end.
pub fn acquire<E: Examiner>(
    pictures: &[&Path],
    examiners: &mut [E],
    cache: Option<&Cache>,
    stop: &Stop,
    on_done: &mut dyn FnMut(usize),
) -> Result<Acquired> {
    let (start, workers, next) = (Instant::now(), examiners.len(), AtomicUsize::new(0));
    let (of, from_cache) = thread::scope(|scope| {
        let (answer, answers) = bounded(WAITING);
        let mut threads = Vec::new();
        for examiner in examiners {
            let worker = Worker { pictures, next: &next, cache, stop, answer: answer.clone() };
            let spawned = thread::Builder::new()
                .name("eval-acquire".to_owned())
                .spawn_scoped(scope, move || worker.run(examiner));
            threads.push(spawned.map_err(|cause| err!(Unavailable, "cannot start a thread").because(cause))?);
        }
        // Only the workers answer: when they are gone, the answers end.
        drop(answer);
        let collected = collect(answers, pictures.len(), cache, on_done);
        // All of them, so that a panic is an error here and none of the scope's.
        let ended = threads.into_iter().map(|thread| thread.join().is_ok()).filter(|ended| !ended).count();
        let collected = collected?;
        if ended > 0 {
            Err(err!(Software, "a worker ended in the middle of a picture"))
        } else {
            Ok(collected)
        }
    })?;
    let all = of.len();
    let of: Vec<Acquisition> = of.into_iter().flatten().collect();
    if of.len() < all {
        bail!(Temporary, "stopped after {} of {all} pictures", of.len());
    }
    Ok(Acquired { of, from_cache, took: start.elapsed(), workers })
}

struct Answer {
    position: usize,
    acquisition: Acquisition,
    origin: Origin,
}

/// Where an acquisition comes from.
enum Origin {
    /// The cache.
    Cache,
    /// The models, or a file that cannot be read; with the file's digest, if there is a cache to keep it in.
    Made(Option<Digest>),
}

type Collected = (Vec<Option<Acquisition>>, usize);

/// The caller's thread: puts each answer into its place. It drops the receiver at the first failure, and so the workers end.
fn collect(
    answers: Receiver<Result<Answer>>,
    count: usize,
    cache: Option<&Cache>,
    on_done: &mut dyn FnMut(usize),
) -> Result<Collected> {
    let mut of: Vec<Option<Acquisition>> = (0..count).map(|_| None).collect();
    let (mut done, mut from_cache) = (0, 0);
    for answer in answers {
        let Answer { position, acquisition, origin } = answer?;
        match (cache, origin) {
            (Some(cache), Origin::Made(Some(digest))) => cache.append(&digest, &acquisition)?,
            (_, Origin::Made(_)) => {}
            (_, Origin::Cache) => from_cache += 1,
        }
        if let Some(place) = of.get_mut(position) {
            *place = Some(acquisition);
        }
        done += 1;
        on_done(done);
    }
    Ok((of, from_cache))
}

/// What a worker needs beside its models.
struct Worker<'a> {
    pictures: &'a [&'a Path],
    /// Of all workers: the next picture.
    next: &'a AtomicUsize,
    cache: Option<&'a Cache>,
    stop: &'a Stop,
    answer: Sender<Result<Answer>>,
}

/// A crop that waits for its batch.
struct Waiting {
    position: usize,
    digest: Option<Digest>,
    prepared: Prepared,
}

/// Nobody listens any more.
struct Gone;

impl Worker<'_> {
    /// Picture after picture, until there are no more, or something failed here or elsewhere.
    fn run(self, examiner: &mut impl Examiner) {
        let mut batch = Vec::new();
        while !self.stop.is_set() {
            let position = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = self.pictures.get(position) else { break };
            if self.look(examiner, position, path, &mut batch).is_err() {
                return;
            }
        }
        // Told to stop, what is in hand comes to its end, too.
        let _ = self.flush(examiner, &mut batch);
    }

    fn look(
        &self,
        examiner: &mut impl Examiner,
        position: usize,
        path: &Path,
        batch: &mut Vec<Waiting>,
    ) -> Result<(), Gone> {
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(failure) => return self.done(position, Acquisition::Failed(failure), Origin::Made(None)),
        };
        let digest = self.cache.map(|_| Digest::from(Sha256::digest(&bytes)));
        if let Some(known) = self.cache.zip(digest).and_then(|(cache, digest)| cache.look_up(&digest)) {
            return self.done(position, known, Origin::Cache);
        }
        match examiner.prepare(&bytes) {
            Ok(Ok(prepared)) => {
                batch.push(Waiting { position, digest, prepared });
                if batch.len() >= examiner.max_batch() { self.flush(examiner, batch) } else { Ok(()) }
            }
            Ok(Err(failure)) => self.done(position, Acquisition::Failed(failure), Origin::Made(digest)),
            Err(cause) => self.failed(cause),
        }
    }

    fn flush(&self, examiner: &mut impl Examiner, batch: &mut Vec<Waiting>) -> Result<(), Gone> {
        if batch.is_empty() {
            return Ok(());
        }
        let crops: Vec<_> = batch.iter().map(|waiting| &waiting.prepared.crop).collect();
        let embeddings = match examiner.embed(&crops) {
            Ok(embeddings) if embeddings.len() == batch.len() => embeddings,
            Ok(_) => return self.failed(err!(Software, "the embedder answered another number of crops")),
            Err(cause) => return self.failed(cause),
        };
        for (waiting, embedding) in batch.drain(..).zip(embeddings) {
            let Waiting { position, digest, prepared: Prepared { measured, faces, .. } } = waiting;
            let acquisition = match embedding {
                Ok(embedding) => Acquisition::Template(Box::new(Template { embedding, measured, faces })),
                Err(_) => Acquisition::Failed(Failure::NoVector),
            };
            self.done(position, acquisition, Origin::Made(digest))?;
        }
        Ok(())
    }

    fn done(&self, position: usize, acquisition: Acquisition, origin: Origin) -> Result<(), Gone> {
        self.answer.send(Ok(Answer { position, acquisition, origin })).map_err(|_| Gone)
    }

    fn failed(&self, cause: Error) -> Result<(), Gone> {
        // Whether it is heard or not, this worker is over.
        let _ = self.answer.send(Err(cause));
        Err(Gone)
    }
}

/// The file's bytes, of which there are not too many.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |cause: std::io::Error| Failure::Unreadable(cause.to_string());
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Failure::Unreadable(format!("larger than the limit of {} MiB", MAX_FILE >> 20)));
    }
    Ok(bytes)
}
