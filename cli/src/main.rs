//! The `tideline` command. Everything it does is in the library of this crate; start reading at `lib.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tideline_cli::main()
}
