//! A TCP proxy that breaks connections as the test says.
//!
//! ```text
//!   sink ──▶ 127.0.0.1:port ──[ fault ]──▶ target        a port of its own for as long as the proxy lives, also while it refuses
//!        ◀──                 ──────────◀──
//! ```
//!
//! A fault holds from [`FaultProxy::set`] on, for the connections that are there and for new ones. What a fault has done to a
//! connection is not undone by another: bytes that were swallowed stay lost, so such a connection stays as it is for good, and only
//! a new one works.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The port is closed: connections that are there are reset, new ones refused. Then [`Fault::None`]: it is back.
    Refuse,
    /// Half-open: a connection is accepted, or stays open, and nothing passes either way, ever; as after a power cut on the other side.
    HalfOpen,
    /// Nothing passes until another fault is set; then what was held passes.
    Stall,
    /// The connection is reset once so many bytes, counted from the `set`, have passed to the target; the rest does not.
    CutUp(u64),
    /// The connection is reset once so many bytes have come back from the target; the rest does not.
    CutDown(u64),
    /// What is sent arrives; what comes back does not: acknowledgements are lost.
    Swallow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// The proxy. Dropping it closes all connections.
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    door: Mutex<Option<Door>>,
    // Bound and never listening: keeps the port from everybody else while the door is closed.
    _reserved: OwnedFd,
}

#[derive(Debug)]
struct Door {
    listener: TcpListener,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    target: SocketAddr,
    closed: bool,
    accepted: u64,
    seen: u64,
    links: HashMap<u64, Link>,
}

/// One connection.
#[derive(Debug)]
struct Link {
    client: TcpStream,
    server: TcpStream,
    /// Bytes since the fault was set.
    up: u64,
    down: u64,
    /// Nothing passes any more.
    dead: bool,
    /// Nothing comes back any more.
    mute: bool,
}

/// What becomes of bytes that were read.
enum Verdict {
    Pass,
    Drop,
    /// So many of them pass, and then the connection is reset.
    Cut(usize),
}

