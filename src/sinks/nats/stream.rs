//! Looks at the stream, and makes it where that is asked for.

use async_nats::jetstream::context::{
    CreateStreamErrorKind, GetStreamErrorKind, RequestError, RequestErrorKind,
};
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode};

use super::config::{Discard, NatsConfig, Storage, StreamConfig};
use super::link::servers_of;
use super::subject::{Template, covers, overlap};
use crate::base::error::{Error, Result};
use crate::{bail, err};

/// The stream is there and can take our events; otherwise the error says what to run.
pub(super) async fn ensure(context: &Context, config: &NatsConfig, template: &Template) -> Result<()> {
    if let Some(found) = find(context, config).await? {
        return check(&found, config, template);
    }
    if !config.stream.create {
        bail!(
            Unavailable,
            "there is no stream {}: run `{}`, or set stream.create",
            config.stream.name,
            advice(&config.stream, template)
        );
    }
    if make(context, config, template).await? {
        return Ok(());
    }
    // Another box made it in the meantime, a little different.
    match find(context, config).await? {
        Some(found) => check(&found, config, template),
        None => bail!(Temporary, "the stream {} came and went", config.stream.name),
    }
}

/// The stream's configuration, if there is one of that name.
async fn find(context: &Context, config: &NatsConfig) -> Result<Option<Config>> {
    let name = &config.stream.name;
    let error = match context.get_stream(name).await {
        Ok(stream) => return Ok(Some(stream.cached_info().config.clone())),
        Err(error) => error,
    };
    match error.kind() {
        GetStreamErrorKind::JetStream(said) if said.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
        GetStreamErrorKind::JetStream(said) if is_off(said.error_code()) => Err(no_jetstream(config)),
        GetStreamErrorKind::Request if answers_nobody(&error) => Err(no_jetstream(config)),
        _ => Err(err!(
            Unavailable,
            "cannot look at the stream {name}: {error}; a login that may only publish needs stream.check = false"
        )),
    }
}

fn is_off(code: ErrorCode) -> bool {
    code == ErrorCode::JETSTREAM_NOT_ENABLED || code == ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
}

fn answers_nobody(error: &dyn std::error::Error) -> bool {
    let request = error.source().and_then(|source| source.downcast_ref::<RequestError>());
    request.is_some_and(|request| request.kind() == RequestErrorKind::NoResponders)
}

fn no_jetstream(config: &NatsConfig) -> Error {
    let servers = servers_of(&config.servers);
    let domain = config.domain.as_ref().map(|domain| format!(" in the domain {domain}")).unwrap_or_default();
    err!(
        Unavailable,
        "no JetStream answers at {servers}{domain}: start nats-server with `-js` or `jetstream {{}}`, enable it for \
         the account, or, where the stream is behind a leaf node, bring that link up"
    )
}

/// Makes it. False if there is one of that name by now.
async fn make(context: &Context, config: &NatsConfig, template: &Template) -> Result<bool> {
    let name = &config.stream.name;
    let Err(error) = context.create_stream(wanted(&config.stream, template)).await else { return Ok(true) };
    match error.kind() {
        CreateStreamErrorKind::JetStream(said) if said.error_code() == ErrorCode::STREAM_NAME_EXIST => {
            Ok(false)
        }
        CreateStreamErrorKind::JetStream(said) if said.error_code() == ErrorCode::STREAM_SUBJECT_OVERLAP => {
            Err(err!(
                Config,
                "cannot make the stream {name}: another stream takes part of its subjects {}",
                subjects(&config.stream, template).join(", ")
            ))
        }
        _ => Err(err!(Unavailable, "cannot make the stream {name}: {error}")),
    }
}

fn subjects(stream: &StreamConfig, template: &Template) -> Vec<String> {
    if stream.subjects.is_empty() { vec![template.of_all_boxes()] } else { stream.subjects.clone() }
}

fn wanted(stream: &StreamConfig, template: &Template) -> Config {
    Config {
        name: stream.name.clone(),
        subjects: subjects(stream, template),
        duplicate_window: stream.duplicate_window,
        storage: match stream.storage {
            Storage::File => StorageType::File,
            Storage::Memory => StorageType::Memory,
        },
        max_age: stream.max_age.unwrap_or_default(),
        max_bytes: stream.max_bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        discard: match stream.discard {
            Discard::Old => DiscardPolicy::Old,
            Discard::New => DiscardPolicy::New,
        },
        num_replicas: stream.replicas,
        ..Config::default()
    }
}

/// The command of the `nats` tool that makes it.
fn advice(stream: &StreamConfig, template: &Template) -> String {
    format!(
        "nats stream add {} --subjects '{}' --storage {} --dupe-window {}s --defaults",
        stream.name,
        subjects(stream, template).join(","),
        match stream.storage {
            Storage::File => "file",
            Storage::Memory => "memory",
        },
        stream.duplicate_window.as_secs(),
    )
}

/// What keeps it from ever acknowledging is an error; what weakens a promise is a warning.
fn check(found: &Config, config: &NatsConfig, template: &Template) -> Result<()> {
    let (name, ours) = (&found.name, template.of_this_box());
    if found.mirror.is_some() || found.sealed || found.no_ack {
        bail!(
            Config,
            "the stream {name} is a mirror, sealed, or without acknowledgements (no_ack): it cannot take events"
        );
    }
    let known = if found.subjects.is_empty() { std::slice::from_ref(name) } else { &found.subjects };
    if !known.iter().any(|subject| overlap(subject, &ours)) {
        bail!(
            Config,
            "the stream {name} takes {}, and this box publishes {ours}: run `nats stream edit {name} \
             --subjects '{},{}'`",
            known.join(", "),
            known.join(","),
            template.of_all_boxes()
        );
    }
    if !known.iter().any(|subject| covers(subject, &ours)) {
        let takes = known.join(", ");
        tracing::warn!(stream = %name, %takes, publishes = %ours, "the stream may not take every event");
    }
    if found.duplicate_window < config.stream.duplicate_window {
        let (is, wanted) = (found.duplicate_window, config.stream.duplicate_window);
        tracing::warn!(stream = %name, ?is, ?wanted, "the stream forgets ids sooner than asked for: duplicates may come");
    }
    Ok(())
}
