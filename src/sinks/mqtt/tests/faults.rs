//! Connections that go wrong.

use super::fake::{Fake, Packet};
use super::*;
use crate::sinks::testing::{deliveries, eventually};

#[test]
fn what_is_no_mqtt_ends_the_connection_and_counts_for_nothing() {
    // A packet of a kind that is not for us, a length without an end, a PUBACK of one byte, a broken property, too large.
    let rubbish: [&[u8]; 6] = [
        &[0x30, 3, 0, 1, b'a'],
        &[0x40, 0x80, 0x80, 0x80, 0x80, 1],
        &[0x40, 1, 0],
        &[0x40, 5, 0, 1, 0, 1, 0x77],
        &[0x40, 0xFF, 0xFF, 0x7F],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ];
    for bytes in rubbish {
        let fake = Fake::start(Version::V5, move |peer| {
            peer.admit()?;
            if peer.number > 0 {
                return peer.serve(|_| 0);
            }
            peer.publishes(2)?;
            peer.send(bytes);
            peer.serve(|_| 0)
        });
        let mut sink = Mqtt::new(plain(fake.port, Version::V5)).expect("valid");
        let (taken, trouble) = send(&mut sink, &deliveries(1..=2));
        assert_eq!(taken, 0);
        let said = later(trouble);
        assert!(said.contains("broke the protocol"), "{bytes:?}: {said}");
        deliver(&mut sink, &deliveries(1..=2));
    }
}

#[test]
fn answers_in_single_bytes_are_read() {
    let fake = Fake::start(Version::V5, |peer| {
        peer.admit()?;
        for got in peer.publishes(3)? {
            let [high, low] = got.id.to_be_bytes();
            [0x40, 2, high, low].into_iter().for_each(|byte| peer.send(&[byte]));
        }
        peer.serve(|_| 0)
    });
    deliver(&mut Mqtt::new(plain(fake.port, Version::V5)).expect("valid"), &deliveries(1..=3));
}

#[test]
fn an_idle_connection_is_kept_alive_as_the_server_wants_it() {
    let pings = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let shared = pings.clone();
    let fake = Fake::start(Version::V5, move |peer| {
        // Server Keep Alive: 1 s.
        peer.admit_with(&[0x13, 0, 1])?;
        loop {
            match peer.read()? {
                Packet::Ping => {
                    shared.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    peer.send(&[0xD0, 0]);
                }
                Packet::Publish(got) => peer.ack(got.id, 0),
                _ => return None,
            }
        }
    });
    let mut sink = Mqtt::new(plain(fake.port, Version::V5)).expect("valid");
    deliver(&mut sink, &deliveries(1..=1));
    eventually("three pings", || {
        sink.idle();
        pings.load(std::sync::atomic::Ordering::SeqCst) >= 3
    });
    deliver(&mut sink, &deliveries(2..=2));
    assert!(fake.got().iter().all(|got| got.connection == 0), "one connection for all of it");
}

#[test]
fn a_broker_that_answers_no_ping_is_left() {
    let fake = Fake::start(Version::V5, |peer| {
        peer.admit_with(&[0x13, 0, 1])?;
        let got = peer.publish()?;
        peer.ack(got.id, 0);
        while let Some(packet) = peer.read() {
            if let Packet::Publish(got) = packet {
                peer.ack(got.id, 0);
            }
        }
        None
    });
    let mut sink = Mqtt::new(plain(fake.port, Version::V5)).expect("valid");
    deliver(&mut sink, &deliveries(1..=1));
    eventually("the connection is given up", || {
        sink.idle();
        matches!(sink.line, Line::Down)
    });
    deliver(&mut sink, &deliveries(2..=2));
    assert_eq!(fake.got()[1].connection, 1);
}

#[test]
fn while_there_is_nothing_to_send_it_connects_and_says_that_it_is_there() {
    for version in BOTH {
        let fake = Fake::start(version, |peer| {
            peer.admit()?;
            peer.serve(|_| 0)
        });
        let mut sink = Mqtt::new(full(fake.port, version)).expect("valid");
        eventually("online", || {
            sink.idle();
            fake.got().iter().any(|got| {
                got.topic == "watchlistd/box-7/availability" && got.payload == b"online" && got.retain
            })
        });
        eventually("up", || {
            sink.idle();
            matches!(sink.line, Line::Up(_))
        });
        sink.close();
        let last = fake.got().pop().expect("some");
        assert_eq!(
            (last.topic.as_str(), last.payload.as_slice(), last.retain),
            ("watchlistd/box-7/availability", &b"offline"[..], true)
        );
    }
}

#[test]
fn what_may_not_be_retained_holds_no_event_up() {
    let fake = Fake::start(Version::V5, |peer| {
        peer.admit()?;
        peer.serve(|got| if got.retain { 0x87 } else { 0 })
    });
    let mut sink = Mqtt::new(full(fake.port, Version::V5)).expect("valid");
    deliver(
        &mut sink,
        &[
            changed(1, "door", CameraState::Connected),
            seen(2, "door", identity(1), Some("Ada"), Stage::Confirmed),
        ],
    );
}

#[test]
fn an_event_counts_only_once_all_of_its_messages_do() {
    let fake = Fake::start(Version::V5, |peer| {
        peer.admit()?;
        peer.serve(|got| if got.connection == 0 && got.topic.ends_with("camera/door") { 0x97 } else { 0 })
    });
    let mut sink = Mqtt::new(full(fake.port, Version::V5)).expect("valid");
    let (taken, trouble) = send(&mut sink, &[changed(1, "door", CameraState::Connected)]);
    assert_eq!(taken, 0, "its retained state is not there");
    assert!(later(trouble).contains("quota exceeded"));
}
