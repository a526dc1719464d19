//! `[cameras.ID]`

use std::path::Path;
use std::time::Duration;

use super::address::{self, Address};
use super::credentials::Credentials;
use super::raw::{Raw, Section, Wrong, expected};
use super::read::{self, Read};
use super::{Camera, CameraSource, Rtsp, Tls, Transport};
use crate::base::secret::Secret;
use crate::types::ids::CameraId;

const ONLY_RTSP: &str = "is for rtsp:// and rtsps:// cameras only";

/// Reads one camera; `None` if it is switched off or cannot be made.
pub(super) fn read(
    id: &CameraId,
    mut s: Section<'_>,
    base: &Path,
    secrets: &mut Credentials,
) -> Option<Camera> {
    let enabled = s.get("enabled", true, read::flag);
    s.forbid(
        "password",
        "a password does not stand here; name it by password_credential or in the credentials file",
    );
    let source = source(id, &mut s, base, secrets);
    // Options are read even without a source, so that their mistakes are told as well.
    let placeholder = CameraSource::V4l2 { device: "/dev/null".into() };
    let complete = source.is_some();
    let camera = options(Camera::new(id.clone(), source.unwrap_or(placeholder)), &mut s);
    s.finish();
    (complete && enabled).then_some(camera)
}

fn options(defaults: Camera, s: &mut Section<'_>) -> Camera {
    let d = defaults;
    Camera {
        decoder: s.get("decoder", d.decoder, read::unless("auto", element)),
        stall: s.get("stall", d.stall, read::duration(Duration::from_secs(1)..=Duration::from_secs(600))),
        detect_fps: s.get("detect_fps", d.detect_fps, read::number(0.2..=60.0)),
        input: s.get("input", d.input, read::input_size),
        min_score: s.get("min_score", d.min_score, read::number(0.0..=1.0)),
        min_face: s.get("min_face", d.min_face, read::unless("auto", read::number(1.0..=4096.0))),
        roi: s.get("roi", d.roi, read::region),
        masks: s.get("masks", d.masks, read::polygons),
        threshold: s.get("threshold", d.threshold, read::unless("auto", read::threshold)),
        place: s.get("place", d.place, read::unless("auto", place)),
        id: d.id,
        source: d.source,
    }
}

/// What cameras have in common.
fn place(node: &super::raw::Node) -> Read<String> {
    match read::text(node) {
        Ok(name) if (1..=64).contains(&name.len()) && !name.chars().any(char::is_control) => {
            Ok(name.to_owned())
        }
        _ => expected("a name of 1 to 64 bytes, as \"entrance\""),
    }
}

/// A GStreamer element's name.
fn element(node: &super::raw::Node) -> Read<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match read::text(node) {
        Ok(name) if name.chars().all(good) => Ok(name.to_owned()),
        _ => expected("a GStreamer element, as \"avdec_h264\""),
    }
}

fn source(
    id: &CameraId,
    s: &mut Section<'_>,
    base: &Path,
    secrets: &mut Credentials,
) -> Option<CameraSource> {
    if !s.has("url") {
        s.missing("url", "an address, as \"rtsp://10.0.0.9/stream2\"");
    }
    let address = s.read("url", |node| match &node.value {
        Raw::Text(text) => address::parse(text, base).map_err(Wrong::Says),
        _ => expected("an address, as \"rtsp://10.0.0.9/stream2\""),
    });
    let repeat = match &address {
        None | Some(Address::File(_)) => s.get("repeat", false, read::flag),
        Some(_) => {
            s.forbid("repeat", "is for video files only");
            false
        }
    };
    match address {
        Some(Address::Rtsp { url, user, password }) => {
            if password.is_some() {
                s.report().warn(format!(
                    "{}: holds a password, which everybody who reads the file can see; name it by \
                     password_credential or in the credentials file",
                    s.path_of("url")
                ));
            }
            let rtsp = rtsp_options(Rtsp::new(url), s);
            Some(CameraSource::Rtsp(with_credentials(id, rtsp, user, password, s, secrets)))
        }
        None => {
            // Nobody knows what it is, so everything is allowed, and checked.
            if let Ok(url) = url::Url::parse("rtsps://unknown/") {
                let rtsp = rtsp_options(Rtsp::new(url), s);
                with_credentials(id, rtsp, None, None, s, secrets);
            }
            None
        }
        Some(other) => {
            for key in ["transport", "latency", "tls", "user", "password_credential"] {
                s.forbid(key, ONLY_RTSP);
            }
            Some(match other {
                Address::V4l2(device) => CameraSource::V4l2 { device },
                Address::Test { pattern, size, fps } => CameraSource::Test { pattern, size, fps },
                Address::File(path) => CameraSource::File { path, repeat },
                Address::Rtsp { .. } => return None,
            })
        }
    }
}

