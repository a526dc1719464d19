//! What every sink must do, whatever it talks to.
//!
//! ```text
//!   Setup ── sink() ──▶ Sink ──▶ FaultProxy ──▶ a real receiver ── received() ──▶ Setup
//! ```
//!
//! Give the sink small time limits (a second or so): half of the faults are over only when it gives up.

use std::cell::RefCell;
use std::time::Instant;

use uuid::Uuid;

use super::{DEADLINE, Fault, FaultProxy, deliveries, eventually};
use crate::base::shutdown::{self, Stop, Stopper};
use crate::sinks::sink::{Delivery, Sent, Sink, Trouble};

/// A kind of sink with a receiver.
pub trait Setup {
    /// A new sink that talks to the receiver, through the proxy where there is one.
    fn sink(&self) -> Box<dyn Sink>;

    /// Ids of the events that the receiver has, as they came, with those that came twice.
    fn received(&self) -> Vec<Uuid>;

    /// What stands between; `None` where there is no connection to break.
    fn proxy(&self) -> Option<&FaultProxy> {
        None
    }

    /// From now on the receiver refuses these events for good. False where it never refuses one.
    fn refuse(&self, _ids: &[Uuid]) -> bool {
        false
    }

    /// What must stand in no message.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

/// All of the contract. It sends events 1 to 999.
///
/// # Panics
/// When the sink does not keep it.
pub fn keeps_the_contract(setup: &dyn Setup) {
    let check = Check { setup, messages: RefCell::default() };
    check.order(&deliveries(1..=25));
    check.duplicate(&deliveries(101..=105));
    check.stopped_before(&deliveries(151..=155));
    check.refusal(&deliveries(201..=207));
    if let Some(proxy) = setup.proxy() {
        check.timeouts(proxy);
        check.cuts(proxy);
        check.idle_connection_lost(proxy, &deliveries(501..=504));
        check.stop_in_mid_send(proxy, &deliveries(601..=603), false);
        check.stop_in_mid_send(proxy, &deliveries(611..=614), true);
        proxy.set(Fault::None);
    }
    check.no_secrets();
}

struct Check<'a> {
    setup: &'a dyn Setup,
    messages: RefCell<Vec<String>>,
}

fn ids(batch: &[Delivery]) -> Vec<Uuid> {
    batch.iter().map(|delivery| delivery.event.id).collect()
}

/// As much as the sink takes at once.
fn whole<'a>(sink: &dyn Sink, batch: &'a [Delivery]) -> &'a [Delivery] {
    &batch[..batch.len().min(sink.batch())]
}

fn running() -> (Stopper, Stop) {
    shutdown::channel()
}

