//! Log lines: for people on standard error, or to the journal with their fields.
//!
//! ```text
//!  tracing ──▶ filter (log.filter) ──▶ human: time level target message fields, on standard error
//!                                 └──▶ journald: MESSAGE, PRIORITY, WATCHLISTD_<FIELD>
//! ```

use std::fs::File;
use std::io::{IsTerminal as _, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;

use tracing::{Subscriber, warn};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::base::error::Result;
use crate::cli::{output, table};
use crate::config::{Log, LogFormat};
use crate::err;
use crate::sinks;

/// Name of our entries in the journal.
const IDENTIFIER: &str = "watchlistd";
/// Put before a field's name in the journal: `camera` is `WATCHLISTD_CAMERA`.
const FIELD_PREFIX: &str = "WATCHLISTD";

/// Sets up logging for the whole process. With `events`, entries of the journal sink pass whatever the filter says: they are
/// events, not talk. `journald` and `auto` need systemd's journal; `auto` is content without.
///
/// # Errors
/// `Config`, if the filter is wrong; `Unavailable`, if `journald` is asked for and there is no journal; `Software`, if
/// logging was set up before.
pub fn init(log: &Log, events: bool) -> Result<()> {
    let mut filter = parse_filter(&log.filter)?;
    if events && let Ok(directive) = format!("{}=info", sinks::JOURNAL_TARGET).parse() {
        filter = filter.add_directive(directive);
    }
    let (journal, refused) = match choose(log.format, stderr_is_journal()) {
        Output::Human => (None, None),
        Output::Journal { required } => match tracing_journald::layer() {
            Ok(layer) => (Some(layer), None),
            Err(e) if required => {
                return Err(err!(
                    Unavailable,
                    "log.format: \"journald\" needs systemd's journal, which cannot be reached; use \"human\""
                )
                .because(e));
            }
            Err(e) => (None, Some(e)),
        },
    };
    let output = match journal {
        Some(layer) => journal_layer(layer).boxed(),
        None => human_layer(std::io::stderr, std::io::stderr().is_terminal()).boxed(),
    };
    Registry::default()
        .with(output)
        .with(filter)
        .try_init()
        .map_err(|e| err!(Software, "logging was set up twice").because(e))?;
    if let Some(e) = refused {
        warn!(error = %e, "the journal cannot be reached; logging to standard error");
    }
    Ok(())
}

/// Sets up what a command without a daemon says of the gallery it opens: warnings to the person at the terminal, the audit log's
/// head to the journal, where there is one. What was set up before stays.
pub fn init_for_tools() {
    let audit = || filter_fn(|meta| meta.target() == AUDIT);
    let journal = tracing_journald::layer().ok().map(|layer| journal_layer(layer).with_filter(audit()));
    let _ =
        Registry::default().with(Told(output::tell).with_filter(of_the_gallery())).with(journal).try_init();
}

/// Target of what is said of the audit log.
const AUDIT: &str = "watchlistd::audit";

/// Warnings and errors of the gallery: the tools of recognition say for themselves what they have to say.
fn of_the_gallery<S: Subscriber>() -> impl tracing_subscriber::layer::Filter<S> {
    filter_fn(|meta| {
        let target = meta.target();
        *meta.level() <= tracing::Level::WARN
            && (target == AUDIT || target.starts_with("watchlistd::gallery"))
    })
}

/// `watchlistd: message: error`, without time and place: for people.
struct Told<F>(F);

impl<S: Subscriber, F: Fn(&str) + 'static> Layer<S> for Told<F> {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut words = Words::default();
        event.record(&mut words);
        let Words { message, others } = words;
        (self.0)(&table::plain(&format!("watchlistd: {message}{others}")));
    }
}

#[derive(Default)]
struct Words {
    message: String,
    others: String,
}

impl tracing::field::Visit for Words {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        use std::fmt::Write as _;
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "error" => write!(self.others, ": {value:?}"),
            name => write!(self.others, " ({name} {value:?})"),
        };
    }
}

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    Human,
    /// `required`: no journal is an error.
    Journal {
        required: bool,
    },
}

fn choose(format: LogFormat, stderr_is_journal: bool) -> Output {
    match format {
        LogFormat::Human => Output::Human,
        LogFormat::Journald => Output::Journal { required: true },
        LogFormat::Auto if stderr_is_journal => Output::Journal { required: false },
        LogFormat::Auto => Output::Human,
    }
}

/// True if systemd connected standard error to the journal (systemd.exec(5), `JOURNAL_STREAM`). The variable alone does
/// not say so: it is inherited by programs whose standard error was sent elsewhere.
fn stderr_is_journal() -> bool {
    is_journal(std::io::stderr().as_fd())
}

