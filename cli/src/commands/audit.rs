//! `tideline audit`: who did what.

use chrono::DateTime;
use clap::Args;
use tideline_core::words::Timestamp;
use tideline_producer::api::types::{AuditEntry, Time};

use super::tokens::duration;
use crate::client::{Listing, Request};
use crate::context::Context;
use crate::exit::Code;
use crate::output::{Grid, Out, Piece, Tone, short};

/// Which acts.
#[derive(Args, Debug)]
pub(crate) struct AuditArgs {
    /// Only acts of this token or user
    #[arg(long)]
    actor: Option<String>,
    /// Only this act, such as sources.pause
    #[arg(long)]
    act: Option<String>,
    /// Only acts on this source
    #[arg(long)]
    source: Option<String>,
    /// Only acts since this time (RFC 3339) or within this duration, such as 24h
    #[arg(long, value_name = "TIME|DURATION")]
    since: Option<String>,
    /// Continue where the last list ended
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
    /// Maximum number of acts
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
}

/// Newest first.
pub(crate) async fn run(context: &Context, out: &mut Out, args: AuditArgs) -> anyhow::Result<Code> {
    let client = context.client().await?;
    let since = args.since.map(|since| moment_of(&since, context.now())).transpose()?;
    let request = Request::get(&["audit"])
        .query("actor", args.actor)
        .query("act", args.act)
        .query("source", args.source)
        .query("since", since);
    let listing = Listing {
        request,
        limit: args.limit,
        page_token: args.page_token,
        nothing: "No such acts.",
        more: "There may be more:",
    };
    listing.print(&client, out, audit_grid).await?;
    Ok(Code::Done)
}

/// Parses a point in time, or an age.
///
/// # Errors
/// The text is neither.
pub(super) fn moment_of(text: &str, now: Timestamp) -> anyhow::Result<Time> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(Time(Timestamp(moment.timestamp_millis())));
    }
    let long = duration(text).map_err(|_| {
        let text = format!("--since: {text} is neither a time like 2026-11-29T02:10:00Z nor a duration like 24h");
        crate::exit::Failure::new(Code::Config, text)
    })?;
    let ms = i64::try_from(long.as_millis()).unwrap_or(i64::MAX);
    Ok(Time(Timestamp(now.0.saturating_sub(ms))))
}

fn audit_grid(entries: &[AuditEntry]) -> Grid {
    let mut grid = Grid::new(&["at", "who", "from", "act", "target", "arguments", "result"]);
    for entry in entries {
        let arguments = match entry.arguments.get() {
            "{}" | "null" => "",
            arguments => arguments,
        };
        let result = match &entry.detail {
            None => Piece::toned("done", Tone::Good),
            Some(detail) => Piece::toned(format!("refused: {}", short(detail, 120)), Tone::Warn),
        };
        grid.row(vec![
            Piece::toned(entry.at.to_string(), Tone::Dim),
            entry.actor.as_str().into(),
            entry.address.as_deref().unwrap_or("this machine").into(),
            entry.act.as_str().into(),
            entry.target.as_str().into(),
            short(arguments, 80).into(),
            result,
        ]);
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_takes_a_moment_or_a_duration() {
        let now = Timestamp(100_000_000);
        assert_eq!(moment_of("1h", now).unwrap().0, Timestamp(96_400_000));
        assert_eq!(moment_of("1970-01-01T00:00:01Z", now).unwrap().0, Timestamp(1_000));
        assert!(moment_of("yesterday", now).is_err());
    }
}