impl FaultProxy {
    /// A proxy on a free port of 127.0.0.1 without a fault.
    ///
    /// # Panics
    /// Without a port.
    pub fn start(target: SocketAddr) -> Self {
        let reserved = bound(0).expect("a port");
        let address = TcpListener::from(reserved.try_clone().expect("a handle")).local_addr().expect("bound");
        let state =
            State { fault: Fault::None, target, closed: false, accepted: 0, seen: 0, links: HashMap::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let door = Mutex::new(Some(Door::open(address.port(), &shared)));
        Self { shared, address, door, _reserved: reserved }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens: the port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on this happens. When it returns, it does.
    ///
    /// # Panics
    /// When the port cannot be opened again.
    pub fn set(&self, fault: Fault) {
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        if fault == Fault::Refuse {
            door.take().into_iter().for_each(Door::close);
        }
        self.shared.set(fault);
        if fault != Fault::Refuse && door.is_none() {
            *door = Some(Door::open(self.port(), &self.shared));
        }
    }

    /// New connections go there from now on.
    pub fn retarget(&self, target: SocketAddr) {
        self.shared.lock().target = target;
    }

    /// Resets the connections that are there, once.
    pub fn reset_all(&self) {
        self.shared.lock().links.values().for_each(Link::reset);
    }

    /// Connections accepted until now.
    pub fn connections(&self) -> u64 {
        self.shared.lock().accepted
    }

    /// Bytes that sinks have sent until now, whatever became of them.
    pub fn seen(&self) -> u64 {
        self.shared.lock().seen
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        let door = self.door.get_mut().unwrap_or_else(PoisonError::into_inner);
        door.take().into_iter().for_each(Door::close);
        let mut state = self.shared.lock();
        state.closed = true;
        state.links.values().for_each(Link::reset);
        self.shared.changed.notify_all();
    }
}

/// A socket with this port that does not listen yet. Several may have it as long as none listens.
fn bound(port: u16) -> io::Result<OwnedFd> {
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    Ok(socket)
}

impl Door {
    fn open(port: u16, shared: &Arc<Shared>) -> Self {
        let socket = bound(port).expect("the port is reserved");
        net::listen(&socket, 64).expect("it can listen");
        let listener = TcpListener::from(socket);
        let (ours, shared) = (listener.try_clone().expect("a handle"), shared.clone());
        let thread = std::thread::spawn(move || {
            while let Ok((client, _)) = ours.accept() {
                shared.take(client);
            }
        });
        Self { listener, thread }
    }

    fn close(self) {
        // On Linux this ends the listening, and with it `accept`, at once.
        let _ = net::shutdown(&self.listener, net::Shutdown::Read);
        let _ = self.thread.join();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, fault: Fault) {
        let mut state = self.lock();
        state.fault = fault;
        for link in state.links.values_mut() {
            (link.up, link.down) = (0, 0);
            link.suffer(fault);
        }
        self.changed.notify_all();
    }

    /// A new connection: one thread each way.
    fn take(self: &Arc<Self>, client: TcpStream) {
        let mut state = self.lock();
        state.accepted += 1;
        let id = state.accepted;
        let Ok(server) = TcpStream::connect_timeout(&state.target, Duration::from_secs(10)) else {
            reset(&client);
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let both = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
        let back = (server.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
        let mut link = Link { client, server, up: 0, down: 0, dead: false, mute: false };
        link.suffer(state.fault);
        state.links.insert(id, link);
        drop(state);
        let (one, other) = (self.clone(), self.clone());
        std::thread::spawn(move || one.pump(id, Way::Up, both.0, both.1));
        std::thread::spawn(move || other.pump(id, Way::Down, back.0, back.1));
    }

    fn pump(&self, id: u64, way: Way, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            // A reset counts as an end.
            let n = from.read(&mut buffer).unwrap_or(0);
            match self.judge(id, way, n) {
                Verdict::Pass if n == 0 => break drop(to.shutdown(Shutdown::Write)),
                Verdict::Drop if n == 0 => break,
                Verdict::Pass if to.write_all(&buffer[..n]).is_err() => break,
                Verdict::Pass | Verdict::Drop => {}
                Verdict::Cut(rest) => {
                    let _ = to.write_all(&buffer[..rest]);
                    self.lock().links.get(&id).into_iter().for_each(Link::reset);
                    break;
                }
            }
        }
        self.ended(id, way);
    }

    /// Forgets, and so closes, a connection that the client has ended; who is on the other side may not know otherwise.
    fn ended(&self, id: u64, way: Way) {
        let mut state = self.lock();
        let link = if way == Way::Up { state.links.remove(&id) } else { None };
        if let Some(link) = link {
            let _ = link.server.shutdown(Shutdown::Write);
        }
    }

    fn judge(&self, id: u64, way: Way, n: usize) -> Verdict {
        let mut state = self.lock();
        if way == Way::Up {
            state.seen += n as u64;
        }
        loop {
            let fault = state.fault;
            if state.closed {
                return Verdict::Cut(0);
            }
            // Without a link the client has gone: what comes back has nobody to go to, and an end is passed on.
            let Some(link) = state.links.get_mut(&id) else { return Verdict::Drop };
            if link.dead || (way == Way::Down && link.mute) {
                return Verdict::Drop;
            }
            if fault == Fault::Stall {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            return link.pass(way, n, fault);
        }
    }
}

impl Link {
    /// What a fault does at once.
    fn suffer(&mut self, fault: Fault) {
        match fault {
            Fault::Refuse => self.reset(),
            Fault::HalfOpen => self.dead = true,
            Fault::Swallow => self.mute = true,
            Fault::None | Fault::Stall | Fault::CutUp(_) | Fault::CutDown(_) => {}
        }
    }

    fn pass(&mut self, way: Way, n: usize, fault: Fault) -> Verdict {
        let (passed, limit) = match (way, fault) {
            (Way::Up, Fault::CutUp(limit)) => (&mut self.up, limit),
            (Way::Down, Fault::CutDown(limit)) => (&mut self.down, limit),
            _ => return Verdict::Pass,
        };
        let left = limit.saturating_sub(*passed);
        *passed += n as u64;
        match usize::try_from(left) {
            Ok(left) if n >= left => Verdict::Cut(left),
            _ => Verdict::Pass,
        }
    }

    fn reset(&self) {
        reset(&self.client);
        reset(&self.server);
    }
}

/// Ends the connection, in the midst of whatever is on its way.
fn reset(stream: &TcpStream) {
    // The shutdown ends it at once and wakes our threads that read it; with no time to linger, the last handle's close adds a reset.
    let _ = sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    let _ = stream.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::testing::eventually;

    /// A server that sends back what it gets, and counts it.
    fn echo() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let got = Arc::new(Mutex::new(Vec::new()));
        let all = got.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let all = all.clone();
                std::thread::spawn(move || {
                    let mut buffer = [0; 1024];
                    while let Ok(n @ 1..) = stream.read(&mut buffer) {
                        all.lock().expect("lock").extend_from_slice(&buffer[..n]);
                        let _ = stream.write_all(&buffer[..n]);
                    }
                });
            }
        });
        (address, got)
    }

