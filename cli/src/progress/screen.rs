//! Where bars are drawn: a terminal whose width may change between two drawings.
//!
//! indicatif fills each row with blanks up to the margin and counts rows by the width that they were drawn for, so that
//! after a resize it erases too few of them, or what was printed before. Here a row ends before the margin with a line
//! break of its own, and what to draw over is counted by the width that the terminal has now.

use std::fmt;
use std::io;

use console::{Term, measure_text_width, truncate_str};
use indicatif::{ProgressDrawTarget, TermLike};
use parking_lot::Mutex;

/// A terminal, as far as bars need one.
pub(super) trait Terminal: fmt::Debug + Send + Sync {
    /// Rows and columns, as they are now.
    fn size(&self) -> (u16, u16);

    /// Writes at once.
    fn write(&self, text: &str) -> io::Result<()>;
}

impl Terminal for Term {
    fn size(&self) -> (u16, u16) {
        Self::size(self)
    }

    fn write(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        Self::flush(self)
    }
}

/// Columns of standard error, as they are now.
pub(super) fn columns() -> u16 {
    Term::stderr().size().1
}

/// Standard error, with at most `draws` draws per second.
pub(super) fn target(draws: u8) -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(Screen::new(Term::stderr())), draws)
}

/// See the module. Takes whole frames: whatever moves or clears is left out, because each frame is drawn over the one
/// before.
#[derive(Debug)]
pub(super) struct Screen<T> {
    terminal: T,
    frame: Mutex<Frame>,
    /// Whether the terminal breaks rows anew when it becomes narrower. Most do; xterm cuts them.
    reflows: bool,
}

#[derive(Debug, Default)]
struct Frame {
    /// The row that is being written.
    row: String,
    /// Those before it.
    rows: Vec<String>,
    /// Widths of the rows on the screen; the cursor is in the last one.
    shown: Vec<usize>,
}

impl<T: Terminal> Screen<T> {
    pub(super) fn new(terminal: T) -> Self {
        Self {
            terminal,
            frame: Mutex::default(),
            reflows: std::env::var_os("XTERM_VERSION").is_none(),
        }
    }
}

impl Frame {
    /// Rows of a terminal of this width that the frame on the screen takes.
    fn height(&self, columns: usize, reflows: bool) -> usize {
        let height = |width: &usize| if reflows { width.div_ceil(columns).max(1) } else { 1 };
        self.shown.iter().map(height).sum()
    }

    /// Draws what was written over what is on the screen (ECMA-48: CUU, EL, ED).
    fn draw(&mut self, columns: usize, reflows: bool) -> String {
        let up = self.height(columns, reflows).saturating_sub(1);
        let rows: Vec<String> = (self.rows.drain(..))
            .map(|row| truncate_str(&row, columns.saturating_sub(1), "…").into_owned())
            .collect();
        self.shown = rows.iter().map(|row| measure_text_width(row)).collect();
        let up = if up > 0 { format!("\u{1b}[{up}A") } else { String::new() };
        format!("\r{up}{}\u{1b}[J", rows.join("\u{1b}[K\r\n"))
    }
}

impl<T: Terminal> TermLike for Screen<T> {
    /// One less than there is: a row that reaches the margin would be one with the next.
    fn width(&self) -> u16 {
        self.terminal.size().1.saturating_sub(1).max(1)
    }

    fn height(&self) -> u16 {
        self.terminal.size().0
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.write_str("")
    }

    /// After each row come the blanks that fill it, perhaps none.
    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut frame = self.frame.lock();
        if !text.trim().is_empty() {
            frame.row.push_str(text);
        } else if !frame.row.is_empty() {
            let row = std::mem::take(&mut frame.row);
            frame.rows.push(row);
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let columns = usize::from(self.terminal.size().1.max(1));
        let mut frame = self.frame.lock();
        let text = frame.draw(columns, self.reflows);
        self.terminal.write(&text)
    }
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
