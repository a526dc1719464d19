//! The long-running program: its life cycle, and how it talks to the system around it.

mod health;
pub mod logging;
mod reception;
pub mod service;
pub mod signals;
pub mod state;
pub mod systemd;
pub mod watchdog;

#[cfg(test)]
pub(crate) mod child;
