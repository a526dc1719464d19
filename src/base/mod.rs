//! Small tools that know nothing of faces.

pub mod clock;
pub mod durable;
pub mod error;
pub mod faults;
pub mod join;
pub mod mailbox;
pub mod secret;
pub mod shutdown;
pub mod sqlite;
