//! What a broker refuses, and what it allows.

use super::fake::Fake;
use super::*;
use crate::base::error::Kind;
use crate::sinks::testing::deliveries;

#[test]
fn each_reason_of_a_puback_has_its_fate() {
    let refused_for_good = [0x83, 0x90, 0x95, 0x99];
    let later_on = [0x80, 0x87, 0x91, 0x97, 0xEE];
    for code in refused_for_good.into_iter().chain(later_on) {
        let fake = Fake::start(Version::V5, move |peer| {
            peer.admit()?;
            peer.serve(|got| if got.connection == 0 && got.sequence() == 2 { code } else { 0 })
        });
        let mut sink = Mqtt::new(plain(fake.port, Version::V5)).expect("valid");
        let batch = deliveries(1..=3);
        let (taken, trouble) = send(&mut sink, &batch);
        assert_eq!(taken, 1, "0x{code:02X}: the first is taken, the second is not");
        let good = refused_for_good.contains(&code);
        let said = if good { refused(trouble) } else { later(trouble) };
        assert!(said.contains(&format!("0x{code:02X}")), "{said}");
        // The connection is as good as before.
        deliver(&mut sink, &batch[2..]);
        assert!(fake.got().iter().all(|got| got.connection == 0));
    }
}

#[test]
fn no_matching_subscribers_is_a_receipt() {
    let fake = Fake::start(Version::V5, |peer| {
        peer.admit()?;
        peer.serve(|_| 0x10)
    });
    deliver(&mut Mqtt::new(plain(fake.port, Version::V5)).expect("valid"), &deliveries(1..=3));
}

#[test]
fn one_at_a_time_nothing_overtakes_what_is_put_off() {
    let fake = Fake::start(Version::V5, |peer| {
        peer.admit()?;
        let first = peer.publish()?;
        peer.ack(first.id, 0x97);
        peer.serve(|_| 0)
    });
    let mut sink = Mqtt::new(MqttConfig { batch: 1, ..plain(fake.port, Version::V5) }).expect("valid");
    let (taken, trouble) = send(&mut sink, &deliveries(1..=3));
    assert_eq!(taken, 0);
    later(trouble);
    deliver(&mut sink, &deliveries(1..=3));
    assert_eq!(fake.sequences(), [1, 1, 2, 3]);
}

#[test]
fn the_servers_receive_maximum_is_kept() {
    let fake = Fake::start(Version::V5, |peer| {
        peer.admit_with(&[0x21, 0, 2])?;
        let mut waiting = peer.publishes(2)?;
        for _ in 0..8 {
            assert!(peer.is_quiet(), "more than two in flight");
            peer.ack(waiting.remove(0).id, 0);
            waiting.push(peer.publish()?);
        }
        waiting.iter().for_each(|got| peer.ack(got.id, 0));
        peer.serve(|_| 0)
    });
    let config = MqttConfig { timeout: Duration::from_secs(30), ..plain(fake.port, Version::V5) };
    deliver(&mut Mqtt::new(config).expect("valid"), &deliveries(1..=10));
    assert_eq!(fake.sequences(), (1..=10).collect::<Vec<_>>());
}

#[test]
fn what_is_larger_than_a_packet_may_be_is_refused_and_not_sent() {
    for version in BOTH {
        let fake = Fake::start(version, |peer| {
            match peer.version {
                Version::V311 => drop(peer.admit()?),
                Version::V5 => peer.admit_with(&[0x27, 0, 0, 8, 0])?,
            }
            peer.serve(|_| 0)
        });
        let mut batch = deliveries(1..=3);
        batch[1].json = format!("\"{}\"", "x".repeat(3000));
        let mut config = plain(fake.port, version);
        if version == Version::V311 {
            config.max_packet = 2048;
        }
        let mut sink = Mqtt::new(config).expect("valid");
        let (taken, trouble) = send(&mut sink, &batch);
        assert_eq!(taken, 1);
        assert!(refused(trouble).contains("max_packet"));
        deliver(&mut sink, &batch[2..]);
        assert_eq!(fake.sequences(), [1, 3]);
    }
}

#[test]
fn a_refused_connection_says_why_and_what_to_do_and_no_secret() {
    let cases: [(Version, u8, &str, Kind); 8] = [
        (Version::V311, 1, "set version", Kind::Config),
        (Version::V311, 2, "client_id", Kind::Config),
        (Version::V311, 3, "server unavailable", Kind::Temporary),
        (Version::V311, 4, "check user and password", Kind::Permission),
        (Version::V311, 5, "not authorized", Kind::Permission),
        (Version::V5, 0x86, "check user and password", Kind::Permission),
        (Version::V5, 0x84, "set version", Kind::Config),
        (Version::V5, 0x9F, "connection rate exceeded", Kind::Temporary),
    ];
    for (version, code, words, kind) in cases {
        let fake = Fake::start(version, move |peer| {
            peer.read()?;
            let (three, five) = ([0x20, 2, 0, code], [0x20, 3, 0, code, 0]);
            peer.send(if version == Version::V5 { &five } else { &three });
            None
        });
        let mut config = plain(fake.port, version);
        (config.user, config.password) = (Some("gate".into()), Some(Secret::new("hunter2")));
        let (taken, trouble) = send(&mut Mqtt::new(config).expect("valid"), &deliveries(1..=2));
        assert_eq!(taken, 0);
        let Some(Trouble::Later { error, .. }) = trouble else { panic!("{trouble:?}") };
        assert_eq!(error.kind(), kind);
        let said = error.chain();
        assert!(said.contains(words) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_broker_without_qos_1_or_without_retained_messages_is_of_no_use() {
    for (properties, words) in [([0x24, 0], "QoS"), ([0x25, 0], "retain")] {
        let fake = Fake::start(Version::V5, move |peer| peer.admit_with(&properties));
        let (taken, trouble) =
            send(&mut Mqtt::new(full(fake.port, Version::V5)).expect("valid"), &deliveries(1..=1));
        assert_eq!(taken, 0);
        let said = later(trouble);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_disconnect_of_the_broker_is_told_in_its_words() {
    let fake = Fake::start(Version::V5, |peer| {
        peer.admit()?;
        let got = peer.publishes(3)?;
        peer.ack(got[0].id, 0);
        // Reason: "night".
        peer.send(&[0xE0, 10, 0x8B, 8, 0x1F, 0, 5, b'n', b'i', b'g', b'h', b't']);
        None
    });
    let (taken, trouble) =
        send(&mut Mqtt::new(plain(fake.port, Version::V5)).expect("valid"), &deliveries(1..=3));
    assert_eq!(taken, 1);
    let said = later(trouble);
    assert!(said.contains("server shutting down (0x8B): night"), "{said}");
}

#[test]
fn a_message_that_ends_every_connection_is_found_and_refused() {
    let fake = Fake::start(Version::V5, |peer| {
        peer.admit()?;
        loop {
            let got = peer.publish()?;
            if got.sequence() == 3 {
                peer.send(&[0xE0, 1, 0x95]);
                return None;
            }
            peer.ack(got.id, 0);
        }
    });
    let mut sink = Mqtt::new(plain(fake.port, Version::V5)).expect("valid");
    let batch = deliveries(1..=5);
    let (mut left, mut given_up) = (batch.as_slice(), Vec::new());
    for _ in 0..4 {
        let (taken, trouble) = send(&mut sink, left);
        left = &left[taken..];
        if let Some(Trouble::Refused { .. }) = trouble {
            given_up.push(left[0].sequence);
            left = &left[1..];
        }
    }
    assert_eq!((given_up, left.len()), (vec![3], 0), "that one, and no other");
}
