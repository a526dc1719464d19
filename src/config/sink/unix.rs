//! `type = "unix"`

use std::path::{Path, PathBuf};

use crate::config::raw::Section;
use crate::config::read;
use crate::config::{defaults, validate};

/// A Unix socket that streams events to whoever connects, each from a cursor of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct EventSocket {
    /// The socket.
    pub path: PathBuf,
    /// The group that may read from it besides root; `None`: the daemon's own.
    pub group: Option<String>,
    /// Most readers at a time. 1 to 1,000.
    pub readers: usize,
}

impl EventSocket {
    /// A socket with every option at its default.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), group: None, readers: 16 }
    }
}

/// Reads the keys. `control` is the control socket: this one is beside it where nobody says otherwise.
pub(super) fn read(s: &mut Section<'_>, base: &Path, control: &Path) -> EventSocket {
    let d = EventSocket::new(control.with_file_name(defaults::EVENT_SOCKET_FILE));
    let socket = EventSocket {
        path: s.get("path", d.path, read::path(base)),
        group: s.get("group", d.group, read::unless("auto", validate::group)),
        readers: s.get("readers", d.readers, read::count(1..=1_000)),
    };
    validate::fits_a_socket(s, "path", &socket.path);
    if socket.path == control {
        s.conflict("path", "is the control socket; events need a socket of their own");
    }
    socket
}
