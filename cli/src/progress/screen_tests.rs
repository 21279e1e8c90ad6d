#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::*;

const ROWS: usize = 24;

/// A terminal that breaks its rows anew when it is resized, as most do.
#[derive(Clone)]
struct Emulator(Arc<Mutex<avt::Terminal>>);

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Emulator")
    }
}

impl Terminal for Emulator {
    fn size(&self) -> (u16, u16) {
        let (columns, rows) = self.0.lock().size();
        (u16::try_from(rows).unwrap(), u16::try_from(columns).unwrap())
    }

    fn write(&self, text: &str) -> io::Result<()> {
        self.0.lock().feed(text);
        Ok(())
    }
}

impl Emulator {
    fn new(columns: usize) -> Self {
        Self(Arc::new(Mutex::new(
            avt::Terminal::with_scrollback(columns, ROWS, None).unwrap(),
        )))
    }

    fn resize(&self, columns: usize) {
        self.0.lock().resize(columns, ROWS);
    }

    /// What can be read, row by row.
    fn rows(&self) -> Vec<String> {
        let terminal = self.0.lock();
        let rows = terminal
            .screen()
            .all_lines()
            .map(|row| row.text().trim_end().to_owned());
        rows.filter(|row| !row.is_empty()).collect()
    }
}

fn bars(emulator: &Emulator) -> (MultiProgress, Vec<ProgressBar>) {
    let screen = Screen {
        reflows: true,
        ..Screen::new(emulator.clone())
    };
    let all = MultiProgress::with_draw_target(ProgressDrawTarget::term_like(Box::new(screen)));
    let style = ProgressStyle::with_template("{prefix:12} {bar:24} {wide_msg}").unwrap();
    let bar = |name: &'static str| all.add(ProgressBar::new(10).with_style(style.clone()).with_prefix(name));
    let bars = ["one", "two", "three"].map(bar).to_vec();
    (all, bars)
}

fn show(bars: &[ProgressBar], position: u64) {
    for bar in bars {
        bar.set_position(position);
        bar.set_message(format!(
            "cycle 1 · bursting · {position} of ten thousand entities · 9 partitions · 400/s"
        ));
    }
}

#[test]
fn bars_survive_a_resize_and_leave_what_was_printed_before_them() {
    let emulator = Emulator::new(100);
    // At the bottom: the emulator keeps empty rows below the cursor when it breaks rows anew, and scrolls others away
    // for them.
    emulator.write(&"\r\n".repeat(ROWS)).unwrap();
    emulator.write("a table\r\nof what was\r\nprinted before\r\n").unwrap();
    let (all, bars) = bars(&emulator);
    for (position, columns) in [100, 60, 140, 41, 42, 90, 200, 80].into_iter().enumerate() {
        emulator.resize(columns);
        show(&bars, u64::try_from(position).unwrap());
        let rows = emulator.rows();
        let names: Vec<&str> = rows.iter().filter_map(|row| row.split_whitespace().next()).collect();
        assert_eq!(
            names,
            ["a", "of", "printed", "one", "two", "three"],
            "{columns}: {rows:#?}"
        );
    }
    for bar in &bars {
        bar.finish_and_clear();
    }
    all.clear().unwrap();
    assert_eq!(emulator.rows(), ["a table", "of what was", "printed before"]);
}

#[test]
fn what_is_printed_between_two_drawings_stays_above_the_bars() {
    let emulator = Emulator::new(60);
    let (all, bars) = bars(&emulator);
    show(&bars, 1);
    all.suspend(|| emulator.write("a table\r\n")).unwrap();
    show(&bars, 2);
    let rows = emulator.rows();
    assert_eq!((rows[0].as_str(), rows.len()), ("a table", 4), "{rows:#?}");
}
