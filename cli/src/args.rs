//! The command line. Each command's own arguments are in its file under `commands/`.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands::{
    audit, bench, changes, check, demo, demo_api, drift, entities, events, export, health, hooks, init, jobs, login,
    migrate, plan, presets, role, run, shell, sources, status, subscriptions, targets, tokens, try_source, why,
};
use crate::exit;

/// Keeps a catalog in step with sources that are too big to read in one go.
#[derive(Debug, Parser)]
#[command(name = "tideline", version, after_help = exit::TABLE, after_long_help = exit::TABLE)]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Configuration file [default: tideline.yaml]
    #[arg(long, short, global = true, env = "TIDELINE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Store to use instead of the configured one: sqlite://FILE, a plain FILE, or postgres://…
    #[arg(
        long,
        global = true,
        env = "TIDELINE_STORE",
        value_name = "URL",
        hide_env_values = true
    )]
    pub(crate) store: Option<String>,

    /// Use the gateway at this URL instead of a store; the token comes from TIDELINE_TOKEN or `tideline login`
    #[arg(long, global = true, env = "TIDELINE_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,

    /// Reason to record in the audit log, for commands that change something
    #[arg(long, global = true, value_name = "TEXT")]
    pub(crate) reason: Option<String>,

    /// Print results only, without hints and confirmations
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Print JSON: one document, or one record per line when streaming
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Cli {
    /// The arguments of this process. Ends it with a message if they do not make sense.
    pub(crate) fn read() -> Self {
        let mut command = Self::command();
        let matches = command.get_matches_mut();
        match stray(&mut command, &matches).or_else(|| empty(&mut command, &matches)) {
            Some(error) => error.exit(),
            None => Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()),
        }
    }
}

/// A group of commands takes the options of its list, which is the default; before the name of another command they would be
/// passed over.
fn stray(command: &mut clap::Command, matches: &ArgMatches) -> Option<clap::Error> {
    let (name, inner) = matches.subcommand()?;
    let given = |arg: &&clap::Arg| {
        !arg.is_global_set() && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    };
    let first = command.get_arguments().find(given).map(ToString::to_string);
    if let Some(arg) = first {
        let text = format!("{arg} goes after the command: {} {name} {arg}", command.get_name());
        return Some(command.error(ErrorKind::ArgumentConflict, text));
    }
    stray(command.find_subcommand_mut(name)?, inner)
}

/// What stands without an option names something. An empty name, as of a variable that is not set, would be another request.
fn empty(command: &mut clap::Command, matches: &ArgMatches) -> Option<clap::Error> {
    if let Some((name, inner)) = matches.subcommand() {
        return empty(command.find_subcommand_mut(name)?, inner);
    }
    let is_empty = |arg: &&clap::Arg| {
        let values = matches.try_get_raw(arg.get_id().as_str()).ok().flatten();
        values.is_some_and(|mut values| values.any(std::ffi::OsStr::is_empty))
    };
    let first = command.get_positionals().find(is_empty)?.to_string();
    Some(command.error(ErrorKind::InvalidValue, format!("{first} must not be empty")))
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch Tideline work: ingest a demo API of about 20,000 entities into tideline.db
    Demo(demo::DemoArgs),
    /// Serve only the demo's HTTP API
    DemoApi(demo_api::DemoApiArgs),
    /// Write a first configuration for an API from one of its responses
    Init(init::InitArgs),
    /// Run all roles in one process
    Run(run::RunArgs),
    /// Run only the producer: management API, change feed, health, metrics
    Producer(role::RoleArgs),
    /// Run only a worker
    Worker(role::RoleArgs),
    /// Run only a scheduler
    Scheduler(role::RoleArgs),
    /// Validate the configuration; report every error with file, line and key path
    Check(check::CheckArgs),
    /// Show sources, jobs and workers at a glance
    Status(status::StatusArgs),
    /// List sources, or act on one
    Sources(sources::SourcesArgs),
    /// List targets, or act on one
    Targets(targets::TargetsArgs),
    /// List jobs, or act on one
    Jobs(jobs::JobsArgs),
    /// List entities of the catalog, or show one
    Entities(entities::EntitiesArgs),
    /// Export the entities of the catalog as NDJSON or YAML
    Export(export::ExportArgs),
    /// Show differences that complete cycles found although no event had reported them
    Drift(drift::DriftArgs),
    /// Read the change feed
    Changes(changes::ChangesArgs),
    /// List events, or follow them
    Events(events::EventsArgs),
    /// List received webhooks, show one or replay it
    Deliveries(events::DeliveriesArgs),
    /// List subscriptions, or act on one
    Subscriptions(subscriptions::SubscriptionsArgs),
    /// List a subscription's dead letters, replay or drop them
    DeadLetters(subscriptions::DeadLettersArgs),
    /// Explain in one sentence what a source or a job is waiting for
    Why(why::WhyArgs),
    /// Show what the next cycle of a source would add, modify and remove
    Plan(plan::PlanArgs),
    /// List presets, or show what one expands to
    Presets(presets::PresetsArgs),
    /// Read one page of a source and show requests, items and entities; needs no store
    Try(try_source::TryArgs),
    /// Register, list, verify or remove webhooks at GitHub or HCP Terraform; needs no store
    Hooks(hooks::HooksArgs),
    /// Store a server's API token for your user; reads it from the terminal or standard input
    Login(login::LoginArgs),
    /// Remove the stored token of a server
    Logout(login::LogoutArgs),
    /// List, create or revoke API tokens
    Tokens(tokens::TokensArgs),
    /// Show who did what
    Audit(audit::AuditArgs),
    /// Migrate the store's schema to this version
    Migrate(migrate::MigrateArgs),
    /// Benchmark ingestion and the queue on this machine, next to the configured store
    Bench(bench::BenchArgs),
    /// Print a completion script for a shell
    Completions(shell::CompletionsArgs),
    /// Print the manual page, or write one per command
    Man(shell::ManArgs),
    /// Check whether a running role is healthy (for containers)
    Health(health::HealthArgs),
}
