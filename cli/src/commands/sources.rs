//! `tideline sources`: list them, look at one, act on one.

use clap::{Args, Subcommand};
use serde::Serialize;
use tideline_core::words::{
    Collision, CycleNumber, CycleRecord, CycleState, HeldSweep, MalformedRecord, SourceRecord, Timestamp, UnseenEntity,
};
use tideline_store::{SourceStore, StoreError};

use super::source_actions::{self, Action};
use super::view::{Left, SourceView, view, view_all};
use crate::context::Context;
use crate::exit::Code;
use crate::output::{Grid, Out, Piece, Tone, count, moment, short, span};

/// Cycles and malformed items that `show` shows.
const SHOWN: u32 = 10;

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
    Show(Named),
    /// Request a cycle now; also unblocks a blocked source
    Refresh(Named),
    /// Stop running the source until it is resumed; a running burst stops after its current page
    Pause(Named),
    /// Resume a paused source
    Resume(Named),
    /// Cancel the running cycle without a sweep
    Cancel(Named),
    /// Forget cursors and remembered pages, so that the next cycle reads everything
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
    /// Approve only the held sweep of this cycle, as `sources show` shows it
    #[arg(long, requires = "removals")]
    cycle: Option<i64>,
    /// Approve only a sweep that would delete this many entities
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
    /// Also delete all its entities; an orphaned source is then forgotten
    #[arg(long)]
    delete: bool,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    yes: bool,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    view: SourceView,
    cycles: Vec<CycleRecord>,
    malformed: Vec<MalformedRecord>,
    collisions: Vec<Collision>,
    unseen: Vec<UnseenEntity>,
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
            let seen = approve.cycle.map(CycleNumber).zip(approve.removals);
            (approve.name, Action::Approve { seen }, approve.yes || seen.is_some())
        }
        SourcesCommand::Reset(reset) => (reset.name, Action::Reset { delete: reset.delete }, reset.yes),
    };
    source_actions::act(context, out, &name, action, yes).await
}

/// The source of this name.
pub(crate) async fn get_source(store: &dyn SourceStore, name: &str) -> Result<SourceRecord, StoreError> {
    store.find_source(name).await?.ok_or_else(|| StoreError::NotFound {
        what: "source",
        name: name.to_owned(),
    })
}

async fn list(context: &Context, out: &mut Out) -> anyhow::Result<Code> {
    let store = context.operator_store().await?;
    let views = view_all(&*store, context.now()).await?;
    if out.is_json() {
        out.document(&views)?;
    } else if views.is_empty() {
        out.line("No sources yet: `tideline run` takes them from the configuration.")?;
    } else {
        out.grid(&sources_grid(&views))?;
    }
    Ok(Code::Done)
}

/// One row per source.
pub(crate) fn sources_grid(views: &[SourceView]) -> Grid {
    let mut grid = Grid::new(&["source", "type", "cycle", "phase", "entities", "why"]);
    for view in views {
        grid.row(vec![
            view.source.name.as_str().into(),
            Piece::toned(view.source.source_type.as_str(), Tone::Dim),
            Piece::number(u64::try_from(view.source.cycle.0).unwrap_or_default()),
            view.phase(),
            Piece::number(view.source.entities),
            short(&view.why.to_string(), 160).into(),
        ]);
    }
    grid
}

async fn show(context: &Context, out: &mut Out, name: &str) -> anyhow::Result<Code> {
    let store = context.operator_store().await?;
    let source = get_source(&*store, name).await?;
    let now = context.now();
    let shown = Shown {
        cycles: store.list_cycles(source.id, SHOWN).await?,
        malformed: store.list_malformed(source.id, SHOWN).await?,
        collisions: store.list_collisions(source.id, SHOWN).await?,
        unseen: store.list_unseen_entities(source.id, SHOWN).await?,
        view: view(&*store, source, now).await?,
    };
    if out.is_json() {
        out.document(&shown)?;
        return Ok(Code::Done);
    }
    out.grid(&source_pairs(&shown.view, now))?;
    if !shown.cycles.is_empty() {
        out.line("")?;
        out.grid(&cycles_grid(&shown.cycles, now))?;
    }
    if !shown.malformed.is_empty() {
        out.line("")?;
        out.grid(&malformed_grid(&shown.malformed))?;
    }
    if !shown.collisions.is_empty() {
        out.line("")?;
        out.grid(&collisions_grid(&shown.collisions))?;
    }
    if !shown.unseen.is_empty() {
        out.line("")?;
        out.grid(&unseen_grid(&shown.unseen))?;
    }
    Ok(Code::Done)
}

