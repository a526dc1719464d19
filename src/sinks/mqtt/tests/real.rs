//! Against mosquitto.

use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::mosquitto::Mosquitto;
use super::*;
use crate::sinks::testing::{Fault, FaultProxy, deliveries, eventually};

const AVAILABILITY: &str = "watchlistd/box-7/availability";

#[test]
fn events_arrive_in_order_on_their_topics() {
    for version in BOTH {
        let broker = Mosquitto::start();
        let ear = broker.listen(None);
        let mut sink = Mqtt::new(full(broker.port, version)).expect("valid");
        // More than mosquitto takes at a time.
        let batch: Vec<Delivery> = (1..=64)
            .map(|n| {
                if n % 2 == 0 {
                    changed(n, "door", CameraState::Waiting)
                } else {
                    seen(n, "yard", identity(1), None, Stage::Confirmed)
                }
            })
            .collect();
        deliver(&mut sink, &batch);
        eventually("all of them", || ear.sequences().len() == batch.len());
        assert_eq!(ear.sequences(), (1..=64).collect::<Vec<_>>(), "{version:?}");
        let sent: Vec<&str> = batch.iter().filter(|d| d.sequence % 2 == 1).map(|d| d.json.as_str()).collect();
        assert_eq!(ear.on("watchlistd/box-7/yard/recognized"), sent);
    }
}

#[test]
fn a_subscriber_that_comes_later_finds_availability_camera_state_and_discovery() {
    for version in BOTH {
        let broker = Mosquitto::start();
        let mut sink = Mqtt::new(full(broker.port, version)).expect("valid");
        let last = changed(3, "door", CameraState::Connected);
        let batch = [
            changed(1, "door", CameraState::Waiting),
            seen(2, "door", identity(1), Some("Ada"), Stage::Confirmed),
            last.clone(),
        ];
        deliver(&mut sink, &batch);
        let ear = broker.listen(None);
        eventually("seven retained messages and the mark", || ear.heard().len() >= 8);
        assert!(ear.heard().iter().all(|heard| heard.old), "events are not retained");
        assert_eq!(ear.on("watchlistd/box-7/camera/door"), [last.json], "the newest state");
        assert_eq!(ear.on("watchlistd/box-7/camera/door/last_seen"), ["2026-03-01T08:30:00Z"]);
        assert_eq!(ear.on(AVAILABILITY), ["online"]);
        let node = "homeassistant/device/watchlistd-box-7";
        for device in ["", "/camera-door", &format!("/person-{}", identity(1))] {
            assert_eq!(ear.on(&format!("{node}{device}/config")).len(), 1, "{device}");
        }
    }
}

#[test]
fn who_is_forgotten_leaves_nothing_retained_also_after_a_restart() {
    for version in BOTH {
        let mut broker = Mosquitto::start();
        let people = [identity(1), identity(2)];
        let batch: Vec<Delivery> =
            (1..).zip(people).map(|(n, id)| seen(n, "door", id, Some("Ada"), Stage::Confirmed)).collect();
        deliver(&mut Mqtt::new(full(broker.port, version)).expect("valid"), &batch);
        broker.stop();
        broker.run();
        // Another run, which has seen nothing.
        let (_stopper, stop) = running();
        Mqtt::new(full(broker.port, version)).expect("valid").forget(people[0], &stop).expect("removed");
        let ear = broker.listen(None);
        let about =
            |id: IdentityId| ear.heard().iter().filter(|heard| heard.topic.contains(&id.to_string())).count();
        eventually("the other one's", || about(people[1]) == 2);
        assert_eq!(about(people[0]), 0, "{version:?}");
    }
}

#[test]
fn what_cannot_be_removed_now_is_asked_for_again() {
    let mut broker = Mosquitto::start();
    broker.stop();
    let mut config = full(broker.port, Version::V5);
    (config.timeout, config.connect_timeout) = (Duration::from_secs(2), Duration::from_secs(2));
    let (_stopper, stop) = running();
    let trouble = Mqtt::new(config).expect("valid").forget(identity(1), &stop).err();
    later(trouble);
}

