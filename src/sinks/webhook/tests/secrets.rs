//! What is sent to prove who sends, and that it is shown nowhere.

use super::*;
use crate::base::secret::Secret;
use crate::sinks::testing::deliveries;

#[test]
fn a_token_or_a_password_and_more_headers_are_in_every_request() {
    let server = Server::start();
    let mut config = config("http", server.address);
    config.headers = vec![("X-Site".into(), Secret::new("north")), ("X-Key".into(), Secret::new("k 1"))];
    config.token = Some(Secret::new("tok.en"));
    let batch = deliveries(1..=2);
    assert!(all(&send(&mut open(&config), &batch), &batch));
    (config.token, config.user) = (None, Some("Aladdin".into()));
    config.password = Some(Secret::new("open sesame"));
    assert!(all(&send(&mut open(&config), &batch), &batch));
    let requests = server.requests();
    assert!(requests.iter().all(|r| r.header("x-site") == Some("north") && r.header("x-key") == Some("k 1")));
    let access: Vec<_> = requests.iter().map(|r| r.header("authorization")).collect();
    // The example of RFC 7617.
    let basic = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_eq!(access, [Some("Bearer tok.en"), Some("Bearer tok.en"), basic, basic]);
    assert!(requests.iter().all(|r| r.header("user-agent").is_some_and(|v| v.starts_with("watchlistd/"))));
}

#[test]
fn no_secret_is_shown_by_a_configuration_or_an_answer() {
    let server = Server::start();
    server.answers(|request| {
        // A receiver that sends back all it got, also in its status' headers.
        let body = format!("{:?} {}", request.headers, String::from_utf8_lossy(&request.body));
        Reply { body: body.into_bytes(), ..Reply::status(400) }
    });
    let mut config = config("http", server.address);
    config.url.set_path("/hooks/secret-1");
    config.url.set_query(Some("key=secret-2"));
    config.user = Some("door".into());
    config.password = Some(Secret::new("secret-3"));
    config.headers = vec![("X-Key".into(), Secret::new("secret-4"))];
    config.signing_secrets = vec![Secret::new("secret-5 is a long one")];
    config.proxy_password = Some(Secret::new("secret-6"));
    let shown = format!("{config:?}");
    assert!(shown.contains("localhost") && !shown.contains("secret-"), "{shown}");
    (config.proxy_password, config.proxy_user) = (None, None);
    let sent = send(&mut open(&config), &deliveries(1..=1));
    let Some(Trouble::Refused { error }) = sent.trouble else { panic!("{sent:?}") };
    let shown = format!("{} {error:?}", error.chain());
    assert!(shown.contains("400") && !shown.contains("secret-") && !shown.contains("door"), "{shown}");
}
