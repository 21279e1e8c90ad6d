//! `tideline check`: every error of the configuration at once.

use clap::Args;
use serde_json::json;
use tideline_config::ConfigErrors;
use tideline_config::settings::{Settings, SourceKind, SourceSettings};

use crate::context::Context;
use crate::exit::Code;
use crate::output::{Grid, Out, Tone};

/// No arguments of its own.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {}

/// 0, or 2 if anything is wrong. Opens neither store nor queue.
pub(crate) fn run(context: &Context, out: &mut Out, _args: CheckArgs) -> anyhow::Result<Code> {
    let settings = match context.settings() {
        Ok(settings) => settings,
        Err(error) => {
            let Some(errors) = error.downcast_ref::<ConfigErrors>().filter(|_| out.is_json()) else {
                return Err(error);
            };
            out.document(&json!({"ok": false, "errors": errors}))?;
            return Ok(Code::Config);
        }
    };
    if out.is_json() {
        let sources: Vec<_> = settings
            .sources
            .iter()
            .map(|source| json!({"name": source.name, "type": source.source_type}))
            .collect();
        let warnings: Vec<String> = warnings(&settings).collect();
        let targets = settings
            .targets
            .iter()
            .map(|target| json!({"name": target.name, "type": target.kind.word()}));
        let targets: Vec<_> = targets.collect();
        let good = json!({"ok": true, "errors": [], "warnings": warnings, "sources": sources, "targets": targets});
        out.document(&good)?;
        return Ok(Code::Done);
    }
    out.toned(Tone::Good, format!("{} is good.", context.config_path().display()))?;
    let mut grid = Grid::new(&["source", "type", "parallel partitions", "confirm cycles"]);
    for source in &settings.sources {
        grid.row(vec![
            source.name.as_str().into(),
            source.source_type.as_str().into(),
            source.parallel_partitions.to_string().into(),
            source.confirm_cycles.to_string().into(),
        ]);
    }
    if !grid.is_empty() {
        out.grid(&grid)?;
    }
    let mut grid = Grid::new(&["target", "type", "concurrency"]);
    for target in &settings.targets {
        grid.row(vec![
            target.name.as_str().into(),
            target.kind.word().into(),
            target.concurrency.to_string().into(),
        ]);
    }
    if !grid.is_empty() {
        out.grid(&grid)?;
    }
    for warning in warnings(&settings) {
        out.toned(Tone::Warn, format!("Warning: {warning}"))?;
    }
    Ok(Code::Done)
}

/// What is allowed, but surely not meant.
fn warnings(settings: &Settings) -> impl Iterator<Item = String> + '_ {
    let empty = settings.sources.is_empty();
    let none = empty.then(|| "sources is empty: nothing will be read".to_owned());
    let each = settings.sources.iter().enumerate().flat_map(|(index, source)| {
        let warnings = source.warnings().into_iter().chain(missing_folder(source));
        warnings.map(move |(key, why)| format!("sources[{index}].{key} {why}"))
    });
    none.into_iter().chain(each)
}

/// The folder may come later, or be on another machine: no error.
fn missing_folder(source: &SourceSettings) -> Option<(String, String)> {
    let SourceKind::Files(files) = &source.kind else {
        return None;
    };
    let why = || format!("is {}, which is not a folder on this machine", files.path.display());
    (!files.path.is_dir()).then(|| ("path".to_owned(), why()))
}
