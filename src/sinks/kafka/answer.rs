//! What an error code means: refused for good, or try again.
//!
//! Only what is about the event itself is a refusal. What is about the topic, the login or the cluster is somebody's to put right, and
//! until then nothing is lost.

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::base::error::Error;
use crate::err;

/// True if the record, or one of those it was batched with, is refused, and would be again.
pub(super) const fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidRecord
            | Code::InvalidMessageSize
    )
}

/// True for what ends all hope at once, so that nobody waits for the time limit.
pub(super) const fn is_the_end(code: Code) -> bool {
    matches!(
        code,
        Code::AllBrokersDown
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::SSL
            | Code::Fatal
    )
}

/// Why an event was refused.
pub(super) fn refused(code: Code, topic: &str, bytes: usize) -> Error {
    match code {
        Code::InvalidRecord => {
            err!(Data, "{topic}: the broker says that the event is no record it can take: {code}")
        }
        _ => err!(
            Data,
            "{topic}: the event of {bytes} bytes is larger than what is taken (max_message here, max.message.bytes of the topic): {code}"
        ),
    }
}

/// Why an event was not taken yet.
pub(super) fn later(code: Code, topic: &str) -> Error {
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => err!(
            Unavailable,
            "there is no topic {topic}: make it, or allow the brokers to (auto.create.topics.enable): {code}"
        ),
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => err!(
            Permission,
            "the brokers do not let this login write to {topic}: allow it Write and Describe of the topic, and IdempotentWrite of \
             the cluster: {code}"
        ),
        Code::InvalidTopic => err!(Config, "topic: the brokers take {topic} for no topic's name: {code}"),
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
            err!(
                Temporary,
                "{topic} has fewer in-sync replicas than it asks for (min.insync.replicas): {code}"
            )
        }
        _ => err!(Temporary, "{topic} did not take an event: {code}"),
    }
}
