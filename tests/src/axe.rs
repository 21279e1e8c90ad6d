//! axe-core (<https://github.com/dequelabs/axe-core>), which finds accessibility problems. It is not part of Tideline
//! (its license is MPL-2.0): npm fetches it when a test wants it, or `TIDELINE_TEST_AXE` names the file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The version that is fetched.
const VERSION: &str = "axe-core@4.10.3";

/// Asks it about the page, and answers with what it found: rule, why, and the first places.
pub const RUN: &str = r#"axe.run(document, { resultTypes: ["violations"] }).then((found) => found.violations.map((violation) =>
  violation.id + ": " + violation.nodes.slice(0, 3).map((node) => node.html.slice(0, 160) + " (" + (node.any[0]?.message
  || node.all[0]?.message || node.none[0]?.message || violation.help) + ")").join("; ")).join("\n"))"#;

/// Its script; none: it cannot be had here, which is said once.
pub fn script() -> Option<&'static str> {
    static SCRIPT: OnceLock<Option<String>> = OnceLock::new();
    SCRIPT
        .get_or_init(|| {
            let found = file().and_then(|path| std::fs::read_to_string(path).ok());
            if found.is_none() {
                eprintln!("left out: axe-core is not here, npm cannot fetch it, and TIDELINE_TEST_AXE names none");
            }
            found
        })
        .as_deref()
}

fn file() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("TIDELINE_TEST_AXE") {
        return Some(given.into());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/axe");
    let file = folder.join("node_modules/axe-core/axe.min.js");
    if !file.is_file() {
        std::fs::create_dir_all(&folder).ok()?;
        let mut command = Command::new("npm");
        command
            .args([
                "install",
                "--no-save",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--fetch-retries=0",
            ])
            .arg("--prefix")
            .arg(&folder)
            .arg(VERSION);
        command.output().ok()?;
    }
    file.is_file().then_some(file)
}
