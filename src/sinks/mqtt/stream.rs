//! Bytes to and from the broker, with and without TLS, none of it for longer than allowed.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use rustls::ClientConnection;

use super::{MqttConfig, tls};
use crate::base::error::{Error, Result};
use crate::base::shutdown::Stop;
use crate::err;

/// How long we sleep in the kernel before we look whether to stop.
const SLICE: Duration = Duration::from_millis(50);

/// Until when something may take.
#[derive(Debug, Clone, Copy)]
pub struct Limit<'a> {
    /// No longer than this,
    pub until: Instant,
    /// nor after this is set.
    pub stop: Option<&'a Stop>,
}

/// Why it goes no further. The connection is of no use any more.
#[derive(Debug)]
pub enum Halt {
    /// We were told to stop.
    Stopped,
    /// The broker ended the connection, with this reason.
    Ended {
        /// Reason code.
        code: u8,
        /// In words.
        error: Error,
    },
    /// Anything else.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Halt::Failed(error)
    }
}

impl<'a> Limit<'a> {
    /// From now on.
    pub fn new(time: Duration, stop: Option<&'a Stop>) -> Self {
        Self { until: Instant::now() + time, stop }
    }

    /// What is left.
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn check(&self, what: &str) -> Result<(), Halt> {
        if self.stop.is_some_and(Stop::is_set) {
            return Err(Halt::Stopped);
        }
        if self.left().is_zero() {
            return Err(Halt::Failed(err!(Temporary, "the broker {what} in time")));
        }
        Ok(())
    }
}

/// A connection.
pub struct Stream {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Stream {
    /// Connects. The look-up of the name is the system's and takes what it takes.
    ///
    /// # Errors
    /// Nobody there, or TLS fails.
    pub fn open(config: &MqttConfig, limit: &Limit<'_>) -> Result<Self, Halt> {
        // Before anything else: a mistake in it is seen without a broker.
        let tls = if config.tls() { Some(Box::new(tls::client(config)?)) } else { None };
        let socket = dial(config, limit)?;
        let ready = socket.set_nodelay(true).and_then(|()| socket.set_read_timeout(Some(SLICE)));
        ready.and_then(|()| socket.set_write_timeout(Some(SLICE))).map_err(broken)?;
        let mut stream = Self { socket, tls };
        stream.shake_hands(limit)?;
        Ok(stream)
    }

    fn shake_hands(&mut self, limit: &Limit<'_>) -> Result<(), Halt> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        // Events may be large; what is not sent yet is bounded by what we write.
        tls.set_buffer_limit(None);
        while tls.is_handshaking() {
            limit.check("did not finish the TLS handshake")?;
            match tls.complete_io(&mut self.socket) {
                Ok(_) => {}
                Err(e) if waits(&e) => {}
                Err(e) => return Err(err!(Unavailable, "no TLS with the broker").because(e).into()),
            }
        }
        Ok(())
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// The connection broke, or there was no time. Some of it may be written.
    pub fn write(&mut self, bytes: &[u8], limit: &Limit<'_>) -> Result<(), Halt> {
        if let Some(tls) = &mut self.tls {
            tls.writer().write_all(bytes).map_err(broken)?;
            while tls.wants_write() {
                tls.write_tls(&mut self.socket).map(drop).or_else(ignore_wait).map_err(broken)?;
                if tls.wants_write() {
                    limit.check("did not take what we sent")?;
                }
            }
            return Ok(());
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(0) => return Err(broken(ErrorKind::WriteZero.into()).into()),
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(e) => ignore_wait(e).map_err(broken)?,
            }
            if !rest.is_empty() {
                limit.check("did not take what we sent")?;
            }
        }
        Ok(())
    }

    /// Reads what is there into `buffer`; waits for a slice of time if nothing is. `None`: still nothing.
    ///
    /// # Errors
    /// The connection broke or has ended.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        // A broker whose own delay (RFC 896) is on holds the next PUBACK until we have acknowledged the last one. The system forgets
        // this with time; where it does not have it, events are slower.
        let _ = rustix::net::sockopt::set_tcp_quickack(&self.socket, true);
        let Some(tls) = &mut self.tls else { return some(self.socket.read(buffer)) };
        loop {
            match tls.reader().read(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                done => return some(done),
            }
            match tls.read_tls(&mut self.socket) {
                Ok(0) => return Err(ended()),
                Ok(_) => {
                    tls.process_new_packets()
                        .map_err(|e| err!(Unavailable, "no TLS with the broker").because(e))?;
                }
                Err(e) => return ignore_wait(e).map(|()| None).map_err(broken),
            }
        }
    }

    /// Waits for the next bytes.
    ///
    /// # Errors
    /// They did not come: no time, told to stop, or the connection broke.
    pub fn wait(&mut self, buffer: &mut [u8], limit: &Limit<'_>) -> Result<usize, Halt> {
        loop {
            limit.check("did not answer")?;
            if let Some(n) = self.read(buffer)? {
                return Ok(n);
            }
        }
    }

    /// True if something is there to read, or the end.
    pub fn is_ready(&mut self) -> bool {
        let mut byte = [0];
        let ready = self.socket.set_nonblocking(true).is_ok()
            && !matches!(self.socket.peek(&mut byte), Err(e) if waits(&e));
        self.socket.set_nonblocking(false).is_err() || ready
    }

    /// Ends the connection in order.
    pub fn close(mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut self.socket);
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

fn dial(config: &MqttConfig, limit: &Limit<'_>) -> Result<TcpStream, Halt> {
    let (host, port) = (config.broker.host_str().unwrap_or_default().trim_matches(['[', ']']), config.port());
    let addresses = (host, port).to_socket_addrs();
    let addresses = addresses
        .map_err(|e| err!(Unavailable, "the broker's name {host} cannot be looked up").because(e))?;
    let mut last = err!(Unavailable, "the broker's name {host} has no address");
    for address in addresses {
        limit.check("could not be reached")?;
        match TcpStream::connect_timeout(&address, limit.left().max(Duration::from_millis(1))) {
            Ok(socket) => return Ok(socket),
            Err(e) => last = err!(Unavailable, "no connection to the broker at {address}").because(e),
        }
    }
    Err(last.into())
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn ignore_wait(error: io::Error) -> io::Result<()> {
    if waits(&error) { Ok(()) } else { Err(error) }
}

fn some(read: io::Result<usize>) -> Result<Option<usize>> {
    match read {
        Ok(0) => Err(ended()),
        Ok(n) => Ok(Some(n)),
        Err(e) => ignore_wait(e).map(|()| None).map_err(broken),
    }
}

fn ended() -> Error {
    err!(Temporary, "the broker closed the connection")
}

fn broken(cause: io::Error) -> Error {
    err!(Temporary, "the connection to the broker broke").because(cause)
}
