//! Text that must never be shown: passwords, tokens, and the parts of addresses that hold them.

use std::fmt;

use url::Url;
use zeroize::Zeroizing;

/// A secret string. It prints as `***` and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a key is called whose value is a secret.
const SECRET_KEYS: [&str; 10] =
    ["user", "usr", "login", "pass", "pwd", "pw", "token", "auth", "key", "secret"];

/// The address without what may be secret in it: user, password, every query value, and what recorders put into the path,
/// as in `/user=admin&password=x/` or `/admin:x@stream`.
pub fn redact(url: &Url) -> String {
    let mut shown = url.clone();
    let had_user = !shown.username().is_empty() || shown.password().is_some();
    // Both fail only for addresses that cannot have a user, which then have nothing to hide.
    let _ = shown.set_password(None);
    let _ = shown.set_username(if had_user { "***" } else { "" });
    if shown.query().is_some() {
        let keys: Vec<String> = shown.query_pairs().map(|(k, _)| k.into_owned()).collect();
        shown.query_pairs_mut().clear().extend_pairs(keys.iter().map(|k| (k, "***")));
    }
    if holds_secret(shown.path()) {
        let path = redact_path(shown.path());
        shown.set_path(&path);
    }
    if shown.fragment().is_some() {
        shown.set_fragment(Some("***"));
    }
    shown.to_string()
}

/// True if part of the path is something that [`redact`] would hide.
pub fn holds_secret(path: &str) -> bool {
    redact_path(path) != path
}

fn redact_path(path: &str) -> String {
    let segments: Vec<String> = path.split('/').map(redact_segment).collect();
    segments.join("/")
}

fn redact_segment(segment: &str) -> String {
    let (login, rest) = match segment.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", segment),
    };
    let parts: Vec<String> = rest.split('&').map(redact_part).collect();
    format!("{login}{}", parts.join("&"))
}

/// Of `channel=1_user=admin_password=x`, where nothing but the vendor knows what separates: all from the first secret on.
fn redact_part(part: &str) -> String {
    let end_of_key = part.match_indices('=').map(|(at, _)| at).find(|&at| {
        let key = part.get(..at).unwrap_or_default().to_ascii_lowercase();
        SECRET_KEYS.iter().any(|secret| key.contains(secret))
    });
    match end_of_key.and_then(|at| part.get(..at)) {
        Some(key) => format!("{key}=***"),
        None => part.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_password_and_query_values_are_hidden() {
        let url = Url::parse("rtsp://admin:hunter2@10.0.0.9:554/live?token=abc&channel=1").expect("valid");
        let shown = redact(&url);
        for secret in ["admin", "hunter2", "abc"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("10.0.0.9:554/live"), "{shown}");
        assert_eq!(redact(&Url::parse("rtsp://cam/1").expect("valid")), "rtsp://cam/1");
    }

    #[test]
    fn what_recorders_put_into_the_path_is_hidden_and_the_rest_is_kept() {
        let cases = [
            ("rtsp://nvr/user=admin&password=hunter2/ch1", "rtsp://nvr/user=***&password=***/ch1"),
            ("rtsp://nvr/admin:hunter2@ch1/main", "rtsp://nvr/***@ch1/main"),
            ("rtsp://nvr/ch=1&PassWord=hunter2&stream=0.sdp", "rtsp://nvr/ch=1&PassWord=***&stream=0.sdp"),
            ("rtsp://nvr/user=admin_password=hunter2_channel=1.sdp", "rtsp://nvr/user=***"),
            ("rtsp://nvr/ch=1_pwd=hunter2", "rtsp://nvr/ch=1_pwd=***"),
            ("rtsp://nvr/live;token=hunter2", "rtsp://nvr/live;token=***"),
            ("rtsp://nvr/live#hunter2", "rtsp://nvr/live#***"),
            ("rtsp://nvr/Streaming/Channels/102", "rtsp://nvr/Streaming/Channels/102"),
            ("rtsp://nvr/cam/realmonitor/channel=1", "rtsp://nvr/cam/realmonitor/channel=1"),
        ];
        for (address, shown) in cases {
            assert_eq!(redact(&Url::parse(address).expect("valid")), shown);
        }
    }

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "hunter2");
    }
}
