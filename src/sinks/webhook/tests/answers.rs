//! What each answer means.

use std::collections::BTreeSet;

use super::*;
use crate::sinks::testing::deliveries;

/// What becomes of one event that is answered so.
fn outcome(status: u16, headers: Vec<(&'static str, String)>) -> Sent {
    let server = Server::start();
    server.answers(move |_| Reply { headers: headers.clone(), ..Reply::status(status) });
    let config = config("http", server.address);
    let sent = send(&mut Webhook::open(config, standing(784_111_777)).expect("good"), &deliveries(1..=1));
    assert_eq!(server.requests().len(), 1, "a sink never tries again by itself");
    sent
}

#[test]
fn every_status_is_taken_refused_or_later_and_only_what_speaks_of_the_event_is_refused() {
    let (mut taken, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for status in (200..600).filter(|status| status % 10 < 9 || status / 100 == 4) {
        let sent = outcome(status, Vec::new());
        match (sent.taken, sent.trouble) {
            (1, None) => drop(taken.insert(status)),
            (0, Some(Trouble::Refused { .. })) => drop(refused.insert(status)),
            (0, Some(Trouble::Later { error, .. })) => {
                assert!(error.chain().contains(&format!("answered {status}: ")), "{}", error.chain());
            }
            other => panic!("{status}: {other:?}"),
        }
    }
    assert!(taken.iter().all(|status| status / 100 == 2) && taken.len() == 90, "{taken:?}");
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), [400, 413, 422]);
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Server::start();
    let to = format!("http://{}/events", elsewhere.address);
    for status in [301, 302, 303, 307, 308] {
        let (message, _) = later(outcome(status, vec![("Location", to.clone())]));
        assert!(message.contains("redirects are not followed"), "{message}");
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn retry_after_is_honoured_in_seconds_and_in_all_forms_of_a_date() {
    // The clock stands at Sun, 06 Nov 1994 08:49:37 GMT.
    let cases: [(&str, Option<u64>); 10] = [
        ("120", Some(120)),
        ("0", Some(0)),
        ("Sun, 06 Nov 1994 08:51:37 GMT", Some(120)),
        ("Sunday, 06-Nov-94 08:51:37 GMT", Some(120)),
        ("Sun Nov  6 08:51:37 1994", Some(120)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
        // Asked for more than an hour: asked again after one.
        ("Mon, 07 Nov 1994 08:51:37 GMT", Some(3600)),
        ("99999999999999999999999999", Some(3600)),
        ("-5", None),
        ("soon", None),
    ];
    for status in [429, 503] {
        for (value, seconds) in cases {
            let (_, after) = later(outcome(status, vec![("Retry-After", value.into())]));
            assert_eq!(after, seconds.map(Duration::from_secs), "{status} {value}");
        }
        assert_eq!(later(outcome(status, Vec::new())).1, None);
    }
}

#[test]
fn a_date_counts_from_the_receivers_own_clock() {
    let headers = vec![
        ("Date", "Tue, 01 Jan 2030 00:00:00 GMT".to_owned()),
        ("Retry-After", "Tue, 01 Jan 2030 00:00:30 GMT".to_owned()),
    ];
    assert_eq!(later(outcome(503, headers)).1, Some(Duration::from_secs(30)));
}

#[test]
fn the_connection_is_kept_and_one_that_is_closed_is_made_again() {
    let server = Server::start();
    server.answers(|_| Reply { body: b"{\"thanks\":true}".to_vec(), ..Reply::status(200) });
    let mut sink = open(&config("http", server.address));
    let batch = deliveries(1..=40);
    for part in batch.chunks(16) {
        assert!(all(&send(&mut sink, part), part));
    }
    assert!(server.requests().iter().all(|request| request.connection == 1), "one connection");
    server.answers(|_| Reply { hang_up: true, ..Reply::status(500) });
    let (message, _) = later(send(&mut sink, &batch));
    assert!(message.contains("cannot send to http://localhost:"), "{message}");
    server.answers(|_| Reply::status(202));
    assert!(all(&send(&mut sink, &batch), &batch));
}

#[test]
fn an_endless_body_does_not_hold_the_sink() {
    let server = Server::start();
    server.answers(|_| Reply { body: vec![b'x'; 8 << 20], ..Reply::status(200) });
    let (mut sink, batch) = (open(&config("http", server.address)), deliveries(1..=3));
    assert!(all(&send(&mut sink, &batch), &batch));
    let connections: Vec<usize> = server.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 2, 3], "read in part only, so not to be used again");
}

#[test]
fn what_was_taken_before_a_failure_is_counted() {
    let server = Server::start();
    let mut count = 0;
    server.answers(move |_| {
        count += 1;
        Reply::status(if count == 4 { 503 } else { 200 }).header("Retry-After", "9")
    });
    let sent = send(&mut open(&config("http", server.address)), &deliveries(1..=8));
    assert_eq!(sent.taken, 3);
    let nine = Some(Duration::from_secs(9));
    assert!(matches!(sent.trouble, Some(Trouble::Later { after, .. }) if after == nine), "{sent:?}");
}
