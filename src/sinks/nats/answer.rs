//! What the answer to a publish means: taken, refused for good, or try again.

use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;

use crate::err;
use crate::sinks::sink::Trouble;

/// Judges what came back for an event that went to `subject` and belongs into `stream`. `duplicate` in an acknowledgement counts as
/// taken: the stream has the message from an earlier attempt.
pub(super) fn judge(
    answer: Result<PublishAck, PublishError>,
    stream: &str,
    subject: &str,
) -> Result<(), Trouble> {
    match answer {
        Ok(ack) if ack.stream == stream => Ok(()),
        Ok(ack) => Err(later(err!(
            Config,
            "{subject} was acknowledged by the stream {:?}; expected {stream:?}: no two streams may take one subject",
            ack.stream
        ))),
        Err(error) => Err(trouble(&error, stream, subject)),
    }
}

fn later(error: crate::base::error::Error) -> Trouble {
    Trouble::Later { error, after: None }
}

fn trouble(error: &PublishError, stream: &str, subject: &str) -> Trouble {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => Trouble::Refused {
            error: err!(Data, "{subject}: the event is larger than the server's max_payload: {error}"),
        },
        PublishErrorKind::StreamNotFound => later(err!(
            Unavailable,
            "no stream takes {subject}: add it to the subjects of the stream {stream} (nats stream edit {stream} \
             --subjects=...), or the link to where the stream is is down"
        )),
        PublishErrorKind::TimedOut => {
            later(err!(Temporary, "no acknowledgement of the stream {stream} for {subject} in time"))
        }
        _ => match said(error) {
            Some(said) => refusal(said, stream, subject),
            None => later(err!(Temporary, "publishing {subject} failed: {error}")),
        },
    }
}

/// What JetStream itself said, if it was that.
fn said(error: &PublishError) -> Option<&jetstream::Error> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref())
}

fn refusal(said: &jetstream::Error, stream: &str, subject: &str) -> Trouble {
    match said.error_code() {
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
            Trouble::Refused {
                error: err!(
                    Data,
                    "{subject}: the event is too large for the stream {stream} (max_msg_size): {said}"
                ),
            }
        }
        ErrorCode::STREAM_NOT_MATCH => later(err!(
            Config,
            "{subject} belongs to another stream than {stream}: no two streams may take one subject: {said}"
        )),
        _ => later(err!(Temporary, "the stream {stream} did not take {subject}: {said}")),
    }
}
