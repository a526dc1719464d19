//! Whole lines over a writer that may fail in the middle of one.
//!
//! ```text
//!   write fails after 5 bytes:   {"id"            torn = true
//!   next line, disk has room:    {"id"⏎{"id":2}⏎  torn = false: the torn tail is a line of its own
//! ```

use std::io::{self, Write};

/// A writer of lines. A line that could not be written whole never joins the next one.
#[derive(Debug)]
pub struct Lines<W> {
    to: W,
    torn: bool,
}

impl<W: Write> Lines<W> {
    /// `torn`: what `to` already holds does not end with a line break.
    pub fn new(to: W, torn: bool) -> Self {
        Self { to, torn }
    }

    /// Appends `line` and a line break, in one write where the system takes it. Returns the bytes written.
    ///
    /// # Errors
    /// What the writer said. The line is lost; part of it may stay as a line of its own.
    pub fn append(&mut self, line: &str) -> io::Result<u64> {
        let mut bytes = Vec::with_capacity(line.len() + 2);
        if self.torn {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        let mut written = 0;
        let result = self.write_all(&bytes, &mut written);
        if let Some(last) = written.checked_sub(1).and_then(|i| bytes.get(i)) {
            self.torn = *last != b'\n';
        }
        result?;
        self.to.flush()?;
        Ok(bytes.len() as u64)
    }

    // As `Write::write_all`, but it says how far it came.
    fn write_all(&mut self, bytes: &[u8], written: &mut usize) -> io::Result<()> {
        while let Some(rest) = bytes.get(*written..).filter(|rest| !rest.is_empty()) {
            match self.to.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => *written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// The writer.
    pub fn get_ref(&self) -> &W {
        &self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for `room` bytes that takes at most `step` bytes in a write.
    #[derive(Default)]
    struct Disk {
        held: Vec<u8>,
        room: usize,
        step: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.step).min(self.room - self.held.len());
            if n == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.held.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Fills the disk at every possible byte of three lines, frees it, goes on: every line that was reported
    /// written stands alone and whole, in order, and what was torn is never part of one.
    #[test]
    fn at_whatever_byte_the_disk_fills_up_no_line_joins_another() {
        let all = [r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#, r#"{"id":4}"#];
        for step in [1, 3, 100] {
            for room in 0..=30 {
                let mut lines = Lines::new(Disk { room, step, ..Default::default() }, false);
                let mut accepted = Vec::new();
                for (i, line) in all.iter().enumerate() {
                    if i == 3 {
                        lines.to.room = 1_000;
                    }
                    if lines.append(line).is_ok() {
                        accepted.push(*line);
                    }
                }
                let text = String::from_utf8(lines.to.held).expect("text");
                assert!(text.ends_with('\n'), "room {room}: {text:?}");
                let mut whole = text.lines().filter(|l| all.contains(l));
                for line in &accepted {
                    assert!(whole.any(|l| l == *line), "room {room}, step {step}: {line} of {text:?}");
                }
                assert!(accepted.contains(&all[3]), "room {room}: it recovers by itself");
                for odd in text.lines().filter(|l| !all.contains(l)) {
                    assert!(
                        all.iter().any(|l| l.starts_with(odd)),
                        "room {room}: {odd:?} is two lines joined"
                    );
                }
            }
        }
    }

    #[test]
    fn a_tail_torn_by_a_crash_is_ended_first() {
        let mut lines = Lines::new(Disk { room: 100, step: 100, ..Default::default() }, true);
        lines.append("{}").expect("room");
        assert_eq!(lines.to.held, b"\n{}\n");
    }
}
