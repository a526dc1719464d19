//! Lines and bytes over a Unix socket, bounded in size and in time.
//!
//! ```text
//!  socket ──▶ ahead (64 KiB) ──▶ line, up to its limit   ──▶ Buffer, wiped when dropped
//!                            └─▶ body, its length known  ──▶ Buffer
//!  socket ◀── send: every MiB (or the rest) in time, or an error
//!         ◀── offer: at once, or not at all
//! ```
//!
//! A deadline is for a whole MiB and not for a byte, so that no client can live on a byte now and then.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::SendFlags;
use zeroize::{Zeroize, Zeroizing};

use super::buffer::Buffer;

/// Bytes read at a time.
const AHEAD: usize = 64 << 10;
/// Bytes for which there is one deadline.
const PIECE: usize = 1 << 20;

/// One end of a connection.
pub(super) struct Wire {
    stream: Arc<UnixStream>,
    ahead: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    // The rest of a line that was offered and fitted in part.
    unsent: Vec<u8>,
    gone: bool,
    over: Option<Instant>,
}

impl Wire {
    pub(super) fn new(stream: Arc<UnixStream>) -> Self {
        let ahead = Zeroizing::new(vec![0; AHEAD]);
        Self { stream, ahead, start: 0, end: 0, unsent: Vec::new(), gone: false, over: None }
    }

    /// Everything has to be done by then.
    pub(super) fn finish_by(&mut self, end: Instant) {
        self.over = Some(end);
    }

    /// Waits for the next byte, for ever without a time. False: the other end has closed.
    pub(super) fn wait(&mut self, within: Option<Duration>) -> io::Result<bool> {
        if self.start < self.end {
            return Ok(true);
        }
        self.fill(within.map(|within| Instant::now() + within))
    }

