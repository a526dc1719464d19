//! What needs no server: subjects, lanes, headers, configuration.

use std::collections::{HashMap, HashSet};

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use proptest::prelude::*;

use super::super::config::SUBJECT;
use super::super::subject::{covers, overlap, token};
use super::deliveries::recognized;
use super::*;
use crate::base::secret::Secret;

fn subject(template: &str, delivery: &Delivery) -> String {
    Template::new(template, "box 7").expect("a template").of(&delivery.event)
}

#[test]
fn a_subject_has_box_list_camera_and_type() {
    let template = SUBJECT;
    assert_eq!(subject(template, &at("door", 1)), "watchlistd.box%207._.door.camera");
    let seen = recognized("yard.front", 1, &["vip", "guests"]);
    assert_eq!(subject(template, &seen), "watchlistd.box%207.vip.yard%2Efront.recognized");
    assert_eq!(subject("faces.{list}", &recognized("door", 1, &["_"])), "faces.%5F");
    assert_eq!(subject("faces.{list}", &recognized("door", 1, &[])), "faces._");
    assert_eq!(subject("faces.{list}", &recognized("door", 1, &["Gäste *>"])), "faces.G%C3%A4ste%20%2A%3E");
    let template = Template::new(template, "box-7").expect("a template");
    assert_eq!(template.of_all_boxes(), "watchlistd.*.*.*.*");
    assert_eq!(template.of_this_box(), "watchlistd.box-7.*.*.*");
}

#[test]
fn a_template_that_makes_no_subject_is_refused() {
    for bad in ["", "{box}.x", "a..b", "a.", "a b", "a.*", "a.>", "a.{list", "a.{name}", "$JS.x", "a.x{list}"]
    {
        let error = Template::new(bad, "box").expect_err(bad);
        assert!(error.to_string().starts_with("subject ="), "{error}");
    }
    assert!(Template::new(SUBJECT, "").is_err());
}

proptest! {
    #[test]
    fn a_token_is_one_token_and_no_two_texts_share_one(a: String, b: String) {
        let safe = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_graphic() && !b".*>$".contains(&b));
        prop_assert!(safe(&token(&a)));
        prop_assert_eq!(token(&a) == token(&b), a == b);
    }

    #[test]
    fn patterns_agree_with_their_subjects(a in pattern(), b in pattern()) {
        let (in_a, in_b) = (matched(&a), matched(&b));
        prop_assert_eq!(overlap(&a, &b), !in_a.is_disjoint(&in_b), "{} {}", a, b);
        prop_assert_eq!(covers(&a, &b), in_b.is_subset(&in_a), "{} {}", a, b);
    }

    #[test]
    fn lanes_keep_the_order_and_count_what_is_taken(
        cameras in prop::collection::vec(0u8..4, 1..40),
        fails in prop::collection::hash_set(0usize..40, 0..3),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 40),
    ) {
        let mut lanes = Lanes::new(cameras.iter());
        let mut flying: Vec<usize> = lanes.heads().to_vec();
        let (mut last, mut stored, mut trouble) = (HashMap::new(), HashSet::new(), None);
        for pick in picks {
            if lanes.done() {
                break;
            }
            let lanes_in_use: HashSet<u8> = flying.iter().map(|&i| cameras[i]).collect();
            prop_assert_eq!(lanes_in_use.len(), flying.len(), "one of each camera");
            let index = flying.swap_remove(pick.index(flying.len()));
            if fails.contains(&index) {
                if lanes.failed(index) {
                    trouble = Some(index);
                }
                continue;
            }
            prop_assert!(last.insert(cameras[index], index) < Some(index), "in order");
            stored.insert(index);
            flying.extend(lanes.taken(index));
        }
        prop_assert!(lanes.done(), "it comes to an end");
        let first = (0..cameras.len()).find(|i| fails.contains(i)).unwrap_or(cameras.len());
        prop_assert_eq!(lanes.prefix(), first);
        prop_assert_eq!(trouble.unwrap_or(cameras.len()), first);
        prop_assert!((0..first).all(|i| stored.contains(&i)));
    }
}

