//! `type = "nats"`

use std::time::Duration;

use url::Url;

use super::address::server;
use super::read::Around;
use super::secret::{self, Named};
use super::tls::Files;
use super::{Retry, millis};
use crate::config::raw::{Node, Section, expected};
use crate::config::read::{self, Read};
use crate::sinks::nats::{Discard, Login, NatsConfig, Storage, StreamConfig, TlsConfig};

const MONTHS: Duration = Duration::from_secs(3650 * 86_400);

/// Reads the keys; `None` if what it cannot do without is missing or wrong.
pub(super) fn read(s: &mut Section<'_>, around: &Around<'_>, retry: &Retry) -> Option<NatsConfig> {
    const SERVERS: &str = "a list of servers, as [\"nats://127.0.0.1:4222\"]";
    if !s.has("servers") {
        s.missing("servers", SERVERS);
    }
    let servers = s.read("servers", read::set("servers' addresses", nats_server));
    let complete = servers.is_some();
    let d = NatsConfig::new(servers.unwrap_or_default(), "watchlistd", around.box_name());
    let config = NatsConfig {
        box_name: s.get("box", d.box_name, name),
        subject: s.get("subject", d.subject, subject),
        stream: stream(s.table("stream"), d.stream),
        domain: s.get("domain", d.domain, read::unless("off", name)),
        login: login(s, around),
        tls: tls(s.table("tls"), around),
        inbox: s.get("inbox", d.inbox, inbox),
        timeout: s.get("timeout", d.timeout, read::duration(millis(1)..=millis(300_000))),
        batch: retry.batch.unwrap_or(d.batch),
        servers: d.servers,
    };
    complete.then_some(config)
}

fn nats_server(node: &Node) -> Read<Url> {
    server(&["nats", "tls"], "nats://127.0.0.1:4222")(node)
}

fn stream(mut s: Section<'_>, d: StreamConfig) -> StreamConfig {
    const STORAGES: [(&str, Storage); 2] = [("file", Storage::File), ("memory", Storage::Memory)];
    const DISCARDS: [(&str, Discard); 2] = [("old", Discard::Old), ("new", Discard::New)];
    let ages = || read::duration(millis(1_000)..=MONTHS);
    let stream = StreamConfig {
        name: s.get("name", d.name, stream_name),
        check: s.get("check", d.check, read::flag),
        create: s.get("create", d.create, read::flag),
        subjects: s.get("subjects", d.subjects, read::set_or_none("subjects", pattern)),
        duplicate_window: s.get("duplicate_window", d.duplicate_window, ages()),
        storage: s.get("storage", d.storage, read::word(&STORAGES)),
        max_age: s.get("max_age", d.max_age, read::unless("off", ages())),
        max_bytes: s.get("max_bytes", d.max_bytes, read::unless("off", read::bytes(1 << 10..=1 << 50))),
        discard: s.get("discard", d.discard, read::word(&DISCARDS)),
        replicas: s.get("replicas", d.replicas, read::count(1..=5)),
    };
    if s.clean() && stream.create && !stream.check {
        s.conflict("create", "needs check = true: only who may look at the stream can make it");
    }
    if s.clean() && stream.max_age.is_some_and(|age| age < stream.duplicate_window) {
        s.conflict("duplicate_window", "expected at most max_age, as the server asks for");
    }
    s.finish();
    stream
}

fn login(s: &mut Section<'_>, around: &Around<'_>) -> Login {
    for (key, instead) in [("password", "password_file"), ("token", "token_file"), ("nkey", "nkey_file")] {
        secret::forbid(s, key, instead);
    }
    let vault = around.vault();
    let user = s.read("user", |node| read::text(node).map(str::to_owned));
    let with_password = s.has("password_file");
    let password = vault.one(s, "password_file");
    let (token, nkey) = (vault.one(s, "token_file"), vault.one(s, "nkey_file"));
    let credentials = s.read("credentials", read::path(around.base));
    if s.clean() && user.is_some() != with_password {
        s.conflict("user", "and password_file go together; one of them is missing");
    }
    let ways = [user.is_some(), token.is_some(), nkey.is_some(), credentials.is_some()];
    if ways.iter().filter(|way| **way).count() > 1 {
        s.conflict("user", "expected one of user, token_file, nkey_file and credentials");
    }
    match (user, token, nkey, credentials) {
        (Some(user), ..) => Login::User { user, password: password.unwrap_or(Named::Unread).secret() },
        (_, Some(token), ..) => Login::Token(token.secret()),
        (_, _, Some(nkey), _) => Login::Nkey(nkey.secret()),
        (.., Some(file)) => Login::Credentials(file),
        _ => Login::None,
    }
}

fn tls(mut s: Section<'_>, around: &Around<'_>) -> TlsConfig {
    let d = TlsConfig::default();
    // Naming a file asks for TLS, whatever the address says.
    let Files { ca, certificate, key } = Files::read_in(&mut s, around.base, true, "");
    let tls = TlsConfig {
        required: s.get("required", d.required, read::flag),
        first: s.get("first", d.first, read::flag),
        ca,
        certificate,
        key,
    };
    s.finish();
    tls
}

fn name(node: &Node) -> Read<String> {
    match read::text(node) {
        Ok(text) if !text.contains(|c: char| c.is_whitespace() || c.is_control()) => Ok(text.to_owned()),
        _ => expected("a name without white space"),
    }
}

fn stream_name(node: &Node) -> Read<String> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
    match read::text(node) {
        Ok(text) if !text.contains(odd) => Ok(text.to_owned()),
        _ => expected("a stream's name, without white space and . * > / \\"),
    }
}

/// Plain text first, then plain text and placeholders.
fn subject(node: &Node) -> Read<String> {
    let plain = |token: &str| {
        !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let good = |token: &str| plain(token) || ["{box}", "{list}", "{camera}", "{type}"].contains(&token);
    match read::text(node) {
        Ok(text) if text.split('.').next().is_some_and(plain) && text.split('.').all(good) => {
            Ok(text.to_owned())
        }
        _ => expected(
            "tokens with dots between them, plain text or {box}, {list}, {camera}, {type}, plain text first, \
             as \"watchlistd.{box}.{list}.{camera}.{type}\"",
        ),
    }
}

fn inbox(node: &Node) -> Read<String> {
    tokens(node, "*>", "tokens with dots between them, without white space and wildcards, as \"_INBOX\"")
}

fn pattern(node: &Node) -> Read<String> {
    tokens(node, "", "a subject, as \"watchlistd.>\"")
}

fn tokens(node: &Node, odd: &str, what: &str) -> Read<String> {
    let good =
        |token: &str| !token.is_empty() && !token.contains(|c: char| c.is_whitespace() || odd.contains(c));
    match read::text(node) {
        Ok(text) if text.split('.').all(good) => Ok(text.to_owned()),
        _ => expected(what),
    }
}
