//! `tideline drift`: what full cycles found changed although no event had told of it.

use clap::Args;
use tideline_core::words::{DriftKind, Timestamp};
use tideline_producer::api::types::{Checks, Drift, Drifted, Page};

use crate::client::{Client, Request};
use crate::context::Context;
use crate::exit::Code;
use crate::output::{Grid, Out, Piece, Tone, moment, short};

/// Which source.
#[derive(Args, Debug)]
pub(crate) struct DriftArgs {
    /// Name of the source
    source: String,
    /// Maximum number of cycles
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Show what checks found (`check` in the configuration), not what cycles found
    #[arg(long)]
    checks: bool,
}

/// The newest cycles in a table, and below it the differences of the newest one that has any.
pub(crate) async fn run(context: &Context, out: &mut Out, args: DriftArgs) -> anyhow::Result<Code> {
    let client = context.client().await?;
    if args.checks {
        return checks(context, &client, out, &args).await;
    }
    let request = Request::get(&["sources", &args.source, "drift"]).query("limit", Some(args.limit));
    let answer = client.send(&request).await?;
    if out.is_json() {
        out.answer(&answer.text())?;
        return Ok(Code::Done);
    }
    let drifts: Page<Drift> = answer.read()?;
    if drifts.items.is_empty() {
        let text = "No cycle has been compared with events yet: this happens from the second complete cycle on, for \
                    sources with `on` rules or `drift`.";
        out.note(Tone::Plain, text)?;
        return Ok(Code::Done);
    }
    out.grid(&drifts_grid(&drifts.items, context.now()))?;
    if let Some(newest) = drifts.items.iter().find(|drift| !drift.differences.is_empty()) {
        out.line("")?;
        out.grid(&differences_grid(&newest.differences))?;
        let shown = newest.differences.len() as u64;
        if newest.total() > shown {
            out.note(Tone::Dim, format!("The first {shown} of {}.", newest.total()))?;
        }
    }
    Ok(Code::Done)
}

async fn checks(context: &Context, client: &Client<'_>, out: &mut Out, args: &DriftArgs) -> anyhow::Result<Code> {
    let request = Request::get(&["sources", &args.source, "checks"]).query("limit", Some(args.limit));
    let answer = client.send(&request).await?;
    if out.is_json() {
        out.answer(&answer.text())?;
        return Ok(Code::Done);
    }
    let checks: Checks = answer.read()?;
    if checks.items.is_empty() {
        let text = "The source has not been checked yet: see `check` in the configuration.";
        out.note(Tone::Plain, text)?;
        return Ok(Code::Done);
    }
    let mut grid = Grid::new(&["checked", "missing", "extra", "diverged", "unconfirmed", "failure"]);
    for check in &checks.items {
        grid.row(vec![
            moment(check.began_at.0, context.now()).into(),
            Piece::number_toned(check.missing, Tone::Warn),
            Piece::number_toned(check.extra, Tone::Warn),
            Piece::number_toned(check.diverged, Tone::Warn),
            Piece::number(check.unconfirmed),
            Piece::toned(short(check.failure.as_deref().unwrap_or_default(), 120), Tone::Bad),
        ]);
    }
    out.grid(&grid)?;
    if let Some(next) = checks.next_at {
        out.note(
            Tone::Dim,
            format!("The next check is due {}.", moment(next.0, context.now())),
        )?;
    }
    if let Some(newest) = checks.items.iter().find(|check| !check.differences.is_empty()) {
        out.line("")?;
        out.grid(&differences_grid(&newest.differences))?;
    }
    Ok(Code::Done)
}

fn drifts_grid(drifts: &[Drift], now: Timestamp) -> Grid {
    let mut grid = Grid::new(&["cycle", "found", "missing", "extra", "diverged"]);
    for drift in drifts {
        grid.row(vec![
            Piece::number(u64::try_from(drift.cycle.0).unwrap_or_default()),
            moment(drift.found_at.0, now).into(),
            Piece::number_toned(drift.missing, Tone::Warn),
            Piece::number_toned(drift.extra, Tone::Warn),
            Piece::number_toned(drift.diverged, Tone::Warn),
        ]);
    }
    grid
}

fn differences_grid(differences: &[Drifted]) -> Grid {
    let mut grid = Grid::new(&["ref", "drift", "meaning"]);
    for difference in differences {
        let (word, meaning) = match difference.drift {
            DriftKind::Missing => ("missing", "in the source, but not in the catalog"),
            DriftKind::Extra => ("extra", "in the catalog, but no longer in the source"),
            DriftKind::Diverged => ("diverged", "in both, with different content"),
        };
        grid.row(vec![
            difference.reference.as_str().into(),
            Piece::toned(word, Tone::Warn),
            Piece::toned(meaning, Tone::Dim),
        ]);
    }
    grid
}
