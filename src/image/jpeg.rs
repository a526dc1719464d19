//! Whether a JPEG is all there. The decoder fills what is missing with gray and calls it a success.

/// True if the markers lead from the start through at least one scan to the end marker (ITU-T T.81, annex B).
/// What follows the end (a second picture, a video of a phone) does not count.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let Some(mut rest) = bytes.strip_prefix(&[0xFF, SOI]) else { return false };
    let mut scans = 0;
    while let Some((marker, after)) = next_marker(rest) {
        rest = match marker {
            EOI => return scans > 0,
            TEM | RST_FIRST..=RST_LAST | SOI => after,
            _ => match skip_segment(after) {
                Some(after) => after,
                None => return false,
            },
        };
        scans += usize::from(marker == SOS);
    }
    false
}

const TEM: u8 = 0x01;
const RST_FIRST: u8 = 0xD0;
const RST_LAST: u8 = 0xD7;
const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;

/// The next marker and what follows it. Entropy-coded data is passed over: in it, 0xFF is followed by 0.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = bytes;
    loop {
        let at = rest.iter().position(|&b| b == 0xFF)?;
        rest = rest.get(at + 1..)?;
        let (&code, after) = rest.split_first()?;
        // 0xFF may repeat as a filler before a marker.
        if code != 0 && code != 0xFF {
            return Some((code, after));
        }
    }
}

/// What follows a segment that starts with its length, which counts itself.
fn skip_segment(bytes: &[u8]) -> Option<&[u8]> {
    let (length, _) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length < 2 { None } else { bytes.get(length..) }
}
