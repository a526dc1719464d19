//! A camera's `url`: what it leads to, and the credentials somebody may have put into it.
//!
//! No message here holds any part of the address: a mistyped one is the likeliest place for a password.

use std::path::{Path, PathBuf};

use url::Url;

use super::{defaults, suggest, units};
use crate::base::secret::{Secret, holds_secret};
use crate::types::geometry::Size;

/// What a `url` leads to.
pub(super) enum Address {
    /// `rtsp://`, `rtsps://`; user and password are taken out of the address.
    Rtsp { url: Url, user: Option<Secret>, password: Option<Secret> },
    /// `file://` or a path.
    File(PathBuf),
    /// `v4l2://`
    V4l2(PathBuf),
    /// `test://`
    Test { pattern: String, size: Size, fps: u32 },
}

const WHAT: &str = "expected rtsp://HOST/PATH, rtsps://HOST/PATH, file:///FILE or a path, v4l2:///dev/videoN, \
                    or test://PATTERN";
const SPECIAL: &str = "a / ? # or @ of a user name or password has to be written %2F %3F %23 %40 in an address; \
                       better, name it by password_credential or in the credentials file";

/// Reads an address. A path without a scheme starts from `base`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(text: &str, base: &Path) -> Result<Address, String> {
    if text.trim().is_empty() || text.contains(char::is_control) {
        return Err(WHAT.into());
    }
    let Some((scheme, rest)) = text.split_once("://") else { return path(text, base) };
    match scheme {
        "rtsp" | "rtsps" => rtsp(text),
        "file" => file_url(text),
        "v4l2" => v4l2(rest),
        "test" => test(text),
        _ => {
            let hint = suggest::hint(scheme, ["rtsp", "rtsps", "file", "v4l2", "test"]);
            Err(format!("{WHAT}{hint}"))
        }
    }
}

fn path(text: &str, base: &Path) -> Result<Address, String> {
    if text.starts_with("/dev/") {
        return Err("expected v4l2:///dev/videoN for a device".into());
    }
    if is_mistyped_address(text) {
        return Err(format!(
            "did you forget rtsp://? {WHAT}; the path of a file whose name looks like an address is written file:///FILE"
        ));
    }
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    if scheme.is_some_and(|s| ["rtsp", "rtsps", "file", "v4l2", "test", "http", "https"].contains(&s)) {
        return Err(format!("{WHAT}; after the scheme come a colon and two slashes"));
    }
    Ok(Address::File(base.join(text)))
}

/// A path is shown in messages and logs. So what may be an address with a password in it is none: what has an `@`, what
/// starts with `rtsp` or nearly so, and what holds a recorder's `user=...&password=...`.
fn is_mistyped_address(text: &str) -> bool {
    let starts_with_rtsp = text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("rtsp"));
    let head = text.split([':', '/']).next().filter(|head| head.len() < text.len());
    let nearly = head.is_some_and(|head| suggest::nearest(head, ["rtsp", "rtsps"]).is_some());
    text.contains('@') || starts_with_rtsp || nearly || holds_secret(text)
}

fn rtsp(text: &str) -> Result<Address, String> {
    let mut url = Url::parse(text).map_err(|e| format!("is no address: {e}; {SPECIAL}"))?;
    // An unescaped character ends the password early: its rest then stands where it would be shown and logged.
    let rest_has_at = url.path().contains('@') || url.query().is_some_and(|q| q.contains('@'));
    if rest_has_at || url.fragment().is_some() {
        return Err(format!("is ambiguous: it has an @ or a # after the host; {SPECIAL}"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("names no host; expected rtsp://HOST[:PORT]/PATH".into());
    }
    let user = (!url.username().is_empty()).then(|| unescape(url.username())).transpose()?;
    let password = url.password().filter(|p| !p.is_empty()).map(unescape).transpose()?;
    url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| WHAT.to_owned())?;
    Ok(Address::Rtsp { url, user, password })
}

fn file_url(text: &str) -> Result<Address, String> {
    let path = Url::parse(text).ok().and_then(|url| url.to_file_path().ok());
    path.map(Address::File)
        .ok_or_else(|| "expected file:///FILE with an absolute path, or a plain path".into())
}

fn v4l2(rest: &str) -> Result<Address, String> {
    if rest.starts_with("/dev/") && !rest.contains("..") {
        return Ok(Address::V4l2(rest.into()));
    }
    Err("expected v4l2:///dev/videoN, with three slashes".into())
}

/// Patterns of GStreamer's `videotestsrc`.
const PATTERNS: [&str; 26] = [
    "smpte",
    "snow",
    "black",
    "white",
    "red",
    "green",
    "blue",
    "checkers-1",
    "checkers-2",
    "checkers-4",
    "checkers-8",
    "circular",
    "blink",
    "smpte75",
    "zone-plate",
    "gamut",
    "chroma-zone-plate",
    "solid-color",
    "ball",
    "smpte100",
    "bar",
    "pinwheel",
    "spokes",
    "gradient",
    "colors",
    "smpte-rp-219",
];

fn test(text: &str) -> Result<Address, String> {
    let url = Url::parse(text).map_err(|e| format!("is no address: {e}"))?;
    let pattern = url.host_str().unwrap_or_default().to_owned();
    if !PATTERNS.contains(&pattern.as_str()) {
        let hint = suggest::hint(&pattern, PATTERNS);
        return Err(format!("expected test://PATTERN with a pattern of videotestsrc, as test://smpte{hint}"));
    }
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err("expected test://PATTERN?size=WIDTHxHEIGHT&fps=N, without a path".into());
    }
    let (mut size, mut fps) = (defaults::TEST_SIZE, defaults::TEST_FPS);
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "size" => size = test_size(&value)?,
            "fps" => fps = test_fps(&value)?,
            _ => return Err("has a parameter that is neither size nor fps".into()),
        }
    }
    Ok(Address::Test { pattern, size, fps })
}

