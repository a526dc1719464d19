//! "Did you mean ...?"

/// The known word nearest to `word`, if it is near enough to be a slip of the finger.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A name of any length may be in a file; one this long is no slip of a short one.
    if word.len() > 64 {
        return None;
    }
    let limit = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `; did you mean X?`, or nothing.
pub(super) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

/// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours (Damerau 1964).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().map(fold).collect();
    let b: Vec<char> = b.chars().map(fold).collect();
    let mut before_last: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &ca) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, &cb) in b.iter().enumerate() {
            let substitute = last[j] + usize::from(ca != cb);
            row[j + 1] = substitute.min(last[j + 1] + 1).min(row[j] + 1);
            let swapped = i > 0 && j > 0 && a[i - 1] == cb && b[j - 1] == ca;
            if swapped {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// Case and the kind of dash are slips of no weight.
fn fold(c: char) -> char {
    if c == '-' { '_' } else { c.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["detect_fps", "decoder", "input", "stall"];
        assert_eq!(nearest("detct_fps", known), Some("detect_fps"));
        assert_eq!(nearest("Detect-FPS", known), Some("detect_fps"));
        assert_eq!(nearest("stlal", known), Some("stall"));
        assert_eq!(nearest("banana", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(hint("inputs", known), "; did you mean input?");
    }

    #[test]
    fn distances_are_the_textbook_ones() {
        for (a, b, d) in
            [("", "", 0), ("abc", "abc", 0), ("ca", "ac", 1), ("kitten", "sitting", 3), ("", "ab", 2)]
        {
            assert_eq!(distance(a, b), d, "{a} {b}");
        }
    }
}
