//! The `tideline` command: every role in one process, each role alone, and the tools of operators.
//!
//! `args` has the command line, `commands/` one file per command, `client/` their way to the API, `output/` what they
//! print, `exit` the exit codes. `plan/` says what the next cycle would change; `bench/` measures; `demo/` is the world
//! that `tideline demo` reads; `progress/` shows a cycle while it runs; `roles` starts and stops the roles.

mod args;
pub mod bench;
mod client;
mod commands;
mod context;
mod demo;
#[cfg(test)]
mod docs;
mod exit;
mod init;
mod output;
mod plan;
mod progress;
mod roles;

use std::io::{self, Write as _};
use std::process::ExitCode;

use tideline_config::ConfigErrors;
use tideline_core::full_text;

/// Runs the program with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = tideline_expression::serve_if_child() {
        return code;
    }
    let cli = args::Cli::read();
    let code = match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            let code = exit::code_of(&error);
            if code != exit::Code::Done {
                complain(&error);
            }
            code
        }
    };
    ExitCode::from(code.number())
}

/// Configuration errors already consist of lines; other errors are one line. Standard error may be closed.
fn complain(error: &anyhow::Error) {
    let mut to = io::stderr().lock();
    let _ = match error.downcast_ref::<ConfigErrors>() {
        Some(errors) => writeln!(to, "{errors}"),
        None => writeln!(to, "error: {}", full_text(error.as_ref())),
    };
}
