//! Small tools that know nothing of faces.

pub mod clock;
pub mod error;
pub mod join;
pub mod mailbox;
pub mod secret;
pub mod shutdown;
