//! A buffer for what may hold a passphrase, a vector or a picture: wiped when dropped, and also when it moves to grow.

use std::io::{self, ErrorKind, Write};
use std::ops::Deref;

use zeroize::Zeroizing;

/// Smallest allocation.
const LEAST: usize = 4096;

/// Bytes that are wiped when dropped. Memory is taken as bytes arrive: at most about twice what has.
pub(super) struct Buffer {
    bytes: Zeroizing<Vec<u8>>,
    most: usize,
}

impl Buffer {
    /// An empty one, which will hold at most `most` bytes.
    pub(super) fn up_to(most: usize) -> Self {
        Self { bytes: Zeroizing::default(), most }
    }

    /// Adds `more`.
    ///
    /// # Errors
    /// `InvalidData`, when it would hold more than it may; `OutOfMemory`.
    pub(super) fn extend(&mut self, more: &[u8]) -> io::Result<()> {
        let needed = self.bytes.len().saturating_add(more.len());
        if needed > self.most {
            return Err(ErrorKind::InvalidData.into());
        }
        if needed > self.bytes.capacity() {
            self.grow(needed)?;
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    /// By hand, because a vector that grows leaves its old memory as it is.
    fn grow(&mut self, needed: usize) -> io::Result<()> {
        let wanted = self.bytes.capacity().saturating_mul(2).max(LEAST).min(self.most).max(needed);
        let mut larger = Zeroizing::new(Vec::new());
        larger.try_reserve_exact(wanted).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
        larger.extend_from_slice(&self.bytes);
        self.bytes = larger;
        Ok(())
    }

    /// The bytes, to be looked after by the caller.
    pub(super) fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_it_was_given_and_no_more_than_it_may() {
        let mut buffer = Buffer::up_to(10_000);
        for n in 0..2_500u32 {
            buffer.extend(&n.to_le_bytes()).expect("room");
        }
        assert!(buffer.chunks(4).zip(0..2_500u32).all(|(bytes, n)| bytes == n.to_le_bytes()));
        assert_eq!(buffer.capacity(), 10_000);
        assert_eq!(buffer.extend(&[0]).expect_err("full").kind(), ErrorKind::InvalidData);
        assert_eq!(buffer.into_vec().len(), 10_000);
    }

    #[test]
    fn memory_is_taken_as_bytes_arrive() {
        let mut buffer = Buffer::up_to(1 << 30);
        assert_eq!(buffer.capacity(), 0);
        buffer.extend(&[1]).expect("room");
        assert_eq!(buffer.capacity(), LEAST);
        buffer.extend(&[2; 100_000]).expect("room");
        assert!(buffer.capacity() <= 2 * buffer.len());
    }

    #[test]
    fn it_shows_no_byte() {
        let mut buffer = Buffer::up_to(100);
        buffer.extend(b"tulip").expect("room");
        assert_eq!(format!("{buffer:?}"), "Buffer(5 bytes)");
    }
}
