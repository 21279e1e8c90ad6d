//! What commands print: tables for people, JSON for programs. Nothing else writes to standard output.

mod format;
mod grid;
mod json;

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

pub(crate) use format::{count, moment, per_second, short, span};
pub(crate) use grid::{Grid, Piece, Tone};
pub(crate) use json::{embedded, embedded_all};

/// Standard output, as this call of the program wants it.
pub(crate) struct Out {
    json: bool,
    colour: bool,
    terminal: bool,
    sink: Box<dyn Write + Send>,
}

impl Out {
    /// Tables, or JSON if `json`. Colours only on a terminal, and not if `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) fn stdout(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self {
            json,
            colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            terminal,
            sink: Box::new(io::stdout()),
        }
    }

    /// Standard error: notes beside what a command prints.
    pub(crate) fn stderr() -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            json: false,
            colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            terminal,
            sink: Box::new(io::stderr()),
        }
    }

    /// Whether programs read it.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person watches.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// One line for people.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.sink, "{}", text.as_ref())
    }

    /// One line in a tone.
    pub(crate) fn toned(&mut self, tone: Tone, text: impl AsRef<str>) -> io::Result<()> {
        let painted = tone.paint(text.as_ref(), self.colour);
        self.line(painted)
    }

    /// A table.
    pub(crate) fn grid(&mut self, grid: &Grid) -> io::Result<()> {
        let text = grid.render(self.colour, self.terminal);
        self.line(text)
    }

    /// One JSON document.
    pub(crate) fn document<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(text)
    }

    /// One JSON record of a stream, on a line of its own, visible at once.
    pub(crate) fn record<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        self.line(text)?;
        self.sink.flush()
    }

    /// Begins a JSON list whose items are written one by one; writes nothing for people.
    pub(crate) fn begin_list(&mut self) -> io::Result<List> {
        if self.json {
            write!(self.sink, "[")?;
        }
        Ok(List { empty: true })
    }

    /// One item of it.
    pub(crate) fn list_item<T: Serialize + ?Sized>(&mut self, list: &mut List, value: &T) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        write!(self.sink, "{}\n  {text}", if list.empty { "" } else { "," })?;
        list.empty = false;
        Ok(())
    }

    /// The end of it.
    pub(crate) fn end_list(&mut self, list: List) -> io::Result<()> {
        if self.json {
            writeln!(self.sink, "{}]", if list.empty { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// A JSON list that is being written.
pub(crate) struct List {
    empty: bool,
}
