//! `tideline sources`: list them, look at one, act on one.

use clap::{Args, Subcommand};
use tideline_core::words::{CycleNumber, CycleState, SourceState, Timestamp};
use tideline_producer::api::types::{
    Approval, Collision, Cycle, Held, Left, Malformed, Source, SourceOverview, SourceStatus, Status, Unseen,
};

use super::source_actions::{self, Action};
use crate::client::Request;
use crate::context::Context;
use crate::exit::Code;
use crate::output::{Grid, Out, Piece, Tone, count, moment, sentence, short, span};

/// Without a subcommand: list.
#[derive(Args, Debug)]
pub(crate) struct SourcesArgs {
    #[command(subcommand)]
    command: Option<SourcesCommand>,
}

/// What to do with sources.
#[derive(Debug, Subcommand)]
enum SourcesCommand {
    /// List all sources (the default)
    List,
    /// Show one source with its last cycles and malformed items
    #[command(alias = "get")]
    Show(Named),
    /// Request a cycle now; also unblocks a blocked source
    Refresh(Named),
    /// Stop running the source until it is resumed; a running burst stops after its current page
    Pause(Named),
    /// Resume a paused source
    Resume(Named),
    /// Cancel the running cycle without a sweep
    Cancel(Named),
    /// Discard cursors and remembered pages so that the next cycle reads everything
    Reset(ResetArgs),
    /// Approve the held sweep, after showing what it would delete
    Approve(ApproveArgs),
    /// Reject the held sweep: its entities stay
    Reject(Named),
}

/// Which source.
#[derive(Args, Debug)]
struct Named {
    /// Name of the source
    name: String,
}

/// Which source, which sweep of it, and whether to ask.
#[derive(Args, Debug)]
struct ApproveArgs {
    /// Name of the source
    name: String,
    /// Approve only the held sweep of this cycle, as `sources show` shows it, without asking; goes with --removals
    #[arg(long, requires = "removals")]
    cycle: Option<i64>,
    /// Approve only a sweep that would delete this many entities; goes with --cycle
    #[arg(long, requires = "cycle")]
    removals: Option<u64>,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    yes: bool,
}

/// How to reset.
#[derive(Args, Debug)]
struct ResetArgs {
    /// Name of the source
    name: String,
    /// Also delete all its entities; an orphaned source is then removed
    #[arg(long)]
    delete: bool,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    yes: bool,
}

/// Lists, shows or acts.
pub(crate) async fn run(context: &Context, out: &mut Out, args: SourcesArgs) -> anyhow::Result<Code> {
    let (name, action, yes) = match args.command.unwrap_or(SourcesCommand::List) {
        SourcesCommand::List => return list(context, out).await,
        SourcesCommand::Show(named) => return show(context, out, &named.name).await,
        SourcesCommand::Refresh(named) => (named.name, Action::Refresh, true),
        SourcesCommand::Pause(named) => (named.name, Action::Pause, true),
        SourcesCommand::Resume(named) => (named.name, Action::Resume, true),
        SourcesCommand::Cancel(named) => (named.name, Action::Cancel, true),
        SourcesCommand::Reject(named) => (named.name, Action::Reject, true),
        SourcesCommand::Approve(approve) => {
            let seen = approve
                .cycle
                .zip(approve.removals)
                .map(|(cycle, would_remove)| Approval {
                    cycle: CycleNumber(cycle),
                    would_remove,
                });
            (approve.name, Action::Approve { seen }, approve.yes || seen.is_some())
        }
        SourcesCommand::Reset(reset) => (reset.name, Action::Reset { delete: reset.delete }, reset.yes),
    };
    source_actions::act(context, out, &name, action, yes).await
}

async fn list(context: &Context, out: &mut Out) -> anyhow::Result<Code> {
    let client = context.client().await?;
    if out.is_json() {
        out.answer(&client.send(&Request::get(&["sources"])).await?.text())?;
        return Ok(Code::Done);
    }
    // The list alone does not say what the sources wait for.
    let status: Status = client.ask(&Request::get(&["status"])).await?;
    if status.sources.is_empty() {
        out.note(Tone::Plain, NO_SOURCES)?;
    } else {
        out.grid(&sources_grid(&status.sources, context.now()))?;
    }
    Ok(Code::Done)
}

/// What is said where there are none.
pub(crate) const NO_SOURCES: &str = "No sources yet: `tideline run` takes them from the configuration.";

