//! Whom a `rtsps://` camera is believed to be. A process of its own: trust is a matter of the whole process.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

#[path = "support/cameras.rs"]
mod cameras;
#[path = "support/rtsp_server.rs"]
mod rtsp_server;

use cameras::{camera, clock, failure, frames, rtsp};
use gstreamer_rtsp_server::gio;
use gstreamer_rtsp_server::gio::prelude::*;
use rtsp_server::{Options, RtspServer, self_signed};
use sha2::{Digest, Sha256};
use watchlistd::config::{Camera, CameraSource, Tls};
use watchlistd::source::{Failure, gst};

fn with(url: &str, tls: Tls) -> Camera {
    let mut stream = rtsp(url);
    stream.tls = tls;
    camera(CameraSource::Rtsp(stream))
}

#[test]
fn only_the_expected_camera_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let (Some((known, known_der)), Some((stranger, _))) =
        (self_signed(folder.path(), "known"), self_signed(folder.path(), "stranger"))
    else {
        eprintln!("skipped: no `openssl` command to make certificates with");
        return;
    };
    // This machine's authorities, for this process: whoever made `known` is one of them.
    let authorities = gio::TlsFileDatabase::new(folder.path().join("known.pem")).unwrap();
    gio::TlsBackend::default().set_default_database(Some(&authorities));

    let trusted = RtspServer::start(Options { certificate: Some(known), ..Options::default() });
    let untrusted = RtspServer::start(Options { certificate: Some(stranger), ..Options::default() });
    let pin: [u8; 32] = Sha256::digest(&known_der).into();
    let clock = clock();
    let accepted = |url: &str, tls: Tls| {
        frames(&mut *gst::open(&with(url, tls), 1, &clock).unwrap(), 2).unwrap();
    };
    let refused = |url: &str, tls: Tls| {
        let error = failure(gst::open(&with(url, tls), 1, &clock));
        assert_eq!(error.failure, Failure::Tls, "{error}");
    };
    accepted(&trusted.url(), Tls::Verify);
    refused(&untrusted.url(), Tls::Verify);
    accepted(&trusted.url(), Tls::Pin(pin));
    refused(&untrusted.url(), Tls::Pin(pin));
    // An authority vouches for it, and still it is not the one that was pinned.
    refused(&trusted.url(), Tls::Pin([7; 32]));
    accepted(&untrusted.url(), Tls::Insecure);
}
