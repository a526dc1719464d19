//! Who a `rtsps://` camera must be.
//!
//! GIO asks the application about a certificate only when its own check *fails*. For a pinned camera that is not
//! enough: a stranger's certificate that any public authority signed would pass unasked. So with the first pinned
//! camera the process-wide database GIO checks against is replaced by one that vouches for nobody, and the system's
//! authorities are given to exactly those cameras that verify:
//!
//! ```text
//!   insecure  no check                                                   accepted
//!   verify    nobody vouches: fails ─▶ the system's database (rtspsrc)   accepted or refused
//!   pin       nobody vouches: fails ─▶ SHA-256 of the certificate        accepted or refused
//! ```

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use gio::prelude::*;
use gstreamer as gst;
use sha2::{Digest, Sha256};

use super::failure::Context;
use super::pipeline::make;
use crate::config::Tls;
use crate::source::{Failure, SourceError};

/// A certificate whose private key was not kept: GIO takes only a list of authorities that is not empty, so here is
/// one that can never sign.
const NO_AUTHORITY: &[u8] = include_bytes!("no_authority.pem");

/// `rtspsrc`'s property for the authorities asked after GIO's own have refused.
const DATABASE: &str = "tls-database";

/// Remembers that a certificate was refused: the error that follows is only "cannot connect".
#[derive(Debug, Clone, Default)]
pub(super) struct Refused(Arc<AtomicBool>);

impl Refused {
    /// True once a certificate was refused.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Makes `rtspsrc` trust what the configuration says and nothing else.
pub(super) fn set_up(source: &gst::Element, tls: &Tls, context: &Context) -> Result<Refused, SourceError> {
    let keeper = system_authorities().map_err(|e| context.error(Failure::Tls, &e))?;
    let refused = Refused::default();
    match tls {
        Tls::Insecure => {
            source.set_property("tls-validation-flags", gio::TlsCertificateFlags::empty());
        }
        Tls::Verify => {
            source.set_property_from_value(DATABASE, &keeper.property_value(DATABASE));
            decide(source, &refused, |_| false);
        }
        Tls::Pin(pin) => {
            trust_nobody().map_err(|e| context.error(Failure::Tls, &e))?;
            let pin = *pin;
            decide(source, &refused, move |certificate| fingerprint(certificate) == Some(pin));
        }
    }
    Ok(refused)
}

fn decide(
    source: &gst::Element,
    refused: &Refused,
    accept: impl Fn(&gio::TlsCertificate) -> bool + Send + Sync + 'static,
) {
    let refused = refused.0.clone();
    source.connect("accept-certificate", false, move |args| {
        let certificate = args.get(2).and_then(|v| v.get::<gio::TlsCertificate>().ok());
        let accepted = certificate.is_some_and(|c| accept(&c));
        if !accepted {
            refused.store(true, Ordering::Release);
        }
        Some(accepted.to_value())
    });
}

/// SHA-256 of the certificate as it was sent (DER).
fn fingerprint(certificate: &gio::TlsCertificate) -> Option<[u8; 32]> {
    Some(Sha256::digest(certificate.certificate()?.as_ref()).into())
}

/// The system's authorities. They are kept as the property of an element that is never used: elements, unlike
/// GIO's objects, may be shared between threads in Rust's eyes.
fn system_authorities() -> Result<&'static gst::Element, String> {
    static KEEPER: OnceLock<Result<gst::Element, String>> = OnceLock::new();
    let keep = || {
        let backend = gio::TlsBackend::default();
        if !backend.supports_tls() {
            return Err("GIO has no TLS; install glib-networking".to_owned());
        }
        let keeper = make("rtspsrc").map_err(|e| e.message)?;
        keeper.set_property(DATABASE, backend.default_database());
        Ok(keeper)
    };
    KEEPER.get_or_init(keep).as_ref().map_err(Clone::clone)
}

/// Replaces GIO's default database, once, by one that vouches for nobody.
fn trust_nobody() -> Result<(), String> {
    // The file is kept open: it has no name any more, and GIO reads it again for each connection.
    static NOBODY: OnceLock<Result<File, String>> = OnceLock::new();
    let replace = || {
        let file = nameless_file(NO_AUTHORITY).map_err(|e| format!("no room for a TLS database: {e}"))?;
        let nobody = gio::TlsFileDatabase::new(format!("/proc/self/fd/{}", file.as_raw_fd()))
            .map_err(|e| format!("no TLS database for pinned certificates: {e}"))?;
        gio::TlsBackend::default().set_default_database(Some(&nobody));
        Ok(file)
    };
    NOBODY.get_or_init(replace).as_ref().map(|_| ()).map_err(Clone::clone)
}

/// A file with this content that nobody can find, replace or clean away.
fn nameless_file(content: &[u8]) -> std::io::Result<File> {
    let name = format!("watchlistd-{}-{:016x}.pem", std::process::id(), fastrand::u64(..));
    let path = std::env::temp_dir().join(name);
    let mut file = File::create_new(&path)?;
    std::fs::remove_file(&path)?;
    file.write_all(content)?;
    Ok(file)
}