fn pattern() -> impl Strategy<Value = String> {
    (prop::collection::vec(prop::sample::select(vec!["a", "b", "*"]), 1..4), any::<bool>()).prop_map(
        |(mut tokens, open)| {
            if open {
                tokens.pop();
                tokens.push(">");
            }
            tokens.join(".")
        },
    )
}

/// All subjects of `a` and `b`, one to four tokens long, that the pattern matches, by the definition.
fn matched(pattern: &str) -> HashSet<String> {
    let mut level = vec![String::new()];
    let mut all = HashSet::new();
    for _ in 0..4 {
        level = level.iter().flat_map(|s| ["a", "b", "c"].map(|t| format!("{s}.{t}"))).collect();
        all.extend(level.iter().map(|s| s[1..].to_owned()));
    }
    let wanted: Vec<&str> = pattern.split('.').collect();
    let matches = |subject: &str| {
        let tokens: Vec<&str> = subject.split('.').collect();
        let fits = |(w, t): (&&str, &&str)| *w == ">" || *w == "*" || w == t;
        let length = if wanted.ends_with(&[">"]) {
            tokens.len() >= wanted.len()
        } else {
            tokens.len() == wanted.len()
        };
        length && wanted.iter().zip(&tokens).all(fits)
    };
    all.into_iter().filter(|subject| matches(subject)).collect()
}

#[test]
fn an_acknowledgement_of_another_stream_does_not_count() {
    let ack = |stream: &str, duplicate| PublishAck {
        stream: stream.to_owned(),
        duplicate,
        ..PublishAck::default()
    };
    assert!(answer::judge(Ok(ack("EVENTS", false)), "EVENTS", "a.b").is_ok());
    assert!(answer::judge(Ok(ack("EVENTS", true)), "EVENTS", "a.b").is_ok(), "an earlier attempt stored it");
    let trouble = answer::judge(Ok(ack("OTHER", false)), "EVENTS", "a.b").expect_err("another stream");
    assert!(matches!(trouble, Trouble::Later { .. }) && trouble.to_string().contains("OTHER"), "{trouble}");
    let lost = answer::judge(Err(PublishError::new(PublishErrorKind::BrokenPipe)), "EVENTS", "a.b");
    assert!(matches!(lost, Err(Trouble::Later { .. })));
}

#[test]
fn a_bad_configuration_is_refused_with_its_key() {
    let good = || NatsConfig::new(vec!["nats://h:4222".parse().expect("valid")], "EVENTS", "box");
    assert!(Nats::new(good()).is_ok());
    let refused = |change: fn(&mut NatsConfig), key: &str| {
        let mut config = good();
        change(&mut config);
        let error = Nats::new(config).err().unwrap_or_else(|| panic!("{key}"));
        assert!(error.to_string().starts_with(key) && error.kind().exit_code() == 78, "{key}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    };
    refused(|c| c.servers.clear(), "servers");
    refused(|c| c.servers = vec!["http://h".parse().expect("valid")], "servers");
    refused(|c| c.servers = vec!["nats://me:hunter2@h".parse().expect("valid")], "servers");
    refused(|c| c.servers = vec!["nats://hunter2@h".parse().expect("valid")], "servers");
    refused(|c| c.stream.name = "a.b".to_owned(), "stream.name");
    refused(|c| c.stream.name.clear(), "stream.name");
    refused(|c| (c.stream.check, c.stream.create) = (false, true), "stream.create");
    refused(|c| c.tls.key = Some("k.pem".into()), "tls.certificate");
    refused(|c| c.batch = 0, "batch");
    refused(|c| c.timeout = Duration::ZERO, "batch and timeout");
    refused(|c| c.inbox = "a.*".to_owned(), "inbox");
    refused(|c| c.subject = "{box}".to_owned(), "subject");
    refused(|c| c.box_name.clear(), "box");
}

#[test]
fn a_configuration_prints_no_secret() {
    let mut config = NatsConfig::new(Vec::new(), "EVENTS", "box");
    for login in [
        Login::User { user: "me".to_owned(), password: Secret::new("hunter2") },
        Login::Token(Secret::new("hunter2")),
        Login::Nkey(Secret::new("hunter2")),
    ] {
        config.login = login;
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
