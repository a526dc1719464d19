//! The one error type: what went wrong, what to do about it, and how the process should exit.
//!
//! A message names the key, file or value at fault and what was expected. It never holds a secret:
//! whoever builds the message passes addresses through [`crate::base::secret`] first.

use std::error::Error as StdError;
use std::fmt;

/// Result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure this is. It decides the exit code (`sysexits.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line is wrong (`EX_USAGE`, 64).
    Usage,
    /// An input's content is wrong: a broken image, a stream that does not decode (`EX_DATAERR`, 65).
    Data,
    /// An input does not exist or cannot be read (`EX_NOINPUT`, 66).
    NoInput,
    /// Something needed is not there: a device, a library, a running daemon (`EX_UNAVAILABLE`, 69).
    Unavailable,
    /// A bug of ours (`EX_SOFTWARE`, 70).
    Software,
    /// An output cannot be made (`EX_CANTCREAT`, 73).
    CannotCreate,
    /// Reading or writing failed (`EX_IOERR`, 74).
    Io,
    /// It may work later (`EX_TEMPFAIL`, 75).
    Temporary,
    /// Not allowed (`EX_NOPERM`, 77).
    Permission,
    /// The configuration is wrong (`EX_CONFIG`, 78).
    Config,
}

impl Kind {
    /// Exit code of `sysexits.h`.
    pub const fn exit_code(self) -> u8 {
        match self {
            Kind::Usage => 64,
            Kind::Data => 65,
            Kind::NoInput => 66,
            Kind::Unavailable => 69,
            Kind::Software => 70,
            Kind::CannotCreate => 73,
            Kind::Io => 74,
            Kind::Temporary => 75,
            Kind::Permission => 77,
            Kind::Config => 78,
        }
    }
}

/// An error with its kind, a message for a person and, where there is one, the cause.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A new error without a cause.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// `message: cause: cause of the cause`, on one line.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut next = self.source();
        while let Some(cause) = next {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            next = cause.source();
        }
        text
    }

    /// Wraps an I/O error about `path`, choosing the kind from what the system said.
    pub fn io(what: &str, path: &std::path::Path, cause: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        if cause.kind() == K::IsADirectory {
            return Self::new(Kind::NoInput, format!("{} is a folder; expected a file", path.display()));
        }
        let kind = match cause.kind() {
            K::NotFound | K::NotADirectory => Kind::NoInput,
            K::PermissionDenied => Kind::Permission,
            _ => Kind::Io,
        };
        Self::new(kind, format!("cannot {what} {}", path.display())).because(cause)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn StdError + 'static))
    }
}

/// `bail!(Config, "models.detector: {} is not a file", path)` returns an error of that kind.
#[macro_export]
macro_rules! bail {
    ($kind:ident, $($message:tt)+) => {
        return Err($crate::base::error::Error::new($crate::base::error::Kind::$kind, format!($($message)+)))
    };
}

/// `error!`-like constructor: `err!(Data, "...")` makes an [`Error`] of that kind.
#[macro_export]
macro_rules! err {
    ($kind:ident, $($message:tt)+) => {
        $crate::base::error::Error::new($crate::base::error::Kind::$kind, format!($($message)+))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_reads_on_one_line_and_does_not_repeat_itself() {
        let inner = Error::new(Kind::Io, "disk full");
        let outer = Error::new(Kind::CannotCreate, "cannot write out.png").because(inner);
        assert_eq!(outer.chain(), "cannot write out.png: disk full");
        assert_eq!(outer.kind().exit_code(), 73);
    }

    #[test]
    fn a_missing_file_is_no_input() {
        let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
        assert_eq!(Error::io("read", std::path::Path::new("a.jpg"), cause).kind(), Kind::NoInput);
    }
}
