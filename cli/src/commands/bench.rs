//! `tideline bench`: what this machine and its store can do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tideline_config::parse;
use tideline_config::settings::Settings;

use crate::bench::{
    Cycles, Generation, Jobs, Measured, Meter, Paging, Scratch, Shape, StaticSource, Written, percentile,
};
use crate::context::{Context, Logs, environment};
use crate::exit::Code;
use crate::output::{Out, Tone};
use crate::roles::{RoleContext, first_signal};

const SOURCE: &str = "bench";

/// How much is measured.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Number of entities in the source, 600 bytes each
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=5_000_000))]
    entities: u32,
    /// Entities per page
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    page: u32,
    /// Number of no-op jobs
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    jobs: u32,
    /// Queue: in-process or nats://… (uses its own prefix)
    #[arg(long, default_value = "in-process", value_name = "URL")]
    queue: String,
}

/// One figure.
#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    n: u32,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wal_bytes_each: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commits: Option<u64>,
}

/// Figures, shown as they come.
struct Report<'a> {
    out: &'a mut Out,
    figures: Vec<Figure>,
}

pub(crate) async fn run(context: &Context, out: &mut Out, args: BenchArgs) -> anyhow::Result<Code> {
    let scratch = Scratch::make(&context.bench_store()?).await?;
    let measured = tokio::select! {
        measured = measure(context, out, &args, &scratch) => measured.map(|()| Code::Done),
        signal = first_signal() => signal.map(|()| Code::Stopped),
    };
    scratch.remove().await?;
    measured
}

async fn measure(context: &Context, out: &mut Out, args: &BenchArgs, scratch: &Scratch) -> anyhow::Result<()> {
    let source = StaticSource::start(Shape {
        entities: args.entities,
        partitions: 1,
        page: args.page,
    })
    .await?;
    let settings = settings(&source, &scratch.url(), &args.queue)?;
    let role_context = context.role_context(settings, "bench", Logs::OnlyErrors).await?;
    let mut report = Report {
        out,
        figures: Vec::new(),
    };
    report.greet(args)?;
    let cycles = ingest(&role_context, &source, args, &mut report).await;
    let jobs = match cycles {
        Ok(()) => jobs(&role_context, args, &mut report).await,
        Err(error) => Err(error),
    };
    role_context.close().await;
    jobs?;
    report.end()
}

fn settings(source: &StaticSource, store: &str, queue: &str) -> anyhow::Result<Settings> {
    let more = "    burst: { length: 300s, interval: 0s }\n    removals: { reject_above_percent: none }\n";
    let text = format!("listen: none\nsources:\n{}", source.yaml(SOURCE, Paging::Cursor, more));
    let mut settings = parse(&text, Path::new("bench.yaml"), &environment)?;
    settings.store = tideline_core::words::Secret::new(store);
    let queue = match queue {
        "in-process" => queue.to_owned(),
        url => format!(
            "{url}{}prefix=tideline-bench",
            if url.contains('?') { '&' } else { '?' }
        ),
    };
    settings.queue = tideline_core::words::Secret::new(queue);
    Ok(settings)
}

async fn ingest(
    role_context: &RoleContext,
    source: &StaticSource,
    args: &BenchArgs,
    report: &mut Report<'_>,
) -> anyhow::Result<()> {
    let cycles = Cycles::start(role_context, SOURCE).await?;
    let n = args.entities;
    let run = async |name, report: &mut Report<'_>| report.cycle(name, n, &cycles.run().await?);
    run("first load", report).await?;
    run("unchanged", report).await?;
    source.send_validators(true);
    // This one learns the validators.
    cycles.run().await?;
    run("unchanged, answered with 304", report).await?;
    let mut generation = Generation {
        number: 1,
        changed_percent: 1,
        ..Generation::default()
    };
    source.show(generation);
    run("1 % changed, on every page", report).await?;
    generation.removed = n / 100;
    source.show(generation);
    run("1 % removed", report).await?;
    cycles.stop().await;
    Ok(())
}

async fn jobs(role_context: &RoleContext, args: &BenchArgs, report: &mut Report<'_>) -> anyhow::Result<()> {
    let jobs = Jobs {
        store: Arc::clone(&role_context.store),
        queue: Arc::clone(&role_context.queue),
        clock: Arc::clone(&role_context.clock),
    };
    let meter = Meter::new(role_context.settings.store.reveal());
    let mut before = None;
    let burnt = jobs
        .burn_down(args.jobs, async || {
            before = meter.read().await?;
            Ok(())
        })
        .await?;
    let written = meter
        .read()
        .await?
        .zip(before)
        .map(|(after, before)| after.since(before));
    report.rate("jobs enqueued", args.jobs, burnt.enqueue_seconds, "jobs/s", None)?;
    report.rate(
        "jobs claimed, run and settled",
        args.jobs,
        burnt.seconds,
        "jobs/s",
        written,
    )?;
    const SAMPLES: u32 = 200;
    let starts = jobs.idle_starts(SAMPLES, Duration::from_millis(5)).await?;
    report.add("idle start of a job, p50", SAMPLES, percentile(&starts, 50), "ms", None)?;
    report.add("idle start of a job, p99", SAMPLES, percentile(&starts, 99), "ms", None)
}

impl Report<'_> {
    fn greet(&mut self, args: &BenchArgs) -> std::io::Result<()> {
        if self.out.is_json() {
            return Ok(());
        }
        self.out.toned(
            Tone::Dim,
            format!(
                "{} entities of 600 bytes in pages of {}, over HTTP; {} jobs. All in a separate store that is deleted \
                 afterwards.",
                crate::output::count(u64::from(args.entities)),
                args.page,
                crate::output::count(u64::from(args.jobs)),
            ),
        )
    }

    fn cycle(&mut self, name: &'static str, n: u32, measured: &Measured) -> anyhow::Result<()> {
        self.rate(name, n, measured.seconds(), "entities/s", measured.written)
    }

    fn rate(
        &mut self,
        name: &'static str,
        n: u32,
        seconds: f64,
        unit: &'static str,
        written: Option<Written>,
    ) -> anyhow::Result<()> {
        self.add(name, n, f64::from(n) / seconds, unit, written)
    }

    #[allow(clippy::cast_precision_loss, reason = "a figure needs no more than 52 bits")]
    fn add(
        &mut self,
        name: &'static str,
        n: u32,
        value: f64,
        unit: &'static str,
        written: Option<Written>,
    ) -> anyhow::Result<()> {
        let figure = Figure {
            name,
            n,
            value,
            unit,
            wal_bytes_each: written.map(|written| written.wal_bytes as f64 / f64::from(n)),
            commits: written.map(|written| written.commits),
        };
        if !self.out.is_json() {
            self.out.line(figure.line())?;
        }
        self.figures.push(figure);
        Ok(())
    }

    fn end(self) -> anyhow::Result<()> {
        if self.out.is_json() {
            self.out.document(&self.figures)?;
        }
        Ok(())
    }
}

impl Figure {
    fn line(&self) -> String {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rates are positive and small"
        )]
        let value = if self.value < 1_000.0 {
            format!("{:.2}", self.value)
        } else {
            crate::output::count(self.value.round() as u64)
        };
        let mut line = format!("{:<32} {value:>12} {}", self.name, self.unit);
        if let (Some(wal), Some(commits)) = (self.wal_bytes_each, self.commits) {
            use std::fmt::Write as _;
            let _ = write!(
                line,
                "  ({wal:.1} WAL bytes each, {} commits)",
                crate::output::count(commits)
            );
        }
        line
    }
}