fn rtsp_options(d: Rtsp, s: &mut Section<'_>) -> Rtsp {
    const TRANSPORTS: [(&str, Transport); 2] = [("tcp", Transport::Tcp), ("udp", Transport::Udp)];
    let rtsp = Rtsp {
        transport: s.get("transport", d.transport, read::word(&TRANSPORTS)),
        latency: s.get("latency", d.latency, read::duration(Duration::ZERO..=Duration::from_secs(10))),
        tls: s.get("tls", d.tls, tls),
        ..d
    };
    if rtsp.tls != Tls::Verify && rtsp.url.scheme() != "rtsps" {
        s.conflict("tls", "is for rtsps:// only; an rtsp:// address is not encrypted at all");
    }
    rtsp
}

/// `verify`, `insecure` or `pin:` and the certificate's SHA-256, with or without colons.
fn tls(node: &super::raw::Node) -> Read<Tls> {
    const WHAT: &str =
        "\"verify\", \"insecure\" or \"pin:\" and the 64 hexadecimal digits of the certificate's SHA-256";
    match read::text(node) {
        Ok("verify") => Ok(Tls::Verify),
        Ok("insecure") => Ok(Tls::Insecure),
        Ok(text) => match text.strip_prefix("pin:").and_then(fingerprint) {
            Some(pin) => Ok(Tls::Pin(pin)),
            None => expected(WHAT),
        },
        Err(_) => expected(WHAT),
    }
}

fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |i: usize| u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
    bytes?.try_into().ok()
}

/// Gathers user and password from the three places they may stand in; each may stand in one of them only.
fn with_credentials(
    id: &CameraId,
    rtsp: Rtsp,
    url_user: Option<Secret>,
    url_password: Option<Secret>,
    s: &mut Section<'_>,
    secrets: &mut Credentials,
) -> Rtsp {
    let key_user = s.read("user", |node| match read::text(node) {
        Ok(text) => Ok(Secret::new(text)),
        Err(_) => Err(Wrong::Says("expected a text that is not empty".into())),
    });
    let credential = s.read("password_credential", |node| match read::text(node) {
        Ok(name) => secrets.named(name).map_err(Wrong::Says),
        Err(_) => Err(Wrong::Says("expected the name of a systemd credential".into())),
    });
    let (file_user, file_password) =
        secrets.entry(id.as_str()).map_or((None, None), |e| (e.user.clone(), e.password.clone()));

    let users = [("url", url_user), ("user", key_user), ("the credentials file", file_user)];
    let passwords = [
        ("url", url_password),
        ("password_credential", credential.flatten()),
        ("the credentials file", file_password),
    ];
    let user = only_one("user", users, s);
    let password = only_one("password", passwords, s);
    if password.is_some() && user.is_none() && secrets.complete() && s.clean() {
        s.conflict("user", "missing; there is a password but nobody to use it");
    }
    Rtsp { user, password, ..rtsp }
}

fn only_one<const N: usize>(
    what: &str,
    places: [(&str, Option<Secret>); N],
    s: &Section<'_>,
) -> Option<Secret> {
    let set: Vec<&str> =
        places.iter().filter(|(_, secret)| secret.is_some()).map(|(place, _)| *place).collect();
    if set.len() > 1 {
        s.conflict("url", format!("the camera has a {what} in two places, {}; keep one", set.join(" and ")));
    }
    places.into_iter().find_map(|(_, secret)| secret)
}
