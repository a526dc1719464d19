//! From GStreamer's messages to a [`SourceError`]: what kind, in words for a person, without secrets.

use gstreamer as gst;

use super::tls::Refused;
use crate::base::secret::{Secret, redact};
use crate::config::{Rtsp, Transport};
use crate::source::{Failure, SourceError};

/// Longest text taken from GStreamer or a camera into a message.
const MOST_CHARS: usize = 240;

/// What a source is called in messages, and what must not stand in them.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// The address, redacted, or the path.
    pub(super) shown: String,
    /// Words that are replaced, longest first, and by what.
    hidden: Vec<(Secret, String)>,
    udp: bool,
    certificate: Refused,
}

impl Context {
    /// A file or a device.
    pub(super) fn local(shown: String) -> Self {
        Self { shown, hidden: Vec::new(), udp: false, certificate: Refused::default() }
    }

    /// A network camera.
    pub(super) fn rtsp(rtsp: &Rtsp) -> Self {
        let shown = redact(&rtsp.url);
        let mut hidden: Vec<(Secret, String)> = vec![(Secret::new(rtsp.url.as_str()), shown.clone())];
        let credentials = [&rtsp.user, &rtsp.password].into_iter().flatten().map(Secret::expose);
        let from_url = [rtsp.url.username(), rtsp.url.password().unwrap_or_default()];
        for word in credentials.chain(from_url).filter(|word| !word.is_empty()) {
            hide(&mut hidden, word);
        }
        // Short values (`channel=1`) are no secrets, and replacing them would garble numbers.
        for (_, value) in rtsp.url.query_pairs().filter(|(_, value)| value.len() >= 4) {
            hide(&mut hidden, &value);
        }
        hidden.sort_by_key(|(word, _)| std::cmp::Reverse(word.expose().len()));
        let udp = rtsp.transport == Transport::Udp;
        Self { shown, hidden, udp, certificate: Refused::default() }
    }

    /// The same, told of refused certificates.
    pub(super) fn with_tls(&self, certificate: Refused) -> Self {
        Self { certificate, ..self.clone() }
    }

    /// Foreign text made safe to show: no secrets, one line, not too long.
    pub(super) fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (word, instead) in &self.hidden {
            text = text.replace(word.expose(), instead);
        }
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        hide_user_info(&line).chars().take(MOST_CHARS).collect()
    }

    /// An error of this source.
    pub(super) fn error(&self, failure: Failure, what: &str) -> SourceError {
        SourceError::new(failure, format!("{}: {what}", self.shown))
    }

    /// What an error message means.
    pub(super) fn classify(&self, message: &gst::message::Error, missing: Option<&str>) -> SourceError {
        let error = message.error();
        let debug = message.debug().unwrap_or_default();
        let status = message.details().and_then(|d| d.get::<u32>("rtsp-status-code").ok());
        let said = self.clean(&format!("{} {}", error.message(), detail(&debug)));
        if self.certificate.is_set() {
            let what = "the camera's certificate is not the expected one; check its tls setting (verify, pin, insecure)";
            return self.error(Failure::Tls, what);
        }
        if let Some(failure) = status.and_then(of_status) {
            return self.told_by_camera(failure, status.unwrap_or_default(), &said);
        }
        if error.matches(gst::ResourceError::NotAuthorized) {
            return self.told_by_camera(Failure::Unauthorized, 401, &said);
        }
        if let Some(missing) = missing.filter(|_| is_missing_plugin(&error)) {
            let what = format!(
                "GStreamer has no plug-in for it ({}); install the one that has",
                self.clean(missing)
            );
            return self.error(Failure::Unsupported, &what);
        }
        if debug.contains("UDP packets") {
            let what = "no UDP packet came; a firewall may block them: open it, or set transport = \"tcp\"";
            return self.error(Failure::Stalled, what);
        }
        let failure = if is_tls(&debug) { Failure::Tls } else { of_code(&error) };
        let hint = self.hint(failure);
        self.error(failure, &format!("{said}{hint}"))
    }

    fn told_by_camera(&self, failure: Failure, status: u32, said: &str) -> SourceError {
        let what = match failure {
            Failure::Unauthorized => {
                format!(
                    "the camera refuses user or password (RTSP {status}); check the camera's user and password"
                )
            }
            Failure::NotFound => {
                format!("the camera has no stream at this address (RTSP {status}); check the path in its url")
            }
            _ => format!("the camera answers RTSP {status}: {said}"),
        };
        self.error(failure, &what)
    }

    fn hint(&self, failure: Failure) -> &'static str {
        match failure {
            Failure::Tls => "; check the camera's certificate and its tls setting",
            Failure::Unreachable if self.udp => "; check address, network and firewall",
            Failure::Unreachable => "; check address and network",
            _ => "",
        }
    }
}

fn hide(hidden: &mut Vec<(Secret, String)>, word: &str) {
    let encoded: String = url::form_urlencoded::byte_serialize(word.as_bytes()).collect();
    let percent = encoded.replace('+', "%20");
    for form in [word.to_owned(), encoded, percent] {
        if !hidden.iter().any(|(known, _)| known.expose() == form) {
            hidden.push((Secret::new(form), "***".to_owned()));
        }
    }
}

