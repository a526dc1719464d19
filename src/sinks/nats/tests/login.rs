//! Who is let in, who is not, and that no message holds a secret.

use nkeys::KeyPair;
use serde_json::{Value, json};

use super::*;
use crate::base::secret::Secret;

const SECRETS: [&str; 2] = ["hunter2", "SUA"];

fn user(password: &str) -> Login {
    Login::User { user: "box".to_owned(), password: Secret::new(password) }
}

/// The right login is let in and the wrong ones are told so.
fn lets_in(server: &Server, right: Login, wrong: &[Login]) {
    let mut config = config(server);
    for login in wrong {
        config.login = login.clone();
        let mut sink = sink(config.clone());
        let sent = send(&mut sink, &deliveries(1, 1));
        let why = later(&sent);
        assert!(why.contains("refuses the login"), "{why}");
        assert!(!SECRETS.iter().any(|secret| why.contains(secret)), "{why}");
    }
    config.login = right;
    deliver(&mut sink(config), &deliveries(1, 3));
}

#[test]
fn user_and_password() {
    let server = Server::more("authorization { user: box, password: hunter2 }");
    lets_in(&server, user("hunter2"), &[Login::None, user("hunter22"), Login::Token(Secret::new("hunter2"))]);
}

#[test]
fn token() {
    let server = Server::more("authorization { token: hunter2 }");
    lets_in(&server, Login::Token(Secret::new("hunter2")), &[Login::None, user("hunter2")]);
}

#[test]
fn nkey() {
    let (ours, other) = (KeyPair::new_user(), KeyPair::new_user());
    let seed = |pair: &KeyPair| Login::Nkey(Secret::new(pair.seed().expect("a seed")));
    let server = Server::more(&format!("authorization {{ users: [ {{ nkey: {} }} ] }}", ours.public_key()));
    lets_in(&server, seed(&ours), &[seed(&other), Login::None]);
    let mut config = config(&server);
    config.login = Login::Nkey(Secret::new("hunter2"));
    let why = later(&send(&mut sink(config), &deliveries(1, 1)));
    assert!(why.contains("nkey: expected the seed") && !why.contains("hunter2"), "{why}");
}

#[test]
fn credentials_file() {
    let (operator, account, box_key) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1
    });
    let system = KeyPair::new_account();
    let operator_jwt = jwt(&operator, &operator, json!({ "type": "operator", "version": 2 }));
    let account_jwt = jwt(&operator, &account, json!({ "type": "account", "version": 2, "limits": limits }));
    let system_jwt = jwt(&operator, &system, json!({ "type": "account", "version": 2 }));
    let server = Server::more(&format!(
        "operator: {operator_jwt}\nsystem_account: {0}\nresolver: MEMORY\n\
         resolver_preload: {{ {0}: {system_jwt}, {1}: {account_jwt} }}",
        system.public_key(),
        account.public_key()
    ));
    let rights =
        json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {} });
    let write = |name: &str, jwt: &str, seed: &str| {
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let file = server.folder.path().join(name);
        std::fs::write(&file, text).expect("written");
        Login::Credentials(file)
    };
    let seed = box_key.seed().expect("a seed");
    let right = write("box.creds", &jwt(&account, &box_key, rights.clone()), &seed);
    let stranger = KeyPair::new_account();
    let wrong = write("stranger.creds", &jwt(&stranger, &box_key, rights), &seed);
    lets_in(&server, right, &[wrong, Login::None]);

    let broken = server.folder.path().join("broken.creds");
    std::fs::write(&broken, format!("-----BEGIN USER NKEY SEED-----\n{seed}\n")).expect("written");
    for (file, part) in
        [(broken, "expected a .creds file"), ("/nowhere.creds".into(), "cannot read credentials")]
    {
        let mut config = config(&server);
        config.login = Login::Credentials(file);
        let why = later(&send(&mut sink(config), &deliveries(1, 1)));
        assert!(why.contains(part) && !why.contains(&seed), "{why}");
    }
}

/// A token as `nsc` makes it: claims of `subject` signed by `issuer`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, nats: Value) -> String {
    let head = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let (iss, sub) = (issuer.public_key(), subject.public_key());
    let claims =
        json!({ "jti": sub, "iat": 1_700_000_000, "iss": iss, "name": "test", "sub": sub, "nats": nats });
    let signed =
        format!("{}.{}", base64url(head.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    let signature = issuer.sign(signed.as_bytes()).expect("signed");
    format!("{signed}.{}", base64url(&signature))
}

/// RFC 4648, 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let all =
            chunk.iter().fold(0u32, |all, &byte| (all << 8) | u32::from(byte)) << (8 * (3 - chunk.len()));
        text.extend((0..=chunk.len()).map(|i| char::from(DIGITS[(all >> (18 - 6 * i)) as usize & 63])));
    }
    text
}

#[test]
fn a_login_that_may_not_publish_is_told_at_once() {
    let server = Server::more(
        r#"accounts { A { jetstream: enabled, users: [
            { user: operator, password: o }
            { user: box, password: hunter2, permissions: {
                publish: ["$JS.API.STREAM.INFO.EVENTS", "watchlistd.box-7.vip.>"]
                subscribe: "_INBOX.>"
            } }
        ] } }"#,
    );
    let operator = async_nats::ConnectOptions::with_user_and_password("operator".to_owned(), "o".to_owned());
    server::operate(&server.url(), operator, async |context| {
        let made = async_nats::jetstream::stream::Config {
            name: "EVENTS".to_owned(),
            subjects: vec!["watchlistd.>".to_owned()],
            ..Default::default()
        };
        drop(context.create_stream(made).await.expect("a stream"));
    });
    let mut config = config(&server);
    config.login = user("hunter2");
    // Far longer than the test waits: it must not need the timeout.
    config.timeout = Duration::from_secs(300);
    let mut sink = sink(config);
    deliver(&mut sink, &[deliveries::recognized("door", 1, &["vip"])]);
    let sent = send(&mut sink, &deliveries(2, 2));
    let why = later(&sent);
    assert!(why.contains("Permissions Violation") && why.contains("watchlistd.box-7._.door.camera"), "{why}");
    assert!(!why.contains("hunter2"), "{why}");
}
