//! What is said where events are no more.

use std::sync::Arc;

use jiff::Timestamp;

use crate::events::{Event, Lost};

/// Makes the event that tells of a loss.
pub type Teller = Arc<dyn Fn(&Lost, Timestamp) -> Event + Send + Sync>;
