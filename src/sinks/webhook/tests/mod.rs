//! The sink against a real HTTP server on the loopback, with every fault between them.

mod answers;
mod batches;
mod checks;
mod contract;
mod python;
mod secrets;
pub(in crate::sinks) mod server;
mod signature;
mod stops;
pub(in crate::sinks) mod tls;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{Mode, Webhook, WebhookConfig};
use crate::base::clock::{Clock, SimulatedClock, SystemClock};
use crate::base::shutdown;
use crate::sinks::sink::{Delivery, Sent, Sink, Trouble};
use server::{Reply, Server};

/// A time limit that no test waits for.
const PATIENT: Duration = Duration::from_secs(600);

fn system() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// A clock that stands at this second since 1970.
fn standing(second: i64) -> Arc<dyn Clock> {
    Arc::new(SimulatedClock::new(jiff::Timestamp::from_second(second).expect("in range")))
}

/// A configuration for a server at this address, whose time limits no test waits for.
fn config(scheme: &str, address: std::net::SocketAddr) -> WebhookConfig {
    let url = format!("{scheme}://localhost:{}/events", address.port());
    let mut config = WebhookConfig::new(Url::parse(&url).expect("valid"));
    (config.connect_timeout, config.timeout) = (PATIENT, PATIENT);
    config
}

fn open(config: &WebhookConfig) -> Webhook {
    Webhook::open(config.clone(), system()).expect("a good configuration")
}

fn send(sink: &mut Webhook, batch: &[Delivery]) -> Sent {
    let (_running, stop) = shutdown::channel();
    sink.send(batch, &stop)
}

/// The message of the `Later` that nothing was taken with.
fn later(sent: Sent) -> (String, Option<Duration>) {
    match sent {
        Sent { taken: 0, trouble: Some(Trouble::Later { error, after }) } => (error.chain(), after),
        other => panic!("expected Later, found {other:?}"),
    }
}

fn all(sent: &Sent, batch: &[Delivery]) -> bool {
    sent.taken == batch.len() && sent.trouble.is_none()
}
