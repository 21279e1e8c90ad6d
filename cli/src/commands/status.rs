//! `tideline status`: everything at a glance.

use clap::Args;
use serde::Serialize;
use tideline_core::words::Timestamp;
use tideline_store::{StoreStats, WorkerRecord};

use super::sources::sources_grid;
use super::view::{Left, SourceView, view_all};
use crate::context::Context;
use crate::exit::Code;
use crate::output::{Grid, Out, Piece, Tone, count, moment, span};

/// No arguments of its own.
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {}

#[derive(Serialize)]
struct Status {
    now: Timestamp,
    stats: StoreStats,
    sources: Vec<SourceView>,
    workers: Vec<WorkerRecord>,
}

/// Shows it.
pub(crate) async fn run(context: &Context, out: &mut Out, _args: StatusArgs) -> anyhow::Result<Code> {
    let store = context.operator_store().await?;
    let now = context.now();
    let status = Status {
        now,
        stats: store.stats(now).await?,
        sources: view_all(&*store, now).await?,
        workers: store.list_workers().await?,
    };
    if out.is_json() {
        out.document(&status)?;
        return Ok(Code::Done);
    }
    out.grid(&stats_grid(&status.stats, now))?;
    out.line("")?;
    if status.sources.is_empty() {
        out.line("No sources yet: `tideline run` takes them from the configuration.")?;
    } else {
        out.grid(&sources_grid(&status.sources))?;
        for view in &status.sources {
            for sentence in view.left.iter().flat_map(Left::sentences) {
                let name = &view.source.name;
                out.toned(
                    Tone::Warn,
                    format!("{name}: {sentence}; `tideline sources show {name}`"),
                )?;
            }
        }
    }
    out.line("")?;
    if status.workers.is_empty() {
        out.toned(Tone::Warn, "No worker is alive.")?;
    } else {
        out.grid(&workers_grid(&status.workers, now))?;
    }
    Ok(Code::Done)
}

fn stats_grid(stats: &StoreStats, now: Timestamp) -> Grid {
    let mut grid = Grid::pairs();
    let due = match stats.oldest_due_at {
        Some(oldest) if stats.due > 0 => format!("{}, the oldest for {}", count(stats.due), span(now.since(oldest))),
        _ => count(stats.due),
    };
    grid.pair("due jobs", due);
    grid.pair("running jobs", count(stats.running));
    grid.pair("parked jobs", warned(stats.parked));
    grid.pair("held sweeps", warned(stats.held_sweeps));
    grid.pair(
        "last change",
        count(u64::try_from(stats.last_sequence.0).unwrap_or_default()),
    );
    grid
}

fn warned(number: u64) -> Piece {
    Piece::toned(count(number), if number > 0 { Tone::Warn } else { Tone::Plain })
}

fn workers_grid(workers: &[WorkerRecord], now: Timestamp) -> Grid {
    let mut grid = Grid::new(&["worker", "running", "started", "lease"]);
    for worker in workers {
        let lease = if worker.alive_until >= now {
            Piece::toned("alive", Tone::Good)
        } else {
            Piece::toned(format!("over {}", moment(worker.alive_until, now)), Tone::Bad)
        };
        grid.row(vec![
            worker.worker.0.as_str().into(),
            Piece::number(worker.running),
            moment(worker.started_at, now).into(),
            lease,
        ]);
    }
    grid
}

#[cfg(test)]
mod tests {
    use tideline_core::words::WorkerId;

    use super::*;

    #[test]
    fn the_oldest_due_job_is_told_with_its_age() {
        let stats = StoreStats {
            due: 3,
            oldest_due_at: Some(Timestamp(0)),
            ..StoreStats::default()
        };
        let text = stats_grid(&stats, Timestamp(61_000)).render(false, false);
        assert!(text.contains("3, the oldest for 1 min 1 s"), "{text}");
    }

    #[test]
    fn a_silent_worker_is_told_apart_from_a_live_one() {
        let worker = |name: &str, alive_until| WorkerRecord {
            worker: WorkerId(name.into()),
            alive_until: Timestamp(alive_until),
            started_at: Timestamp(0),
            running: 2,
        };
        let text = workers_grid(&[worker("a/1", 9_000), worker("b/2", 1_000)], Timestamp(5_000)).render(false, false);
        assert!(text.contains("alive") && text.contains("over 4 s ago"), "{text}");
    }
}
