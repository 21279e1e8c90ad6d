//! `tideline changes`: read the change feed.

use clap::Args;
use tideline_core::words::{ChangeKind, FeedPosition};
use tideline_producer::api::types::{Change, Changes};

use crate::client::{Client, ClientError, Following, Request};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::{Grid, Out, Piece, Tone};

/// Changes of one request.
const PAGE: u64 = 1_000;
/// How long a follower's request waits for a change, in seconds.
const WAIT: u64 = 25;

/// Which changes.
#[derive(Args, Debug)]
pub(crate) struct ChangesArgs {
    /// Read changes after this position: the one that the last call printed (`next` in JSON), or 0 for the
    /// beginning. Exit code 6 means that the feed no longer goes back that far or was created anew: discard what you have and
    /// start over with 0
    #[arg(long, default_value_t = FeedPosition::START, value_name = "N")]
    after: FeedPosition,
    /// Wait for new changes and print them as they arrive, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Maximum number of changes [default: 100, or no limit with --follow]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Reads in commit order. Following, JSON is one record per line; else one document.
pub(crate) async fn run(context: &Context, out: &mut Out, args: ChangesArgs) -> anyhow::Result<Code> {
    let client = context.client().await?;
    if args.follow {
        let following = follow(&client, out, args.after, args.limit.unwrap_or(u64::MAX));
        tokio::select! {
            followed = following => followed?,
            _ = tokio::signal::ctrl_c() => {}
        }
    } else {
        read(&client, out, args.after, args.limit.unwrap_or(100)).await?;
    }
    Ok(Code::Done)
}

async fn read(client: &Client<'_>, out: &mut Out, mut position: FeedPosition, mut left: u64) -> anyhow::Result<()> {
    let mut list = None;
    let mut seen = false;
    while left > 0 {
        let reading: Changes = client.ask(&request(position, left.min(PAGE), 0)).await.map_err(told)?;
        if out.is_json() && list.is_none() {
            list = Some(out.begin_list("changes")?);
        }
        position = reading.next;
        left = left.saturating_sub(reading.changes.len() as u64);
        if reading.changes.is_empty() {
            break;
        }
        seen = true;
        match &mut list {
            Some(list) => {
                for change in &reading.changes {
                    out.list_item(list, change)?;
                }
            }
            None => out.grid(&changes_grid(&reading.changes))?,
        }
    }
    if let Some(list) = list {
        return Ok(out.end_list(list, Some(("next", &position.to_string())))?);
    }
    if !seen {
        out.note(Tone::Plain, "No changes.")?;
    } else if left == 0 {
        out.note(Tone::Dim, format!("There may be more: --after {position}"))?;
    } else {
        out.note(Tone::Dim, format!("Later changes: --after {position}"))?;
    }
    Ok(())
}

async fn follow(client: &Client<'_>, out: &mut Out, mut position: FeedPosition, mut left: u64) -> anyhow::Result<()> {
    let mut following = Following::new(client);
    while left > 0 {
        let wait = if following.has_answer() { WAIT } else { 0 };
        let request = request(position, left.min(PAGE), wait);
        let reading: Changes = following.ask(&request).await.map_err(told)?;
        left = left.saturating_sub(reading.changes.len() as u64);
        position = reading.next;
        for change in &reading.changes {
            if out.is_json() {
                out.record(change)?;
                continue;
            }
            let (word, tone) = word(change.change);
            let (source, reference) = (&change.source, change.shown_ref());
            out.toned(
                tone,
                format!("{:>10}  {word:<8}  {source}  {reference}", change.sequence),
            )?;
        }
    }
    Ok(())
}

fn request(position: FeedPosition, limit: u64, wait: u64) -> Request {
    Request::get(&["changes"])
        .query("after", Some(position))
        .query("limit", Some(limit))
        .query("wait", Some(wait))
}

/// The API speaks of its parameter, a person has an option.
fn told(error: anyhow::Error) -> anyhow::Error {
    let text = error.to_string().replace("after=0", "--after 0");
    let code = error.downcast_ref::<ClientError>().and_then(ClientError::problem_code);
    match code {
        Some("start_over") => Failure::new(Code::Refused, text).into(),
        _ => error,
    }
}

fn changes_grid(page: &[Change]) -> Grid {
    let mut grid = Grid::new(&["sequence", "change", "source", "ref", "at"]);
    for change in page {
        let (word, tone) = word(change.change);
        grid.row(vec![
            Piece::number(u64::try_from(change.sequence).unwrap_or_default()),
            Piece::toned(word, tone),
            change.source.as_str().into(),
            change.shown_ref().into(),
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
