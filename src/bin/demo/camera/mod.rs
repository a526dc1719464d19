//! The camera: GStreamer's RTSP server with the stage as its picture.
//!
//! ```text
//!  client connects ─▶ media (shared by all clients): appsrc ─▶ H.264 encoder ─▶ RTP payloader ─▶ network
//!                                                      ▲ asks for a frame
//!                                          Stage.paint(Showtime.now)
//! ```
//!
//! Nothing is painted or encoded while no client is connected; the scene's time goes on all the same.

pub mod command;
pub mod showtime;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer_app as gst_app;
use gstreamer_rtsp_server as gst_rtsp_server;

use gst_rtsp_server::gst_rtsp::RTSPAuthMethod;
use gst_rtsp_server::prelude::*;
use gst_rtsp_server::{RTSPAuth, RTSPMedia, RTSPMediaFactory, RTSPServer, RTSPToken, gio, glib};
use watchlistd::base::error::Result;
use watchlistd::base::secret::Secret;
use watchlistd::{bail, err};

use crate::show::stage::Stage;
use showtime::Showtime;

/// What a camera needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Path of its address, with the slash.
    pub path: String,
    /// Frames a second, 1 to 60.
    pub fps: u32,
    /// Who may watch; `None`: everybody.
    pub login: Option<Login>,
}

/// User, password and how they are asked for.
#[derive(Debug, Clone)]
pub struct Login {
    /// User name.
    pub user: Secret,
    /// Password.
    pub password: Secret,
    /// RFC 2617 Basic instead of Digest.
    pub basic: bool,
}

/// A running camera. Dropping it stops it.
pub struct Camera {
    url: String,
    main_loop: glib::MainLoop,
    thread: Option<JoinHandle<()>>,
    // Keeps the server's listening socket open.
    _server: RTSPServer,
}

impl Camera {
    /// Listens, and serves from a thread of its own.
    ///
    /// # Errors
    /// `Unavailable` when the address is taken or GStreamer has no H.264 encoder.
    pub fn start(stage: Stage, size: (u32, u32), showtime: Arc<Showtime>, options: &Options) -> Result<Self> {
        gst::init().map_err(|e| err!(Unavailable, "GStreamer does not start").because(e))?;
        let factory = factory(Arc::new(stage), size, showtime, options.fps)?;
        let server = RTSPServer::new();
        server.set_address(&options.listen.ip().to_string());
        server.set_service(&options.listen.port().to_string());
        if let Some(login) = &options.login {
            protect(&server, &factory, login);
        }
        let mounts = server
            .mount_points()
            .ok_or_else(|| err!(Software, "GStreamer's RTSP server has no mount points"))?;
        mounts.add_factory(&options.path, factory);

        let context = glib::MainContext::new();
        let source = server.create_source(gio::Cancellable::NONE).map_err(|e| {
            let hint = "is another camera or demo running there? Choose another port";
            err!(Unavailable, "the camera cannot listen on {}: {}; {hint}", options.listen, e.message())
        })?;
        source.attach(Some(&context));
        forget_lost_clients(&server, &context);
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let runner = main_loop.clone();
        let thread = std::thread::Builder::new()
            .name("rtsp-server".into())
            .spawn(move || {
                // Fails only if another thread runs this context, which none does.
                let _ = context.with_thread_default(|| runner.run());
            })
            .map_err(|e| err!(Unavailable, "cannot start the camera's thread").because(e))?;
        let bound = SocketAddr::new(options.listen.ip(), u16::try_from(server.bound_port()).unwrap_or(0));
        let url = format!("rtsp://{bound}{}", options.path);
        Ok(Self { url, main_loop, thread: Some(thread), _server: server })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // The loop may not run yet; a quit before it runs would be lost.
        while self.thread.as_ref().is_some_and(|t| !t.is_finished()) {
            self.main_loop.quit();
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already.
            let _ = thread.join();
        }
    }
}