#[test]
fn the_last_will_tells_of_a_death_and_a_goodbye_of_an_end() {
    for version in BOTH {
        let broker = Mosquitto::start();
        let ear = broker.listen(None);
        let said = |words: &[&str]| eventually(&format!("{words:?}"), || ear.on(AVAILABILITY) == words);
        let proxy = FaultProxy::start(([127, 0, 0, 1], broker.port).into());
        let mut killed = Mqtt::new(full(proxy.port(), version)).expect("valid");
        deliver(&mut killed, &deliveries(1..=1));
        said(&["online"]);
        // As the kernel does with the connections of a process that is killed.
        drop(killed);
        said(&["online", "offline"]);
        let mut cut = Mqtt::new(full(proxy.port(), version)).expect("valid");
        deliver(&mut cut, &deliveries(2..=2));
        proxy.reset_all();
        said(&["online", "offline", "online", "offline"]);
        persist(&mut cut, &deliveries(3..=3));
        cut.close();
        said(&["online", "offline", "online", "offline", "online", "offline"]);
        let late = broker.listen(None);
        eventually("it is retained", || late.on(AVAILABILITY) == ["offline"]);
        let log = std::fs::read_to_string(broker.folder().join("log")).expect("a log");
        assert!(log.contains("Received DISCONNECT from box-7"), "{log}");
    }
}

#[test]
fn after_a_broker_restart_in_the_middle_all_is_there_in_order() {
    for version in BOTH {
        let mut broker = Mosquitto::start();
        // Its subscriptions and what comes for it are kept while it is away.
        drop(broker.listen(Some("archive")));
        let mut config = full(broker.port, version);
        (config.timeout, config.connect_timeout) = (Duration::from_secs(2), Duration::from_secs(2));
        let mut sink = Mqtt::new(config).expect("valid");
        let batch: Vec<Delivery> = (1..=60)
            .map(|n| changed(n, if n % 3 == 0 { "yard" } else { "door" }, CameraState::Waiting))
            .collect();
        deliver(&mut sink, &batch[..20]);
        broker.stop();
        let (taken, trouble) = send(&mut sink, &batch[20..40]);
        assert_eq!(taken, 0, "nobody is there");
        later(trouble);
        broker.run();
        persist(&mut sink, &batch[20..]);
        let ear = broker.listen(Some("archive"));
        eventually("all of them", || ear.sequences().len() == batch.len());
        assert_eq!(ear.sequences(), (1..=60).collect::<Vec<_>>(), "{version:?}");
    }
}

#[test]
fn lost_acknowledgements_bring_the_same_events_again() {
    for version in BOTH {
        let broker = Mosquitto::start();
        let ear = broker.listen(None);
        let proxy = FaultProxy::start(([127, 0, 0, 1], broker.port).into());
        let mut config = full(proxy.port(), version);
        (config.timeout, config.connect_timeout) = (Duration::from_secs(2), Duration::from_secs(2));
        let mut sink = Mqtt::new(config).expect("valid");
        let batch = deliveries(1..=6);
        deliver(&mut sink, &batch[..2]);
        proxy.set(Fault::Swallow);
        let (taken, trouble) = send(&mut sink, &batch[2..]);
        assert_eq!(taken, 0, "the broker has them, and nobody told us");
        later(trouble);
        proxy.set(Fault::None);
        persist(&mut sink, &batch[2..]);
        eventually("twice", || ear.events().len() == 10);
        let ids: Vec<Uuid> = ear.events().iter().map(|event| event.id).collect();
        assert_eq!(ids[2..6], ids[6..10], "{version:?}: under the same ids");
    }
}

#[test]
fn mosquittos_limits_refuse_an_event_for_good() {
    // One it announces, one it does not: then it answers PUBACK with a reason that the standard does not have there.
    for limit in ["max_packet_size 4000", "message_size_limit 4000"] {
        let broker = Mosquitto::with(|_, _| format!("{limit}\n"));
        let mut sink = Mqtt::new(plain(broker.port, Version::V5)).expect("valid");
        let mut batch = deliveries(1..=3);
        batch[1].json = format!("\"{}\"", "x".repeat(9000));
        let (taken, trouble) = send(&mut sink, &batch);
        assert_eq!(taken, 1, "{limit}");
        refused(trouble);
        deliver(&mut sink, &batch[2..]);
    }
}

