//! Configurations that cannot be right.

use super::*;
use crate::base::error::Kind;
use crate::base::secret::Secret;

fn wrong(begins: &str, change: impl Fn(&mut WebhookConfig)) {
    let mut config = WebhookConfig::new(Url::parse("https://receiver.example/events").expect("valid"));
    config.check().expect("the defaults are good");
    change(&mut config);
    let error = config.check().expect_err(begins);
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.chain().starts_with(begins), "{begins} {}", error.chain());
    assert!(!error.chain().contains("hunter2"), "{}", error.chain());
    assert!(Webhook::open(config, system()).is_err());
}

fn address(text: &str) -> Url {
    Url::parse(text).expect("valid")
}

#[test]
fn each_mistake_is_told_with_its_key() {
    let secret = |text: &str| Some(Secret::new(text));
    wrong("url: ", |c| c.url = address("ftp://receiver.example"));
    wrong("url: ", |c| c.url = address("mailto:hunter2"));
    wrong("url: ", |c| c.url = address("https://user:hunter2@receiver.example/"));
    wrong("max_events: ", |c| c.mode = Mode::Batch { max_events: 0, max_bytes: 4096 });
    wrong("max_bytes: ", |c| c.mode = Mode::Batch { max_events: 9, max_bytes: 1 });
    wrong("signing_secrets[1]: ", |c| {
        c.signing_secrets = vec![Secret::new("a secret that is long enough"), Secret::new("hunter2")];
    });
    wrong("signing_secrets[0]: ", |c| c.signing_secrets = vec![Secret::new("whsec_hunter2!hunter2")]);
    wrong("signing_secrets[0]: ", |c| c.signing_secrets = vec![Secret::new("whsec_c2hvcnQ=")]);
    wrong("token and user: ", |c| (c.token, c.user) = (secret("hunter2"), Some("u".into())));
    wrong("password: ", |c| c.password = secret("hunter2"));
    wrong("user: ", |c| c.user = Some("a:b".into()));
    wrong("headers.Webhook-Id: ", |c| c.headers = vec![("Webhook-Id".into(), Secret::new("hunter2"))]);
    wrong("headers.AUTHORIZATION: ", |c| {
        c.token = secret("hunter2");
        c.headers = vec![("AUTHORIZATION".into(), Secret::new("hunter2"))];
    });
    wrong("client_certificate and client_key: ", |c| c.client_key = Some("/key.pem".into()));
    wrong("proxy: ", |c| c.proxy = Some(address("socks5://proxy.example")));
    wrong("proxy: ", |c| c.proxy = Some(address("http://user:hunter2@proxy.example")));
    wrong("proxy_user and proxy_password: ", |c| c.proxy_user = Some("user".into()));
    wrong("proxy_password: ", |c| {
        (c.proxy, c.proxy_password) = (Some(address("http://proxy.example")), secret("hunter2"));
    });
    wrong("timeout: ", |c| c.timeout = Duration::from_secs(1));
    wrong("timeout: ", |c| c.connect_timeout = Duration::ZERO);
}

#[test]
fn values_that_no_header_can_have_are_told_when_the_sink_is_opened() {
    let open = |change: &dyn Fn(&mut WebhookConfig)| {
        let mut config = WebhookConfig::new(address("http://localhost/"));
        change(&mut config);
        Webhook::open(config, system()).err().expect("refused").chain()
    };
    assert!(open(&|c| c.token = Some(Secret::new("hunter2\n"))).starts_with("token: "));
    assert!(open(&|c| c.headers = vec![("a b".into(), Secret::new("x"))]).starts_with("headers.a b: "));
    let error = open(&|c| c.headers = vec![("X".into(), Secret::new("hunter2\r\nY: z"))]);
    assert!(error.starts_with("headers.X: ") && !error.contains("hunter2"), "{error}");
}
