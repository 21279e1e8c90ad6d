//! `tideline changes`: read the change feed.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tideline_core::words::{Change, ChangeKind, FeedPosition};
use tideline_store::{FeedReading, Store, StoreError};

use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::{Grid, Out, Piece, Tone, embedded};

/// Changes read from the store at a time.
const PAGE: u32 = 1_000;
/// How often a follower looks.
const POLL: Duration = Duration::from_millis(500);

/// Which changes.
#[derive(Args, Debug)]
pub(crate) struct ChangesArgs {
    /// Read changes after this position: the one that the last call printed (`next` of its last JSON record), or 0 for the
    /// beginning. Exit code 6 means that the feed no longer goes back that far or was created anew: discard what you have and
    /// start over with 0
    #[arg(long, default_value_t = FeedPosition::START, value_name = "N")]
    after: FeedPosition,
    /// Wait for new changes and print them as they come, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Maximum number of changes [default: 100, or no limit with --follow]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Reads in commit order. Following, JSON is one record per line; else one document.
pub(crate) async fn run(context: &Context, out: &mut Out, args: ChangesArgs) -> anyhow::Result<Code> {
    let store = context.operator_store().await?;
    let mut position = args.after;
    let mut seen = false;
    let mut left = args.limit.unwrap_or(if args.follow { u64::MAX } else { 100 });
    let mut list = None;
    while left > 0 {
        let limit = u32::try_from(left.min(u64::from(PAGE))).unwrap_or(PAGE);
        let reading = read(store.as_ref(), position, limit).await?;
        let page = &reading.changes;
        left = left.saturating_sub(u64::try_from(page.len()).unwrap_or(u64::MAX));
        seen |= !page.is_empty();
        if !args.follow && list.is_none() {
            list = Some(out.begin_list()?);
        }
        for (change, next) in reading.each(position) {
            let told = Told { change, next };
            match &mut list {
                Some(list) if out.is_json() => out.list_item(list, &embedded(&told, &["body"])?)?,
                None if out.is_json() => out.record(&embedded(&told, &["body"])?)?,
                None => {
                    let (word, tone) = word(change.change);
                    out.toned(
                        tone,
                        format!(
                            "{:>10}  {word:<8}  {}  {}",
                            change.sequence, change.source, change.reference
                        ),
                    )?;
                }
                Some(_) => {}
            }
        }
        position = reading.next;
        if !args.follow {
            if !out.is_json() && !page.is_empty() {
                out.grid(&changes_grid(page))?;
            }
            if page.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
                break;
            }
        } else if page.is_empty() {
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                _ = tokio::signal::ctrl_c() => break,
            }
        }
    }
    if let Some(list) = list {
        out.end_list(list)?;
        if !out.is_json() && !seen {
            out.line("No changes.")?;
        } else if !out.is_json() && left == 0 {
            out.toned(Tone::Dim, format!("There may be more: --after {position}"))?;
        } else if !out.is_json() {
            out.toned(Tone::Dim, format!("What comes later: --after {position}"))?;
        }
    }
    Ok(Code::Done)
}

/// A change, as programs get it.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    change: &'a Change,
    /// `--after` for what comes later.
    next: FeedPosition,
}

async fn read(store: &dyn Store, position: FeedPosition, limit: u32) -> anyhow::Result<FeedReading> {
    match store.list_changes(position, limit).await {
        Err(StoreError::StartOver(gap)) => {
            let text = format!("{gap}; forget what you have and start over with --after 0");
            Err(Failure::new(Code::Refused, text).into())
        }
        answer => Ok(answer?),
    }
}

fn changes_grid(page: &[Change]) -> Grid {
    let mut grid = Grid::new(&["sequence", "change", "source", "ref", "at"]);
    for change in page {
        let (word, tone) = word(change.change);
        grid.row(vec![
            Piece::number(u64::try_from(change.sequence.0).unwrap_or_default()),
            Piece::toned(word, tone),
            change.source.as_str().into(),
            change.reference.as_str().into(),
            Piece::toned(change.changed_at.to_string(), Tone::Dim),
        ]);
    }
    grid
}

fn word(kind: ChangeKind) -> (&'static str, Tone) {
    match kind {
        ChangeKind::Added => ("added", Tone::Good),
        ChangeKind::Modified => ("modified", Tone::Warn),
        ChangeKind::Removed => ("removed", Tone::Bad),
    }
}
