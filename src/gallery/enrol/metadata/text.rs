//! CSV as spreadsheets write it: with a comma, a semicolon or a tab between the columns, and now and then not in UTF-8.

/// What stands between the columns: whichever the header line has most of, else a comma. No column's name holds one.
pub(super) fn delimiter(bytes: &[u8]) -> u8 {
    let header = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| header.iter().filter(|&&b| b == wanted).count();
    // Of equal ones the last: the comma.
    [b'\t', b';', b','].into_iter().max_by_key(|&wanted| count(wanted)).unwrap_or(b',')
}

/// A column as it is meant: `Valid until` is `valid_until`.
pub(super) fn column(written: &str) -> String {
    written.trim().to_lowercase().replace([' ', '-'], "_")
}

/// What is wrong with a file that another encoding's byte order mark begins.
pub(super) fn not_utf8(bytes: &[u8]) -> Option<&'static str> {
    let utf16 = bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF");
    utf16.then_some("the file is in UTF-16: save it as UTF-8")
}

/// The CSV reader's own words hold byte and record numbers, which help nobody.
pub(super) fn sentence(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => {
            format!("field {} is not UTF-8: save the file as UTF-8", err.field() + 1)
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_what_stands_between_the_columns() {
        for (text, expected) in [
            ("folder,name\na;b;c;d", b','),
            ("folder;name;lists\r\nAna;Ana;\"a;b\"", b';'),
            ("folder\tname", b'\t'),
            ("folder", b','),
            ("", b','),
        ] {
            assert_eq!(delimiter(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn columns_are_known_however_they_are_spelled() {
        assert_eq!(
            [" Valid until", "External-ID", "notes"].map(column),
            ["valid_until", "external_id", "notes"]
        );
    }
}
