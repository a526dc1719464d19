//! The `watchlistd` program: arguments in, exit code out. Everything else is in the library.

use std::process::ExitCode;

use clap::Parser;
use watchlistd::cli::{Cli, dispatch, output};
use watchlistd::infer::runtime::refuse_telemetry;

fn main() -> ExitCode {
    refuse_telemetry();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refused) => {
            // Help and version are not errors; anything else is a wrong command line (EX_USAGE).
            let _ = refused.print();
            return ExitCode::from(if refused.use_stderr() { 64 } else { 0 });
        }
    };
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) if output::reader_left(&error) => ExitCode::from(output::READER_LEFT),
        Err(error) => {
            // A wrong configuration has a line for each mistake.
            error.chain().lines().for_each(|line| output::tell(&format!("watchlistd: {line}")));
            ExitCode::from(error.kind().exit_code())
        }
    }
}
