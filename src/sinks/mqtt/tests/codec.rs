//! What we write and read, against another codec.

use mqtt_proto::{Pid, v3, v5};
use proptest::prelude::*;

use super::super::wire::{Answer, Connect, Frames, Publish};
use super::*;

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äß/ _.-]{1,200}"
}

proptest! {
    #[test]
    fn another_codec_reads_our_publish(
        id in 1u16.., topic in text(), payload in prop::collection::vec(any::<u8>(), 0..40_000), typed: bool, retain: bool
    ) {
        let payload: Vec<u8> = payload.iter().map(|byte| byte & 0x7F).collect();
        let content_type = typed.then_some("application/json");
        let ours = Publish { id, topic: &topic, payload: &payload, content_type, retain };
        let mut bytes = Vec::new();
        ours.encode(Version::V311, &mut bytes);
        prop_assert!(ours.size(Version::V311).expect("possible") >= bytes.len());
        let Ok(Some(v3::Packet::Publish(theirs))) = v3::Packet::decode(&bytes) else { panic!("not read") };
        prop_assert_eq!((&*theirs.topic_name, &theirs.payload[..], theirs.retain, theirs.dup), (&*topic, &payload[..], retain, false));
        prop_assert_eq!(theirs.qos_pid.pid().map(Pid::value), Some(id));
        let again = v3::Packet::Publish(theirs).encode().expect("valid");
        prop_assert_eq!(again.as_ref(), &bytes[..]);

        bytes.clear();
        ours.encode(Version::V5, &mut bytes);
        prop_assert!(ours.size(Version::V5).expect("possible") >= bytes.len());
        let Ok(Some(v5::Packet::Publish(theirs))) = v5::Packet::decode(&bytes) else { panic!("not read") };
        prop_assert_eq!((&*theirs.topic_name, &theirs.payload[..], theirs.retain, theirs.dup), (&*topic, &payload[..], retain, false));
        prop_assert_eq!(theirs.qos_pid.pid().map(Pid::value), Some(id));
        prop_assert_eq!(theirs.properties.content_type.as_deref(), content_type);
        prop_assert_eq!(theirs.properties.payload_is_utf8, typed.then_some(true));
    }

    #[test]
    fn another_codec_reads_our_connect(
        client_id in text(), keep_alive: u16, will in prop::option::of((text(), text())),
        login in prop::option::of((text(), prop::option::of(text())))
    ) {
        let password = login.as_ref().and_then(|(_, password)| password.as_deref()).map(Secret::new);
        let ours = Connect {
            client_id: &client_id,
            keep_alive,
            will: will.as_ref().map(|(topic, payload)| (topic.as_str(), payload.as_str())),
            user: login.as_ref().map(|(user, _)| user.as_str()),
            password: password.as_ref(),
        };
        let Ok(Some(v3::Packet::Connect(three))) = v3::Packet::decode(&ours.encode(Version::V311)) else { panic!("not read") };
        let Ok(Some(v5::Packet::Connect(five))) = v5::Packet::decode(&ours.encode(Version::V5)) else { panic!("not read") };
        prop_assert!(three.clean_session && five.clean_start);
        prop_assert_eq!((three.keep_alive, five.keep_alive), (keep_alive, keep_alive));
        prop_assert_eq!((&*three.client_id, &*five.client_id), (&*client_id, &*client_id));
        prop_assert_eq!(five.properties.session_expiry_interval, None);
        prop_assert_eq!(three.username.as_deref().map(ToString::to_string), login.as_ref().map(|(user, _)| user.clone()));
        prop_assert_eq!(five.username.as_deref().map(ToString::to_string), login.as_ref().map(|(user, _)| user.clone()));
        let secret = password.as_ref().map(|p| p.expose().as_bytes().to_vec());
        prop_assert_eq!(three.password.map(|p| p.to_vec()), secret.clone());
        prop_assert_eq!(five.password.map(|p| p.to_vec()), secret);
        let wills = (three.last_will.map(|w| (w.topic_name.to_string(), w.message.to_vec(), w.retain, w.qos as u8)),
            five.last_will.map(|w| (w.topic_name.to_string(), w.payload.to_vec(), w.retain, w.qos as u8)));
        let expected = will.map(|(topic, payload)| (topic, payload.into_bytes(), true, 1));
        prop_assert_eq!(wills, (expected.clone(), expected));
    }

    /// In pieces of any size, nothing is lost and nothing made up.
    #[test]
    fn we_read_what_another_codec_writes(ids in prop::collection::vec(1u16.., 0..20), piece in 1usize..9, words in "[a-z ]{0,30}") {
        let mut bytes = Vec::new();
        for id in &ids {
            let mut puback = v5::Puback::new(Pid::try_from(*id).expect("not 0"), v5::PubackReasonCode::QuotaExceeded);
            puback.properties.reason_string = Some(words.as_str().into());
            puback.properties.user_properties.push(v5::UserProperty { name: "a".into(), value: "b".into() });
            bytes.extend(v5::Packet::Puback(puback).encode().expect("valid").as_ref());
        }
        let (mut frames, mut read) = (Frames::default(), Vec::new());
        for part in bytes.chunks(piece) {
            frames.extend(part);
            while let Some(answer) = frames.next(Version::V5).expect("valid") {
                read.push(answer);
            }
        }
        let expected: Vec<Answer> =
            ids.iter().map(|id| Answer::Puback { id: *id, code: 0x97, reason: Some(words.clone()) }).collect();
        prop_assert_eq!(read, expected);
    }

    /// Whatever comes, it is refused or read, and reading ends.
    #[test]
    fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300), head in prop::sample::select(vec![0x20u8, 0x40, 0xE0, 0xD0])) {
        for version in BOTH {
            let mut frames = Frames::default();
            let length = u8::try_from(bytes.len().min(127)).expect("small");
            frames.extend(&[head, length]);
            frames.extend(&bytes);
            for _ in 0..=bytes.len() {
                if !matches!(frames.next(version), Ok(Some(_))) {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_reason_that_the_standard_does_not_have_there_is_kept() {
    // What mosquitto 2.0 answers to a message over its limit: PUBACK with Packet too large.
    let mut frames = Frames::default();
    frames.extend(&[0x40, 4, 0, 7, 0x95, 0]);
    assert_eq!(frames.next(Version::V5), Ok(Some(Answer::Puback { id: 7, code: 0x95, reason: None })));
    assert!(
        v5::Packet::decode(&[0x40, 4, 0, 7, 0x95, 0]).is_err(),
        "a strict codec takes it for a broken connection"
    );
}

#[test]
fn limits_of_a_connack_are_read() {
    let mut connack = v5::Connack::new(false, v5::ConnectReasonCode::Success);
    connack.properties.receive_max = Some(20);
    connack.properties.max_packet_size = Some(2000);
    connack.properties.server_keep_alive = Some(30);
    connack.properties.assigned_client_id = Some("x".into());
    connack.properties.retain_available = Some(false);
    let mut frames = Frames::default();
    frames.extend(v5::Packet::Connack(connack).encode().expect("valid").as_ref());
    let Ok(Some(Answer::Connack(read))) = frames.next(Version::V5) else { panic!("not read") };
    assert_eq!(
        (read.receive_maximum, read.maximum_packet, read.keep_alive, read.retain),
        (20, Some(2000), Some(30), false)
    );
}
