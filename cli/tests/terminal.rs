//! What a person sees in a terminal that is resized meanwhile, and what a quiet command says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use serde_json::Value;
use support::{DEADLINE, Home, Running, free_address};

const ROWS: u16 = 40;

/// A terminal with a program in it.
struct Terminal {
    master: OwnedFd,
    screen: Arc<Mutex<avt::Terminal>>,
    running: Running,
}

impl Terminal {
    fn start(home: &Home, arguments: &[&str], columns: u16) -> Self {
        let size = Winsize {
            ws_row: ROWS,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).unwrap();
        let stream = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = home.command(arguments);
        command.stdin(stream()).stdout(stream()).stderr(stream());
        command.env("TERM", "xterm-256color").env_remove("XTERM_VERSION");
        let running = Running {
            child: command.spawn().unwrap(),
        };
        let screen = avt::Terminal::with_scrollback(usize::from(columns), usize::from(ROWS), None).unwrap();
        let screen = Arc::new(Mutex::new(screen));
        let (mut output, shown) = (File::from(pty.master.try_clone().unwrap()), Arc::clone(&screen));
        std::thread::spawn(move || {
            let (mut bytes, mut rest) = ([0; 4096], Vec::new());
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                rest.extend_from_slice(&bytes[..read]);
                let whole = match std::str::from_utf8(&rest) {
                    Ok(text) => text.len(),
                    Err(cut) => cut.valid_up_to(),
                };
                let text: Vec<u8> = rest.drain(..whole).collect();
                shown.lock().unwrap().feed(std::str::from_utf8(&text).unwrap());
            }
        });
        Self {
            master: pty.master,
            screen,
            running,
        }
    }

    fn resize(&self, columns: u16) {
        let mut screen = self.screen.lock().unwrap();
        screen.resize(usize::from(columns), usize::from(ROWS));
        let size = rustix::termios::Winsize {
            ws_row: ROWS,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&self.master, size).unwrap();
    }

    /// What can be read on the screen, row by row.
    fn rows(&self) -> Vec<String> {
        let screen = self.screen.lock().unwrap();
        text_of(screen.screen().visible_lines())
    }

    /// The same with what was scrolled off the screen. This terminal keeps the empty rows at its bottom when it is
    /// resized.
    fn all_rows(&self) -> Vec<String> {
        let screen = self.screen.lock().unwrap();
        text_of(screen.screen().all_lines())
    }

    /// Looks until the screen is as wanted.
    #[track_caller]
    fn wait_for(&self, look: fn(&Self) -> Vec<String>, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let started = Instant::now();
        loop {
            let rows = look(self);
            if wanted(&rows) {
                return rows;
            }
            assert!(started.elapsed() < DEADLINE, "it was never shown: {rows:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ctrl-C; the exit code.
    fn interrupt(mut self) -> Option<i32> {
        self.running.signal(Signal::SIGINT);
        let started = Instant::now();
        loop {
            if let Some(status) = self.running.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(started.elapsed() < DEADLINE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn text_of<'a>(rows: impl Iterator<Item = &'a avt::Line>) -> Vec<String> {
    rows.map(|row| row.text().trim_end().to_owned())
        .filter(|row| !row.is_empty())
        .collect()
}

fn with(rows: &[String], text: &str) -> usize {
    rows.iter().filter(|row| row.contains(text)).count()
}

#[test]
fn progress_survives_a_resize_of_the_terminal() {
    let home = Home::with_files();
    let terminal = Terminal::start(&home, &["run"], 100);
    let resting = |rows: &[String]| with(rows, "resting") == 1 && with(rows, "complete") == 1;
    let before = terminal.wait_for(Terminal::all_rows, resting);
    for columns in [60, 140, 50, 100] {
        terminal.resize(columns);
        // A new second has been counted down on a screen of this width.
        let old = terminal.all_rows();
        let rows = terminal.wait_for(Terminal::all_rows, |rows| resting(rows) && rows != old);
        let bars = rows
            .iter()
            .filter(|row| row.starts_with("folder  ") && row.contains('━'))
            .count();
        assert_eq!(bars, 1, "{columns}: {rows:#?}");
    }
    let after = terminal.all_rows();
    assert_eq!(
        after.len(),
        before.len(),
        "something was left or erased: {before:#?} {after:#?}"
    );
}

#[test]
fn a_run_prints_the_address_at_which_a_browser_finds_the_dashboard() {
    let home = Home::with_files();
    let free = free_address();
    let config = std::fs::read_to_string(home.path("tideline.yaml")).unwrap();
    home.write(
        "tideline.yaml",
        &config.replace("listen: none", &format!("listen: {free}")),
    );
    let terminal = Terminal::start(&home, &["run"], 100);
    let printed = format!("dashboard and API on http://{free}/");
    terminal.wait_for(Terminal::all_rows, |rows| {
        with(rows, &printed) == 1 && with(rows, "complete") == 1
    });
    let mut page = TcpStream::connect(free).unwrap();
    page.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(page, "GET / HTTP/1.1\r\nhost: {free}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    page.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("<title>"),
        "{answer}"
    );
    assert_eq!(terminal.interrupt(), Some(0));
}

#[test]
fn a_watched_status_is_drawn_anew_on_the_same_screen_until_ctrl_c() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    let terminal = Terminal::start(&home, &["status", "--watch", "1"], 100);
    let whole = |rows: &[String]| with(rows, "last change") == 1 && with(rows, "No worker is alive") == 1;
    terminal.wait_for(Terminal::rows, |rows| whole(rows) && with(rows, "10") > 0);
    home.record(10, "new");
    home.run(&["sources", "refresh", "folder"]).with_code(0);
    home.run(&["run", "--once"]).with_code(0);
    let rows = terminal.wait_for(Terminal::rows, |rows| whole(rows) && with(rows, "11") > 0);
    assert_eq!(with(&rows, "due jobs"), 1, "an older one is still there: {rows:#?}");
    terminal.resize(60);
    terminal.wait_for(Terminal::rows, whole);
    assert_eq!(terminal.interrupt(), Some(0));
}

#[test]
fn a_program_that_watches_the_status_reads_a_record_per_line() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    let mut running = home.start(&["status", "--watch", "1", "--json"]);
    let output = running.child.stdout.take().unwrap();
    let records: Vec<Value> = BufReader::new(output)
        .lines()
        .take(2)
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    for record in &records {
        assert_eq!(record["sources"][0]["source"]["entities"], 10, "{record}");
    }
    assert!(records[0]["now"].as_str() < records[1]["now"].as_str(), "{records:?}");
    let mut command = home.command(&["status", "--watch", "0"]);
    assert_eq!(
        command.output().unwrap().status.code(),
        Some(2),
        "a pause of nothing would be a storm"
    );
}

#[test]
fn a_quiet_command_says_what_was_asked_for_and_nothing_beside_it() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    let list = ["entities", "list", "--limit", "3"];
    let told = home.run(&list).with_code(0);
    let quiet = home.run(&[&["-q"], &list[..]].concat()).with_code(0);
    assert_eq!(with_ref(&told.out), 3, "{told:?}");
    assert_eq!(with_ref(&quiet.out), 3, "{quiet:?}");
    let hint = "There may be more";
    assert!(told.out.contains(hint), "{told:?}");
    assert!(!quiet.out.contains(hint) && quiet.err.is_empty(), "{quiet:?}");
    // An act that worked says nothing; one that did not still says why.
    let told = home.run(&["sources", "pause", "folder"]).with_code(0);
    assert!(!told.out.is_empty(), "{told:?}");
    let quiet = home.run(&["--quiet", "sources", "resume", "folder"]).with_code(0);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
    let failed = home.run(&["-q", "sources", "resume", "nope"]).with_code(5);
    assert!(failed.err.contains("nope"), "{failed:?}");
}

fn with_ref(text: &str) -> usize {
    text.lines().filter(|line| line.contains("component:default/")).count()
}
