//! Brokers that are down, slow, or say that they cannot just now. The proxy's faults are those of the contract.

use rdkafka::types::RDKafkaApiKey::Produce;
use rdkafka::types::RDKafkaRespErr::*;

use super::*;
use crate::sinks::testing::{Fault, eventually};

/// What came first of each, in order of arrival.
fn first_arrivals(got: &[Got]) -> Vec<u64> {
    let mut first = Vec::new();
    got.iter().for_each(|got| {
        if !first.contains(&got.sequence) {
            first.push(got.sequence)
        }
    });
    first
}

#[test]
fn a_broker_that_is_down_is_later_at_once_and_has_everything_when_it_is_back() {
    let cluster = Cluster::start();
    let batch = of_cameras(&["door"], 30);
    let mut sink = patient(&cluster);
    deliver(&mut sink, &batch[..10]);
    cluster.mock.broker_down(1).expect("down");
    for _ in 0..3 {
        // With a limit of a minute: it is noticed, not waited for.
        let begun = std::time::Instant::now();
        let sent = send(&mut sink, &batch[10..20]);
        assert_eq!(sent.taken, 0);
        assert!(later(&sent).contains("Kafka"), "{}", later(&sent));
        assert!(begun.elapsed() < DEADLINE / 2, "{:?}", begun.elapsed());
    }
    cluster.mock.broker_up(1).expect("up");
    deliver_at_last(&mut sink, &batch[10..]);
    assert_eq!(sequences(&cluster.wait(30)), (1..=30).collect::<Vec<_>>(), "each once, in order");
}

#[test]
fn what_a_broker_cannot_take_just_now_is_tried_again_within_the_batch_and_is_there_once() {
    let cluster = Cluster::start();
    let mut sink = patient(&cluster);
    let errors = [
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ];
    for (n, error) in errors.into_iter().enumerate() {
        cluster.mock.request_errors(Produce, &[error, error]);
        let batch = of_cameras(&["door"], n * 10 + 10).split_off(n * 10);
        deliver_at_last(&mut sink, &batch);
    }
    let got = cluster.wait(50);
    assert_eq!(first_arrivals(&got), (1..=50).collect::<Vec<_>>());
    assert!(got.len() <= 60, "twice is only what was in flight: {}", got.len());
}

#[test]
fn a_broker_that_stalls_for_thirty_seconds_costs_a_batch_its_time_limit_and_no_event() {
    let cluster = Cluster::start();
    let batch = of_cameras(&["door"], 20);
    let mut sink = sink(config(&cluster.brokers()));
    deliver_at_last(&mut sink, &batch[..10]);
    cluster.mock.broker_round_trip_time(1, Duration::from_secs(30)).expect("slow");
    let sent = send(&mut sink, &batch[10..]);
    assert_eq!(sent.taken, 0);
    assert!(later(&sent).contains("within 2s"), "{}", later(&sent));
    cluster.mock.broker_round_trip_time(1, Duration::ZERO).expect("quick");
    deliver_at_last(&mut sink, &batch[10..]);
    assert_eq!(first_arrivals(&cluster.wait(20)), (1..=20).collect::<Vec<_>>());
}

#[test]
fn when_acknowledgements_are_lost_events_come_again_under_their_ids_and_no_more_than_the_batch() {
    let cluster = Cluster::start();
    let proxy = cluster.proxy();
    let batch = of_cameras(&["door", "yard"], 20);
    let mut sink = sink(config(&proxy.address().to_string()));
    deliver_at_last(&mut sink, &batch[..10]);
    proxy.set(Fault::Swallow);
    let sent = send(&mut sink, &batch[10..]);
    assert_eq!((sent.taken, later(&sent).is_empty()), (0, false));
    proxy.set(Fault::None);
    deliver_at_last(&mut sink, &batch[10..]);
    let got = cluster.wait(20);
    for camera in ["door", "yard"] {
        let own: Vec<Got> = got.iter().filter(|got| got.key == camera).cloned().collect();
        let first = first_arrivals(&own);
        assert!(first.len() == 10 && first.is_sorted(), "{camera}: {first:?}");
    }
    assert!(got.len() <= 30, "twice is only what was in flight: {}", got.len());
}

#[test]
fn of_a_batch_the_longest_run_from_the_start_counts() {
    let cluster = Cluster::with(&["e.door", "e.yard"]);
    cluster.mock.topic_error("e.yard", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).expect("set");
    let mut sink = sink(KafkaConfig { topic: "e.{camera}".into(), ..config(&cluster.brokers()) });
    let mut batch = of_cameras(&["door"], 3);
    batch.extend(of_cameras(&["yard", "door"], 6).split_off(3));
    // door 1, 2, 3, 4, yard 5, door 6
    let sent = send(&mut sink, &batch);
    assert_eq!(sent.taken, 4, "{sent:?}");
    assert!(later(&sent).contains("e.yard"), "{}", later(&sent));
    cluster.mock.topic_error("e.yard", RD_KAFKA_RESP_ERR_NO_ERROR).expect("set");
    deliver_at_last(&mut sink, &batch[4..]);
    let got = cluster.wait(6);
    assert_eq!(first_arrivals(&got).len(), 6);
    assert!(got.len() <= 7, "only 6 may have come twice: {:?}", sequences(&got));
}

#[test]
fn a_stop_ends_a_send_that_waits() {
    let cluster = Cluster::start();
    let proxy = cluster.proxy();
    let batch = of_cameras(&["door"], 5);
    let mut sink = sink(KafkaConfig { timeout: DEADLINE * 5, ..config(&proxy.address().to_string()) });
    proxy.set(Fault::Stall);
    let (mut stopper, stop) = shutdown::channel();
    let sent = std::thread::scope(|scope| {
        let send = scope.spawn(|| sink.send(&batch, &stop));
        eventually("it connects into the stall", || proxy.connections() > 0);
        stopper.stop();
        eventually("send returns", || send.is_finished());
        send.join().expect("no panic")
    });
    assert_eq!(sent.taken, 0);
    proxy.set(Fault::None);
    deliver_at_last(&mut sink, &batch);
    assert_eq!(first_arrivals(&cluster.wait(5)), [1, 2, 3, 4, 5]);
}
