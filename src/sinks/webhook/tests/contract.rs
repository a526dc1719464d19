//! What every sink must do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use super::tls::Authority;
use super::*;
use crate::base::secret::Secret;
use crate::sinks::testing::FaultProxy;
use crate::sinks::testing::contract::{Setup, keeps_the_contract};

struct Receiver {
    server: Server,
    proxy: FaultProxy,
    config: WebhookConfig,
    refused: Arc<Mutex<Vec<Uuid>>>,
}

impl Receiver {
    fn new(server: Server, scheme: &str, mode: Mode) -> Self {
        let proxy = FaultProxy::start(server.address);
        let mut config = config(scheme, proxy.address());
        config.mode = mode;
        config.url.set_path("/hooks/path-secret");
        config.url.set_query(Some("key=query-secret"));
        config.token = Some(Secret::new("token-secret"));
        config.headers = vec![("X-Key".into(), Secret::new("header-secret"))];
        config.signing_secrets = vec![Secret::new("signing-secret-of-some-length")];
        // Small, for half of the faults end with them; and long enough for a machine that has other work.
        (config.connect_timeout, config.timeout) = (Duration::from_secs(2), Duration::from_secs(2));
        Self { server, proxy, config, refused: Arc::default() }
    }
}

impl Setup for Receiver {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(open(&self.config))
    }

    fn received(&self) -> Vec<Uuid> {
        self.server.taken()
    }

    fn proxy(&self) -> Option<&FaultProxy> {
        Some(&self.proxy)
    }

    fn refuse(&self, ids: &[Uuid]) -> bool {
        self.refused.lock().expect("lock").extend(ids);
        let refused = self.refused.clone();
        self.server.answers(move |request| {
            let refused = refused.lock().expect("lock");
            let poison = request.ids().iter().any(|id| refused.contains(id));
            Reply::status(if poison { 422 } else { 200 })
        });
        true
    }

    fn secrets(&self) -> Vec<String> {
        ["path-secret", "query-secret", "token-secret", "header-secret", "signing-secret"]
            .map(str::to_owned)
            .to_vec()
    }
}

#[test]
fn single_events_keep_the_contract() {
    keeps_the_contract(&Receiver::new(Server::start(), "http", Mode::Single));
}

#[test]
fn batches_keep_the_contract() {
    keeps_the_contract(&Receiver::new(Server::start(), "http", Mode::BATCH));
}

#[test]
fn batches_over_tls_with_a_client_certificate_keep_the_contract() {
    let authority = Authority::new();
    let server = Server::with(Some(authority.server("localhost", Some(&authority))));
    let mut receiver = Receiver::new(server, "https", Mode::BATCH);
    authority.trusted_by(&mut receiver.config);
    authority.names(&mut receiver.config);
    keeps_the_contract(&receiver);
}
