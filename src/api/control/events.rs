//! Questions about the event log over the control socket.
//!
//! ```text
//!  client                                                                          watchlistd
//!    │── {"op":"events","version":1,"command":{"op":"read","after":41,"most":100}}⏎ ──▶│ waits, if it is told to
//!    │◀─────────────────────────── {"ok":{"log":...,"entries":[...]},"body":M}⏎ M bytes ──│ a line for each event, as sinks get it
//! ```
//!
//! `command` is a [`Question`]. Whoever may give gallery commands may ask: events hold names.

use super::buffer::Buffer;
use super::client::Client;
use super::protocol;
use crate::base::error::Result;
use crate::events::desk::{Desk, Question};
use crate::gallery::command::Reply;

fn line(question: &Question) -> Result<Buffer> {
    protocol::request_line("events", question, 0)
}

impl Desk for Client {
    fn ask(&mut self, question: &Question) -> Result<Reply> {
        self.exchange(&line(question)?, &[], &mut |_| {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::control::protocol::{Asked, asked, command};

    #[test]
    fn a_question_is_read_as_it_was_written() {
        for question in [
            Question::Read { log: Some(uuid::Uuid::now_v7()), after: 41, most: 100, wait_ms: 5000 },
            Question::Find { id: uuid::Uuid::now_v7() },
            Question::Since { at: "2026-03-01T08:30:00Z".parse().expect("a time") },
            Question::Dead {
                sink: Some("hook".to_owned()),
                sequence: None,
                behind: Some(("hook".to_owned(), 7)),
            },
            Question::Verify { head: None },
        ] {
            let line = line(&question).expect("a line");
            assert_eq!(asked(&line, 0).expect("a request"), Asked::Events);
            assert_eq!(command::<Question>(&line).expect("a question"), question);
        }
        // By hand, with as little as possible.
        let line = br#"{"op":"events","command":{"op":"read","after":0,"most":10}}"#;
        let read = Question::Read { log: None, after: 0, most: 10, wait_ms: 0 };
        assert_eq!(command::<Question>(line).expect("a question"), read);
    }

    #[test]
    fn what_is_no_question_is_refused() {
        let told = |line: &str| asked(line.as_bytes(), 10).expect_err("no question").to_string();
        assert!(told(r#"{"op":"events","body":1}"#).contains("has no body"));
        assert!(told(r#"{"op":"events","version":2}"#).contains("version 2"));
        let error = command::<Question>(br#"{"op":"events","command":{"op":"tulip"}}"#).expect_err("unknown");
        assert!(error.to_string().contains("near byte") && !error.chain().contains("tulip"), "{error}");
    }
}
