//! Whom the commands about the gallery ask: the daemon that holds it, else the store itself.
//!
//! ```text
//!  open ─▶ does a daemon answer at control.socket? ─yes─▶ it is asked, with the key it has
//!                    └─no─▶ is there a store? ─yes─▶ this process opens it, with --key-file or the key that is configured
//!                                  └─no─▶ some commands make one; the others say so
//! ```

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::de::DeserializeOwned;

use super::console::Console;
use super::{ConfigArgs, context, output, table};
use crate::api::control;
use crate::base::clock::SystemClock;
use crate::base::error::{Kind, Result};
use crate::config::Config;
use crate::daemon::logging;
use crate::gallery::Keeper;
use crate::gallery::command::{Command, Desk, Progress};
use crate::gallery::keeper::{Damaged, Model, Opening, Own};
use crate::gallery::lock::Holder;
use crate::gallery::master::KeySource;
use crate::gallery::succession::ToolEmbedders;
use crate::snapshots::{Beside, Keys};
use crate::{bail, err};

/// How long the daemon may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// What every command about the gallery takes.
#[derive(Debug, Clone, Args)]
pub struct DeskArgs {
    /// Print JSON: a report on one line, a list with one object a line. Times are in UTC.
    #[arg(long, global = true)]
    pub json: bool,
    /// Open the store with the master key in this file (mode 0600). Only where no daemon runs: a daemon has its key.
    #[arg(long, value_name = "FILE", global = true)]
    pub key_file: Option<PathBuf>,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// What a command needs of whoever answers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    /// The master key's file, if it was named on the command line.
    pub key_file: Option<PathBuf>,
    /// The store.
    pub store: Store,
    /// The model that templates are made with, where some are; else the one the gallery was last used with.
    pub model: Option<Model>,
}

/// What a command needs of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// It has to be there.
    There,
    /// It is made if it is missing.
    MadeIfMissing,
    /// It is made if it is missing, under a master key that is there already.
    MadeUnderItsKey,
}

impl Store {
    /// What the command needs: one that only looks, or changes what is there, makes no store.
    pub fn for_command(command: &Command) -> Self {
        match command {
            Command::Restore { .. } | Command::RestorePreview { .. } => Store::MadeUnderItsKey,
            Command::Import { .. } | Command::SetList { .. } | Command::Trusted | Command::Trust { .. } => {
                Store::MadeIfMissing
            }
            _ => Store::There,
        }
    }
}

type Opened = Box<dyn Desk>;

/// The daemon that holds the gallery, else the store itself.
///
/// # Errors
/// `Usage`, for `--key-file` where a daemon runs; `NoInput`, without a store; what keeps the store or the daemon from being
/// asked.
pub fn open(config: &Config, need: &Need) -> Result<Box<dyn Desk>> {
    choose(config, need, over_socket, own)
}

fn choose(
    config: &Config,
    need: &Need,
    over_socket: impl FnOnce(&Config) -> Result<Option<Opened>>,
    own: impl FnOnce(&Config, &Need) -> Result<Opened>,
) -> Result<Opened> {
    if let Some(desk) = over_socket(config)? {
        if let Some(file) = &need.key_file {
            bail!(
                Usage,
                "--key-file {}: the daemon at {} holds the gallery and has its key; leave --key-file out, or stop the daemon",
                file.display(),
                config.control.socket.display()
            );
        }
        return Ok(desk);
    }
    let path = &config.gallery.path;
    // Where it cannot be told, opening the store says why.
    let never = matches!(path.try_exists(), Ok(false))
        && matches!(path.with_extension("head").try_exists(), Ok(false));
    if need.store == Store::There && never {
        bail!(
            NoInput,
            "no daemon answers at {}, and there is no gallery at {}; enrol somebody first (watchlistd enroll), or name the \
             configuration with --config",
            config.control.socket.display(),
            path.display()
        );
    }
    own(config, need)
}

/// The daemon, if one answers at `control.socket`.
fn over_socket(config: &Config) -> Result<Option<Opened>> {
    match control::Client::connect(&config.control.socket, PATIENCE) {
        Ok(client) => Ok(Some(Box::new(client))),
        Err(error) if error.kind() == Kind::Unavailable => Ok(None),
        Err(error) => Err(error),
    }
}

