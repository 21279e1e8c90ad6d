//! Asking before something is lost.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::exit::{Code, Failure};

/// Returns if `yes`, or if a person at the terminal says so.
///
/// # Errors
/// The person said no, or there is no terminal to ask at.
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::new(
            Code::Refused,
            format!("not confirmed: {question} Pass --yes to skip the confirmation prompt"),
        )
        .into());
    }
    write!(io::stderr(), "{question} [y/N] ")?;
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new(Code::Refused, "not confirmed; nothing was changed").into())
    }
}
