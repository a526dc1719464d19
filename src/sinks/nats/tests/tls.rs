//! TLS: whom the sink trusts, as whom it comes, and that it never falls back to plain text.

use std::path::{Path, PathBuf};

use super::*;

/// Makes certificates with the script of the fleet example: of the server `localhost`, and of `box-a`.
fn certificates(folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/fleet/certificates");
    let status = std::process::Command::new(script).arg(folder).args(["localhost", "box-a"]).status();
    assert!(status.expect("a shell").success(), "certificates: is openssl installed?");
}

fn server(verify: &str) -> Server {
    Server::with(|folder| {
        certificates(folder);
        let file = |name: &str| folder.join(name);
        format!(
            "jetstream {{ store_dir: {:?} }}\ntls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, {verify} }}",
            file("store"),
            file("localhost.pem"),
            file("localhost.key"),
            file("ca.pem"),
        )
    })
}

/// A configuration that trusts the server's authority.
fn trusting(server: &Server) -> NatsConfig {
    let mut config = config(server);
    config.servers = vec![format!("tls://localhost:{}", server.port).parse().expect("valid")];
    config.tls.ca = Some(server.folder.path().join("ca.pem"));
    config
}

fn pair(folder: &Path, name: &str) -> (Option<PathBuf>, Option<PathBuf>) {
    (Some(folder.join(format!("{name}.pem"))), Some(folder.join(format!("{name}.key"))))
}

#[test]
fn a_server_is_trusted_by_its_authority_only() {
    let server = server("verify: false");
    deliver(&mut sink(trusting(&server)), &deliveries(1, 1));
    let other = tempfile::tempdir().expect("a folder");
    certificates(other.path());
    let mut config = trusting(&server);
    config.tls.ca = Some(other.path().join("ca.pem"));
    let why = later(&send(&mut sink(config.clone()), &deliveries(2, 2)));
    assert!(why.contains("invalid peer certificate"), "{why}");
    // A name that the certificate does not have.
    config = trusting(&server);
    config.servers = vec![format!("tls://127.0.0.1:{}", server.port).parse().expect("valid")];
    let why = later(&send(&mut sink(config), &deliveries(2, 2)));
    assert!(why.contains("certificate"), "{why}");
    assert_eq!(server_numbers(&server), [1]);
}

/// The numbers of what is stored; the operator has to speak TLS too.
fn server_numbers(server: &Server) -> Vec<u64> {
    let folder = server.folder.path();
    let options = async_nats::ConnectOptions::new()
        .add_root_certificates(folder.join("ca.pem"))
        .add_client_certificate(folder.join("box-a.pem"), folder.join("box-a.key"));
    let url = format!("tls://localhost:{}", server.port).parse().expect("valid");
    let stored = server::operate(&url, options, async |context| server::stored(&context, "EVENTS").await);
    stored.iter().map(|s| s.number()).collect()
}

#[test]
fn a_client_certificate_is_the_login() {
    let server = server("verify: true");
    let mut config = trusting(&server);
    let sent = send(&mut sink(config.clone()), &deliveries(1, 1));
    assert_eq!(sent.taken, 0);
    later(&sent);
    (config.tls.certificate, config.tls.key) = pair(server.folder.path(), "box-a");
    deliver(&mut sink(config), &deliveries(1, 2));
    assert_eq!(server_numbers(&server), [1, 2]);
}

#[test]
fn where_tls_is_asked_for_a_plain_server_gets_no_password() {
    let server = Server::new();
    let mut config = config(&server);
    config.tls.required = true;
    config.timeout = Duration::from_secs(5);
    let sent = send(&mut sink(config), &deliveries(1, 1));
    assert_eq!(sent.taken, 0);
    later(&sent);
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_its_key() {
    let server = Server::new();
    let mut config = config(&server);
    config.tls.ca = Some("/nowhere/ca.pem".into());
    let why = later(&send(&mut sink(config), &deliveries(1, 1)));
    assert!(why.contains("tls.ca") && why.contains("/nowhere/ca.pem"), "{why}");
}