fn source_pairs(view: &SourceView, now: Timestamp) -> Grid {
    let mut grid = Grid::pairs();
    let source = &view.source;
    grid.pair("source", source.name.as_str());
    grid.pair("type", source.source_type.as_str());
    grid.pair("phase", view.phase());
    grid.pair("why", view.why.to_string());
    grid.pair("entities", count(source.entities));
    grid.pair("cycle", source.cycle.to_string());
    if let Some(next) = source.next_cycle_at {
        grid.pair("next cycle", format!("{next} ({})", moment(next, now)));
    }
    for sentence in view.left.iter().flat_map(Left::sentences) {
        grid.pair("look at", Piece::toned(sentence, Tone::Warn));
    }
    if let Some(held) = &source.held {
        grid.pair("held sweep", held_sweep(source, held, view.newest_cycle.as_ref()));
    }
    grid
}

fn held_sweep(source: &SourceRecord, held: &HeldSweep, newest: Option<&CycleRecord>) -> Piece {
    if !held.approved {
        let (name, reason) = (&source.name, &held.reason);
        return Piece::toned(
            format!(
                "of cycle {}, {name}: {reason}; `tideline sources approve {name}` or `reject {name}`",
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
pub(crate) fn cycles_grid(cycles: &[CycleRecord], now: Timestamp) -> Grid {
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
            cycle_state(cycle),
            cycle.trigger.as_str().into(),
            moment(cycle.started_at, now).into(),
            span(cycle.ended_at.unwrap_or(now).since(cycle.started_at)).into(),
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

/// A cycle's state, toned.
pub(crate) fn cycle_state(cycle: &CycleRecord) -> Piece {
    let tone = match cycle.state {
        CycleState::Bursting | CycleState::Sweeping => Tone::Busy,
        CycleState::Held => Tone::Warn,
        CycleState::Complete if cycle.totals.has_gaps() => Tone::Warn,
        CycleState::Complete => Tone::Good,
        CycleState::Incomplete | CycleState::Cancelled => Tone::Bad,
    };
    Piece::toned(cycle_word(cycle.state), tone)
}

/// The word of a cycle's state, as in JSON.
pub(crate) fn cycle_word(state: CycleState) -> &'static str {
    match state {
        CycleState::Bursting => "bursting",
        CycleState::Sweeping => "sweeping",
        CycleState::Held => "held",
        CycleState::Complete => "complete",
        CycleState::Incomplete => "incomplete",
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

fn unseen_grid(unseen: &[UnseenEntity]) -> Grid {
    let mut grid = Grid::new(&["not seen", "complete cycles", "kept because"]);
    for entity in unseen {
        let because = match (entity.rejected, entity.cycles) {
            (true, _) => "its removal was rejected",
            (false, 0) => "what could not be read may own it",
            (false, _) => "it waits for another complete cycle, or for an approval",
        };
        grid.row(vec![
            entity.reference.as_str().into(),
            Piece::number(u64::from(entity.cycles)),
            because.into(),
        ]);
    }
    grid
}

fn malformed_grid(items: &[MalformedRecord]) -> Grid {
    let mut grid = Grid::new(&["malformed in", "partition", "page", "ref", "error", "sample"]);
    for record in items {
        let reference = record
            .item
            .reference
            .as_ref()
            .map_or("", |reference| reference.as_str());
        grid.row(vec![
            format!("cycle {}", record.cycle).into(),
            record.partition.as_str().into(),
            Piece::number(u64::from(record.page)),
            reference.into(),
            short(&record.item.error, 160).into(),
            Piece::toned(sample(&record.item.sample), Tone::Dim),
        ]);
    }
    grid
}