/// The same of standard output.
pub fn stdout_is_journal() -> bool {
    is_journal(std::io::stdout().as_fd())
}

fn is_journal(fd: BorrowedFd<'_>) -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let meta = fd.try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    meta.is_ok_and(|meta| names_stream(&named, meta.dev(), meta.ino()))
}

/// `JOURNAL_STREAM` is `DEVICE:INODE`, in decimal.
fn names_stream(named: &str, device: u64, inode: u64) -> bool {
    named.split_once(':').is_some_and(|(d, i)| d.parse() == Ok(device) && i.parse() == Ok(inode))
}

fn parse_filter(text: &str) -> Result<EnvFilter> {
    EnvFilter::builder().parse(text).map_err(|e| {
        err!(
            Config,
            "log.filter: expected a filter, as \"info\" or \"watchlistd=debug,info\", found {text:?}"
        )
        .because(e)
    })
}

fn human_layer<S, W>(writer: W, colour: bool) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    for<'w> <W as MakeWriter<'w>>::Writer: Write,
{
    // The layer's own clock: RFC 3339, in UTC, with microseconds.
    tracing_subscriber::fmt::layer().with_ansi(colour).with_writer(writer)
}

fn journal_layer(layer: tracing_journald::Layer) -> tracing_journald::Layer {
    layer.with_syslog_identifier(IDENTIFIER.to_owned()).with_field_prefix(Some(FIELD_PREFIX.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::base::error::Kind;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written when the filter, format and colour are these.
    fn written(filter: &str, colour: bool) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = Registry::default()
            .with(human_layer(move || writer.clone(), colour))
            .with(parse_filter(filter).unwrap());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(camera = "door", "connected");
            tracing::debug!("not at info");
        });
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_has_an_rfc_3339_time_its_fields_and_no_colour_unless_on_a_terminal() {
        let line = written("info", false);
        let (time, rest) = line.split_once(' ').unwrap();
        let parsed: jiff::Timestamp = time.parse().unwrap();
        assert!(parsed.as_second() > 1_600_000_000 && time.ends_with('Z'), "{line}");
        assert!(
            rest.contains("INFO") && rest.contains("connected") && rest.contains("camera=\"door\""),
            "{line}"
        );
        assert!(!line.contains('\u{1b}'), "{line:?}");
        assert!(written("info", true).contains('\u{1b}'));
    }

    #[test]
    fn a_command_tells_what_the_gallery_warns_of_and_nothing_else() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let paper = told.clone();
        let layer = Told(move |text: &str| paper.lock().unwrap().push(text.to_owned()));
        let subscriber = Registry::default().with(layer.with_filter(of_the_gallery()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "watchlistd::audit", "the head is missing");
            tracing::info!(target: "watchlistd::audit", head = "7:ab", "audit log");
            tracing::warn!(target: "watchlistd::gallery::keeper::open", identity = "x\u{1b}[2J", error = "full", "gone");
            tracing::warn!(target: "watchlistd::infer", "no GPU");
        });
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0], "watchlistd: the head is missing");
        assert!(
            told[1].starts_with("watchlistd: gone (identity x") && told[1].ends_with(": full"),
            "{told:?}"
        );
        assert!(!told[1].contains('\u{1b}'), "{told:?}");
    }

    #[test]
    fn the_filter_filters() {
        assert_eq!(written("info", false).lines().count(), 1);
        assert_eq!(written("watchlistd=debug", false).lines().count(), 2);
        assert_eq!(written("error", false), "");
    }

    #[test]
    fn a_wrong_filter_is_a_mistake_in_the_configuration() {
        let error = parse_filter("a=b=c").unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().starts_with("log.filter: "), "{error}");
        let log = Log { filter: "a=b=c".into(), format: LogFormat::Human };
        assert_eq!(init(&log, true).unwrap_err().kind(), Kind::Config);
    }

    #[test]
    fn auto_follows_the_stream_systemd_named() {
        assert_eq!(choose(LogFormat::Auto, true), Output::Journal { required: false });
        assert_eq!(choose(LogFormat::Auto, false), Output::Human);
        assert_eq!(choose(LogFormat::Human, true), Output::Human);
        assert_eq!(choose(LogFormat::Journald, false), Output::Journal { required: true });
        assert!(names_stream("9:12345", 9, 12345));
        for other in ["", "9", "9:1", "8:12345", "9:12345:1", "x:12345", "9:"] {
            assert!(!names_stream(other, 9, 12345), "{other}");
        }
    }
}