/// The store, opened by this process.
fn own(config: &Config, need: &Need) -> Result<Opened> {
    logging::init_for_tools();
    let holder = Holder::this("gallery command", None);
    let clock = Arc::new(SystemClock::new());
    let mut opening = Opening::configured(&config.gallery, need.model.clone(), holder, clock);
    if let Some(file) = &need.key_file {
        opening = opening.with_key_file(file)?;
    } else if need.store == Store::MadeUnderItsKey {
        opening = opening.with_no_new_key().map_err(|why| {
            err!(
                Config,
                "{}: there is no gallery yet, and a restore makes no master key, for the backup needs its own. Get it back first, then \
                 restore: watchlistd gallery key recover EXPORT --out {}",
                config.gallery.path.display(),
                KeySource::of_process(&config.gallery).path().display()
            )
            .because(why)
        })?;
    }
    let (mut keeper, notice) = match Keeper::open(opening.clone(), Box::new(drop)) {
        // It can still be looked at, and replaced by a backup.
        Err(why) if why.kind() == Kind::Data => {
            return Ok(Box::new(Damaged::open(opening, control::Peer::this_process().actor(), why)?));
        }
        opened => opened?,
    };
    keeper.set_embedders(Arc::new(ToolEmbedders::new(config.clone())));
    let keys = Keys { own: keeper.snapshots_key(), ring: Arc::new(keeper.ring()) };
    let snapshots = Beside::new(config.snapshots.path.clone(), keys, Arc::new(SystemClock::new()));
    keeper.set_outside(Arc::new(snapshots));
    if let Some(notice) = notice {
        output::tell(&format!("watchlistd: {notice}"));
    }
    Ok(Box::new(Own::new(keeper, control::Peer::this_process().actor())))
}

/// A command's way to the gallery: opened with its first question, so that nothing is opened for a command that is refused before.
pub struct Client {
    /// Where it prints, and whom it asks.
    pub console: Console,
    opener: Box<dyn Fn(Store) -> Result<Opened>>,
    desk: Option<Opened>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("console", &self.console).finish_non_exhaustive()
    }
}

/// An answer that was understood.
#[derive(Debug)]
pub struct Answer<T> {
    /// The report.
    pub report: T,
    /// What came with it.
    pub body: Vec<u8>,
}

impl Client {
    /// For a command with these arguments.
    ///
    /// # Errors
    /// A wrong configuration.
    pub fn new(args: &DeskArgs) -> Result<Self> {
        let config = context::load_for_tools(&args.config)?;
        let key_file = args.key_file.clone();
        let open = move |store| open(&config, &Need { key_file: key_file.clone(), store, model: None });
        Ok(Self { console: Console::of_process(args.json), opener: Box::new(open), desk: None })
    }

    /// Opens the desk now, if it is not open yet: for a command whose first question needs less than its last.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(&mut self, store: Store) -> Result<&mut dyn Desk> {
        let desk = match &mut self.desk {
            Some(desk) => desk,
            none => none.insert((self.opener)(store)?),
        };
        Ok(desk.as_mut())
    }

    /// Asks for a report.
    ///
    /// # Errors
    /// Whatever the command gives; `Software`, for an answer that is no such report.
    pub fn ask<T: DeserializeOwned>(&mut self, command: Command) -> Result<T> {
        Ok(self.ask_with(command, Vec::new())?.report)
    }

    /// Asks with a body, and for the body of the answer. A long command shows its progress.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn ask_with<T: DeserializeOwned>(&mut self, command: Command, body: Vec<u8>) -> Result<Answer<T>> {
        let bar = self.console.progress_bar();
        let desk = self.open(Store::for_command(&command))?;
        let reply = desk.ask(command, body, &mut |progress| draw(&bar, &progress));
        bar.finish_and_clear();
        let reply = reply?;
        let report = serde_json::from_value(reply.value).map_err(|e| {
            err!(Software, "the answer is of another form than expected; is the daemon of another version?")
                .because(e)
        })?;
        Ok(Answer { report, body: reply.body })
    }
}

fn draw(bar: &indicatif::ProgressBar, progress: &Progress) {
    bar.set_message(table::plain(&progress.what));
    bar.set_length(progress.of);
    bar.set_position(progress.done);
}

#[cfg(test)]
pub(super) mod testing {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::rc::Rc;

    use serde_json::Value;

    use super::super::console::testing::{Paper, console};
    use super::*;
    use crate::gallery::command::Reply;

    type Shared<T> = Rc<RefCell<T>>;
    type Happens = Box<dyn FnOnce()>;
    type Asked = (Command, Vec<u8>);

    /// A desk that answers what it was given to answer, and keeps what it was asked.
    #[derive(Clone, Default)]
    pub struct Canned {
        pub answers: Shared<VecDeque<Result<Reply>>>,
        pub asked: Shared<Vec<Asked>>,
        pub opened_for: Shared<Vec<Store>>,
        /// What happens while it is asked.
        pub meanwhile: Shared<Option<Happens>>,
    }

    impl Canned {
        pub fn answering(values: impl IntoIterator<Item = Value>) -> Self {
            let canned = Self::default();
            values.into_iter().for_each(|value| canned.and(Ok(Reply { value, body: Vec::new() })));
            canned
        }

