//! Serves expressions and does nothing else: a child for programs that cannot be their own.

use std::process::ExitCode;

fn main() -> ExitCode {
    tideline_expression::serve_if_child().unwrap_or(ExitCode::FAILURE)
}