/// `scheme://user:password@host` becomes `scheme://***@host`, whoever wrote it there.
fn hide_user_info(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = after.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(after.len());
        let (authority, behind) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str("***@");
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The last line of the debug text: `file.c(123): function (): /path/of/element:\nWhat happened`.
fn detail(debug: &str) -> String {
    match debug.split_once('\n') {
        Some((_, what)) if !what.trim().is_empty() => format!("({})", what.trim()),
        _ => String::new(),
    }
}

/// RFC 2326, section 7.1.1.
fn of_status(status: u32) -> Option<Failure> {
    match status {
        401 | 403 | 407 => Some(Failure::Unauthorized),
        404 | 410 => Some(Failure::NotFound),
        415 | 461 => Some(Failure::Unsupported),
        300..=599 => Some(Failure::Unreachable),
        _ => None,
    }
}

fn is_tls(debug: &str) -> bool {
    debug.contains("TLS") || debug.contains("certificate")
}

fn is_missing_plugin(error: &gst::glib::Error) -> bool {
    error.matches(gst::CoreError::MissingPlugin)
        || error.matches(gst::StreamError::CodecNotFound)
        || error.matches(gst::StreamError::TypeNotFound)
}

fn of_code(error: &gst::glib::Error) -> Failure {
    if let Some(code) = error.kind::<gst::ResourceError>() {
        return match code {
            gst::ResourceError::NotFound => Failure::NotFound,
            _ => Failure::Unreachable,
        };
    }
    if let Some(code) = error.kind::<gst::StreamError>() {
        return match code {
            gst::StreamError::CodecNotFound | gst::StreamError::Decrypt | gst::StreamError::DecryptNokey => {
                Failure::Unsupported
            }
            _ => Failure::Corrupt,
        };
    }
    match error.kind::<gst::CoreError>() {
        Some(gst::CoreError::MissingPlugin | gst::CoreError::Negotiation | gst::CoreError::Caps) => {
            Failure::Unsupported
        }
        _ => Failure::Corrupt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Tls;
    use std::time::Duration;

    fn context() -> Context {
        Context::rtsp(&Rtsp {
            url: url::Url::parse("rtsp://10.0.0.9/live?token=s3cr3t&channel=1").unwrap(),
            user: Some(Secret::new("admin")),
            password: Some(Secret::new("pä ss/w")),
            transport: Transport::Tcp,
            latency: Duration::from_millis(200),
            tls: Tls::Verify,
        })
    }

    fn message(code: impl gst::MessageErrorDomain, text: &str, debug: &str) -> gst::Message {
        gst::init().unwrap();
        gst::message::Error::builder(code, text).debug(debug).build()
    }

    fn classified(message: &gst::Message) -> SourceError {
        match message.view() {
            gst::MessageView::Error(error) => context().classify(error, None),
            _ => unreachable!(),
        }
    }

    #[test]
    fn nothing_secret_survives_even_in_foreign_text() {
        let debug = "gstrtspsrc.c(1): open ():\nfailed for rtsp://admin:p%C3%A4%20ss%2Fw@10.0.0.9/live?token=s3cr3t \
                     pä ss/w p%C3%A4+ss%2Fw and rtsp://other:one@host/x\nnext \u{7} line";
        let shown = classified(&message(gst::ResourceError::OpenRead, "Could not open.", debug)).message;
        for secret in ["admin", "pä ss/w", "p%C3", "s3cr3t", "other", "one@"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(
            shown.contains("10.0.0.9/live") && !shown.contains('\n') && !shown.contains('\u{7}'),
            "{shown}"
        );
        assert!(!format!("{:?}", context()).contains("pä ss"));
    }

    #[test]
    fn foreign_text_is_bounded() {
        assert!(context().clean(&"x".repeat(100_000)).len() <= MOST_CHARS);
    }

    #[test]
    fn codes_become_failures() {
        use Failure as F;
        let cases = [
            (message(gst::ResourceError::NotAuthorized, "Unauthorized", ""), F::Unauthorized),
            (message(gst::ResourceError::NotFound, "Not found", ""), F::NotFound),
            (
                message(
                    gst::ResourceError::OpenReadWrite,
                    "Could not open",
                    "a\nFailed to connect. (Refused)",
                ),
                F::Unreachable,
            ),
            (message(gst::ResourceError::OpenRead, "x", "a\nUnacceptable TLS certificate"), F::Tls),
            (message(gst::StreamError::Decode, "x", ""), F::Corrupt),
            (message(gst::StreamError::CodecNotFound, "x", ""), F::Unsupported),
            (message(gst::CoreError::MissingPlugin, "x", ""), F::Unsupported),
            (
                message(gst::ResourceError::Read, "x", "a\nCould not receive any UDP packets for 5 s"),
                F::Stalled,
            ),
        ];
        for (message, failure) in cases {
            assert_eq!(classified(&message).failure, failure, "{message:?}");
        }
        assert_eq!(of_status(403), Some(F::Unauthorized));
        assert_eq!(of_status(503), Some(F::Unreachable));
        assert_eq!(of_status(200), None);
    }
}