fn test_size(text: &str) -> Result<Size, String> {
    let good = |side: u32| (16..=4096).contains(&side) && side.is_multiple_of(2);
    units::size(text)
        .filter(|s| good(s.width) && good(s.height))
        .ok_or_else(|| "expected size=WIDTHxHEIGHT, each even and from 16 to 4096".into())
}

fn test_fps(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|fps| (1..=120).contains(fps))
        .ok_or_else(|| "expected fps= a whole number from 1 to 120".into())
}

/// Takes `%XX` back to what it stands for; a `%` without two digits stands for itself.
fn unescape(text: &str) -> Result<Secret, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((&first, rest)) = bytes.split_first() {
        let digits = rest.get(..2).filter(|d| d.iter().all(u8::is_ascii_hexdigit) && first == b'%');
        let escaped = digits.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
        out.push(escaped.unwrap_or(first));
        bytes = if escaped.is_some() { rest.get(2..).unwrap_or_default() } else { rest };
    }
    let text = String::from_utf8(out).map_err(|_| "has a user or password that is not UTF-8".to_owned())?;
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Address, String> {
        parse(text, Path::new("/etc/watchlistd"))
    }

    #[test]
    fn each_scheme_leads_to_its_kind() {
        assert!(
            matches!(read("rtsp://10.0.0.9:554/live?channel=1"), Ok(Address::Rtsp { url, user: None, password: None })
            if url.as_str() == "rtsp://10.0.0.9:554/live?channel=1")
        );
        assert!(matches!(read("rtsps://[fe80::1]/live"), Ok(Address::Rtsp { .. })));
        assert!(
            matches!(read("file:///srv/a%20b.mp4"), Ok(Address::File(p)) if p == Path::new("/srv/a b.mp4"))
        );
        assert!(
            matches!(read("../clip.mp4"), Ok(Address::File(p)) if p == Path::new("/etc/watchlistd/../clip.mp4"))
        );
        assert!(matches!(read("v4l2:///dev/video0"), Ok(Address::V4l2(p)) if p == Path::new("/dev/video0")));
        assert!(
            matches!(read("test://smpte"), Ok(Address::Test { size, fps: 25, .. }) if size == Size::new(640, 360))
        );
        assert!(matches!(read("test://ball?size=320x240&fps=5"), Ok(Address::Test { pattern, size, fps: 5 })
            if pattern == "ball" && size == Size::new(320, 240)));
    }

    #[test]
    fn credentials_are_taken_out_of_the_address_and_unescaped() {
        let Ok(Address::Rtsp { url, user, password }) = read("rtsp://us%40er:p%2Fa%25ss%C3%BC%@cam:8554/x")
        else {
            panic!("refused");
        };
        assert_eq!(url.as_str(), "rtsp://cam:8554/x");
        assert_eq!(user, Some(Secret::new("us@er")));
        assert_eq!(password, Some(Secret::new("p/a%ssü%")));
    }

    #[test]
    fn a_refusal_never_quotes_the_address() {
        let bad = [
            "",
            "rtsp://",
            "rtsp:///x",
            "rtsp:/cam/x",
            "rtps://admin:hunter2@cam/",
            "http://admin:hunter2@cam/x",
            "rtsp://admin:hunter2/34@cam/x",
            "rtsp://admin:hunter2#34@cam/x",
            "rtsp://admin:12?hunter2@cam/x",
            "rtsp://admin:12#hunter2",
            "rtsp://admin:12/hunter2@cam",
            "rtsp://admin:hunter2@cam:port/x",
            "rtsp:admin:hunter2@cam",
            "/dev/video0",
            "v4l2://dev/video0",
            "file://host/hunter2",
            "rtsp://a b/hunter2",
            "viewer:hunter2@10.0.0.1/stream1",
            "rtsp//viewer:hunter2@10.0.0.1/stream1",
            "rtsp:/viewer:hunter2@10.0.0.1",
            "RTSP:/10.0.0.1/hunter2",
            "Rtsps//10.0.0.1/hunter2",
            "rtps:/10.0.0.1/hunter2",
            "10.0.0.1/user=viewer&password=hunter2/live",
            "test://hunter2",
            "test://smpte?hunter2=1",
            "test://smpte?fps=0",
            "test://smpte?size=1x1",
            "test://smpte/x",
            "rtsp://hunter2\u{1b}[2J@x/",
            "rtsp://a:%ffhunter2@cam/",
        ];
        for text in bad {
            match read(text) {
                Ok(_) => panic!("accepted {text}"),
                Err(message) => {
                    assert!(!message.contains("hunter2") && !message.is_empty(), "{text}: {message}")
                }
            }
        }
    }

    #[test]
    fn slips_get_a_hint() {
        assert!(read("rstp://cam/x").err().is_some_and(|e| e.ends_with("did you mean rtsp?")));
        assert!(read("test://smtpe").err().is_some_and(|e| e.ends_with("did you mean smpte?")));
    }
}
