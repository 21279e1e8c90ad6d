//! Benchmarks of the whole pipeline: HTTP fetch, parse, fingerprint, commit; and of the queue, against its peers and
//! limits. Each command prints a table, or with `--json` one line per figure. Run them with `make bench` (see
//! docs/performance.md).

mod api;
mod client;
mod copy;
mod dashboard;
mod embedded;
mod events;
mod figure;
mod fleet;
mod growth;
mod ingest;
mod partitions;
mod polls;
mod queue;
mod report;
mod send;
mod stage;
mod state;
mod targets;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

use self::figure::show;

/// Benchmarks of Tideline's whole pipeline, with their peers and limits.
#[derive(Parser)]
#[command(name = "tideline-bench", version)]
struct Cli {
    /// One line of JSON per figure
    #[arg(long, global = true)]
    json: bool,
    /// Times that everything is measured, in turn; figures are medians
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// First load, unchanged, changed and shifted cycles, and a sweep, on Postgres and SQLite, against COPY
    Ingest {
        /// Entities of the source
        #[arg(long, default_value_t = 1_000_000)]
        entities: u32,
    },
    /// How speed, log and memory grow with entities and partitions
    Growth {
        /// The largest number of entities
        #[arg(long, default_value_t = 1_000_000)]
        entities: u32,
    },
    /// Thousands of partitions of one page each
    Partitions {
        /// How many
        #[arg(long, default_value_t = 10_000)]
        partitions: u32,
    },
    /// One source with 16 partitions that answers in 100 ms per page, read by 1, 2, 4 and 8 workers
    Scale,
    /// What a fleet that has nothing to do costs
    Idle {
        /// How long it is watched
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// No-op jobs: burn-down and idle start, against peers
    Queue {
        /// Jobs of a burn-down
        #[arg(long, default_value_t = 100_000)]
        jobs: u32,
        /// The program of bench/peers; without it there is no comparison
        #[arg(long, env = "TIDELINE_PEERS")]
        peers: Option<PathBuf>,
    },
    /// Lists, long polls, tokens, status and a plan on a full SQLite store
    Api {
        /// Entities of the store
        #[arg(long, default_value_t = 1_000_000)]
        entities: u32,
        /// Long polls that are open at once; each takes a file descriptor here and one of the gateway's
        #[arg(long, default_value_t = 10_000)]
        waiting: u32,
    },
    /// Mocks in a Microcks that answers in 20 ms, from nothing, unchanged and changed; and an HTTP endpoint
    Targets {
        /// API entities, each with two mocks
        #[arg(long, default_value_t = 1_000)]
        apis: u32,
        /// Entities that the endpoint is told of
        #[arg(long, default_value_t = 50_000)]
        entities: u32,
    },
    /// Time and size of the dashboard's pages on a large store, and what a hundred open ones cost
    Dashboard,
    /// Webhooks acknowledged durably, and the memory that large ones take
    Hooks {
        /// Webhooks of a round
        #[arg(long, default_value_t = 50_000)]
        requests: usize,
        /// Connections at a time
        #[arg(long, default_value_t = 256)]
        connections: usize,
    },
    /// Sends webhooks to a server that runs already, Tideline or another
    Send(send::Load),
    /// Events pushed to a subscriber of this machine, and what subscriptions that do not follow them cost
    Push {
        /// Events
        #[arg(long, default_value_t = 20_000)]
        events: usize,
    },
    /// Events pulled and acknowledged over HTTP
    Pull {
        /// Events
        #[arg(long, default_value_t = 200_000)]
        events: usize,
    },
    /// From a webhook to the change in the feed, on an idle fleet
    React {
        /// Webhooks, one after the other
        #[arg(long, default_value_t = 300)]
        samples: usize,
    },
    /// Deltas of single entities, from 8 workers at once
    Deltas {
        /// Deltas in all
        #[arg(long, default_value_t = 20_000)]
        deltas: usize,
    },
    /// Start, idle memory and size of `tideline run`
    Embedded,
    /// The first cycle of a large Terraform state: time and memory
    State {
        /// Resources of the state, about 3,000 bytes each
        #[arg(long, default_value_t = 20_000)]
        resources: u32,
    },
    /// Makes a table (figures.md) and charts (SVG) of figures: the JSON lines of the other commands
    Report {
        /// File of JSON lines
        figures: PathBuf,
        /// Folder to write to
        folder: PathBuf,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Command::Report { figures, folder } = &cli.command {
        return report::write(figures, folder);
    }
    if let Command::Send(load) = &cli.command {
        return show(&send::measure(load, cli.rounds).await?, cli.json);
    }
    ensure!(
        std::env::var_os("TIDELINE_BIN").is_some_and(|path| PathBuf::from(path).is_absolute()),
        "TIDELINE_BIN must name the program to measure, as an absolute path; `make bench` builds it and sets this"
    );
    let figures = match cli.command {
        Command::Ingest { entities } => ingest::measure(entities, cli.rounds).await?,
        Command::Growth { entities } => growth::measure(entities, cli.rounds).await?,
        Command::Partitions { partitions } => partitions::measure(partitions, cli.rounds).await?,
        Command::Scale => fleet::scale(cli.rounds).await?,
        Command::Idle { seconds } => fleet::idle(seconds).await?,
        Command::Queue { jobs, peers } => queue::measure(jobs, peers.as_deref(), cli.rounds).await?,
        Command::Api { entities, waiting } => api::measure(entities, waiting, cli.rounds).await?,
        Command::Targets { apis, entities } => targets::measure(apis, entities, cli.rounds).await?,
        Command::Dashboard => dashboard::measure().await?,
        Command::Embedded => embedded::measure(cli.rounds).await?,
        Command::State { resources } => state::measure(resources, cli.rounds).await?,
        Command::Hooks { requests, connections } => events::hooks::measure(requests, connections, cli.rounds).await?,
        Command::Push { events } => events::push::measure(events, cli.rounds).await?,
        Command::Pull { events } => events::pull::measure(events, cli.rounds).await?,
        Command::React { samples } => events::react::measure(samples, cli.rounds).await?,
        Command::Deltas { deltas } => events::deltas::measure(deltas, cli.rounds).await?,
        Command::Report { .. } | Command::Send(_) => Vec::new(),
    };
    show(&figures, cli.json)
}
