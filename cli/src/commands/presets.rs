//! `tideline presets`: the named source types, and what a line of one stands for.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;
use tideline_config::presets::{find_preset, presets, show_preset, show_source};

use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::{Grid, Out};

/// Without a subcommand: list.
#[derive(Args, Debug)]
pub(crate) struct PresetsArgs {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the presets and their parameters (the default)
    List,
    /// Print the `http` source that a preset, or a source of the configuration, expands to
    #[command(alias = "get")]
    Show(ShowArgs),
}

#[derive(Args, Debug)]
struct ShowArgs {
    /// Name of a preset
    #[arg(value_name = "TYPE", required_unless_present = "source", conflicts_with = "source")]
    preset: Option<String>,
    /// Show this source of the configuration with its own keys and values
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
}

/// Needs no store.
pub(crate) fn run(context: &Context, out: &mut Out, args: &PresetsArgs) -> anyhow::Result<Code> {
    match &args.action {
        None | Some(Action::List) => list(out),
        Some(Action::Show(ShowArgs { source: Some(name), .. })) => {
            let path = context.config_path();
            let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()));
            let text = text.map_err(|error| Failure::new(Code::Config, format!("{error:#}")))?;
            let shown = show_source(&text, name)
                .map_err(|why| Failure::new(Code::Config, format!("{}: {why}", path.display())))?;
            print(out, name, &shown)
        }
        Some(Action::Show(ShowArgs { preset, .. })) => {
            let name = preset.as_deref().unwrap_or_default();
            let Some(preset) = find_preset(name) else {
                let known: Vec<&str> = presets().iter().map(tideline_config::presets::Preset::name).collect();
                let why = format!("there is no preset {name:?}; available presets: {}", known.join(", "));
                return Err(Failure::new(Code::NotFound, why).into());
            };
            print(out, name, &show_preset(preset))
        }
    }
}

fn print(out: &mut Out, name: &str, yaml: &str) -> anyhow::Result<Code> {
    if out.is_json() {
        out.document(&json!({ "name": name, "yaml": yaml }))?;
    } else {
        out.line(yaml.trim_end())?;
    }
    Ok(Code::Done)
}

fn list(out: &mut Out) -> anyhow::Result<Code> {
    if out.is_json() {
        let presets = presets().iter().map(|preset| {
            let parameters = preset.parameters();
            let parameters =
                parameters.map(|(name, default, doc)| json!({ "name": name, "default": default, "doc": doc }));
            json!({ "type": preset.name(), "about": preset.about(), "parameters": parameters.collect::<Vec<_>>() })
        });
        out.document(&json!({ "presets": presets.collect::<Vec<_>>() }))?;
        return Ok(Code::Done);
    }
    let mut grid = Grid::new(&["type", "parameters", "reads"]);
    for preset in presets() {
        let names: Vec<&str> = preset.parameters().map(|(name, ..)| name).collect();
        grid.row(vec![
            preset.name().into(),
            names.join(", ").into(),
            preset.about().into(),
        ]);
    }
    out.grid(&grid)?;
    Ok(Code::Done)
}
