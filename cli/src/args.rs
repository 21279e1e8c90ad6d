//! The command line. Each command's own arguments are in its file under `commands/`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    bench, changes, check, demo, demo_api, entities, health, jobs, migrate, role, run, sources, status, why,
};
use crate::exit;

/// Keeps a catalog in step with sources that are too big to read in one go.
#[derive(Debug, Parser)]
#[command(name = "tideline", version, about, after_help = exit::TABLE, after_long_help = exit::TABLE)]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// The configuration file [default: tideline.yaml]
    #[arg(long, short, global = true, env = "TIDELINE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The store, in place of the configured one: sqlite://FILE, a plain FILE or postgres://…
    #[arg(
        long,
        global = true,
        env = "TIDELINE_STORE",
        value_name = "URL",
        hide_env_values = true
    )]
    pub(crate) store: Option<String>,

    /// JSON for programs: one document, or one record per line when following
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch it work: an HTTP API of about 20,000 entities, ingested into tideline.db
    Demo(demo::DemoArgs),
    /// Serve the demo's HTTP API alone
    DemoApi(demo_api::DemoApiArgs),
    /// Run all roles in one process
    Run(run::RunArgs),
    /// Run the front door alone: management API, change feed, health, metrics
    Producer(role::RoleArgs),
    /// Run a worker alone
    Worker(role::RoleArgs),
    /// Run a scheduler alone
    Scheduler(role::RoleArgs),
    /// Find every error of the configuration, with file, line and key path
    Check(check::CheckArgs),
    /// Show sources, jobs and workers at a glance
    Status(status::StatusArgs),
    /// List sources, or act on one
    Sources(sources::SourcesArgs),
    /// List jobs, or act on one
    Jobs(jobs::JobsArgs),
    /// Look into the catalog
    Entities(entities::EntitiesArgs),
    /// Read the change feed
    Changes(changes::ChangesArgs),
    /// Say in one sentence why a source or a job does what it does
    Why(why::WhyArgs),
    /// Bring the store's schema up to date
    Migrate(migrate::MigrateArgs),
    /// Measure ingestion and queue on this machine, beside the configured store
    Bench(bench::BenchArgs),
    /// Ask a running role whether it is healthy (for containers)
    Health(health::HealthArgs),
}
