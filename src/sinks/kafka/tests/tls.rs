//! Whom the sink trusts, and how it shows who it is, against a mock cluster behind TLS.

use super::*;
use crate::sinks::webhook::WebhookConfig;
use crate::sinks::webhook::tests::tls::Authority;

fn sink_with(address: std::net::SocketAddr, tls: TlsConfig, timeout: Duration) -> Kafka {
    sink(KafkaConfig { tls: Some(tls), timeout, ..config(&address.to_string()) })
}

fn trusting(authority: &Authority) -> TlsConfig {
    TlsConfig { ca: Some(authority.file("ca.pem")), ..TlsConfig::default() }
}

#[test]
fn brokers_of_an_authority_that_we_trust_get_events_and_no_others_do() {
    let (authority, other, cluster) = (Authority::new(), Authority::new(), Cluster::start());
    let address = cluster.behind_tls(&authority.server("127.0.0.1", None));
    let batch = of_cameras(&["door"], 10);
    deliver(&mut sink_with(address, trusting(&authority), DEADLINE), &batch);
    assert_eq!(sequences(&cluster.wait(10)), (1..=10).collect::<Vec<_>>());
    // Another authority, the system's, and the right one for another name.
    let elsewhere = cluster.behind_tls(&authority.server("elsewhere.example", None));
    let cases =
        [(address, trusting(&other)), (address, TlsConfig::default()), (elsewhere, trusting(&authority))];
    for (address, tls) in cases {
        let sent = send(&mut sink_with(address, tls, DEADLINE), &batch);
        assert_eq!(sent.taken, 0);
        assert!(later(&sent).contains("SSL"), "{}", later(&sent));
    }
    assert_eq!(cluster.got().len(), 10);
}

#[test]
fn a_client_certificate_lets_us_in_and_none_does_not() {
    let (brokers, boxes, cluster) = (Authority::new(), Authority::new(), Cluster::start());
    let address = cluster.behind_tls(&brokers.server("127.0.0.1", Some(&boxes)));
    let batch = of_cameras(&["door"], 3);
    let sent = send(&mut sink_with(address, trusting(&brokers), Duration::from_secs(2)), &batch);
    assert_eq!((sent.taken, later(&sent).is_empty()), (0, false));
    boxes.names(&mut WebhookConfig::new("https://unused/".parse().expect("valid")));
    let tls = TlsConfig {
        certificate: Some(boxes.file("box.pem")),
        key: Some(boxes.file("box.key")),
        ..trusting(&brokers)
    };
    deliver(&mut sink_with(address, tls, DEADLINE), &batch);
    assert_eq!(sequences(&cluster.wait(3)), [1, 2, 3]);
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_its_key() {
    let tls = TlsConfig { ca: Some("/nowhere/ca.pem".into()), ..TlsConfig::default() };
    let sent = send(&mut sink_with(([127, 0, 0, 1], 9).into(), tls, DEADLINE), &of_cameras(&["door"], 1));
    let error = later(&sent);
    assert!(error.contains("tls.ca") && error.contains("/nowhere/ca.pem"), "{error}");
}