/// One row per source.
pub(crate) fn sources_grid(sources: &[SourceStatus], now: Timestamp) -> Grid {
    let mut grid = Grid::new(&["source", "type", "cycle", "phase", "entities", "why"]);
    for SourceStatus {
        source,
        newest_cycle,
        why,
        ..
    } in sources
    {
        let (word, tone) = phase(source, newest_cycle.as_ref());
        grid.row(vec![
            source.name.as_str().into(),
            Piece::toned(source.source_type.as_str(), Tone::Dim),
            Piece::number(u64::try_from(source.cycle.0).unwrap_or_default()),
            Piece::toned(word, tone),
            Piece::number(source.entities),
            short(&sentence(why.sentence_after(word), now), 160).into(),
        ]);
    }
    grid
}

/// What a source is doing, in one word.
fn phase(source: &Source, cycle: Option<&Cycle>) -> (&'static str, Tone) {
    match source.state {
        SourceState::Paused => ("paused", Tone::Warn),
        SourceState::Blocked => ("blocked", Tone::Bad),
        SourceState::Orphaned => ("orphaned", Tone::Warn),
        SourceState::Active => match cycle.map(|cycle| cycle.state) {
            Some(CycleState::Bursting) => ("reading", Tone::Busy),
            Some(CycleState::Sweeping) => ("sweeping", Tone::Busy),
            _ if source.held.as_ref().is_some_and(|held| !held.approved) => ("held", Tone::Warn),
            Some(CycleState::Incomplete) => ("incomplete", Tone::Bad),
            Some(CycleState::Cancelled) if cycle.is_some_and(Cycle::failed) => ("failing", Tone::Bad),
            Some(CycleState::Cancelled) => ("cancelled", Tone::Warn),
            Some(CycleState::Complete | CycleState::Held) => ("resting", Tone::Good),
            None => ("new", Tone::Dim),
        },
    }
}

async fn show(context: &Context, out: &mut Out, name: &str) -> anyhow::Result<Code> {
    let client = context.client().await?;
    let answer = client.send(&Request::get(&["sources", name, "overview"])).await?;
    if out.is_json() {
        out.answer(&answer.text())?;
        return Ok(Code::Done);
    }
    let now = context.now();
    let shown: SourceOverview = answer.read()?;
    out.grid(&source_pairs(&shown, now))?;
    for grid in [
        cycles_grid(&shown.cycles, now),
        malformed_grid(&shown.malformed),
        collisions_grid(&shown.collisions),
        unseen_grid(&shown.unseen),
    ] {
        if !grid.is_empty() {
            out.line("")?;
            out.grid(&grid)?;
        }
    }
    Ok(Code::Done)
}

fn source_pairs(shown: &SourceOverview, now: Timestamp) -> Grid {
    let mut grid = Grid::pairs();
    let source = &shown.source;
    grid.pair("source", source.name.as_str());
    grid.pair("type", source.source_type.as_str());
    let (word, tone) = phase(source, shown.cycles.first());
    grid.pair("phase", Piece::toned(word, tone));
    grid.pair("why", sentence(shown.why.sentence_after(word), now));
    grid.pair("entities", count(source.entities));
    grid.pair("cycle", source.cycle.to_string());
    if let Some(next) = source.next_cycle_at {
        grid.pair("next cycle", format!("{next} ({})", moment(next.0, now)));
    }
    for left in shown.left.iter().flat_map(Left::sentences) {
        grid.pair("look at", Piece::toned(left, Tone::Warn));
    }
    if let Some(held) = &source.held {
        grid.pair("held sweep", held_sweep(source, held, shown.cycles.first()));
    }
    grid
}

fn held_sweep(source: &Source, held: &Held, newest: Option<&Cycle>) -> Piece {
    if !held.approved {
        let (name, reason) = (&source.name, &held.reason);
        let since = held.since_cycle.filter(|first| *first != held.cycle);
        let since = since.map_or_else(String::new, |first| format!(" (held since cycle {first})"));
        return Piece::toned(
            format!(
                "of cycle {}{since}, {name}: {reason}; `tideline sources approve {name}` or `reject {name}`",
                held.cycle
            ),
            Tone::Warn,
        );
    }
    let sweeps = newest.is_some_and(|cycle| cycle.number == held.cycle && cycle.state == CycleState::Sweeping);
    let when = if sweeps {
        "now"
    } else {
        "at the end of the next complete cycle"
    };
    Piece::toned(
        format!(
            "of cycle {}, approved: up to {} entities are deleted {when}",
            held.cycle,
            count(held.would_remove)
        ),
        Tone::Busy,
    )
}

