//! Tables for people: columns that line up in any script, cut to the terminal, and with nothing in them that could steer it.
//!
//! ```text
//!  NAME      LISTS      TEMPLATES  ID                 heading, as wide as the widest cell needs
//!  王小明    staff              3  0190b5c6-...       a wide character takes two columns (Unicode annex 11)
//!  Maria-L…  watchlist         12  0190b5c7-...       columns that may shrink do so first, the widest first
//! ```

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::api::table;

/// No column that may shrink gets narrower than this.
const NARROWEST: usize = 8;
const GAP: &str = "  ";

/// How a column is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Words, which may be cut.
    Words,
    /// Words that are worth nothing when cut: ids, times.
    Whole,
    /// Numbers, which end under their heading.
    Number,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    heading: &'static str,
    kind: Kind,
    optional: bool,
}

impl Column {
    /// Words, which may be cut.
    pub const fn words(heading: &'static str) -> Self {
        Self { heading, kind: Kind::Words, optional: false }
    }

    /// Words that are worth nothing when cut: ids, times.
    pub const fn whole(heading: &'static str) -> Self {
        Self { heading, kind: Kind::Whole, optional: false }
    }

    /// Numbers, which end under their heading.
    pub const fn number(heading: &'static str) -> Self {
        Self { heading, kind: Kind::Number, optional: false }
    }

