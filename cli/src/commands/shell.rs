//! `tideline completions` and `tideline man`: made from the command line's own declarations.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Code;
use crate::output::Out;

/// For which shell.
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell to complete in
    shell: Shell,
}

/// Where to.
#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Write one page per command to this folder instead of printing the main page
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Prints the script.
pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<Code> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tideline", &mut script);
    // Not println, which panics on a broken pipe.
    std::io::stdout().write_all(&script)?;
    Ok(Code::Done)
}

/// Prints a page, or writes them all.
pub(crate) fn man(out: &mut Out, args: &ManArgs) -> anyhow::Result<Code> {
    let command = Cli::command();
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        std::io::stdout().write_all(&page)?;
        return Ok(Code::Done);
    };
    std::fs::create_dir_all(dir).with_context(|| format!("create the folder {}", dir.display()))?;
    clap_mangen::generate_to(command, dir).with_context(|| format!("write to {}", dir.display()))?;
    if !out.is_json() {
        out.line(format!("Wrote the pages to {}.", dir.display()))?;
    }
    Ok(Code::Done)
}
