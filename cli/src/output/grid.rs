//! A table of toned pieces.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};

/// Columns of a terminal below which its width counts as unknown.
const NARROWEST: u16 = 20;

/// What a piece of text means; decides its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// At work.
    Busy,
    /// Worth a look.
    Warn,
    /// Broken.
    Bad,
    /// Less important.
    Dim,
}

impl Tone {
    /// The text with ANSI codes (ECMA-48, select graphic rendition), or as it is.
    pub(crate) fn paint(self, text: &str, colour: bool) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Good => 32,
            Self::Busy => 36,
            Self::Warn => 33,
            Self::Bad => 31,
            Self::Dim => 2,
        };
        if colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A text and its tone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    text: String,
    tone: Tone,
    number: bool,
}

impl Piece {
    /// A text that means something.
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
            number: false,
        }
    }

    /// A number, to the right; a zero is dim.
    pub(crate) fn number(number: u64) -> Self {
        Self {
            text: super::count(number),
            tone: if number == 0 { Tone::Dim } else { Tone::Plain },
            number: true,
        }
    }

    /// The same number in a tone, unless it is zero.
    pub(crate) fn number_toned(number: u64, tone: Tone) -> Self {
        let mut piece = Self::number(number);
        if number > 0 {
            piece.tone = tone;
        }
        piece
    }
}

impl<T: Into<String>> From<T> for Piece {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// A table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grid {
    header: Vec<&'static str>,
    rows: Vec<Vec<Piece>>,
}

impl Grid {
    /// With these columns.
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Name and value, one pair per row.
    pub(crate) fn pairs() -> Self {
        Self::default()
    }

    /// One more row.
    pub(crate) fn row(&mut self, pieces: Vec<Piece>) {
        self.rows.push(pieces);
    }

    /// One more pair.
    pub(crate) fn pair(&mut self, name: &str, value: impl Into<Piece>) {
        self.rows.push(vec![Piece::toned(name, Tone::Dim), value.into()]);
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As text. On a terminal long cells are wrapped to its width.
    pub(crate) fn render(&self, colour: bool, terminal: bool) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if colour {
            table.enforce_styling();
        }
        if !terminal {
            table.force_no_tty();
        }
        table.set_content_arrangement(arrangement(table.width()));
        if !self.header.is_empty() {
            table.set_header(self.header.iter().enumerate().map(|(column, name)| {
                let mut cell = Cell::new(name.to_uppercase());
                if self
                    .rows
                    .iter()
                    .any(|row| row.get(column).is_some_and(|piece| piece.number))
                {
                    cell = cell.set_alignment(CellAlignment::Right);
                }
                if colour {
                    cell.add_attribute(Attribute::Bold)
                } else {
                    cell
                }
            }));
        }
        for row in &self.rows {
            table.add_row(row.iter().map(|piece| cell(piece, colour)));
        }
        let columns = table.column_count();
        for column in 0..columns {
            if let Some(column_ref) = table.column_mut(column) {
                column_ref.set_padding((0, if column + 1 == columns { 0 } else { 2 }));
            }
        }
        table.trim_fmt()
    }
}

/// Wraps to the width of a terminal. One that says it is nearly nothing (the terminals of some CI systems say 0) does not
/// know it, and no table would be readable that narrow.
fn arrangement(width: Option<u16>) -> ContentArrangement {
    match width {
        Some(width) if width >= NARROWEST => ContentArrangement::Dynamic,
        _ => ContentArrangement::Disabled,
    }
}

fn cell(piece: &Piece, colour: bool) -> Cell {
    let mut cell = Cell::new(&piece.text);
    if piece.number {
        cell = cell.set_alignment(CellAlignment::Right);
    }
    if !colour {
        return cell;
    }
    match piece.tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Busy => cell.fg(Color::Cyan),
        Tone::Warn => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Dim => cell.add_attribute(Attribute::Dim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Grid {
        let mut grid = Grid::new(&["source", "entities"]);
        grid.row(vec!["platform".into(), Piece::number(20_000)]);
        grid.row(vec![Piece::toned("repos", Tone::Bad), Piece::number(0)]);
        grid
    }

    #[test]
    fn a_table_that_is_piped_has_no_colours_and_aligned_numbers() {
        assert_eq!(
            sample().render(false, false),
            "SOURCE    ENTITIES\nplatform    20,000\nrepos            0"
        );
    }

    #[test]
    fn a_table_for_a_terminal_has_colours() {
        assert!(sample().render(true, true).contains('\u{1b}'));
    }

    #[test]
    fn a_terminal_without_a_width_gets_tables_that_are_not_wrapped() {
        for unknown in [None, Some(0), Some(1), Some(19)] {
            assert!(
                matches!(arrangement(unknown), ContentArrangement::Disabled),
                "{unknown:?}"
            );
        }
        assert!(matches!(arrangement(Some(80)), ContentArrangement::Dynamic));
    }

    #[test]
    fn a_toned_line_is_plain_without_colours() {
        assert_eq!(Tone::Warn.paint("held", false), "held");
        assert_eq!(Tone::Warn.paint("held", true), "\u{1b}[33mheld\u{1b}[0m");
    }
}