        pub fn and(&self, reply: Result<Reply>) {
            self.answers.borrow_mut().push_back(reply);
        }

        pub fn commands(&self) -> Vec<Command> {
            self.asked.borrow().iter().map(|(command, _)| command.clone()).collect()
        }

        /// A client of this desk, and what it prints to standard output and error.
        pub fn client(&self, json: bool, types: Option<Vec<&'static str>>) -> (Client, Paper, Paper) {
            let (console, out, err) = console(json, types);
            let desk = self.clone();
            let open = move |store| {
                desk.opened_for.borrow_mut().push(store);
                Ok(Box::new(desk.clone()) as Opened)
            };
            (Client { console, opener: Box::new(open), desk: None }, out, err)
        }
    }

    impl Desk for Canned {
        fn ask(
            &mut self,
            command: Command,
            body: Vec<u8>,
            progress: &mut dyn FnMut(Progress),
        ) -> Result<Reply> {
            self.asked.borrow_mut().push((command, body));
            if let Some(happens) = self.meanwhile.borrow_mut().take() {
                happens();
            }
            progress(Progress { what: "looked at".to_owned(), done: 1, of: 2 });
            let answer = self.answers.borrow_mut().pop_front();
            answer.unwrap_or_else(|| Err(err!(Software, "nobody said what to answer")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Canned;
    use super::*;
    use crate::base::error::Kind;

    fn config(dir: &tempfile::TempDir) -> Config {
        let mut config = Config::default();
        config.gallery.path = dir.path().join("gallery.db");
        config.control.socket = dir.path().join("control.sock");
        config
    }

    fn need(key_file: Option<&str>, store: Store) -> Need {
        Need { key_file: key_file.map(PathBuf::from), store, model: None }
    }

    fn canned() -> Opened {
        Box::new(Canned::default())
    }

    #[test]
    fn a_daemon_that_answers_is_asked_and_keeps_its_key() {
        let dir = tempfile::tempdir().expect("a folder");
        let ask = |need: &Need| {
            choose(&config(&dir), need, |_| Ok(Some(canned())), |_, _| panic!("the store is the daemon's"))
        };
        assert!(ask(&need(None, Store::There)).is_ok());
        let refused = ask(&need(Some("/k"), Store::There)).err().expect("two keys");
        assert_eq!(refused.kind(), Kind::Usage);
        assert!(refused.to_string().contains("--key-file /k") && refused.to_string().contains("daemon"));
    }

    #[test]
    fn without_a_daemon_the_store_is_opened_if_it_is_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let opened = |need: &Need| choose(&config(&dir), need, |_| Ok(None), |_, _| Ok(canned())).map(|_| ());
        let missing = opened(&need(None, Store::There)).expect_err("no store");
        assert_eq!(missing.kind(), Kind::NoInput);
        for word in ["gallery.db", "control.sock", "enroll"] {
            assert!(missing.to_string().contains(word), "{missing}");
        }
        opened(&need(None, Store::MadeIfMissing)).expect("it is made");
        // One that is gone is no new one: who opens it says so.
        std::fs::write(dir.path().join("gallery.head"), b"").expect("writable");
        opened(&need(None, Store::There)).expect("told by the keeper");
        std::fs::write(dir.path().join("gallery.db"), b"").expect("writable");
        opened(&need(Some("/k"), Store::There)).expect("with a key of its own");
    }

    #[test]
    fn a_socket_that_may_not_be_asked_is_not_passed_over() {
        let dir = tempfile::tempdir().expect("a folder");
        let denied = |_: &Config| Err(err!(Permission, "not in the group"));
        let own = |_: &Config, _: &Need| panic!("a daemon holds the store");
        let refused = choose(&config(&dir), &need(None, Store::There), denied, own);
        assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::Permission));
    }

    #[test]
    fn no_socket_and_a_stale_one_are_no_daemon() {
        let dir = tempfile::tempdir().expect("a folder");
        let config = config(&dir);
        assert!(over_socket(&config).expect("no socket").is_none());
        drop(std::os::unix::net::UnixListener::bind(&config.control.socket).expect("a socket"));
        assert!(over_socket(&config).expect("nobody listens").is_none());
    }

    #[test]
    fn the_desk_is_opened_once_and_answers_are_understood_or_refused() {
        let desk = Canned::answering(["12:ab".into(), serde_json::Value::Null]);
        let (mut client, ..) = desk.client(false, None);
        assert!(desk.opened_for.borrow().is_empty(), "nothing is opened before the first question");
        assert_eq!(client.ask::<String>(Command::AuditHead).expect("a head"), "12:ab");
        let error = client.ask::<String>(Command::AuditHead).expect_err("no text");
        assert_eq!(error.kind(), Kind::Software);
        assert_eq!(*desk.opened_for.borrow(), [Store::There]);
    }
}
