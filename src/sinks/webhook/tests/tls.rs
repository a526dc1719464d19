//! Whom the sink trusts, and who trusts the sink.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;

use super::*;
use crate::base::error::Kind;
use crate::sinks::testing::deliveries;

/// An authority of certificates with a folder for its files.
pub struct Authority {
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    pub folder: TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no name");
        // Two authorities of one name would be told apart by a bad signature only.
        let name = uuid::Uuid::now_v7().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("signed");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), root.pem()).expect("written");
        Self { root: root.into(), issuer: Issuer::new(params, key), folder }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn certificate(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("signed"), key)
    }

    /// For a server of this name, that asks its clients for a certificate of `clients`.
    pub fn server(&self, name: &str, clients: Option<&Authority>) -> Arc<ServerConfig> {
        let (certificate, key) = self.certificate(name);
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone());
        let config = config.with_safe_default_protocol_versions().expect("versions");
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.root.clone()).expect("a root");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                config.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        Arc::new(config.with_single_cert(vec![certificate.into()], key).expect("they fit"))
    }

    pub fn trusted_by(&self, config: &mut WebhookConfig) {
        config.ca_file = Some(self.file("ca.pem"));
    }

    /// Gives the sink a certificate.
    pub fn names(&self, config: &mut WebhookConfig) {
        let (certificate, key) = self.certificate("box");
        std::fs::write(self.file("box.pem"), certificate.pem()).expect("written");
        std::fs::write(self.file("box.key"), key.serialize_pem()).expect("written");
        config.client_certificate = Some(self.file("box.pem"));
        config.client_key = Some(self.file("box.key"));
    }
}

#[test]
fn a_receiver_of_an_unknown_authority_or_another_name_gets_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let batch = deliveries(1..=1);
    for (name, trusted, said) in
        [("localhost", &other, "UnknownIssuer"), ("elsewhere.example", &authority, "not valid for name")]
    {
        let server = Server::with(Some(authority.server(name, None)));
        let mut config = config("https", server.address);
        trusted.trusted_by(&mut config);
        let (message, _) = later(send(&mut open(&config), &batch));
        assert!(message.contains("no TLS") && message.contains(said), "{message}");
        assert!(server.requests().is_empty());
    }
    // And by the system's authorities none of them is known.
    let server = Server::with(Some(authority.server("localhost", None)));
    if let Ok(mut sink) = Webhook::open(config("https", server.address), system()) {
        let (message, _) = later(send(&mut sink, &batch));
        assert!(message.contains("no TLS"), "{message}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_receiver_that_wants_a_certificate_takes_events_with_the_right_one_only() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Server::with(Some(authority.server("localhost", Some(&authority))));
    let (batch, mut config) = (deliveries(1..=3), config("https", server.address));
    authority.trusted_by(&mut config);
    let (message, _) = later(send(&mut open(&config), &batch));
    assert!(message.contains("client_certificate"), "{message}");
    other.names(&mut config);
    let (message, _) = later(send(&mut open(&config), &batch));
    assert!(message.contains("client_certificate"), "{message}");
    assert!(server.taken().is_empty());
    authority.names(&mut config);
    assert!(all(&send(&mut open(&config), &batch), &batch));
    assert_eq!(server.taken().len(), 3);
}

#[test]
fn a_renewed_certificate_is_read_at_reopen() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = Server::with(Some(old.server("localhost", Some(&old))));
    let (batch, mut config) = (deliveries(1..=1), config("https", server.address));
    old.trusted_by(&mut config);
    old.names(&mut config);
    std::fs::copy(new.file("ca.pem"), old.file("ca.pem")).expect("copied");
    let mut sink = open(&config);
    later(send(&mut sink, &batch));
    std::fs::write(old.file("ca.pem"), "nothing").expect("written");
    let error = sink.reopen().expect_err("no certificate in it");
    assert!(error.chain().starts_with("ca_file: "), "{}", error.chain());
    let pem = pem(&old.root);
    std::fs::write(old.file("ca.pem"), pem).expect("written");
    sink.reopen().expect("read again");
    assert!(all(&send(&mut sink, &batch), &batch));
}

fn pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine;
    let text = base64::prelude::BASE64_STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[test]
fn files_that_cannot_be_right_are_told_at_once_with_their_key() {
    let authority = Authority::new();
    let mut good = config("https", "127.0.0.1:1".parse().expect("an address"));
    authority.trusted_by(&mut good);
    authority.names(&mut good);
    open(&good);
    let (_, stranger) = authority.certificate("stranger");
    std::fs::write(authority.file("stranger.key"), stranger.serialize_pem()).expect("written");
    std::fs::write(authority.file("empty.pem"), "").expect("written");
    let stranger = WebhookConfig { client_key: Some(authority.file("stranger.key")), ..good.clone() };
    let empty_key = WebhookConfig { client_key: Some(authority.file("empty.pem")), ..good.clone() };
    let empty = WebhookConfig { client_certificate: Some(authority.file("empty.pem")), ..good.clone() };
    let none = WebhookConfig { ca_file: Some(authority.file("none.pem")), ..good.clone() };
    let cases = [
        (stranger, Kind::Config, "client_key: "),
        (empty_key, Kind::Config, "client_key: "),
        (empty, Kind::Config, "client_certificate: "),
        (none, Kind::NoInput, "ca_file: "),
    ];
    for (config, kind, begins) in cases {
        let error = Webhook::open(config, system()).err().expect("refused");
        assert!(error.kind() == kind && error.chain().starts_with(begins), "{}", error.chain());
    }
}
