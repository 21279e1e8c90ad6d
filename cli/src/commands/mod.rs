//! One file per command: its arguments, and what it does.

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod changes;
pub(crate) mod check;
mod confirm;
pub(crate) mod demo;
pub(crate) mod demo_api;
pub(crate) mod drift;
pub(crate) mod entities;
mod entity_diff;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod hooks;
pub(crate) mod init;
pub(crate) mod jobs;
pub(crate) mod login;
pub(crate) mod migrate;
pub(crate) mod plan;
pub(crate) mod presets;
pub(crate) mod role;
pub(crate) mod run;
mod several;
pub(crate) mod shell;
mod source_actions;
pub(crate) mod sources;
pub(crate) mod status;
pub(crate) mod subscriptions;
pub(crate) mod targets;
pub(crate) mod tokens;
pub(crate) mod try_source;
pub(crate) mod why;

use anyhow::Context as _;

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::exit::Code;
use crate::output::Out;
use crate::roles::Role;

/// Runs the command on a runtime of its own.
pub(crate) fn run(cli: Cli) -> anyhow::Result<Code> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let code = runtime.block_on(dispatch(cli));
    // A read of standard input or a DNS lookup may still block a thread; do not wait for it.
    runtime.shutdown_background();
    code
}

async fn dispatch(cli: Cli) -> anyhow::Result<Code> {
    let mut out = Out::stdout(cli.global.json).quiet(cli.global.quiet);
    let context = Context::new(cli.global);
    match cli.command {
        Command::Demo(args) => demo::run(&context, &mut out, args).await,
        Command::DemoApi(args) => demo_api::run(&mut out, args).await,
        Command::Run(args) => run::run(&context, &mut out, args).await,
        Command::Producer(args) => role::run(&context, Role::Producer, args).await,
        Command::Worker(args) => role::run(&context, Role::Worker, args).await,
        Command::Scheduler(args) => role::run(&context, Role::Scheduler, args).await,
        Command::Check(args) => check::run(&context, &mut out, args),
        Command::Status(args) => status::run(&context, &mut out, args).await,
        Command::Sources(args) => sources::run(&context, &mut out, args).await,
        Command::Targets(args) => targets::run(&context, &mut out, args).await,
        Command::Jobs(args) => jobs::run(&context, &mut out, args).await,
        Command::Entities(args) => entities::run(&context, &mut out, args).await,
        Command::Drift(args) => drift::run(&context, &mut out, args).await,
        Command::Events(args) => events::events(&context, &mut out, args).await,
        Command::Deliveries(args) => events::deliveries(&context, &mut out, args).await,
        Command::Subscriptions(args) => subscriptions::run(&context, &mut out, args).await,
        Command::DeadLetters(args) => subscriptions::dead_letters(&context, &mut out, args).await,
        Command::Changes(args) => changes::run(&context, &mut out, args).await,
        Command::Why(args) => why::run(&context, &mut out, args).await,
        Command::Plan(args) => plan::run(&context, &mut out, args).await,
        Command::Hooks(args) => hooks::run(&context, &mut out, args).await,
        Command::Presets(args) => presets::run(&context, &mut out, &args),
        Command::Try(args) => try_source::run(&context, &mut out, args).await,
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&mut out, &args),
        Command::Export(args) => export::run(&context, &mut out, args).await,
        Command::Init(args) => init::run(&mut out, args).await,
        Command::Login(args) => login::login(&context, &mut out, args).await,
        Command::Logout(args) => login::logout(&context, &mut out, args),
        Command::Tokens(args) => tokens::run(&context, &mut out, args).await,
        Command::Audit(args) => audit::run(&context, &mut out, args).await,
        Command::Migrate(args) => migrate::run(&context, &mut out, args).await,
        Command::Bench(args) => bench::run(&context, &mut out, args).await,
        Command::Health(args) => health::run(&context, &mut out, args).await,
    }
}