fn factory(
    stage: Arc<Stage>,
    size: (u32, u32),
    showtime: Arc<Showtime>,
    fps: u32,
) -> Result<RTSPMediaFactory> {
    let (width, height) = size;
    // The luma of a faint figure must survive, so the rate is generous: 3 Mbit/s at 1280x720 and 25 fps.
    let kbits = (u64::from(width) * u64::from(height) * u64::from(fps) * 3000 / (1280 * 720 * 25)).max(300);
    let encoder = if gst::ElementFactory::find("x264enc").is_some() {
        format!(
            "x264enc tune=zerolatency speed-preset=superfast threads=1 bitrate={kbits} key-int-max={fps} \
             ! video/x-h264,profile=main"
        )
    } else if gst::ElementFactory::find("openh264enc").is_some() {
        format!("openh264enc complexity=low bitrate={} gop-size={fps} ! h264parse", kbits * 1000)
    } else {
        bail!(
            Unavailable,
            "GStreamer has no H.264 encoder: install gstreamer1.0-plugins-ugly (x264enc) or \
             gstreamer1.0-plugins-bad (openh264enc)"
        );
    };
    let caps = format!(
        "video/x-raw,format=I420,width={width},height={height},framerate={fps}/1,colorimetry=bt709,\
         pixel-aspect-ratio=1/1,interlace-mode=progressive"
    );
    let factory = RTSPMediaFactory::new();
    factory.set_launch(&format!(
        "( appsrc name=scene is-live=true format=time do-timestamp=true caps=\"{caps}\" ! {encoder} \
         ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
    ));
    factory.set_shared(true);
    factory.connect_media_configure(move |_, media| feed(media, stage.clone(), showtime.clone(), fps));
    Ok(factory)
}

/// Paints a frame whenever the media asks for one and it is time.
fn feed(media: &RTSPMedia, stage: Arc<Stage>, showtime: Arc<Showtime>, fps: u32) {
    let bin = media.element().downcast::<gst::Bin>();
    let source = bin.ok().and_then(|b| b.by_name("scene")).and_then(|e| e.downcast::<gst_app::AppSrc>().ok());
    let Some(source) = source else { return };
    let mut pace = Pace { interval: Duration::from_secs(1) / fps.max(1), next: None };
    let paint_next = move |source: &gst_app::AppSrc, _: u32| {
        pace.wait();
        let Ok(mut buffer) = gst::Buffer::with_size(stage.frame_bytes()) else { return };
        if let Some(buffer) = buffer.get_mut()
            && let Ok(mut map) = buffer.map_writable()
        {
            stage.paint(showtime.now(), map.as_mut_slice());
        }
        // Refused only while the media is being taken down.
        let _ = source.push_buffer(buffer);
    };
    source.set_callbacks(gst_app::AppSrcCallbacks::builder().need_data(paint_next).build());
}

/// Keeps a steady rate, and forgets what was missed rather than catching up.
struct Pace {
    interval: Duration,
    next: Option<Instant>,
}

impl Pace {
    fn wait(&mut self) {
        let now = Instant::now();
        let due = self.next.unwrap_or(now);
        std::thread::sleep(due.saturating_duration_since(now));
        self.next = Some(due.max(now - self.interval.min(Duration::from_secs(1))) + self.interval);
    }
}

fn protect(server: &RTSPServer, factory: &RTSPMediaFactory, login: &Login) {
    let role = "viewer";
    let token = RTSPToken::builder().field(gst_rtsp_server::RTSP_TOKEN_MEDIA_FACTORY_ROLE, role).build();
    let auth = RTSPAuth::new();
    let (user, password) = (login.user.expose(), login.password.expose());
    if login.basic {
        auth.set_supported_methods(RTSPAuthMethod::Basic);
        auth.add_basic(&RTSPAuth::make_basic(user, password), &token);
    } else {
        auth.set_supported_methods(RTSPAuthMethod::Digest);
        auth.add_digest(user, password, &token);
    }
    let permissions = gst::Structure::builder(role)
        .field(gst_rtsp_server::RTSP_PERM_MEDIA_FACTORY_ACCESS, true)
        .field(gst_rtsp_server::RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, true)
        .build();
    factory.add_role_from_structure(&permissions);
    server.set_auth(Some(&auth));
}

/// Ends the sessions of clients that went away without a word.
fn forget_lost_clients(server: &RTSPServer, context: &glib::MainContext) {
    let Some(pool) = server.session_pool() else { return };
    let cleanup = glib::timeout_source_new_seconds(10, None, glib::Priority::DEFAULT, move || {
        pool.cleanup();
        glib::ControlFlow::Continue
    });
    cleanup.attach(Some(context));
}
