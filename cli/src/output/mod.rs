//! The output of commands: tables for people, JSON for programs. Nothing else writes to standard output.

mod format;
mod grid;
mod json;

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

pub(crate) use format::{count, counted, moment, per_second, sentence, short, span, unreachable, visible};
pub(crate) use grid::{Grid, Piece, Tone};
pub(crate) use json::pretty;

/// Standard output, as this call of the program wants it.
pub(crate) struct Out {
    json: bool,
    quiet: bool,
    colour: bool,
    terminal: bool,
    sink: Box<dyn Write + Send>,
}

impl Out {
    /// Tables, or JSON if `json`. Colors only on a terminal, and not if `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) fn stdout(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self {
            json,
            quiet: false,
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
            quiet: false,
            colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            terminal,
            sink: Box::new(io::stderr()),
        }
    }

    /// Without notes.
    pub(crate) fn quiet(self, quiet: bool) -> Self {
        Self { quiet, ..self }
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
        self.data(&visible(text.as_ref()))
    }

    /// One line as it is: for programs, or painted.
    pub(crate) fn data(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.sink, "{text}")
    }

    /// One line in a tone.
    pub(crate) fn toned(&mut self, tone: Tone, text: impl AsRef<str>) -> io::Result<()> {
        let painted = tone.paint(&visible(text.as_ref()), self.colour);
        self.data(&painted)
    }

    /// A line beside what was asked for: a confirmation, or a hint where to look next. Nothing if it is to be quiet.
    pub(crate) fn note(&mut self, tone: Tone, text: impl AsRef<str>) -> io::Result<()> {
        if self.quiet { Ok(()) } else { self.toned(tone, text) }
    }

    /// A note on standard error, where what is printed is for a program.
    pub(crate) fn aside(&self, text: impl AsRef<str>) -> io::Result<()> {
        Self::stderr().quiet(self.quiet).note(Tone::Dim, text)
    }

    /// An answer of the API, on several lines.
    pub(crate) fn answer(&mut self, json: &str) -> io::Result<()> {
        self.data(&pretty(json))
    }

    /// An empty screen, if there is one (ECMA-48, cursor position and erase in display).
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        if self.terminal {
            write!(self.sink, "\u{1b}[H\u{1b}[2J")?;
        }
        Ok(())
    }

    /// A table.
    pub(crate) fn grid(&mut self, grid: &Grid) -> io::Result<()> {
        let text = grid.render(self.colour, self.terminal);
        self.data(&text)
    }

    /// One JSON document.
    pub(crate) fn document<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.data(&text)
    }

    /// One JSON record of a stream, on a line of its own, visible at once.
    pub(crate) fn record<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        self.data(&text)?;
        self.sink.flush()
    }

    /// Begins a JSON object with a list of this name, whose items are written one by one.
    pub(crate) fn begin_list(&mut self, name: &str) -> io::Result<List> {
        write!(self.sink, "{{\"{name}\": [")?;
        Ok(List { empty: true })
    }

    /// One item of it.
    pub(crate) fn list_item<T: Serialize + ?Sized>(&mut self, list: &mut List, value: &T) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        write!(self.sink, "{}\n  {text}", if list.empty { "" } else { "," })?;
        list.empty = false;
        Ok(())
    }

    /// The end of it, and another member of the object.
    pub(crate) fn end_list(&mut self, list: List, member: Option<(&str, &str)>) -> io::Result<()> {
        write!(self.sink, "{}]", if list.empty { "" } else { "\n" })?;
        if let Some((name, text)) = member {
            write!(self.sink, ", \"{name}\": {}", serde_json::to_string(text)?)?;
        }
        writeln!(self.sink, "}}")
    }
}

/// A JSON list that is being written.
pub(crate) struct List {
    empty: bool,
}
