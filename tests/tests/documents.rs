//! Claims of the documents about the code: the tests they name exist, and the crates depend on each other as
//! ARCHITECTURE.md shows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Documents whose tables name tests.
const DOCUMENTS: [&str; 3] = ["docs/guarantees.md", "docs/operations.md", "docs/scenarios.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

/// Every `.rs` file of the workspace's crates.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// What stands between backquotes in the last column of a table and looks like a test's name.
fn named_tests(document: &str) -> BTreeSet<&str> {
    let last_columns = document
        .lines()
        .filter(|line| line.starts_with('|'))
        .filter_map(|line| line.trim_end_matches('|').rsplit('|').next());
    last_columns
        .flat_map(|column| column.split('`').skip(1).step_by(2))
        .filter(|name| {
            name.contains('_')
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
        .collect()
}

#[test]
fn every_test_that_a_document_names_exists() -> Result<()> {
    let mut files = Vec::new();
    sources(&root(), &mut files)?;
    let mut code = String::new();
    for file in &files {
        code.push_str(&std::fs::read_to_string(file)?);
    }
    for name in DOCUMENTS {
        let document = std::fs::read_to_string(root().join(name)).with_context(|| name.to_owned())?;
        let tests = named_tests(&document);
        ensure!(tests.len() > 5, "{name} names hardly any test: {tests:?}");
        let missing: Vec<_> = tests
            .iter()
            .filter(|test| !code.contains(&format!("fn {test}(")))
            .collect();
        ensure!(missing.is_empty(), "{name} names tests that do not exist: {missing:?}");
    }
    Ok(())
}

#[test]
fn names_of_tests_are_found_in_the_last_column_only() {
    let document = "| `not_this` | `this_one`, `and_that` |\n`nor_this`\n|---|---|\n| a | `Not::this` |\n";
    assert_eq!(named_tests(document), BTreeSet::from(["this_one", "and_that"]));
}

/// The crates in layers: each may depend on crates of earlier layers only, so that roles never depend on each other.
const LAYERS: [&[&str]; 5] = [
    &["tideline-core", "tideline-expression"],
    &["tideline-config", "tideline-store", "tideline-queue"],
    &["tideline-runtime"],
    &["tideline-producer", "tideline-worker", "tideline-scheduler"],
    &["tideline-cli"],
];

/// The product's crates, each with the crates of this workspace that it needs to run.
fn dependencies() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(root().join("Cargo.toml"))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().context("packages")? {
        let needs = package["dependencies"].as_array().context("dependencies")?.iter();
        let needs = needs
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|name| name.starts_with("tideline-"));
        let name = package["name"].as_str().context("name")?;
        found.insert(name.to_owned(), needs.map(str::to_owned).collect());
    }
    for tool in ["tideline-tests", "tideline-bench"] {
        found.remove(tool);
    }
    Ok(found)
}

#[test]
fn crates_depend_only_on_crates_of_lower_layers() -> Result<()> {
    let layer = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    for (name, needs) in dependencies()? {
        let own =
            layer(&name).with_context(|| format!("{name} is in no layer: add it to LAYERS and ARCHITECTURE.md"))?;
        for needed in needs {
            let below = layer(&needed).is_some_and(|below| below < own);
            ensure!(below, "{name} depends on {needed}, which is not in a layer below it");
        }
    }
    Ok(())
}