    fn client(proxy: &FaultProxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.address()).expect("accepted");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
        stream
    }

    /// What comes back within a moment: nothing is what the fault is for.
    fn says(stream: &mut TcpStream, text: &[u8]) -> Option<Vec<u8>> {
        let _ = stream.write_all(text);
        let mut buffer = vec![0; 1024];
        match stream.read(&mut buffer) {
            Ok(n) => Some(buffer[..n].to_vec()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => Some(Vec::new()),
        }
    }

    #[test]
    fn it_passes_refuses_and_comes_back_on_the_same_port() {
        let (target, _) = echo();
        let proxy = FaultProxy::start(target);
        let mut there = client(&proxy);
        there.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        assert_eq!(says(&mut there, b"one").as_deref(), Some(&b"one"[..]));
        for _ in 0..3 {
            proxy.set(Fault::Refuse);
            assert!(TcpStream::connect(proxy.address()).is_err(), "refused");
            assert_eq!(says(&mut there, b"two").as_deref(), Some(&b""[..]), "ended");
            proxy.set(Fault::None);
            there = client(&proxy);
            there.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
            assert_eq!(says(&mut there, b"three").as_deref(), Some(&b"three"[..]));
        }
        assert_eq!(proxy.connections(), 4);
    }

    #[test]
    fn half_open_stays_silent_for_good_and_a_stall_passes_on_what_it_held() {
        let (target, got) = echo();
        let proxy = FaultProxy::start(target);
        let mut dead = client(&proxy);
        proxy.set(Fault::HalfOpen);
        let mut born_dead = client(&proxy);
        assert_eq!((says(&mut dead, b"a"), says(&mut born_dead, b"b")), (None, None));
        proxy.set(Fault::Stall);
        let mut held = client(&proxy);
        assert_eq!(says(&mut held, b"c"), None);
        eventually("the stalled byte is seen", || proxy.seen() == 3);
        proxy.set(Fault::None);
        assert_eq!((says(&mut dead, b"d"), says(&mut born_dead, b"e")), (None, None));
        held.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        assert_eq!(says(&mut held, b"").as_deref(), Some(&b"c"[..]));
        assert_eq!(*got.lock().expect("lock"), b"c");
    }

    #[test]
    fn swallowed_answers_stay_lost_and_a_cut_is_to_the_byte() {
        let (target, got) = echo();
        let proxy = FaultProxy::start(target);
        let mut mute = client(&proxy);
        proxy.set(Fault::Swallow);
        assert_eq!(says(&mut mute, b"abc"), None);
        eventually("it arrives", || *got.lock().expect("lock") == b"abc");
        proxy.set(Fault::CutUp(2));
        let mut cut = client(&proxy);
        cut.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        let _ = says(&mut cut, b"defgh");
        eventually("so much of it arrives", || got.lock().expect("lock").starts_with(b"abcde"));
        proxy.set(Fault::CutDown(1));
        let mut half = client(&proxy);
        half.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        let _ = half.write_all(b"xyz");
        let mut back = Vec::new();
        let _ = half.read_to_end(&mut back);
        assert!(back.is_empty() || back == b"x", "{back:?}");
        eventually("all of it arrives", || *got.lock().expect("lock") == b"abcdexyz");
    }
}