#[test]
fn user_and_password_let_us_in_and_wrong_ones_do_not() {
    let broker = Mosquitto::with(|folder, port| {
        let file = folder.join("passwords");
        std::fs::write(&file, "gate:hunter2\n").expect("written");
        let hashed = Command::new("mosquitto_passwd").arg("-U").arg(&file).status();
        assert!(hashed.expect("mosquitto_passwd is missing: run scripts/setup --tests").success());
        format!("listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\n", file.display())
    });
    for version in BOTH {
        let mut config = full(broker.other, version);
        (config.user, config.password) = (Some("gate".into()), Some(Secret::new("hunter2")));
        deliver(&mut Mqtt::new(config.clone()).expect("valid"), &deliveries(1..=3));
        for wrong in [Some("Hunter2"), None] {
            config.password = wrong.map(Secret::new);
            let (taken, trouble) = send(&mut Mqtt::new(config.clone()).expect("valid"), &deliveries(4..=4));
            assert_eq!(taken, 0);
            let said = later(trouble);
            assert!(said.contains("check user") && !said.contains("unter2"), "{version:?}: {said}");
        }
    }
}

/// With a name of its own: OpenSSL takes a certificate of its issuer's name for self-signed.
fn named(name: &str, hosts: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(hosts).expect("valid");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// An authority, with certificates for the broker and for us.
fn certificates(folder: &Path) {
    let mut params = named("authority", Vec::new());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
    std::fs::write(folder.join("ca.pem"), ca.pem()).expect("written");
    for name in ["127.0.0.1", "client"] {
        let key = KeyPair::generate().expect("a key");
        let params = named(name, vec![name.to_owned()]);
        let certificate = params.signed_by(&key, &ca).expect("signed");
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).expect("written");
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("written");
    }
}

fn with_tls(lines: &str) -> Mosquitto {
    Mosquitto::with(|folder, port| {
        certificates(folder);
        let at = folder.display();
        format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\ncafile {at}/ca.pem\ncertfile {at}/127.0.0.1.pem\nkeyfile {at}/127.0.0.1.key\n{lines}\n"
        )
    })
}

fn over_tls(broker: &Mosquitto, version: Version) -> MqttConfig {
    let mut config = full(broker.port, version);
    config.broker = address("mqtts", broker.other);
    config.ca = Some(broker.folder().join("ca.pem"));
    config
}

#[test]
fn tls_with_a_brokers_certificate_that_we_trust_and_no_other() {
    let (broker, stranger) = (with_tls(""), with_tls(""));
    for version in BOTH {
        let ear = broker.listen(None);
        let config = over_tls(&broker, version);
        let batch = deliveries(1..=40);
        deliver(&mut Mqtt::new(config.clone()).expect("valid"), &batch);
        eventually("all of them", || ear.sequences().len() == batch.len());
        // Another authority, the system's, and another name.
        let other = MqttConfig { ca: Some(stranger.folder().join("ca.pem")), ..config.clone() };
        let mut name = config.clone();
        name.broker = Url::parse(&format!("mqtts://localhost:{}", broker.other)).expect("valid");
        for wrong in [other, name] {
            let (taken, trouble) = send(&mut Mqtt::new(wrong).expect("valid"), &deliveries(41..=41));
            assert_eq!(taken, 0);
            let said = later(trouble);
            assert!(said.contains("TLS"), "{said}");
        }
    }
}

#[test]
fn a_client_certificate_lets_us_in_and_none_does_not() {
    let broker = with_tls("require_certificate true");
    for version in BOTH {
        let mut config = over_tls(&broker, version);
        let (taken, trouble) = send(&mut Mqtt::new(config.clone()).expect("valid"), &deliveries(1..=1));
        assert_eq!(taken, 0);
        later(trouble);
        config.certificate = Some(broker.folder().join("client.pem"));
        config.key = Some(broker.folder().join("client.key"));
        deliver(&mut Mqtt::new(config).expect("valid"), &deliveries(1..=3));
    }
}
