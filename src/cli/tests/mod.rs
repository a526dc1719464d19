//! The commands about the gallery, from the command line to what is printed, with a desk that gives canned answers.

mod asked;
mod destructive;
mod files;
mod printed;
mod samples;

use std::process::ExitCode;

use clap::Parser;

use super::desk::testing::Canned;
use super::{Cli, Command as Verb, models, switch};
use crate::base::error::Result;

/// What a command did.
pub struct Ran {
    pub result: Result<ExitCode>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Its exit status.
    #[track_caller]
    pub fn status(&self) -> u8 {
        let is = |code: &ExitCode, status: u8| format!("{code:?}") == format!("{:?}", ExitCode::from(status));
        match &self.result {
            Ok(code) => (0..=1).find(|status| is(code, *status)).expect("0 or 1"),
            Err(error) => error.kind().exit_code(),
        }
    }

    /// What the error says.
    #[track_caller]
    pub fn refusal(&self) -> String {
        self.result.as_ref().expect_err("it was refused").chain()
    }
}

/// The words of a command line; what is in quotes is one word.
pub fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate().flat_map(|(i, part)| match i % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    parts.collect()
}

/// Runs `watchlistd LINE` with this desk; `types` is what somebody at a terminal types, if there is one.
#[track_caller]
pub fn run(desk: &Canned, line: &str, types: Option<Vec<&'static str>>) -> Ran {
    run_words(desk, &words(line), types)
}

#[track_caller]
pub fn run_words(desk: &Canned, words: &[String], types: Option<Vec<&'static str>>) -> Ran {
    let arguments = ["watchlistd".to_owned()].into_iter().chain(words.iter().cloned());
    let cli = Cli::try_parse_from(arguments).unwrap_or_else(|e| panic!("{words:?}: {e}"));
    let (mut client, out, err) = desk.client(words.iter().any(|word| word == "--json"), types);
    let result = match cli.command {
        Verb::Gallery(args) => args.command.carry_out(&mut client),
        Verb::Audit(args) => args.command.carry_out(&mut client),
        Verb::Models(models::ModelsArgs { command: models::Command::Switch(args) }) => {
            switch::switch_with(&args, &mut client)
        }
        Verb::Models(models::ModelsArgs { command: models::Command::Rollback(args) }) => {
            switch::rollback_with(&args, &mut client)
        }
        other => panic!("{other:?} asks no desk"),
    };
    Ran { result, out: out.text(), err: err.text() }
}
