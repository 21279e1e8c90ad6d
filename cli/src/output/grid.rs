//! A table of toned pieces.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};

/// Below this number of columns, a terminal's width counts as unknown.
const NARROWEST: u16 = 20;

/// Columns between two columns of a table.
const GAP: usize = 2;

/// Width that a wrapped text needs to be readable.
const READABLE: usize = 24;

/// What a piece of text means; decides its color.
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
            text: super::visible(&text.into()).into_owned(),
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

    /// As text. On a terminal long cells are wrapped to its width; a table with too many columns for it becomes a block
    /// of names and values per row.
    pub(crate) fn render(&self, colour: bool, terminal: bool) -> String {
        let width = if terminal { Table::new().width() } else { None };
        self.render_within(colour, terminal, width.filter(|width| *width >= NARROWEST))
    }

    fn render_within(&self, colour: bool, terminal: bool, width: Option<u16>) -> String {
        if let Some(width) = width
            && self.needs() > usize::from(width)
        {
            let blocks: Vec<String> = self
                .blocks()
                .iter()
                .map(|block| block.table(colour, terminal, Some(width)))
                .collect();
            return blocks.join("\n\n");
        }
        self.table(colour, terminal, width)
    }

    /// The narrowest width at which the table can be read: its last column may be wrapped, the others are not.
    fn needs(&self) -> usize {
        let Some(last) = self.header.len().checked_sub(1) else {
            return 0;
        };
        let cell = |row: &Vec<Piece>, column: usize| row.get(column).map_or(0, |piece| piece.text.chars().count());
        let widest = |column: usize| {
            let header = self.header[column].chars().count();
            self.rows
                .iter()
                .map(|row| cell(row, column))
                .max()
                .unwrap_or(0)
                .max(header)
        };
        (0..last).map(|column| widest(column) + GAP).sum::<usize>() + widest(last).min(READABLE)
    }

    /// A grid of pairs per row, without what is empty.
    fn blocks(&self) -> Vec<Self> {
        self.rows
            .iter()
            .map(|row| {
                let mut block = Self::pairs();
                for (name, piece) in self.header.iter().zip(row) {
                    if !piece.text.is_empty() {
                        let piece = Piece {
                            number: false,
                            ..piece.clone()
                        };
                        block.pair(name, piece);
                    }
                }
                block
            })
            .collect()
    }

    fn table(&self, colour: bool, terminal: bool, width: Option<u16>) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if colour {
            table.enforce_styling();
        }
        if !terminal {
            table.force_no_tty();
        }
        if let Some(width) = width {
            table.set_width(width);
        }
        table.set_content_arrangement(arrangement(width));
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

/// Wraps to the width of a terminal. One that says it is nearly nothing (the terminals of some CI systems say 0) does
/// not know it, and no table would be readable that narrow.
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
    fn a_table_fits_a_terminal_of_60_columns() {
        let mut grid = Grid::new(&[
            "source", "cycle", "state", "took", "pages", "added", "modified", "deleted", "reason",
        ]);
        grid.row(vec![
            "platform".into(),
            Piece::number(1_204),
            "incomplete".into(),
            "3 min 5 s".into(),
            Piece::number(10_000),
            Piece::number(1_000_000),
            Piece::number(0),
            Piece::number(12),
            "a partition was parked because it answered HTML where JSON was expected".into(),
        ]);
        let narrow = grid.render_within(false, true, Some(60));
        assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
        assert!(narrow.starts_with("source    platform\ncycle     1,204\n"), "{narrow}");
        let wide = grid.render_within(false, true, Some(140));
        assert!(wide.starts_with("SOURCE"), "{wide}");
        assert!(wide.lines().all(|line| line.chars().count() <= 140), "{wide}");
        assert_eq!(sample().render_within(false, true, Some(60)).lines().count(), 3);
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
