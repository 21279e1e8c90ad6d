//! `tideline check`: every error of the configuration at once.

use clap::Args;
use serde_json::json;
use tideline_config::ConfigErrors;

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
        out.document(&json!({"ok": true, "errors": [], "sources": sources}))?;
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
    Ok(Code::Done)
}
