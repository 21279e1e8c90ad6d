//! `tideline status`: everything at a glance.

use std::time::Duration;

use clap::Args;
use serde_json::value::RawValue;
use tideline_core::words::Timestamp;
use tideline_producer::api::types::{Left, Status, Worker};

use super::sources::{NO_SOURCES, sources_grid};
use crate::client::{Answer, Following, Request};
use crate::context::Context;
use crate::exit::Code;
use crate::output::{Grid, Out, Piece, Tone, count, moment, span};

/// How it is shown.
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// Refresh every 2 seconds, or at the given interval, until Ctrl-C
    #[arg(long, short, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
}

/// Shows it.
pub(crate) async fn run(context: &Context, out: &mut Out, args: StatusArgs) -> anyhow::Result<Code> {
    let client = context.client().await?;
    let Some(seconds) = args.watch else {
        let answer = client.send(&request()).await?;
        show(&answer, out, false)?;
        return Ok(Code::Done);
    };
    let watching = async {
        let mut following = Following::new(&client);
        loop {
            let answer = following.send(&request()).await?;
            show(&answer, out, true)?;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    };
    tokio::select! {
        failed = watching => failed,
        _ = tokio::signal::ctrl_c() => Ok(Code::Done),
    }
}

fn request() -> Request {
    Request::get(&["status"])
}

/// Watched by a program it is a record per line, by a person a screen that is drawn anew.
fn show(answer: &Answer, out: &mut Out, watched: bool) -> anyhow::Result<()> {
    if out.is_json() {
        if watched {
            out.record(&answer.read::<Box<RawValue>>()?)?;
        } else {
            out.answer(&answer.text())?;
        }
        return Ok(());
    }
    let status: Status = answer.read()?;
    if watched {
        out.clear()?;
    }
    let now = status.now.0;
    out.grid(&stats_grid(&status, now))?;
    out.line("")?;
    if status.sources.is_empty() {
        out.line(NO_SOURCES)?;
    } else {
        out.grid(&sources_grid(&status.sources, now))?;
        for source in &status.sources {
            for sentence in source.left.iter().flat_map(Left::sentences) {
                let name = &source.source.name;
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
    Ok(())
}

fn stats_grid(status: &Status, now: Timestamp) -> Grid {
    let mut grid = Grid::pairs();
    let jobs = &status.jobs;
    let due = match jobs.oldest_due_at {
        Some(oldest) if jobs.due > 0 => format!("{}, the oldest for {}", count(jobs.due), span(now.since(oldest.0))),
        _ => count(jobs.due),
    };
    grid.pair("due jobs", due);
    grid.pair("running jobs", count(jobs.running));
    grid.pair("parked jobs", warned(jobs.parked));
    grid.pair("held sweeps", warned(status.held_sweeps));
    grid.pair(
        "last change",
        count(u64::try_from(status.last_sequence).unwrap_or_default()),
    );
    grid
}

fn warned(number: u64) -> Piece {
    Piece::toned(count(number), if number > 0 { Tone::Warn } else { Tone::Plain })
}

fn workers_grid(workers: &[Worker], now: Timestamp) -> Grid {
    let mut grid = Grid::new(&["worker", "running", "started", "lease"]);
    for worker in workers {
        let lease = if worker.alive_until.0 >= now {
            Piece::toned("alive", Tone::Good)
        } else {
            Piece::toned(format!("over {}", moment(worker.alive_until.0, now)), Tone::Bad)
        };
        grid.row(vec![
            worker.worker.as_str().into(),
            Piece::number(worker.running),
            moment(worker.started_at.0, now).into(),
            lease,
        ]);
    }
    grid
}

#[cfg(test)]
mod tests {
    use tideline_producer::api::types::JobNumbers;

    use super::*;

    #[test]
    fn the_oldest_due_job_is_told_with_its_age() {
        let status = Status {
            now: Timestamp(61_000).into(),
            jobs: JobNumbers {
                due: 3,
                oldest_due_at: Some(Timestamp(0).into()),
                running: 0,
                parked: 0,
            },
            held_sweeps: 0,
            last_sequence: 0,
            queue: "healthy".into(),
            workers: Vec::new(),
            sources: Vec::new(),
        };
        let text = stats_grid(&status, status.now.0).render(false, false);
        assert!(text.contains("3, the oldest for 1 min 1 s"), "{text}");
    }

    #[test]
    fn a_silent_worker_is_told_apart_from_a_live_one() {
        let worker = |name: &str, alive_until| Worker {
            worker: name.into(),
            alive_until: Timestamp(alive_until).into(),
            started_at: Timestamp(0).into(),
            running: 2,
        };
        let text = workers_grid(&[worker("a/1", 9_000), worker("b/2", 1_000)], Timestamp(5_000)).render(false, false);
        assert!(text.contains("alive") && text.contains("over 4 s ago"), "{text}");
    }
}