/// One row per cycle.
fn cycles_grid(cycles: &[Cycle], now: Timestamp) -> Grid {
    let mut grid = Grid::new(&[
        "cycle",
        "state",
        "trigger",
        "started",
        "took",
        "pages",
        "same",
        "added",
        "modified",
        "unchanged",
        "deleted",
        "malformed",
        "reason",
    ]);
    for cycle in cycles {
        let totals = &cycle.totals;
        grid.row(vec![
            Piece::number(u64::try_from(cycle.number.0).unwrap_or_default()),
            cycle_state(cycle.state, cycle.reason.as_deref(), totals.has_gaps()),
            cycle.trigger.as_str().into(),
            moment(cycle.started_at.0, now).into(),
            span(cycle.ended_at.map_or(now, |ended| ended.0).since(cycle.started_at.0)).into(),
            Piece::number(totals.pages),
            Piece::number(totals.pages_unchanged),
            Piece::number_toned(totals.added, Tone::Good),
            Piece::number_toned(totals.modified, Tone::Warn),
            Piece::number(totals.unchanged),
            Piece::number_toned(totals.removed, Tone::Bad),
            Piece::number_toned(totals.malformed, Tone::Bad),
            short(cycle.reason.as_deref().unwrap_or_default(), 120).into(),
        ]);
    }
    grid
}

/// A cycle's state, toned. With gaps, a complete one is worth a look.
pub(crate) fn cycle_state(state: CycleState, reason: Option<&str>, has_gaps: bool) -> Piece {
    let tone = match state {
        CycleState::Bursting | CycleState::Sweeping => Tone::Busy,
        CycleState::Held => Tone::Warn,
        CycleState::Complete if has_gaps => Tone::Warn,
        CycleState::Complete => Tone::Good,
        _ if state.is_failure(reason) => Tone::Bad,
        CycleState::Incomplete | CycleState::Cancelled => Tone::Warn,
    };
    Piece::toned(cycle_word(state, reason), tone)
}

/// The word of a cycle's state for people.
pub(crate) fn cycle_word(state: CycleState, reason: Option<&str>) -> &'static str {
    match state {
        CycleState::Bursting => "reading",
        CycleState::Sweeping => "sweeping",
        CycleState::Held => "held",
        CycleState::Complete => "complete",
        CycleState::Incomplete => "incomplete",
        CycleState::Cancelled if state.is_failure(reason) => "failed",
        CycleState::Cancelled => "cancelled",
    }
}

/// One line of it is enough to find the item again; all of it is in the JSON.
fn sample(text: &str) -> String {
    short(&text.split_whitespace().collect::<Vec<_>>().join(" "), 80)
}

fn collisions_grid(collisions: &[Collision]) -> Grid {
    let mut grid = Grid::new(&["on more than one page", "pages", "in the catalog from", "page"]);
    for collision in collisions {
        grid.row(vec![
            collision.reference.as_str().into(),
            Piece::number(collision.places),
            collision.partition.as_str().into(),
            Piece::number(u64::from(collision.page)),
        ]);
    }
    grid
}

fn unseen_grid(unseen: &[Unseen]) -> Grid {
    let mut grid = Grid::new(&["not seen", "complete cycles", "kept because"]);
    for entity in unseen {
        let because = match (entity.rejected, entity.cycles) {
            (true, _) => "its removal was rejected",
            (false, 0) => "something that could not be read may own it",
            (false, _) => "waiting for another complete cycle, or for an approval",
        };
        grid.row(vec![
            entity.reference.as_str().into(),
            Piece::number(u64::from(entity.cycles)),
            because.into(),
        ]);
    }
    grid
}

fn malformed_grid(items: &[Malformed]) -> Grid {
    let mut grid = Grid::new(&["malformed in", "partition", "page", "ref", "error", "sample"]);
    for item in items {
        grid.row(vec![
            format!("cycle {}", item.cycle).into(),
            item.partition.as_str().into(),
            Piece::number(u64::from(item.page)),
            item.reference.as_deref().unwrap_or_default().into(),
            short(&item.error, 160).into(),
            Piece::toned(sample(&item.sample), Tone::Dim),
        ]);
    }
    grid
}
