//! What a record is made of, and the order.

use super::*;

#[test]
fn a_record_is_a_cloudevent_in_structured_mode_under_its_cameras_key() {
    let cluster = Cluster::start();
    let batch = of_cameras(&["door"], 1);
    deliver(&mut patient(&cluster), &batch);
    let got = &cluster.wait(1)[0];
    let event = &batch[0].event;
    assert_eq!((got.topic.as_str(), got.key.as_str()), ("watchlistd.events", "door"));
    assert_eq!(got.json, batch[0].json);
    assert_eq!(got.header("content-type"), "application/cloudevents+json; charset=UTF-8");
    let headers =
        ["ce_specversion", "ce_id", "ce_source", "ce_type", "watchlistd_log", "watchlistd_sequence"];
    let expected = [
        "1.0",
        &event.id.to_string(),
        "/watchlistd/box-7/door",
        "io.watchlistd.camera.v1",
        &LOG.to_string(),
        "1",
    ];
    assert_eq!(headers.map(|name| got.header(name)), expected);
}

#[test]
fn an_event_of_no_camera_has_the_box_as_its_key() {
    let cluster = Cluster::start();
    let maker = EventMaker::new("/watchlistd/box-7", uuid::Uuid::nil(), Ids::Numbered);
    let now = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH).now();
    let event = maker.lost(crate::events::Lost::range(crate::events::LostReason::Expired, 1, 2), now);
    let delivery = Delivery { log: LOG, sequence: 3, json: event.to_line(), event };
    deliver(&mut patient(&cluster), &[delivery]);
    assert_eq!(cluster.wait(1)[0].key, "/watchlistd/box-7");
}

#[test]
fn events_of_a_camera_share_a_partition_and_stay_in_order() {
    let cluster = Cluster::start();
    let cameras = ["door", "yard", "gate", "hall", "roof", "dock"];
    let batch = of_cameras(&cameras, 300);
    let mut sink = patient(&cluster);
    batch.chunks(64).for_each(|part| deliver(&mut sink, part));
    let got = cluster.wait(300);
    assert_eq!(got.len(), 300, "each once");
    let mut partitions = std::collections::BTreeSet::new();
    for (n, camera) in cameras.iter().enumerate() {
        let own: Vec<&Got> = got.iter().filter(|got| got.key == *camera).collect();
        let expected: Vec<u64> = (0..50).map(|i| (i * cameras.len() + n + 1) as u64).collect();
        assert_eq!(own.iter().map(|got| got.sequence).collect::<Vec<_>>(), expected, "{camera}");
        assert!(own.iter().all(|got| got.partition == own[0].partition), "{camera}");
        partitions.insert(own[0].partition);
    }
    assert!(partitions.len() > 1, "{partitions:?}");
}

#[test]
fn a_topic_has_what_its_template_says() {
    let cluster = Cluster::with(&["box-7.door.camera._"]);
    let topic = "{box}.{camera}.{type}.{list}".into();
    let config = KafkaConfig { topic, timeout: DEADLINE, ..config(&cluster.brokers()) };
    deliver(&mut sink(config), &of_cameras(&["door"], 2));
    assert_eq!(sequences(&cluster.wait(2)), [1, 2]);
}

#[test]
fn every_codec_is_read_by_a_consumer() {
    for compression in [Codec::None, Codec::Lz4, Codec::Snappy, Codec::Zstd] {
        let cluster = Cluster::start();
        let config = KafkaConfig { compression, timeout: DEADLINE, ..config(&cluster.brokers()) };
        deliver(&mut sink(config), &of_cameras(&["door"], 50));
        assert_eq!(sequences(&cluster.wait(50)), (1..=50).collect::<Vec<_>>(), "{compression:?}");
    }
}
