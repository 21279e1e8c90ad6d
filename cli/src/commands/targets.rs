//! `tideline targets`: list them, look at one, act on one.

use clap::{Args, Subcommand};
use tideline_core::words::{TargetState, Timestamp};
use tideline_producer::api::types::{EntityOfTarget, ObjectOfTarget, Page, Target, TargetAct};

use crate::client::Request;
use crate::context::Context;
use crate::exit::Code;
use crate::output::{Grid, Out, Piece, Tone, count, moment, short};

/// Without a subcommand: list.
#[derive(Args, Debug)]
pub(crate) struct TargetsArgs {
    #[command(subcommand)]
    command: Option<TargetsCommand>,
}

/// What to do with targets.
#[derive(Debug, Subcommand)]
enum TargetsCommand {
    /// List all targets (the default)
    List,
    /// Show one target with its failures and the objects it owns
    #[command(alias = "get")]
    Show(Named),
    /// Compare with the whole catalog again, retry what was refused, and end a hold
    Resync(Named),
    /// Stop sending to the target until it is resumed
    Pause(Named),
    /// Resume a paused target
    Resume(Named),
}

/// Which target.
#[derive(Args, Debug)]
struct Named {
    /// Name of the target
    name: String,
}

/// Lists, shows or acts.
pub(crate) async fn run(context: &Context, out: &mut Out, args: TargetsArgs) -> anyhow::Result<Code> {
    match args.command.unwrap_or(TargetsCommand::List) {
        TargetsCommand::List => list(context, out).await,
        TargetsCommand::Show(named) => show(context, out, &named.name).await,
        TargetsCommand::Resync(named) => {
            let name = &named.name;
            let said = format!("checking everything again; `tideline targets show {name}` shows the progress");
            act(context, out, name, "resync", &said).await
        }
        TargetsCommand::Pause(named) => {
            let name = &named.name;
            let said = format!("paused; `tideline targets resume {name}` continues");
            act(context, out, name, "pause", &said).await
        }
        TargetsCommand::Resume(named) => act(context, out, &named.name, "resume", "resumed").await,
    }
}

async fn list(context: &Context, out: &mut Out) -> anyhow::Result<Code> {
    let client = context.client().await?;
    let answer = client.send(&Request::get(&["targets"])).await?;
    if out.is_json() {
        out.answer(&answer.text())?;
        return Ok(Code::Done);
    }
    let targets: Page<Target> = answer.read()?;
    if targets.items.is_empty() {
        out.note(
            Tone::Plain,
            "No targets yet: `tideline run` takes them from the configuration.",
        )?;
        return Ok(Code::Done);
    }
    let mut grid = Grid::new(&["target", "type", "phase", "entities", "failing", "objects"]);
    for target in &targets.items {
        grid.row(vec![
            target.name.as_str().into(),
            Piece::toned(target.target_type.as_str(), Tone::Dim),
            phase(target),
            Piece::number(target.entities),
            Piece::number(target.failing),
            Piece::number(target.objects),
        ]);
    }
    out.grid(&grid)?;
    Ok(Code::Done)
}

/// What a target is doing, in one word.
fn phase(target: &Target) -> Piece {
    let (word, tone) = match target.state {
        _ if !target.configured => ("not configured", Tone::Warn),
        TargetState::Paused => ("paused", Tone::Warn),
        TargetState::Active if target.hold_until.is_some() => ("held back", Tone::Bad),
        TargetState::Active if target.looking => ("looking", Tone::Busy),
        TargetState::Active => ("following", Tone::Good),
    };
    Piece::toned(word, tone)
}

async fn show(context: &Context, out: &mut Out, name: &str) -> anyhow::Result<Code> {
    let client = context.client().await?;
    let target: Target = client.ask(&Request::get(&["targets", name])).await?;
    let failing = Request::get(&["targets", name, "entities"]).query("failing", Some(true));
    let failing: Page<EntityOfTarget> = client.ask(&failing).await?;
    let objects: Page<ObjectOfTarget> = client.ask(&Request::get(&["targets", name, "objects"])).await?;
    if out.is_json() {
        let shown = serde_json::json!({ "target": target, "failing": failing.items, "objects": objects.items });
        out.document(&shown)?;
        return Ok(Code::Done);
    }
    let now = context.now();
    out.grid(&pairs(&target, now))?;
    let mut grid = Grid::new(&["failing", "error"]);
    for entity in &failing.items {
        let error = entity.error.as_deref().unwrap_or_default();
        grid.row(vec![entity.reference.as_str().into(), short(error, 300).into()]);
    }
    let mut owned = Grid::new(&["object", "entity", "state", "changed"]);
    for object in &objects.items {
        let state = match (&object.error, object.whole) {
            (Some(_), _) => Piece::toned("failing", Tone::Bad),
            (None, true) => Piece::toned("whole", Tone::Good),
            (None, false) => Piece::toned("in the making", Tone::Busy),
        };
        let changed = moment(object.updated_at.0, now);
        owned.row(vec![
            object.object.as_str().into(),
            object.reference.as_str().into(),
            state,
            changed.into(),
        ]);
    }
    for grid in [grid, owned].iter().filter(|grid| !grid.is_empty()) {
        out.line("")?;
        out.grid(grid)?;
    }
    if failing.next_page_token.is_some() || objects.next_page_token.is_some() {
        out.note(
            Tone::Dim,
            format!("There are more: GET /v1/targets/{name}/entities and /objects list all."),
        )?;
    }
    Ok(Code::Done)
}

fn pairs(target: &Target, now: Timestamp) -> Grid {
    let mut grid = Grid::pairs();
    grid.pair("target", target.name.as_str());
    grid.pair("type", target.target_type.as_str());
    grid.pair("phase", phase(target));
    if let (Some(until), Some(reason)) = (target.hold_until, &target.hold_reason) {
        let text = format!("until {until} ({}): {reason}", moment(until.0, now));
        grid.pair("held back", Piece::toned(text, Tone::Warn));
    }
    grid.pair("entities", count(target.entities));
    grid.pair("failing", count(target.failing));
    grid.pair("objects", count(target.objects));
    grid.pair("position", target.position.as_str());
    if let Some(looked_at) = target.looked_at {
        grid.pair("last look", format!("{looked_at} ({})", moment(looked_at.0, now)));
    }
    grid
}

async fn act(context: &Context, out: &mut Out, name: &str, word: &str, said: &str) -> anyhow::Result<Code> {
    let client = context.client().await?;
    let accepted: TargetAct = client.ask(&Request::post(&["targets", name, word])).await?;
    if out.is_json() {
        out.document(&accepted)?;
    } else {
        out.note(Tone::Plain, format!("{name}: {said}"))?;
    }
    Ok(Code::Done)
}
