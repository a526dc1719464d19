//! The contract of all sinks.

use super::*;
use crate::base::secret::Secret;
use crate::sinks::testing::FaultProxy;
use crate::sinks::testing::contract::{Setup, keeps_the_contract};

struct Mocked {
    cluster: Cluster,
    proxy: FaultProxy,
}

impl Setup for Mocked {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(sink(config(&self.proxy.address().to_string())))
    }

    fn received(&self) -> Vec<uuid::Uuid> {
        let ids = self.cluster.got().into_iter().map(|got| got.header("ce_id").parse().expect("an id"));
        ids.collect()
    }

    fn proxy(&self) -> Option<&FaultProxy> {
        Some(&self.proxy)
    }
}

#[test]
fn kafka_keeps_the_contract_with_a_mock_cluster() {
    let cluster = Cluster::start();
    let proxy = cluster.proxy();
    keeps_the_contract(&Mocked { cluster, proxy });
}

/// A mock broker knows no login and no TLS; what is said of that fails, and tells no secret.
#[test]
fn what_fails_before_the_first_record_is_later_and_tells_no_secret() {
    let cluster = Cluster::start();
    let password = Secret::new("hunter2");
    let login = Some(Login { mechanism: Mechanism::ScramSha512, user: "gate".into(), password });
    let tls = Some(TlsConfig::default());
    let (batch, logged) = (of_cameras(&["door"], 1), Logged::default());
    let subscriber =
        tracing_subscriber::fmt().with_writer(logged.clone()).with_max_level(tracing::Level::TRACE);
    tracing::subscriber::with_default(subscriber.finish(), || {
        for (what, login, tls) in
            [("login", login.clone(), None), ("tls", None, tls.clone()), ("both", login, tls)]
        {
            let sent = send(&mut sink(KafkaConfig { login, tls, ..config(&cluster.brokers()) }), &batch);
            let error = later(&sent);
            assert_eq!(sent.taken, 0, "{what}");
            assert!(!error.contains("hunter2") && error.contains("Kafka"), "{what}: {error}");
            eprintln!("{what}: {error}");
        }
    });
    let text = String::from_utf8(logged.0.lock().expect("lock").clone()).expect("text");
    assert!(text.contains("librdkafka") && !text.contains("hunter2"), "{text}");
}

/// What was logged.
#[derive(Clone, Default)]
struct Logged(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Logged {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