    /// Reads up to a line break, which is not part of the line.
    ///
    /// # Errors
    /// `InvalidData`, when the line is longer than `limit`; `TimedOut`; `UnexpectedEof`.
    pub(super) fn line(&mut self, limit: usize, stall: Duration) -> io::Result<Buffer> {
        let mut line = Buffer::up_to(limit);
        let mut pace = Pace::new(stall);
        loop {
            let ahead = self.ahead.get(self.start..self.end).unwrap_or_default();
            let end = ahead.iter().position(|byte| *byte == b'\n');
            let part = ahead.get(..end.unwrap_or(ahead.len())).unwrap_or_default();
            line.extend(part)?;
            let used = part.len() + usize::from(end.is_some());
            self.used(used);
            if end.is_some() {
                return Ok(line);
            }
            if !self.fill(Some(pace.deadline(line.len())))? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Adds `length` bytes to `body`.
    ///
    /// # Errors
    /// `TimedOut`, `UnexpectedEof`, `OutOfMemory`; `InvalidData`, when `body` may not hold so many.
    pub(super) fn body(&mut self, length: usize, stall: Duration, body: &mut Buffer) -> io::Result<()> {
        let mut pace = Pace::new(stall);
        let mut missing = length;
        while missing > 0 {
            if self.start == self.end && !self.fill(Some(pace.deadline(length - missing)))? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let part = self.ahead.get(self.start..self.end.min(self.start + missing)).unwrap_or_default();
            body.extend(part)?;
            let used = part.len();
            self.used(used);
            missing -= used;
        }
        Ok(())
    }

    /// Wipes what has been taken: a connection may stay for long.
    fn used(&mut self, count: usize) {
        if let Some(used) = self.ahead.get_mut(self.start..self.start + count) {
            used.zeroize();
        }
        self.start += count;
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// `TimedOut`; what the system says when the other end has closed.
    pub(super) fn send(&mut self, bytes: &[u8], stall: Duration) -> io::Result<()> {
        if self.gone {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let unsent = std::mem::take(&mut self.unsent);
        for piece in unsent.chunks(PIECE).chain(bytes.chunks(PIECE)) {
            self.write_by(piece, Instant::now() + stall)?;
        }
        Ok(())
    }

    /// Writes the line if there is room for it now; else it is lost. It never waits: who calls it may hold what others need.
    pub(super) fn offer(&mut self, line: &[u8]) {
        if self.gone || !self.unsent.is_empty() && !self.push_unsent() {
            return;
        }
        match self.write_now(line) {
            0 => {}
            n => self.unsent.extend_from_slice(line.get(n..).unwrap_or_default()),
        }
    }

    /// True once nothing is left.
    fn push_unsent(&mut self) -> bool {
        let unsent = std::mem::take(&mut self.unsent);
        let n = self.write_now(&unsent);
        self.unsent.extend_from_slice(unsent.get(n..).unwrap_or_default());
        self.unsent.is_empty()
    }

    fn write_now(&mut self, bytes: &[u8]) -> usize {
        match rustix::net::send(&*self.stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(n) => n,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => {
                self.gone = true;
                0
            }
        }
    }

    fn write_by(&self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        let mut stream = &*self.stream;
        while !bytes.is_empty() {
            stream.set_write_timeout(Some(self.time_left(deadline)?))?;
            match stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                // The time that is left tells whether it is over.
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Reads what is there, or waits for it. False: the other end has closed.
    fn fill(&mut self, deadline: Option<Instant>) -> io::Result<bool> {
        let deadline = match (deadline, self.over) {
            (Some(deadline), Some(over)) => Some(deadline.min(over)),
            (deadline, over) => deadline.or(over),
        };
        let mut stream = &*self.stream;
        loop {
            stream.set_read_timeout(deadline.map(|deadline| self.time_left(deadline)).transpose()?)?;
            match stream.read(&mut self.ahead) {
                Ok(n) => {
                    (self.start, self.end) = (0, n);
                    return Ok(n > 0);
                }
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn time_left(&self, deadline: Instant) -> io::Result<Duration> {
        let deadline = self.over.map_or(deadline, |over| deadline.min(over));
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("gone", &self.gone).finish_non_exhaustive()
    }
}

/// The deadline of the piece that is under way.
struct Pace {
    stall: Duration,
    deadline: Instant,
    next: usize,
}

impl Pace {
    fn new(stall: Duration) -> Self {
        Self { stall, deadline: Instant::now() + stall, next: PIECE }
    }

    fn deadline(&mut self, so_far: usize) -> Instant {
        if so_far >= self.next {
            self.deadline = Instant::now() + self.stall;
            self.next = so_far + PIECE;
        }
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    fn pair() -> (UnixStream, Wire) {
        let (theirs, ours) = UnixStream::pair().expect("a pair");
        (theirs, Wire::new(Arc::new(ours)))
    }

    #[test]
    fn lines_and_bodies_follow_each_other() {
        let (mut theirs, mut wire) = pair();
        theirs.write_all(b"one\n\n\x00\n\xfftwo\n").expect("sent");
        assert_eq!(&*wire.line(3, LONG).expect("a line"), b"one");
        assert_eq!(&*wire.line(3, LONG).expect("a line"), b"");
        let mut body = Buffer::up_to(3);
        wire.body(3, LONG, &mut body).expect("a body");
        assert_eq!(&*body, b"\x00\n\xff");
        assert!(wire.ahead.iter().take(8).all(|byte| *byte == 0), "what was taken is wiped");
        assert_eq!(&*wire.line(3, LONG).expect("a line"), b"two");
        drop(theirs);
        assert!(!wire.wait(None).expect("closed"));
    }

    #[test]
    fn a_line_has_a_length_and_a_body_an_end() {
        let (mut theirs, mut wire) = pair();
        theirs.write_all(b"four\n").expect("sent");
        assert_eq!(wire.line(3, LONG).expect_err("too long").kind(), ErrorKind::InvalidData);
        let (mut theirs, mut wire) = pair();
        theirs.write_all(b"four").expect("sent");
        drop(theirs);
        let mut body = Buffer::up_to(100);
        assert_eq!(wire.body(100, LONG, &mut body).expect_err("cut").kind(), ErrorKind::UnexpectedEof);
        assert_eq!(&*body, b"four");
    }

    #[test]
    fn a_huge_body_that_does_not_come_takes_no_memory() {
        let (mut theirs, mut wire) = pair();
        theirs.write_all(&[7; 10]).expect("sent");
        let mut body = Buffer::up_to(1 << 30);
        assert_eq!(wire.body(1 << 30, SHORT, &mut body).expect_err("stalls").kind(), ErrorKind::TimedOut);
        assert!(body.capacity() <= 4096, "{}", body.capacity());
    }

    /// It is never silent, and never sends the MiB that would buy it more time.
    #[test]
    fn a_byte_now_and_then_is_not_enough() {
        type Receive = fn(&mut Wire, Duration) -> io::Result<()>;
        let line: Receive = |wire, stall| wire.line(PIECE, stall).map(drop);
        let body: Receive = |wire, stall| wire.body(PIECE, stall, &mut Buffer::up_to(PIECE));
        for receive in [line, body] {
            let (mut theirs, mut wire) = pair();
            let drip = std::thread::spawn(move || {
                (1..PIECE).take_while(|_| theirs.write_all(b"x").is_ok()).count();
            });
            let error = receive(&mut wire, Duration::from_millis(100)).expect_err("not in time");
            assert_eq!(error.kind(), ErrorKind::TimedOut, "not the end of all that it had to send");
            drop(wire);
            drip.join().expect("it ends with the connection");
        }
    }

    #[test]
    fn only_a_whole_piece_buys_more_time() {
        let mut pace = Pace::new(LONG);
        let first = pace.deadline(0);
        while Instant::now() + LONG <= first {}
        assert_eq!((pace.deadline(1), pace.deadline(PIECE - 1)), (first, first));
        let second = pace.deadline(PIECE);
        assert!(second > first);
        assert_eq!(pace.deadline(2 * PIECE - 1), second);
    }

    #[test]
    fn what_is_offered_never_waits_and_never_breaks_a_line() {
        // A long line fits in part when there is little room; a short one fits or does not.
        for length in [1000, 300_000] {
            let (theirs, mut wire) = pair();
            let line = [vec![b'x'; length], b"\n".to_vec()].concat();
            // Far more than fits, with nobody reading.
            (0..10_000).for_each(|_| wire.offer(&line));
            let mut reader = Wire::new(Arc::new(theirs));
            let last = std::thread::spawn(move || wire.send(b"end\n", LONG));
            let mut lines = 0;
            loop {
                let got = reader.line(2 * length, LONG).expect("whole lines");
                if &*got == b"end" {
                    break;
                }
                assert_eq!(got.len(), length);
                lines += 1;
            }
            assert!((1..10_000).contains(&lines), "{lines} of {length} bytes");
            last.join().expect("no panic").expect("sent");
        }
    }

    #[test]
    fn who_does_not_read_is_given_up() {
        let (_theirs, mut wire) = pair();
        assert_eq!(wire.send(&vec![0; 8 << 20], SHORT).expect_err("full").kind(), ErrorKind::TimedOut);
    }
}
