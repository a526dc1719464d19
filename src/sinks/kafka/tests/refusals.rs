//! What is refused for good, and what only for now.

use rdkafka::types::RDKafkaApiKey::Produce;
use rdkafka::types::RDKafkaRespErr::*;

use super::*;

fn refused(sent: &Sent) -> String {
    match &sent.trouble {
        Some(Trouble::Refused { error }) => error.chain(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_event_that_is_too_large_is_refused_and_exactly_that_one() {
    let cluster = Cluster::start();
    let mut batch = of_cameras(&["door"], 5);
    batch[2].json = "x".repeat(2_000);
    let mut sink = sink(KafkaConfig { max_message: 1_500, timeout: DEADLINE, ..config(&cluster.brokers()) });
    let sent = send(&mut sink, &batch);
    assert_eq!(sent.taken, 2);
    assert!(refused(&sent).contains("2000 bytes"), "{}", refused(&sent));
    deliver(&mut sink, &batch[3..]);
    assert_eq!(sequences(&cluster.wait(4)), [1, 2, 4, 5], "each once");
}

/// The broker refuses a request with several records; which one it means shows when each goes alone.
#[test]
fn of_a_batch_that_a_broker_refuses_each_event_is_tried_alone() {
    for error in [RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_RECORD] {
        let cluster = Cluster::start();
        let mut sink = patient(&cluster);
        deliver(&mut sink, &of_cameras(&["door"], 1));
        cluster.mock.request_errors(Produce, &[error]);
        let batch = of_cameras(&["door"], 6).split_off(1);
        deliver(&mut sink, &batch);
        assert_eq!(sequences(&cluster.wait(6)), [1, 2, 3, 4, 5, 6], "{error:?}: each once, in order");
        // Twice: the second is of the first event alone.
        cluster.mock.request_errors(Produce, &[error, error]);
        let batch = of_cameras(&["door"], 9).split_off(6);
        let sent = send(&mut sink, &batch);
        assert_eq!(sent.taken, 0, "{error:?}: {sent:?}");
        assert!(!refused(&sent).is_empty());
        deliver(&mut sink, &batch[1..]);
        assert_eq!(sequences(&cluster.wait(8)), [1, 2, 3, 4, 5, 6, 8, 9], "{error:?}");
    }
}

/// Access, topics and replicas are somebody's to put right; until then nothing is lost.
#[test]
fn what_is_not_about_the_event_is_later_and_says_what_to_do() {
    let cases = [
        (RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "Write"),
        (RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, "topic"),
        (RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "make it"),
    ];
    for (error, word) in cases {
        let cluster = Cluster::start();
        cluster.mock.topic_error(TOPIC, error).expect("set");
        let mut sink = sink(config(&cluster.brokers()));
        let batch = of_cameras(&["door"], 3);
        let sent = send(&mut sink, &batch);
        assert_eq!(sent.taken, 0);
        assert!(later(&sent).contains(word), "{error:?}: {}", later(&sent));
        cluster.mock.topic_error(TOPIC, RD_KAFKA_RESP_ERR_NO_ERROR).expect("set");
        deliver_at_last(&mut sink, &batch);
        assert_eq!(sequences(&cluster.wait(3)), [1, 2, 3], "{error:?}");
    }
}