    /// Left out if no row has anything in it.
    #[must_use]
    pub const fn if_any(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// Text that cannot steer a terminal: control characters and line ends become spaces, and marks that turn the direction of the
/// text after them become visible.
pub fn plain(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    table::plain(text).chars().map(|c| if turns(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The table; with nothing in it the heading alone. `width`: columns of the terminal; `None` cuts nothing.
pub fn render(columns: &[Column], rows: Vec<Vec<String>>, width: Option<usize>) -> String {
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let filled = |i: usize| rows.iter().any(|row| row.get(i).is_some_and(|cell| !cell.is_empty()));
    let shown: Vec<(usize, &Column)> =
        columns.iter().enumerate().filter(|(i, column)| !column.optional || filled(*i)).collect();
    let widths = widths(&shown, &rows, width);
    let heading: Vec<&str> = shown.iter().map(|(_, column)| column.heading).collect();
    let mut out = line(&shown, &widths, &heading, width);
    for row in &rows {
        let cells: Vec<&str> = shown.iter().map(|(i, _)| row.get(*i).map_or("", String::as_str)).collect();
        out += &line(&shown, &widths, &cells, width);
    }
    out
}

/// What is known of one thing, a line each; what is not is left out.
pub fn fields(fields: &[(&str, Option<String>)]) -> String {
    let known = || fields.iter().filter_map(|(what, value)| Some((what, value.as_ref()?)));
    let width = known().map(|(what, _)| what.width()).max().unwrap_or(0);
    known().map(|(what, value)| format!("{what:width$}  {}\n", plain(value))).collect()
}

/// A table whose rows come over time: its columns get wider, never narrower.
#[derive(Debug)]
pub struct Growing {
    columns: &'static [Column],
    widths: Vec<usize>,
    width: Option<usize>,
    begun: bool,
}

impl Growing {
    /// With nothing in it yet. `width`: columns of the terminal; `None` cuts nothing.
    pub fn new(columns: &'static [Column], width: Option<usize>) -> Self {
        Self { columns, widths: Vec::new(), width, begun: false }
    }

    /// The next rows, the first ones below the heading.
    pub fn rows(&mut self, rows: Vec<Vec<String>>) -> String {
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
        let shown: Vec<(usize, &Column)> = self.columns.iter().enumerate().collect();
        let now = needed(&shown, &rows);
        let before = |i: usize| self.widths.get(i).copied().unwrap_or(0);
        self.widths = now.iter().enumerate().map(|(i, width)| *width.max(&before(i))).collect();
        let widths = fitted(self.widths.clone(), &shown, self.width);
        let mut out = String::new();
        if !std::mem::replace(&mut self.begun, true) {
            let heading: Vec<&str> = self.columns.iter().map(|column| column.heading).collect();
            out += &line(&shown, &widths, &heading, self.width);
        }
        for row in &rows {
            let cells: Vec<&str> =
                shown.iter().map(|(i, _)| row.get(*i).map_or("", String::as_str)).collect();
            out += &line(&shown, &widths, &cells, self.width);
        }
        out
    }
}

/// Each column's width: the widest cell's, but for columns that give way until the line fits.
fn widths(columns: &[(usize, &Column)], rows: &[Vec<String>], width: Option<usize>) -> Vec<usize> {
    fitted(needed(columns, rows), columns, width)
}

/// The widest cell of each column.
fn needed(columns: &[(usize, &Column)], rows: &[Vec<String>]) -> Vec<usize> {
    let needed = |(i, column): &(usize, &Column)| {
        let cells = rows.iter().filter_map(|row| row.get(*i)).map(|cell| cell.width());
        cells.chain([column.heading.width()]).max().unwrap_or(0)
    };
    columns.iter().map(needed).collect()
}

/// Columns that may give way do, the widest first, until the line fits.
fn fitted(mut widths: Vec<usize>, columns: &[(usize, &Column)], width: Option<usize>) -> Vec<usize> {
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    let mut excess = width.map_or(0, |width| (widths.iter().sum::<usize>() + gaps).saturating_sub(width));
    while excess > 0 {
        let words = widths.iter_mut().zip(columns).filter(|(_, (_, column))| column.kind == Kind::Words);
        let widest = words.map(|(width, _)| width).filter(|width| **width > NARROWEST).max();
        let Some(widest) = widest else { break };
        *widest -= 1;
        excess -= 1;
    }
    widths
}

fn line(columns: &[(usize, &Column)], widths: &[usize], cells: &[&str], width: Option<usize>) -> String {
    let mut out = String::new();
    for (i, ((cell, width), (_, column))) in cells.iter().zip(widths).zip(columns).enumerate() {
        let cell = cut(cell, *width);
        let padding = " ".repeat(width.saturating_sub(cell.width()));
        out += if i == 0 { "" } else { GAP };
        out += &if column.kind == Kind::Number { padding + &cell } else { cell + &padding };
    }
    let line = out.trim_end();
    format!("{}\n", width.map_or(line.to_owned(), |width| cut(line, width)))
}

/// The start of the text in at most so many columns, with an ellipsis for what is left out.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used < width
    };
    let start: String = text.chars().take_while(fits).collect();
    if width == 0 { start } else { start + "…" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] =
        [Column::words("NAME"), Column::words("LISTS").if_any(), Column::number("N"), Column::whole("ID")];

    fn rows(rows: &[[&str; 4]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn columns_line_up_in_any_script() {
        let text = render(
            &COLUMNS,
            rows(&[
                ["王小明", "staff", "3", "a-1"],
                ["Ana", "staff, vip", "12", "b-2"],
                ["علی", "", "7", "c-3"],
            ]),
            None,
        );
        let expected = "\
NAME    LISTS        N  ID
王小明  staff        3  a-1
Ana     staff, vip  12  b-2
علی                  7  c-3
";
        assert_eq!(text, expected);
        // Each id starts in the same column of the screen, counted with wide characters.
        for line in text.lines() {
            let start = line.rfind("  ").expect("a gap") + 2;
            assert_eq!(line[..start].width(), 24, "{line}");
        }
    }

    #[test]
    fn a_narrow_terminal_cuts_words_and_leaves_ids_whole() {
        let wide = rows(&[
            ["José-María de la Santísima Trinidad", "watchlist", "3", "0190-a"],
            ["王小明王小明王小明", "vip", "12", "0190-b"],
        ]);
        let text = render(&COLUMNS, wide.clone(), Some(36));
        let expected = "\
NAME           LISTS       N  ID
José-María d…  watchlist   3  0190-a
王小明王小明…  vip        12  0190-b
";
        assert_eq!(text, expected);
        for line in text.lines() {
            assert!(line.width() <= 36, "{} columns: {line}", line.width());
        }
        assert!(text.contains("0190-a") && text.contains("0190-b") && text.contains('…'), "{text}");
        // Where nothing can shrink any more, lines are cut rather than folded.
        for width in 0..40 {
            let text = render(&COLUMNS, wide.clone(), Some(width));
            assert!(text.lines().all(|line| line.width() <= width), "{width}: {text}");
        }
        let whole = render(&COLUMNS, wide, None);
        assert!(whole.contains("José-María de la Santísima Trinidad"), "{whole}");
    }

    #[test]
    fn a_column_with_nothing_in_it_is_left_out_if_it_may_be() {
        let text = render(&COLUMNS, rows(&[["Ana", "", "1", "a"]]), None);
        assert_eq!(text, "NAME  N  ID\nAna   1  a\n");
        assert_eq!(render(&COLUMNS, vec![], None), "NAME  N  ID\n");
    }

    #[test]
    fn nothing_in_a_cell_steers_the_terminal() {
        let hostile = "\u{1b}[2J\u{7}a\u{202e}b\nc\td\u{9b}31m\u{2028}e\u{0}";
        let text = render(&COLUMNS, rows(&[[hostile, hostile, hostile, hostile]]), None);
        assert_eq!(text.lines().count(), 2, "{text:?}");
        let steers = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.chars().any(steers), "{text:?}");
        let text = fields(&[("notes", Some(hostile.to_owned())), ("purpose", None)]);
        assert!(!text.chars().any(steers) && text.lines().count() == 1, "{text:?}");
    }

    #[test]
    fn a_growing_table_never_gets_narrower_and_has_one_heading() {
        static TWO: [Column; 2] = [Column::number("N"), Column::words("WHO")];
        let mut table = Growing::new(&TWO, None);
        let row = |n: &str, who: &str| vec![n.to_owned(), who.to_owned()];
        assert_eq!(table.rows(vec![row("7", "Ana")]), "N  WHO\n7  Ana\n");
        assert_eq!(table.rows(vec![row("1000", "\u{1b}[2Jben")]), "1000   [2Jben\n");
        assert_eq!(table.rows(vec![row("8", "Ana")]), "   8  Ana\n");
        let mut table = Growing::new(&TWO, Some(12));
        assert_eq!(table.rows(vec![row("1", "somebody with a name")]), "N  WHO\n1  somebody…\n");
    }

    #[test]
    fn text_is_cut_by_columns_and_never_inside_a_character() {
        assert_eq!(cut("Ana", 3), "Ana");
        assert_eq!(cut("Anas", 3), "An…");
        assert_eq!(cut("王小明", 5), "王小…");
        assert_eq!(cut("王小明", 4), "王…");
        assert_eq!(cut("王小明", 1), "…");
        assert_eq!(cut("王", 0), "");
    }
}
