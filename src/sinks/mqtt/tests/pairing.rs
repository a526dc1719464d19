//! A PUBACK counts for its own message, and for no other.

use std::sync::Mutex;

use proptest::prelude::*;

use super::super::flight::{Ack, Flight};
use super::fake::{Fake, Packet};
use super::*;
use crate::sinks::testing::deliveries;

fn ack() -> Ack {
    Ack { code: 0, reason: None }
}

#[test]
fn pubacks_out_of_order_count_for_their_own_messages() {
    for version in BOTH {
        let fake = Fake::start(version, |peer| {
            peer.admit()?;
            let ids: Vec<u16> = peer.publishes(4)?.iter().map(|got| got.id).collect();
            // The first three times without the first one's.
            let answered = if peer.number == 0 { vec![2, 3, 1] } else { vec![3, 1, 0, 2] };
            answered.into_iter().for_each(|at| peer.ack(ids[at], 0));
            peer.serve(|_| 0)
        });
        let mut sink = Mqtt::new(plain(fake.port, version)).expect("valid");
        let (taken, trouble) = send(&mut sink, &deliveries(1..=4));
        assert_eq!(taken, 0, "{version:?}: the first one has no receipt");
        assert!(later(trouble).contains("in time"));
        deliver(&mut sink, &deliveries(1..=4));
        assert_eq!(fake.sequences(), [1, 2, 3, 4, 1, 2, 3, 4]);
    }
}

#[test]
fn a_puback_for_another_id_or_for_the_same_again_counts_for_nothing() {
    for version in BOTH {
        let fake = Fake::start(version, |peer| {
            peer.admit()?;
            let got = peer.publishes(3)?;
            // Twice the first, one that was never used, and one of the far future.
            [got[0].id, got[0].id, 77, u16::MAX].into_iter().for_each(|id| peer.ack(id, 0));
            peer.serve(|_| 0)
        });
        let mut sink = Mqtt::new(plain(fake.port, version)).expect("valid");
        let (taken, trouble) = send(&mut sink, &deliveries(1..=3));
        assert_eq!(taken, 1, "{version:?}");
        assert!(later(trouble).contains("in time"));
    }
}

#[test]
fn what_a_cut_connection_leaves_unanswered_is_sent_again_as_a_new_message() {
    for version in BOTH {
        let fake = Fake::start(version, |peer| {
            peer.admit()?;
            if peer.number > 0 {
                return peer.serve(|_| 0);
            }
            let got = peer.publishes(3)?;
            peer.ack(got[0].id, 0);
            None
        });
        let mut sink = Mqtt::new(plain(fake.port, version)).expect("valid");
        let batch = deliveries(1..=3);
        let (taken, trouble) = send(&mut sink, &batch);
        assert_eq!(taken, 1, "{version:?}: two have no receipt");
        later(trouble);
        deliver(&mut sink, &batch[1..]);
        assert_eq!(fake.sequences(), [1, 2, 3, 2, 3]);
        let got = fake.got();
        assert_eq!(
            (got[1].payload.as_slice(), got[1].connection),
            (got[3].payload.as_slice(), 0),
            "the same event"
        );
        // DUP is for a message that is sent again in the same session, and with a clean start there is none.
        assert!(got.iter().all(|got| !got.dup && !got.retain));
    }
}

#[test]
fn every_connection_is_a_clean_start_with_a_last_will() {
    for version in BOTH {
        let connects = Arc::new(Mutex::new(Vec::new()));
        let shared = connects.clone();
        let fake = Fake::start(version, move |peer| {
            let connect = peer.admit()?;
            shared.lock().expect("lock").push(connect);
            peer.serve(|_| 0)
        });
        let mut config = full(fake.port, version);
        (config.user, config.password) = (Some("gate".into()), Some(Secret::new("hunter2")));
        for n in 1..=2 {
            deliver(&mut Mqtt::new(config.clone()).expect("valid"), &deliveries(n..=n));
        }
        let connects = connects.lock().expect("lock");
        assert_eq!(connects.len(), 2);
        for connect in connects.iter() {
            let Packet::Connect { clean, keep_alive, will, user } = connect else { panic!("{connect:?}") };
            assert!(*clean && *keep_alive == 60 && user.as_deref() == Some("gate"), "{connect:?}");
            let expected = ("watchlistd/box-7/availability".to_owned(), b"offline".to_vec(), true);
            assert_eq!(will.as_ref(), Some(&expected), "{version:?}");
        }
    }
}

#[test]
fn an_id_comes_back_only_after_all_others_and_zero_never() {
    let mut flight = Flight::new(70_000, 1, u16::MAX - 2);
    let mut last_seen = vec![None; 65_536];
    for turn in 0..70_000 {
        let (id, index) = flight.start().expect("room");
        assert_eq!(index, turn);
        assert_ne!(id, 0);
        if let Some(before) = last_seen[usize::from(id)].replace(turn) {
            assert_eq!(turn - before, 65_535);
        }
        assert_eq!(flight.acknowledge(id, ack()), Some(turn));
        assert_eq!(flight.acknowledge(id, ack()), None, "a second time it is nobody's");
    }
    assert!(flight.is_done());
}

proptest! {
    /// Whatever PUBACKs come, in whatever order: answered is exactly what was sent and has had its own, and never is more on its
    /// way than the window.
    #[test]
    fn any_pubacks_answer_their_own_messages_only(
        window in 1usize..9, messages in 0usize..40, start: u16, acks in prop::collection::vec(0u16..48, 0..120)
    ) {
        let mut flight = Flight::new(messages, window, start);
        let (mut sent, mut model) = (Vec::new(), vec![false; messages]);
        for offset in acks {
            while let Some((id, index)) = flight.start() {
                prop_assert_eq!(index, sent.len());
                sent.push(id);
            }
            let waiting = model.iter().take(sent.len()).filter(|answered| !**answered).count();
            prop_assert!(waiting <= window);
            let id = start.wrapping_add(offset);
            let own = sent.iter().position(|used| *used == id).filter(|index| !model[*index]);
            prop_assert_eq!(flight.acknowledge(id, ack()), own);
            own.into_iter().for_each(|index| model[index] = true);
        }
        prop_assert_eq!(flight.is_done(), model.iter().all(|answered| *answered));
        let answers: Vec<bool> = flight.into_answers().iter().map(Option::is_some).collect();
        prop_assert_eq!(answers, model);
    }
}
