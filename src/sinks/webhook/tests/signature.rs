//! Signatures, checked as a receiver would, with nothing of the sink's own.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::server::Request;
use super::*;
use crate::base::secret::Secret;
use crate::sinks::testing::deliveries;

pub const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// HMAC as in RFC 2104, section 2.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| block.map(|byte| byte ^ with).to_vec();
    let inner = Sha256::digest([pad(0x36), text.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

/// The places of the signatures that this key has made.
fn made_by(key: &[u8], request: &Request) -> Vec<usize> {
    let header = |name| request.header(name).expect("a header");
    let head = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
    let expected = BASE64_STANDARD.encode(hmac(key, &[head.as_bytes(), &request.body].concat()));
    let signatures = header("webhook-signature").split(' ').enumerate();
    signatures.filter(|(_, text)| text.strip_prefix("v1,") == Some(&expected)).map(|(at, _)| at).collect()
}

fn signed(mode: Mode, secrets: &[&str]) -> Request {
    let server = Server::start();
    let signing_secrets = secrets.iter().map(|text| Secret::new(*text)).collect();
    let config = WebhookConfig { mode, signing_secrets, ..config("http", server.address) };
    let (mut sink, batch) =
        (Webhook::open(config, standing(1_700_000_000)).expect("good"), deliveries(1..=2));
    assert!(all(&send(&mut sink, &batch), &batch));
    server.requests().remove(0)
}

#[test]
fn the_example_of_the_specification_comes_out() {
    let secret = WebhookConfig { signing_secrets: vec![Secret::new(WHSEC)], ..example() };
    let signer = super::super::sign::Signer::new(&secret).expect("a key");
    let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
    assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
}

fn example() -> WebhookConfig {
    WebhookConfig::new(Url::parse("https://receiver.example/events").expect("valid"))
}

#[test]
fn every_secret_signs_in_its_order() {
    let raw = "a raw secret that is long enough";
    for mode in [Mode::Single, Mode::BATCH] {
        let request = signed(mode, &[WHSEC, raw]);
        let decoded = BASE64_STANDARD.decode(&WHSEC[6..]).expect("base64");
        assert_eq!(made_by(&decoded, &request), [0]);
        assert_eq!(made_by(raw.as_bytes(), &request), [1]);
        assert_eq!(made_by(b"another secret, not in use", &request), [] as [usize; 0]);
        assert_eq!(request.header("webhook-timestamp"), Some("1700000000"));
        assert_eq!(request.header("webhook-id"), request.header("idempotency-key"));
    }
}

#[test]
fn a_changed_byte_is_seen() {
    let key = "a raw secret that is long enough";
    let good = signed(Mode::Single, &[key]);
    assert_eq!(made_by(key.as_bytes(), &good), [0]);
    for at in 0..good.body.len() {
        let mut changed = good.clone();
        changed.body[at] ^= 1;
        assert!(made_by(key.as_bytes(), &changed).is_empty(), "byte {at}");
    }
}

#[test]
fn without_a_secret_there_is_no_signature_but_an_id_and_a_time() {
    let request = signed(Mode::Single, &[]);
    assert_eq!(request.header("webhook-signature"), None);
    let id = request.ids()[0].to_string();
    assert_eq!(request.header("webhook-id"), Some(id.as_str()));
    assert!(request.header("webhook-timestamp").is_some());
}
