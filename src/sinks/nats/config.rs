//! What the `nats` sink is told. docs/sinks/nats.md describes the keys.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::base::secret::Secret;

/// Subject of an event where nothing else is asked for.
pub const SUBJECT: &str = "watchlistd.{box}.{list}.{camera}.{type}";

/// Everything about one `nats` sink. `[sinks.NAME]`, `type = "nats"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsConfig {
    /// Where the servers are: `nats://HOST:PORT` or `tls://HOST:PORT`, tried in this order. At least one, of the same NATS system.
    /// Without user and password, which stand in `login`.
    pub servers: Vec<Url>,
    /// Name of this box in subjects. Two boxes that feed one stream need different names. Not empty. By default the last
    /// part of `events.source`.
    pub box_name: String,
    /// Subject of an event, [`SUBJECT`] by default. Tokens are plain text of `a-z A-Z 0-9 _ -` or one of `{box}`, `{list}`, `{camera}`
    /// and `{type}`; the first is plain text.
    pub subject: String,
    /// The stream that has to acknowledge.
    pub stream: StreamConfig,
    /// JetStream domain of the stream, where it is not that of the servers. None by default.
    pub domain: Option<String>,
    /// How to log in. [`Login::None`] by default.
    pub login: Login,
    /// TLS. By default only of `tls://` servers, with the system's authorities.
    pub tls: TlsConfig,
    /// First part of the subjects that answers come back on, `_INBOX` by default. The login must be allowed to subscribe to `PREFIX.>`.
    pub inbox: String,
    /// Longest wait for a connection with its checks, and for each acknowledgement. 10 s by default, 1 ms to 5 min. One call of
    /// `send` ends within three times this.
    pub timeout: Duration,
    /// Most events in one call of `send`, 64 by default, 1 to 1024. In flight at a time: one of each camera.
    pub batch: usize,
}

impl NatsConfig {
    /// The defaults with what has none.
    pub fn new(servers: Vec<Url>, stream: impl Into<String>, box_name: impl Into<String>) -> Self {
        Self {
            servers,
            box_name: box_name.into(),
            subject: SUBJECT.to_owned(),
            stream: StreamConfig::new(stream),
            domain: None,
            login: Login::None,
            tls: TlsConfig::default(),
            inbox: "_INBOX".to_owned(),
            timeout: Duration::from_secs(10),
            batch: 64,
        }
    }
}

/// The stream, and how it is made where `create` asks for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConfig {
    /// Its name; an acknowledgement of another stream does not count. Not empty; without white space and `. * > / \`.
    pub name: String,
    /// Looks at it at each connection and says what is wrong with it. True by default. False for a login that may only publish.
    pub check: bool,
    /// Makes it if it is not there (needs `check`). What is there is never changed. False by default.
    pub create: bool,
    /// Subjects it takes. None by default: the template with `*` for what varies.
    pub subjects: Vec<String>,
    /// A message id that comes again within this time is dropped as a duplicate. 1 h by default; at most `max_age`. The server keeps
    /// each id of that time in memory, some 100 bytes.
    pub duplicate_window: Duration,
    /// Where it keeps its messages. [`Storage::File`] by default.
    pub storage: Storage,
    /// Messages go at this age. 30 days by default; none: they stay.
    pub max_age: Option<Duration>,
    /// Most bytes it holds. None by default.
    pub max_bytes: Option<u64>,
    /// What happens when it is full. [`Discard::Old`] by default.
    pub discard: Discard,
    /// Copies in a cluster, 1 by default, 1 to 5.
    pub replicas: usize,
}

impl StreamConfig {
    /// The defaults.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            check: true,
            create: false,
            subjects: Vec::new(),
            duplicate_window: Duration::from_secs(3_600),
            storage: Storage::File,
            max_age: Some(Duration::from_secs(30 * 24 * 3_600)),
            max_bytes: None,
            discard: Discard::Old,
            replicas: 1,
        }
    }
}

/// Where a stream keeps its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// `file`
    File,
    /// `memory`: lost when the server stops.
    Memory,
}

/// What a full stream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// `old`: drops its oldest message.
    Old,
    /// `new`: refuses the new one; it waits in our log.
    New,
}

/// How to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Not at all, or by the client certificate.
    None,
    /// `user`, `password`
    User {
        /// Name.
        user: String,
        /// Password.
        password: Secret,
    },
    /// `token`
    Token(Secret),
    /// `nkey`: the seed of a user's key, `SU...`.
    Nkey(Secret),
    /// `credentials`: a `.creds` file with JWT and seed. Read at each connection.
    Credentials(PathBuf),
}

/// TLS. The files are PEM and are read at each connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Never speaks without it. Also true of a `tls://` address, and where one of the files is named.
    pub required: bool,
    /// TLS begins before the server's greeting (`handshake_first` of the server).
    pub first: bool,
    /// Authorities that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
    /// Client certificate with its chain. Needs `key`.
    pub certificate: Option<PathBuf>,
    /// Its key. Needs `certificate`.
    pub key: Option<PathBuf>,
}
