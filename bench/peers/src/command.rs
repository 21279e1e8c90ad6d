//! The command line's arguments.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures a peer job queue, with the best settings its authors document, on the Postgres it is given.
///
/// Each call wants a fresh, empty database: the peer's own migrations run in it. The figure is one JSON line on
/// standard output. Connecting, migrating and enqueueing are not counted.
#[derive(Debug, Parser)]
#[command(name = "tideline-peers", version)]
pub(crate) struct Command {
    /// The peer to measure.
    #[command(subcommand)]
    pub(crate) peer: Peer,
}

/// The peers.
#[derive(Debug, Subcommand)]
pub(crate) enum Peer {
    /// The crate graphile_worker, with the settings of its own performance benchmark.
    GraphileWorker {
        /// Which of its two Postgres drivers it uses.
        #[arg(long, value_enum, default_value_t = Driver::TokioPostgres)]
        driver: Driver,
        /// What to measure.
        #[command(subcommand)]
        figure: Figure,
    },
    /// The crate awa on its queue storage, with the settings of its own throughput benchmark and more workers.
    Awa {
        /// What to measure.
        #[command(subcommand)]
        figure: Figure,
    },
}

/// The Postgres drivers that graphile_worker can be built with.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Driver {
    /// Its default feature.
    Sqlx,
    /// Its other feature, which its benchmarks prefer when both are there.
    TokioPostgres,
}

/// The figures.
#[derive(Debug, Subcommand)]
pub(crate) enum Figure {
    /// Enqueue no-op jobs, then time a worker until the database holds all of them as done.
    ///
    /// Prints peer, version, jobs, enqueue_seconds, seconds, wal_bytes, commits and settings; seconds, wal_bytes and
    /// commits are of the burn-down alone.
    BurnDown(BurnDownArgs),
    /// Enqueue one job at a time to an idle worker, and time from before the call until the handler starts.
    ///
    /// Prints peer, version, samples, p50_ms, p99_ms and settings. Twenty jobs go first and are not counted.
    Latency(LatencyArgs),
}

/// What a burn-down is given.
#[derive(Debug, Args)]
pub(crate) struct BurnDownArgs {
    /// The fresh database, as postgres://user@host:port/name.
    #[arg(long)]
    pub(crate) url: String,
    /// How many jobs to burn down.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) jobs: u32,
}

/// What a latency measurement is given.
#[derive(Debug, Args)]
pub(crate) struct LatencyArgs {
    /// The fresh database, as postgres://user@host:port/name.
    #[arg(long)]
    pub(crate) url: String,
    /// How many jobs to time.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) samples: u32,
    /// Milliseconds of rest before each job.
    #[arg(long = "pause", value_name = "MS", default_value = "20", value_parser = milliseconds)]
    pub(crate) pause: Duration,
}

fn milliseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}
