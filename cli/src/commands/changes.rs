//! `tideline changes`: read the change feed.

use std::time::Duration;

use clap::Args;
use tideline_shared::words::{Change, ChangeKind, Sequence};

use crate::context::Context;
use crate::exit::Code;
use crate::output::{Grid, Out, Piece, Tone, embedded};

/// Changes read from the store at a time.
const PAGE: u32 = 1_000;
/// How often a follower looks.
const POLL: Duration = Duration::from_millis(500);

/// Which changes.
#[derive(Args, Debug)]
pub(crate) struct ChangesArgs {
    /// Only after this sequence number
    #[arg(long, default_value_t = 0, value_name = "N")]
    after: i64,
    /// Go on with new changes as they come, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// At most so many [default: 100, or no limit with --follow]
    #[arg(long)]
    limit: Option<u64>,
}

/// Reads in commit order. Following, JSON is one record per line; else one document.
pub(crate) async fn run(context: &Context, out: &mut Out, args: ChangesArgs) -> anyhow::Result<Code> {
    let store = context.operator_store().await?;
    let mut after = Sequence(args.after);
    let mut left = args.limit.unwrap_or(if args.follow { u64::MAX } else { 100 });
    let mut list = if args.follow { None } else { Some(out.begin_list()?) };
    while left > 0 {
        let limit = u32::try_from(left.min(u64::from(PAGE))).unwrap_or(PAGE);
        let page = store.list_changes(after, limit).await?;
        left = left.saturating_sub(u64::try_from(page.len()).unwrap_or(u64::MAX));
        after = page.last().map_or(after, |change| change.sequence);
        for change in &page {
            match &mut list {
                Some(list) if out.is_json() => out.list_item(list, &embedded(change, &["body"])?)?,
                None if out.is_json() => out.record(&embedded(change, &["body"])?)?,
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
        if !args.follow {
            if !out.is_json() && !page.is_empty() {
                out.grid(&changes_grid(&page))?;
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
        if !out.is_json() && after.0 == args.after {
            out.line("No changes.")?;
        } else if !out.is_json() && left == 0 {
            out.toned(Tone::Dim, format!("There may be more: --after {after}"))?;
        }
    }
    Ok(Code::Done)
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
