//! A real RTSP camera for tests: GStreamer's server on a loopback port, sending H.264 of a test picture.
//!
//! Use it with `#[path = "support/rtsp_server.rs"] mod rtsp_server;` and the feature `demo`.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_rtsp_server as rtsp;
use gstreamer_rtsp_server::gio;
use gstreamer_rtsp_server::prelude::*;

/// The path the stream is served at; every other is a 404.
pub const MOUNT: &str = "/live";

/// How a client proves who it is.
#[derive(Clone)]
pub enum Auth {
    Basic(&'static str, &'static str),
    Digest(&'static str, &'static str),
}

/// What kind of camera.
#[derive(Clone)]
pub struct Options {
    /// 0: the system chooses.
    pub port: u16,
    pub width: i32,
    pub height: i32,
    pub fps: i32,
    pub auth: Option<Auth>,
    pub certificate: Option<gio::TlsCertificate>,
    /// Adds a sound stream before the picture.
    pub sound: bool,
    /// No picture at all, only sound.
    pub sound_only: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            width: 320,
            height: 240,
            fps: 25,
            auth: None,
            certificate: None,
            sound: false,
            sound_only: false,
        }
    }
}

/// A running camera. Dropping it cuts every connection.
pub struct RtspServer {
    server: rtsp::RTSPServer,
    context: glib::MainContext,
    main_loop: glib::MainLoop,
    source: Option<glib::SourceId>,
    thread: Option<std::thread::JoinHandle<()>>,
    media: Arc<Mutex<Vec<rtsp::RTSPMedia>>>,
    port: u16,
    tls: bool,
}

impl RtspServer {
    pub fn start(options: Options) -> Self {
        gst::init().expect("GStreamer starts");
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let server = rtsp::RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service(&options.port.to_string());
        let media: Arc<Mutex<Vec<rtsp::RTSPMedia>>> = Arc::default();
        let factory = factory(&options, &media);
        if let Some(auth) = auth(&options, &factory) {
            server.set_auth(Some(&auth));
        }
        let mounts = server.mount_points().expect("mount points");
        mounts.add_factory(MOUNT, factory);
        let source = server.attach(Some(&context)).expect("the port is free");
        let port = u16::try_from(server.bound_port()).expect("bound");
        let (run, inner) = (main_loop.clone(), context.clone());
        let thread = std::thread::spawn(move || inner.with_thread_default(|| run.run()).expect("context"));
        let tls = options.certificate.is_some();
        Self { server, context, main_loop, source: Some(source), thread: Some(thread), media, port, tls }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls { "rtsps" } else { "rtsp" };
        format!("{scheme}://127.0.0.1:{}{MOUNT}", self.port)
    }

    /// Stops sending, without any error and with the connection open; or goes on.
    pub fn stall(&self, stalled: bool) {
        for gate in self.elements("gate") {
            gate.set_property("drop", stalled);
        }
    }

    /// Sends pictures of another size from now on.
    pub fn resize(&self, width: i32, height: i32) {
        for filter in self.elements("size") {
            filter.set_property("caps", caps(width, height, 25));
        }
    }

    /// Number of clients connected.
    pub fn clients(&self) -> usize {
        self.server.client_filter(Some(&mut |_, _| rtsp::RTSPFilterResult::Ref)).len()
    }

    fn elements(&self, name: &str) -> Vec<gst::Element> {
        let media = self.media.lock().expect("lock");
        media.iter().filter_map(|m| m.element().downcast::<gst::Bin>().ok()?.by_name(name)).collect()
    }
}

impl Drop for RtspServer {
    fn drop(&mut self) {
        if let Some(source) = self.source.take().and_then(|id| self.context.find_source_by_id(&id)) {
            source.destroy();
        }
        self.server.client_filter(Some(&mut |_, client| {
            client.close();
            rtsp::RTSPFilterResult::Remove
        }));
        self.main_loop.quit();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server's thread");
        }
    }
}

fn caps(width: i32, height: i32, fps: i32) -> gst::Caps {
    gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", width)
        .field("height", height)
        .field("framerate", gst::Fraction::new(fps, 1))
        .build()
}

fn factory(options: &Options, media: &Arc<Mutex<Vec<rtsp::RTSPMedia>>>) -> rtsp::RTSPMediaFactory {
    let sound = "audiotestsrc is-live=true ! audioconvert ! mulawenc ! rtppcmupay pt=97 name=";
    let picture = format!(
        "videotestsrc is-live=true pattern=ball ! capsfilter name=size caps=\"{}\" \
         ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 bitrate=500 \
         ! valve name=gate ! h264parse config-interval=-1 ! rtph264pay pt=96 name=",
        caps(options.width, options.height, options.fps)
    );
    let launch = match (options.sound, options.sound_only) {
        (_, true) => format!("( {sound}pay0 )"),
        (true, _) => format!("( {sound}pay0 {picture}pay1 )"),
        _ => format!("( {picture}pay0 )"),
    };
    let factory = rtsp::RTSPMediaFactory::new();
    factory.set_launch(&launch);
    factory.set_shared(true);
    let media = media.clone();
    factory
        .connect_media_configure(move |_, configured| media.lock().expect("lock").push(configured.clone()));
    factory
}

fn auth(options: &Options, factory: &rtsp::RTSPMediaFactory) -> Option<rtsp::RTSPAuth> {
    if options.auth.is_none() && options.certificate.is_none() {
        return None;
    }
    let role = gst::Structure::builder("viewer")
        .field("media.factory.access", true)
        .field("media.factory.construct", true)
        .build();
    factory.add_role_from_structure(&role);
    let mut token = rtsp::RTSPToken::builder().field("media.factory.role", "viewer").build();
    let auth = rtsp::RTSPAuth::new();
    auth.set_tls_certificate(options.certificate.as_ref());
    match options.auth {
        Some(Auth::Basic(user, password)) => {
            auth.add_basic(&rtsp::RTSPAuth::make_basic(user, password), &token);
        }
        Some(Auth::Digest(user, password)) => {
            auth.set_supported_methods(gstreamer_rtsp::RTSPAuthMethod::Digest);
            auth.add_digest(user, password, &token);
        }
        None => auth.set_default_token(Some(&mut token)),
    }
    Some(auth)
}

/// A certificate for 127.0.0.1 that signed itself, made by the `openssl` command; with its DER form. `None` where
/// that is not installed.
pub fn self_signed(folder: &Path, name: &str) -> Option<(gio::TlsCertificate, Vec<u8>)> {
    let (key, pem, der) = (
        folder.join(format!("{name}.key")),
        folder.join(format!("{name}.pem")),
        folder.join(format!("{name}.der")),
    );
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=camera"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&pem)
        .output()
        .ok()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let form = Command::new("openssl")
        .args(["x509", "-outform", "der", "-in"])
        .arg(&pem)
        .arg("-out")
        .arg(&der)
        .output()
        .ok()?;
    assert!(form.status.success());
    let certificate = gio::TlsCertificate::from_files(&pem, &key).expect("a certificate");
    Some((certificate, std::fs::read(der).expect("der")))
}
