//! The example programs run to their ends and do what they say. Cargo builds them before it runs tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;

fn output_of(example: &str) -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_tideline")).parent().unwrap();
    let output = Command::new(folder.join("examples").join(example)).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{example}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[test]
fn the_example_of_an_own_source_ingests_it() {
    assert_eq!(output_of("own_source"), "cycle 1 is Complete: 40 entities added\n");
}

#[test]
fn the_example_of_an_own_handler_runs_each_wish_once() {
    assert_eq!(output_of("own_handler"), "13 letters; enqueued again: Unchanged\n");
}
