//! Writes docs/cli.md from the command line's own help; its test checks that the file is current.

use std::fmt::Write as _;

use clap::{Command, CommandFactory};

use crate::args::Cli;

const HEAD: &str = "# The `tideline` command

Made from the command line's own help by `TIDELINE_WRITE_DOCS=1 cargo test -p tideline-cli docs`; do not edit.

Commands print tables; `--json` prints one JSON document, or one record per line when streaming. Times in JSON are in UTC: RFC 3339, or milliseconds since 1970 where a record is shown as stored. Colours appear only on a terminal and never with
`NO_COLOR`. A broken pipe is not an error.
";

fn page() -> String {
    let mut root = Cli::command();
    root.build();
    let mut text = HEAD.to_owned();
    let _ = write!(text, "\n```text\n{}\n```\n", crate::exit::TABLE);
    section(&mut text, &root, "tideline", 2);
    text
}

fn section(text: &mut String, command: &Command, path: &str, level: usize) {
    let help = command
        .clone()
        .after_help("")
        .after_long_help("")
        .term_width(110)
        .render_long_help();
    let help: Vec<String> = help
        .to_string()
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    let _ = write!(
        text,
        "\n{} `{path}`\n\n```text\n{}\n```\n",
        "#".repeat(level),
        help.join("\n").trim_end()
    );
    for child in command.get_subcommands().filter(|child| child.get_name() != "help") {
        section(text, child, &format!("{path} {}", child.get_name()), 3);
    }
}

#[test]
fn the_page_of_the_command_line_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    let page = page();
    if std::env::var_os("TIDELINE_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/cli.md is not current; run: TIDELINE_WRITE_DOCS=1 cargo test -p tideline-cli docs"
    );
}
