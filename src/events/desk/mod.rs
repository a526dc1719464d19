//! What an operator can ask of the event log. A question is the same whether it goes to a running daemon over its control socket
//! or to a log that a tool has opened itself.
//!
//! ```text
//!   watchlistd events ... ─▶ Desk ─┬─ a daemon answers ─▶ control socket ─▶ Clerk ─▶ Inspector, with the daemon's keys
//!                                  └─ none does ─────────▶ Clerk ─▶ Inspector, with the gallery's keys read from its store
//! ```
//!
//! Nothing that is asked here changes the log. Every answer is bounded: a long log is read page by page.

mod clerk;
mod question;
mod report;

pub use clerk::Clerk;
pub use question::{MOST_ROWS, Question};
pub use report::{Buried, Entry, Found, HeadState, Page, Place, Sink, Verification};

use crate::base::error::Result;
use crate::gallery::command::Reply;

/// Whoever can be asked.
pub trait Desk {
    /// Answers. The value is the question's report; a page's events are lines of the body.
    ///
    /// # Errors
    /// `NoInput`, where there is no log; `Data`, when it is damaged; what keeps it from being asked.
    fn ask(&mut self, question: &Question) -> Result<Reply>;
}
