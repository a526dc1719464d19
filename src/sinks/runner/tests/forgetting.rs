//! Who is gone leaves nothing outside, whatever the order of things.

use super::*;
use crate::gallery::crypt::Key;
use crate::types::ids::IdentityId;

/// What a sink was asked for, in order: a sequence to send, or somebody to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Send(u64),
    Forget(IdentityId),
}

/// A sink that fails to forget so many times.
struct Retains {
    asked: Arc<Mutex<Vec<Asked>>>,
    failures: u32,
}

impl Sink for Retains {
    fn send(&mut self, batch: &[Delivery], _: &Stop) -> Sent {
        self.asked.lock().expect("whole").extend(batch.iter().map(|d| Asked::Send(d.sequence)));
        Sent::all(batch)
    }

    fn forget(&mut self, identity: IdentityId, _: &Stop) -> Result<(), Trouble> {
        self.asked.lock().expect("whole").push(Asked::Forget(identity));
        if self.failures == 0 {
            return Ok(());
        }
        self.failures -= 1;
        later().map_or(Ok(()), Err)
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Asked>>>);

impl Log {
    fn sink(&self, failures: u32) -> Box<dyn Sink> {
        Box::new(Retains { asked: self.0.clone(), failures })
    }

    fn wait(&self, what: &str, ready: impl Fn(&[Asked]) -> bool) -> Vec<Asked> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let asked = self.0.lock().expect("whole").clone();
            if ready(&asked) {
                return asked;
            }
            assert!(Instant::now() < until, "{what}: {asked:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Fails until it is told not to; keeps what it takes.
struct Away(Arc<std::sync::atomic::AtomicBool>, Arc<Mutex<Vec<String>>>);

impl Sink for Away {
    fn send(&mut self, batch: &[Delivery], _: &Stop) -> Sent {
        if self.0.load(Ordering::SeqCst) {
            return Sent::later(0, err!(Io, "not now"));
        }
        self.1.lock().expect("whole").extend(batch.iter().map(|delivery| delivery.json.clone()));
        Sent::all(batch)
    }
}

/// A batch that has waited for a receiver since before is read again, and says no name any more.
#[test]
fn who_is_forgotten_while_a_receiver_is_away_is_not_named_when_it_is_back() {
    let site = Site::new();
    let log = site.open();
    let who = known(&site);
    log.accept(site.recognized(who, "Ana", &["vip"])).expect("accepted");
    let away = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (running, stats, _) = start(&site, &log, "needed", Box::new(Away(away.clone(), seen.clone())));
    let until = Instant::now() + Duration::from_secs(60);
    let tried = |times: u64| {
        while stats.failures.get() < times {
            assert!(Instant::now() < until, "it tries");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    tried(3);
    site.ring.forget(who);
    // What was read before is given up after one more attempt.
    tried(stats.failures.get() + 2);
    away.store(false, Ordering::SeqCst);
    end(running);
    let seen = seen.lock().expect("whole");
    assert!(!seen.is_empty() && seen.iter().all(|json| !json.contains("Ana")), "{seen:?}");
}

fn known(site: &Site) -> IdentityId {
    let who = IdentityId(Uuid::now_v7());
    site.ring.know(who, Key::generate().expect("random"));
    who
}

#[test]
fn who_was_forgotten_before_the_start_or_goes_meanwhile_leaves_nothing_outside() {
    let site = Site::new();
    let (log, asked) = (site.open(), Log::default());
    let (ana, bo, cy) = (known(&site), known(&site), known(&site));
    site.ring.forget(ana);
    site.ring.forget(cy);
    // Whoever is back is not taken away.
    site.ring.know(cy, Key::generate().expect("random"));
    let (running, _, _) = start(&site, &log, "needed", asked.sink(0));
    asked.wait("who went before", |all| all == [Asked::Forget(ana)]);
    site.ring.forget(bo);
    asked.wait("who goes meanwhile", |all| all == [Asked::Forget(ana), Asked::Forget(bo)]);
    end(running);
}

#[test]
fn an_event_that_is_sent_after_its_identity_is_gone_leaves_nothing_either() {
    let site = Site::new();
    let (log, asked) = (site.open(), Log::default());
    let ana = known(&site);
    log.accept(site.recognized(ana, "Ana", &["vip"])).expect("accepted");
    site.ring.forget(ana);
    let (running, _, _) = start(&site, &log, "needed", asked.sink(0));
    let all = asked.wait("forgotten after the event", |all| {
        all.contains(&Asked::Send(1)) && all.last() == Some(&Asked::Forget(ana))
    });
    assert_eq!(all, [Asked::Forget(ana), Asked::Send(1), Asked::Forget(ana)]);
    end(running);
}

#[test]
fn what_cannot_be_taken_away_is_tried_again_and_holds_no_event() {
    let site = Site::new();
    let (log, asked) = (site.open(), Log::default());
    let ana = known(&site);
    site.ring.forget(ana);
    let (running, _, _) = start(&site, &log, "needed", asked.sink(1));
    let attempts = |all: &[Asked]| all.iter().filter(|asked| **asked == Asked::Forget(ana)).count();
    asked.wait("a second attempt", |all| attempts(all) == 2);
    end(running);
    let asked = Log::default();
    let (running, _, _) = start(&site, &log, "other", asked.sink(u32::MAX));
    asked.wait("a first attempt", |all| attempts(all) == 1);
    fill(&site, &log, 3);
    asked.wait("events do not wait for it", |all| all.len() - attempts(all) == 3);
    end(running);
}