impl Check<'_> {
    fn order(&self, batch: &[Delivery]) {
        let mut sink = self.setup.sink();
        self.deliver(&mut *sink, batch);
        self.arrive(batch, "all, in order");
        let times = self.setup.received().iter().filter(|id| ids(batch).contains(id)).count();
        assert_eq!(times, batch.len(), "without a fault each comes once");
        sink.close();
    }

    fn duplicate(&self, batch: &[Delivery]) {
        self.deliver(&mut *self.setup.sink(), batch);
        self.deliver(&mut *self.setup.sink(), batch);
        self.arrive(batch, "the same events under the same ids");
    }

    fn stopped_before(&self, batch: &[Delivery]) {
        let mut sink = self.setup.sink();
        let (mut stopper, stop) = running();
        stopper.stop();
        let part = whole(&*sink, batch);
        let sent = self.send(&mut *sink, part, &stop);
        self.arrived_at_least(&batch[..sent.taken]);
        self.deliver(&mut *sink, &batch[sent.taken..]);
        self.arrive(batch, "what a stop left out comes later");
    }

    /// The third and the last are refused; the others come, and exactly these two are named.
    fn refusal(&self, batch: &[Delivery]) {
        let refused = [batch[2].event.id, batch[batch.len() - 1].event.id];
        if !self.setup.refuse(&refused) {
            return;
        }
        let mut sink = self.setup.sink();
        assert_eq!(self.deliver(&mut *sink, batch), refused, "exactly these are refused");
        let rest: Vec<Delivery> = batch.iter().filter(|d| !refused.contains(&d.event.id)).cloned().collect();
        self.arrive(&rest, "the others come");
        let part = whole(&*sink, batch);
        let again = self.send(&mut *sink, part, &running().1);
        // With a batch of one the first is simply taken.
        assert_eq!(again.taken, part.len().min(2), "the first two of a batch are taken");
        assert_eq!(part.len() > 2, matches!(again.trouble, Some(Trouble::Refused { .. })), "{again:?}");
    }

    /// No answer, or none that comes back: later, nothing is taken, and then the same events go through.
    fn timeouts(&self, proxy: &FaultProxy) {
        let faults = [Fault::HalfOpen, Fault::Stall, Fault::Swallow, Fault::Refuse];
        let starts = (301..).step_by(20);
        for (fault, start) in faults.into_iter().zip(starts) {
            self.timeout(proxy, fault, &deliveries(start..=start + 4), false);
            self.timeout(proxy, fault, &deliveries(start + 10..=start + 14), true);
        }
    }

    fn timeout(&self, proxy: &FaultProxy, fault: Fault, batch: &[Delivery], connected: bool) {
        let mut sink = self.setup.sink();
        let (first, rest) = batch.split_at(usize::from(connected));
        self.deliver(&mut *sink, first);
        proxy.set(fault);
        for _ in 0..2 {
            let part = whole(&*sink, rest);
            let sent = self.send(&mut *sink, part, &running().1);
            assert_eq!(sent.taken, 0, "{fault:?}: nothing has a receipt");
            assert!(matches!(sent.trouble, Some(Trouble::Later { .. })), "{fault:?}: {sent:?}");
        }
        proxy.set(Fault::None);
        self.deliver(&mut *sink, rest);
        self.arrive(batch, &format!("after {fault:?}, connected before: {connected}"));
    }

    /// The connection breaks after more and more bytes: what counts as taken is there, and the rest comes later.
    fn cuts(&self, proxy: &FaultProxy) {
        let bytes = [0, 1, 100, 400, 700, 1000, 1500, 2500, 4000];
        let faults = bytes.into_iter().flat_map(|n| [Fault::CutUp(n), Fault::CutDown(n)]);
        for (fault, start) in faults.zip((700..).step_by(10)) {
            let batch = deliveries(start..=start + 5);
            let mut sink = self.setup.sink();
            proxy.set(fault);
            let part = whole(&*sink, &batch);
            let sent = self.send(&mut *sink, part, &running().1);
            let refused = matches!(sent.trouble, Some(Trouble::Refused { .. } | Trouble::Gone { .. }));
            assert!(!refused, "{fault:?}: a broken connection says nothing about an event: {sent:?}");
            proxy.set(Fault::None);
            self.arrived_at_least(&batch[..sent.taken]);
            self.deliver(&mut *sink, &batch[sent.taken..]);
            self.arrive(&batch, &format!("after {fault:?}"));
        }
    }

    fn idle_connection_lost(&self, proxy: &FaultProxy, batch: &[Delivery]) {
        let mut sink = self.setup.sink();
        for part in batch.chunks(1) {
            self.deliver(&mut *sink, part);
            proxy.reset_all();
            sink.idle();
        }
        self.arrive(batch, "a connection lost while idle is made again");
    }

    fn stop_in_mid_send(&self, proxy: &FaultProxy, batch: &[Delivery], connected: bool) {
        let mut sink = self.setup.sink();
        let (first, rest) = batch.split_at(usize::from(connected));
        self.deliver(&mut *sink, first);
        proxy.set(Fault::Stall);
        let (before, part) = ((proxy.seen(), proxy.connections()), whole(&*sink, rest));
        let (mut stopper, stop) = running();
        let sent = std::thread::scope(|scope| {
            let send = scope.spawn(|| sink.send(part, &stop));
            // Where the server speaks first, a sink that is not connected says nothing yet.
            let begun = || (proxy.seen(), proxy.connections()) != before;
            eventually("the sink sends, or connects, into the stall", begun);
            stopper.stop();
            eventually("send returns after the stop", || send.is_finished());
            send.join().expect("no panic")
        });
        self.note(&sent);
        assert_eq!(sent.taken, 0, "nothing has a receipt");
        proxy.set(Fault::None);
        self.deliver(&mut *sink, rest);
        self.arrive(batch, "what was stopped comes later");
    }

    fn no_secrets(&self) {
        for message in self.messages.borrow().iter() {
            assert!(!message.is_empty() && !message.contains('\n'), "one line: {message:?}");
            for secret in self.setup.secrets() {
                assert!(!message.contains(&secret), "a secret in: {message}");
            }
        }
    }

    /// Sends once and looks at the answer.
    fn send(&self, sink: &mut dyn Sink, batch: &[Delivery], stop: &Stop) -> Sent {
        let sent = sink.send(batch, stop);
        assert!(sent.taken <= batch.len(), "{sent:?}");
        let whole = sent.taken == batch.len() || stop.is_set();
        assert!(sent.trouble.is_some() || whole, "why were {} of {} not taken?", sent.taken, batch.len());
        self.note(&sent);
        sent
    }

    fn note(&self, sent: &Sent) {
        self.messages.borrow_mut().extend(sent.trouble.iter().map(Trouble::to_string));
    }

    /// What the runner does: in order, again until taken, and what is refused is left out and returned.
    fn deliver(&self, sink: &mut dyn Sink, batch: &[Delivery]) -> Vec<Uuid> {
        let (_stopper, stop) = running();
        let (end, mut refused, mut left) = (Instant::now() + DEADLINE, Vec::new(), batch);
        while !left.is_empty() {
            let part = whole(sink, left);
            let sent = self.send(sink, part, &stop);
            left = &left[sent.taken..];
            match sent.trouble {
                Some(Trouble::Refused { .. }) => {
                    refused.push(left[0].event.id);
                    left = &left[1..];
                }
                Some(trouble) => {
                    assert!(Instant::now() < end, "in vain: {trouble}");
                    stop.wait(std::time::Duration::from_millis(10));
                }
                None => {}
            }
        }
        refused
    }

    /// First arrivals of the batch's events.
    fn first_arrivals(&self, batch: &[Delivery]) -> Vec<Uuid> {
        let (wanted, mut first) = (ids(batch), Vec::new());
        for id in self.setup.received() {
            if wanted.contains(&id) && !first.contains(&id) {
                first.push(id);
            }
        }
        first
    }

    /// The receiver has all of the batch; those that came twice aside, in order.
    fn arrive(&self, batch: &[Delivery], what: &str) {
        eventually(what, || self.first_arrivals(batch).len() == batch.len());
        assert_eq!(self.first_arrivals(batch), ids(batch), "in order: {what}");
    }

    fn arrived_at_least(&self, batch: &[Delivery]) {
        eventually("what was counted as taken is there", || self.first_arrivals(batch).len() == batch.len());
    }
}
