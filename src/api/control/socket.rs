//! A socket's file: one daemon at a time, and open to nobody before its mode is right. The control socket's, and those of events.
//!
//! ```text
//!  SOCKET.lock   locked while a daemon runs; the system drops the lock with the process, however that ended
//!  SOCKET.new    bound ─▶ group and mode set ─▶ renamed to SOCKET
//! ```

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::peer::Rule;
use crate::base::error::{Error, Kind, Result};
use crate::{bail, err};

/// Mode of the socket: its user and its group.
const MODE: u32 = 0o660;

/// The keys of the configuration that a socket comes from, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    /// Its path.
    pub path: String,
    /// Its group.
    pub group: String,
}

impl Keys {
    /// Those of the control socket.
    pub(super) fn of_control() -> Self {
        Self { path: "control.socket".to_owned(), group: "control.group".to_owned() }
    }

    /// Takes the lock, clears what a killed daemon left behind, and listens at `path`.
    ///
    /// # Errors
    /// `Temporary`, when another `watchlistd` has the socket; `CannotCreate` or `Permission`, when it cannot be made.
    pub(crate) fn open(&self, path: &Path, rule: &Rule) -> Result<(UnixListener, File)> {
        let lock = self.lock(path)?;
        self.clear(path)?;
        Ok((self.bind(path, rule)?, lock))
    }

    fn cannot(&self, what: &str, path: &Path, cause: std::io::Error) -> Error {
        let key = &self.path;
        let text = format!("{key}: cannot {what} {}", path.display());
        let todo =
            format!("set {key} to a path in a folder of yours (systemd makes /run/watchlistd for the unit)");
        match cause.kind() {
            ErrorKind::PermissionDenied => err!(Permission, "{text}: permission denied; {todo}"),
            ErrorKind::NotFound => err!(CannotCreate, "{text}: its folder is not there; {todo}"),
            _ => err!(CannotCreate, "{text}").because(cause),
        }
    }

    fn lock(&self, path: &Path) -> Result<File> {
        let lock_path = beside(path, ".lock");
        let file = File::create(&lock_path).map_err(|e| self.cannot("create", &lock_path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(self.running(path)),
            Err(fs::TryLockError::Error(e)) => Err(self.cannot("lock", &lock_path, e)),
        }
    }

    fn running(&self, path: &Path) -> Error {
        err!(
            Temporary,
            "{}: another watchlistd is running at {}; stop it, or give this one a socket of its own",
            self.path,
            path.display()
        )
    }

    /// Removes a socket that nobody listens to. Anything else at `path` stays and is an error.
    fn clear(&self, path: &Path) -> Result<()> {
        let kind = match fs::symlink_metadata(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(self.cannot("look at", path, e)),
            Ok(metadata) => metadata.file_type(),
        };
        if !kind.is_socket() {
            bail!(
                CannotCreate,
                "{}: {} is there and is no socket; remove it or name another",
                self.path,
                path.display()
            );
        }
        match UnixStream::connect(path) {
            Ok(_) => Err(self.running(path)),
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(|e| self.cannot("remove the stale socket", path, e))
            }
            Err(e) => Err(self.cannot("connect to", path, e)),
        }
    }

    /// Binds beside `path`, sets group and mode, moves it there: nobody connects before they are right.
    fn bind(&self, path: &Path, rule: &Rule) -> Result<UnixListener> {
        let fresh = beside(path, ".new");
        let _ = fs::remove_file(&fresh);
        let listener = UnixListener::bind(&fresh).map_err(|e| self.cannot("bind", path, e))?;
        let made = self.give_to_group(&fresh, rule).and_then(|()| {
            fs::set_permissions(&fresh, Permissions::from_mode(MODE))
                .and_then(|()| fs::rename(&fresh, path))
                .map_err(|e| self.cannot("make", path, e))
        });
        match made {
            Ok(()) => Ok(listener),
            Err(error) => {
                let _ = fs::remove_file(&fresh);
                Err(error)
            }
        }
    }

    /// A group that is not the process's own has to be told to the file.
    fn give_to_group(&self, fresh: &Path, rule: &Rule) -> Result<()> {
        let there = fs::metadata(fresh).map_err(|e| self.cannot("look at", fresh, e))?.gid();
        if rule.gid() == there || rule.gid() == Rule::own().gid() {
            return Ok(());
        }
        chown(fresh, None, Some(rule.gid())).map_err(|e| {
        let group = rule.group();
        let kind =
            if e.kind() == ErrorKind::PermissionDenied { Kind::Permission } else { Kind::CannotCreate };
        let text = format!(
            "{}: cannot give the socket to the group {group}: watchlistd has to be a member of it (in the unit: \
             SupplementaryGroups={group}) or root",
            self.group
        );
        Error::new(kind, text).because(e)
    })
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
