//! What an answer means for the events of its request. docs/sinks/webhook.md has the same table.
//!
//! ```text
//!   2xx                 taken
//!   400 422             these events are refused for good
//!   413                 too much at once; one event alone: refused for good
//!   everything else     later
//! ```
//!
//! A wrong token, a wrong path, a proxy's login page or a redirect say nothing about an event: they are a wrong configuration on one
//! of the two sides, and a day of events must not become dead letters before somebody has mended it.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use crate::base::error::{Error, Kind};

/// Longest wait that the other side can ask for: it is asked again each hour.
pub const MAX_AFTER: Duration = Duration::from_secs(3600);

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// `Retry-After`, at most [`MAX_AFTER`].
    pub after: Option<Duration>,
}

/// What it means.
#[derive(Debug)]
pub enum Answer {
    /// They are taken.
    Taken,
    /// Fewer may be taken.
    TooLarge(Error),
    /// One of them, or all, will never be taken.
    Refused(Error),
    /// Not now.
    Later {
        /// Why.
        error: Error,
        /// Not before.
        after: Option<Duration>,
        /// The connection was lost on the way.
        broken: bool,
    },
}

impl Reply {
    /// `receiver` is how the receiver is called in messages.
    pub fn judge(self, receiver: &str) -> Answer {
        let status = self.status;
        let said = |kind, what: &str| Error::new(kind, format!("{receiver} answered {status}: {what}"));
        let (kind, what) = match status {
            200..=299 => return Answer::Taken,
            400 | 422 => return Answer::Refused(said(Kind::Data, "it refuses what was sent")),
            413 => return Answer::TooLarge(said(Kind::Data, "what was sent is too large for it")),
            300..=399 => (Kind::Config, "redirects are not followed; url must be the receiver's own address"),
            401 | 403 => (Kind::Permission, "check token, user, password, headers and client_certificate"),
            404 | 405 | 410 => (Kind::Config, "nothing takes events there; check url"),
            406 | 415 => (Kind::Config, "it does not take CloudEvents in JSON; check url and mode"),
            407 => (Kind::Permission, "check proxy_user and proxy_password"),
            408 | 504 => (Kind::Temporary, "it ran out of time"),
            409 | 425 => (Kind::Temporary, "it is still busy with the same request"),
            429 => (Kind::Temporary, "too many requests"),
            500..=599 => (Kind::Unavailable, "it failed"),
            _ => (Kind::Unavailable, "not an answer to take events with"),
        };
        Answer::Later { error: said(kind, what), after: self.after, broken: false }
    }
}

/// `Retry-After`: seconds, or a date, which is taken relative to the other side's own `Date`, or else to our `now`. Nonsense counts
/// as absent, a date that is past as zero.
pub fn retry_after(value: &str, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a number has are still a long time.
        return Some(value.parse().map_or(MAX_AFTER, Duration::from_secs).min(MAX_AFTER));
    }
    let until = http_date(value)?;
    let from = date.and_then(http_date).unwrap_or(now);
    let wait = Duration::try_from(until.duration_since(from)).unwrap_or_default();
    Some(wait.min(MAX_AFTER))
}

/// The three forms of RFC 9110, 5.6.7: today's, RFC 850's and asctime's.
fn http_date(text: &str) -> Option<Timestamp> {
    let forms = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let parse = |form: &str| strtime::parse(form, text.trim()).ok()?.to_datetime().ok();
    let time = forms.into_iter().find_map(parse)?;
    TimeZone::UTC.to_timestamp(time).ok()
}
