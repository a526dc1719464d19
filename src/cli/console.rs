//! The person at the terminal, or the program that reads the pipe: what a command prints, how, and what it may ask.
//!
//! ```text
//!               standard output       standard error       asked
//!  a terminal   tables, cut to fit    notes, progress      "Type the name to forget: "
//!  a pipe       tables, whole         notes                nothing: --yes, or it is refused
//!  --json       a report a line       notes, progress      as above
//! ```

use std::io::{self, BufRead, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::output;
use super::table::{self, Column, Growing};
use crate::base::error::{Error, Kind, Result};
use crate::gallery::command::SecretText;
use crate::gallery::dates;
use crate::gallery::escrow::LEAST_CHARS;
use crate::{bail, err};

/// Somebody who can be asked.
pub trait Operator {
    /// The line that is typed after the prompt, without its end.
    ///
    /// # Errors
    /// `Io`.
    fn line(&mut self, prompt: &str) -> Result<String>;

    /// The same without showing what is typed.
    ///
    /// # Errors
    /// `Io`.
    fn secret(&mut self, prompt: &str) -> Result<SecretText>;
}

/// Where a command prints, and whom it asks.
pub struct Console {
    /// Standard output; `None`: the process's own, for which a reader that leaves is no failure.
    out: Option<Box<dyn Write>>,
    /// Standard error.
    err: Box<dyn Write>,
    operator: Option<Box<dyn Operator>>,
    json: bool,
    width: Option<usize>,
    bar: bool,
    zone: TimeZone,
    now: Timestamp,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console")
            .field("json", &self.json)
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}

impl Console {
    /// The process's own. `json`: reports for programs.
    pub fn of_process(json: bool) -> Self {
        let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
        Self {
            out: None,
            err: Box::new(io::stderr()),
            operator: asks.then(|| Box::new(Terminal) as Box<dyn Operator>),
            json,
            width: terminal_width(),
            bar: io::stderr().is_terminal(),
            zone: dates::zone().unwrap_or_else(|why| {
                output::tell(&format!("watchlistd: {why}; times are in UTC"));
                TimeZone::UTC
            }),
            now: Timestamp::now(),
        }
    }

    /// When the command started.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// True if reports are for programs.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A table whose rows come over time.
    pub fn growing_table(&self, columns: &'static [Column]) -> Growing {
        Growing::new(columns, self.width)
    }

    /// Where the operator is.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Prints a report: as JSON on one line, or in words.
    ///
    /// # Errors
    /// `Io`, when standard output is closed.
    pub fn show<T: Serialize>(&mut self, report: &T, words: impl FnOnce(&Self) -> String) -> Result<()> {
        let text = if self.json { json_line(report)? } else { words(self) };
        self.print(&text)
    }

    /// Prints a list: as JSON with one object a line, or as a table.
    ///
    /// # Errors
    /// `Io`, when standard output is closed.
    pub fn show_all<T: Serialize>(
        &mut self,
        columns: &[Column],
        items: &[T],
        row: impl Fn(&Self, &T) -> Vec<String>,
    ) -> Result<()> {
        let text = if self.json {
            items.iter().map(json_line).collect::<Result<String>>()?
        } else {
            self.table(columns, items.iter().map(|item| row(self, item)).collect())
        };
        self.print(&text)
    }

    /// Prints a list as JSON with one object a line, or something about it in words.
    ///
    /// # Errors
    /// `Io`, when standard output is closed.
    pub fn show_each<T: Serialize>(
        &mut self,
        items: &[T],
        words: impl FnOnce(&Self) -> String,
    ) -> Result<()> {
        let text =
            if self.json { items.iter().map(json_line).collect::<Result<String>>()? } else { words(self) };
        self.print(&text)
    }

    /// A table that fits the terminal.
    pub fn table(&self, columns: &[Column], rows: Vec<Vec<String>>) -> String {
        table::render(columns, rows, self.width)
    }

    /// `2027-03-01 14:05`, where the operator is.
    pub fn minute(&self, at: Timestamp) -> String {
        at.to_zoned_datetime(self.zone.clone()).strftime("%F %H:%M").to_string()
    }

    /// `2027-03-01 14:05:09`, where the operator is.
    pub fn second(&self, at: Timestamp) -> String {
        at.to_zoned_datetime(self.zone.clone()).strftime("%F %T").to_string()
    }

    /// Says something beside the report. Nobody there is no error.
    pub fn tell(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Refuses a command that would have to ask and cannot, before anything is done for it.
    ///
    /// # Errors
    /// `Usage`, without a terminal and without `--yes`.
    pub fn can_confirm(&self, yes: bool) -> Result<()> {
        if !yes && self.operator.is_none() {
            bail!(
                Usage,
                "this cannot be undone, and there is no terminal to ask at; add --yes if you are sure"
            );
        }
        Ok(())
    }

    /// As [`Console::can_confirm`], of a command that can be undone by another.
    ///
    /// # Errors
    /// As [`Console::can_confirm`].
    pub fn can_agree(&self, yes: bool) -> Result<()> {
        if !yes && self.operator.is_none() {
            bail!(
                Usage,
                "this changes whom the cameras find, and there is no terminal to ask at; add --yes if you are sure"
            );
        }
        Ok(())
    }

    /// True if the operator types the word, or said `--yes`. Otherwise it is told that nothing was changed.
    ///
    /// # Errors
    /// As [`Console::can_confirm`]; `Io`.
    pub fn confirm(&mut self, yes: bool, question: &str, word: &str) -> Result<bool> {
        self.can_confirm(yes)?;
        let Some(operator) = self.operator.as_mut().filter(|_| !yes) else { return Ok(true) };
        let agreed = operator.line(&table::plain(question))?.trim() == word;
        if !agreed {
            self.tell("That was something else: nothing was changed.");
        }
        Ok(agreed)
    }

    /// What is typed after the question; what is proposed, for nothing.
    ///
    /// # Errors
    /// `Usage`, without a terminal; `Io`.
    pub fn ask(&mut self, question: &str, proposed: &str) -> Result<String> {
        let Some(operator) = self.operator.as_mut() else {
            bail!(Usage, "there is no terminal to ask at");
        };
        let line = operator.line(&table::plain(question))?;
        Ok(if line.trim().is_empty() { proposed } else { line.trim() }.to_owned())
    }

    /// A new passphrase, typed twice.
    ///
    /// # Errors
    /// `Usage`, without a terminal or when it is too short; `Data`, when the two differ; `Io`.
    pub fn new_passphrase(&mut self) -> Result<SecretText> {
        let Some(operator) = self.operator.as_mut() else {
            bail!(
                Usage,
                "--passphrase: there is no terminal to ask at; put it into a file for --passphrase-file"
            );
        };
        let first = operator.secret("Passphrase: ")?;
        // Before it is typed again for nothing.
        if first.expose().chars().count() < LEAST_CHARS {
            bail!(Usage, "the passphrase has fewer than {LEAST_CHARS} characters: it could be guessed");
        }
        if operator.secret("The same again: ")? != first {
            bail!(Data, "the two passphrases differ");
        }
        Ok(first)
    }

    /// A passphrase that is there already, typed once.
    ///
    /// # Errors
    /// `Usage`, without a terminal; `Io`.
    pub fn passphrase(&mut self) -> Result<SecretText> {
        let Some(operator) = self.operator.as_mut() else {
            bail!(Usage, "a passphrase is needed, and there is no terminal to ask at; use --passphrase-file");
        };
        operator.secret("Passphrase: ")
    }

    /// A bar on standard error, if that is a terminal; it shows itself with the first progress.
    pub fn progress_bar(&self) -> ProgressBar {
        let target = if self.bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        match ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} left {eta}") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }

    /// Looks whether anybody still reads what is printed.
    ///
    /// # Errors
    /// `Io`, when nobody does.
    pub fn check_reader(&self) -> Result<()> {
        if self.out.is_none() { output::check_reader() } else { Ok(()) }
    }

    /// Where output goes, for what is written bit by bit.
    pub fn writer(&mut self) -> Box<dyn Write + '_> {
        match &mut self.out {
            None => Box::new(io::stdout().lock()),
            Some(out) => Box::new(out),
        }
    }

    /// Prints text as it is.
    ///
    /// # Errors
    /// `Io`, when standard output is closed.
    pub fn print(&mut self, text: &str) -> Result<()> {
        match &mut self.out {
            None => output::print(text),
            Some(out) => {
                out.write_all(text.as_bytes()).map_err(|e| Error::new(Kind::Io, "cannot print").because(e))
            }
        }
    }
}

/// Columns of standard output, if that is a terminal.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

fn json_line<T: Serialize>(report: &T) -> Result<String> {
    let text =
        serde_json::to_string(report).map_err(|e| err!(Software, "a report that is no JSON").because(e))?;
    Ok(text + "\n")
}

/// The process's terminal.
struct Terminal;

impl Operator for Terminal {
    fn line(&mut self, prompt: &str) -> Result<String> {
        let failed = |e| Error::new(Kind::Io, "cannot ask at the terminal").because(e);
        let mut err = io::stderr().lock();
        err.write_all(prompt.as_bytes()).and_then(|()| err.flush()).map_err(failed)?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(failed)?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn secret(&mut self, prompt: &str) -> Result<SecretText> {
        rpassword::prompt_password(prompt)
            .map(SecretText::new)
            .map_err(|e| Error::new(Kind::Io, "cannot read a passphrase from the terminal").because(e))
    }
}

#[cfg(test)]
pub(super) mod testing {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// What was printed, to look at afterwards.
    #[derive(Clone, Default)]
    pub struct Paper(Rc<RefCell<Vec<u8>>>);

    impl Paper {
        pub fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).expect("UTF-8")
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An operator who types these lines.
    pub struct Typist(pub Vec<&'static str>, pub Paper);

    impl Operator for Typist {
        fn line(&mut self, prompt: &str) -> Result<String> {
            let _ = writeln!(self.1, "{prompt}");
            Ok(if self.0.is_empty() { String::new() } else { self.0.remove(0).to_owned() })
        }

        fn secret(&mut self, prompt: &str) -> Result<SecretText> {
            self.line(prompt).map(SecretText::new)
        }
    }

    /// At 2026-10-01 12:00 in Lisbon (UTC+1), 100 columns wide.
    pub fn console(json: bool, types: Option<Vec<&'static str>>) -> (Console, Paper, Paper) {
        let (out, err) = (Paper::default(), Paper::default());
        let operator = types.map(|lines| Box::new(Typist(lines, err.clone())) as Box<dyn Operator>);
        let console = Console {
            out: Some(Box::new(out.clone())),
            err: Box::new(err.clone()),
            operator,
            json,
            width: None,
            bar: false,
            zone: TimeZone::fixed(jiff::tz::offset(1)),
            now: "2026-10-01T11:00:00Z".parse().expect("a time"),
        };
        (console, out, err)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::console;
    use super::*;

    #[test]
    fn what_cannot_be_undone_needs_a_terminal_or_a_yes() {
        let refused = console(false, None).0.confirm(false, "Type it: ", "Ana").expect_err("nobody to ask");
        assert_eq!(refused.kind(), Kind::Usage);
        assert!(refused.to_string().contains("--yes"), "{refused}");
        assert!(console(false, None).0.confirm(true, "Type it: ", "Ana").expect("yes was said"));

        let (mut asked, _, err) = console(false, Some(vec!["Ana", "ana", ""]));
        let mut answer = || asked.confirm(false, "Type \u{1b}[2J it: ", "Ana").expect("typed");
        assert_eq!([answer(), answer(), answer()], [true, false, false]);
        assert!(
            err.text().contains("nothing was changed") && !err.text().contains('\u{1b}'),
            "{}",
            err.text()
        );
    }

    #[test]
    fn a_new_passphrase_is_typed_twice() {
        let new = |types| console(false, types).0.new_passphrase();
        let long = "tulip and rose";
        assert_eq!(new(Some(vec![long, long])).expect("twice the same").expose(), long);
        for (types, kind) in [
            (Some(vec![long, "tulip or roses"]), Kind::Data),
            (Some(vec!["tulip", "tulip"]), Kind::Usage),
            (Some(vec!["", ""]), Kind::Usage),
            (None, Kind::Usage),
        ] {
            let error = new(types).expect_err("no passphrase");
            assert_eq!(error.kind(), kind);
            assert!(!error.chain().contains("tulip"), "{error}");
        }
    }

    #[test]
    fn times_are_the_operators_own() {
        let (console, ..) = console(false, None);
        let at = "2027-03-01T23:05:09Z".parse().expect("a time");
        assert_eq!(console.minute(at), "2027-03-02 00:05");
        assert_eq!(console.second(at), "2027-03-02 00:05:09");
    }
}
