//! `tls` of a sink: whom it trusts, and how it shows who it is. The files are PEM and are opened when a connection is made.

use std::path::{Path, PathBuf};

use crate::config::raw::Section;
use crate::config::read;

/// The files of a `tls` table.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Authorities that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
    /// Our certificate with what leads to its authority.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

impl Files {
    /// Reads the keys and leaves the section open for others. They are refused where there is no TLS: `whose` says where there is.
    pub fn read_in(s: &mut Section<'_>, base: &Path, tls: bool, whose: &str) -> Self {
        let file = || read::unless("off", read::path(base));
        let files = Self {
            ca: s.get("ca", None, read::unless("system", read::path(base))),
            certificate: s.get("certificate", None, file()),
            key: s.get("key", None, file()),
        };
        let set = [("ca", &files.ca), ("certificate", &files.certificate), ("key", &files.key)];
        for (key, _) in set.iter().filter(|(_, file)| file.is_some() && !tls) {
            s.conflict(key, format!("is for {whose} only"));
        }
        if s.clean() && files.certificate.is_some() != files.key.is_some() {
            s.conflict("certificate", "and key go together; one of them is missing");
        }
        files
    }

    /// Reads a table that has these keys only.
    pub fn read(mut s: Section<'_>, base: &Path, tls: bool, whose: &str) -> Self {
        let files = Self::read_in(&mut s, base, tls, whose);
        s.finish();
        files
    }
}
