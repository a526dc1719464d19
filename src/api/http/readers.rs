//! Who may come for events over HTTP: whoever has the token of a reader, and what of the events that reader gets.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::base::error::Result;
use crate::base::secret::Secret;
use crate::config::HttpReader;
use crate::gallery::crypt::{self, Bound, Key};
use crate::gallery::outside::Kind;
use crate::pull::Source;
use crate::sinks::shape::Shape;
use crate::stats::{PullStats, Stats, Way};

/// Connections that each reader may have at a time.
pub(super) const PLACES: usize = 8;

/// A reader of a stream that takes nothing for this long is hung up on.
const STALL: Duration = Duration::from_secs(30);

/// Shows whoever is named a picture of a snapshot, with a word of it in the audit log. Waits for the gallery.
pub type Album = Arc<dyn Fn(&str, Uuid, Kind) -> Result<Vec<u8>> + Send + Sync>;

/// The readers of the configuration, and the log and the snapshots once they are open.
pub struct Readers {
    readers: Vec<Reader>,
    source: OnceLock<Source>,
    album: OnceLock<Album>,
    stats: Arc<Stats>,
    pub(super) stall: Duration,
}

/// One of them.
pub(super) struct Reader {
    token: Token,
    pub shape: Shape,
    /// Whether it may see pictures.
    pub snapshots: bool,
    pub places: Arc<Semaphore>,
    pub stats: Arc<PullStats>,
}

/// A token, as a tag under a key that nobody else has: comparing tags tells whoever guesses nothing, however long it takes.
struct Token {
    key: Key,
    tag: [u8; 32],
}

impl Token {
    fn new(secret: &Secret) -> Result<Self> {
        let key = Key::generate()?;
        let tag = crypt::tag(&key, &bound(secret.expose()));
        Ok(Self { key, tag })
    }

    fn is(&self, text: &str) -> bool {
        crypt::tag_begins_with(&self.key, &bound(text), &self.tag)
    }
}

fn bound(token: &str) -> Bound {
    Bound::to("reader's token").field(token)
}

impl Readers {
    /// Those of the configuration; they are served from [`Readers::open`] on.
    ///
    /// # Errors
    /// `Unavailable`, when the system gives no randomness.
    pub fn new(readers: &[HttpReader], stats: &Arc<Stats>) -> Result<Self> {
        let reader = |reader: &HttpReader| {
            Ok(Reader {
                token: Token::new(&reader.token)?,
                shape: reader.shape.clone(),
                snapshots: reader.snapshots,
                places: Arc::new(Semaphore::new(PLACES)),
                stats: stats.events.add_reader(&reader.name, Way::Http),
            })
        };
        let readers = readers.iter().map(reader).collect::<Result<_>>()?;
        Ok(Self {
            readers,
            source: OnceLock::new(),
            album: OnceLock::new(),
            stats: stats.clone(),
            stall: STALL,
        })
    }

    /// Another patience with who takes nothing, for tests.
    #[cfg(test)]
    pub(super) fn with_stall(self, stall: Duration) -> Self {
        Self { stall, ..self }
    }

    /// From now on they are served from this log.
    pub fn open(&self, source: Source) {
        let _ = self.source.set(source);
    }

    /// From now on those who may are shown pictures, too.
    pub fn show(&self, album: Album) {
        let _ = self.album.set(album);
    }

    /// The snapshots, once they are open.
    pub(super) fn album(&self) -> Option<&Album> {
        self.album.get()
    }

    /// The log, once it is open.
    pub(super) fn source(&self) -> Option<&Source> {
        self.source.get()
    }

    /// True, if there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// Whose token this is. Each is looked at, so that the time says nothing of which it was.
    pub(super) fn with_token(&self, token: &str) -> Option<&Reader> {
        let mut found = None;
        for reader in &self.readers {
            if reader.token.is(token) {
                found = Some(reader);
            }
        }
        found
    }

    /// A request was refused.
    pub(super) fn refuse(&self) {
        self.stats.events.refuse_pull();
    }

    /// Waits until nobody is served any more, at most `limit`.
    pub(super) async fn settled(&self, limit: Duration) {
        const LOOK: Duration = Duration::from_millis(5);
        let until = Instant::now() + limit;
        while self.readers.iter().any(|reader| reader.stats.open() > 0) && Instant::now() < until {
            sleep(LOOK).await;
        }
    }
}
