//! `tideline run`: all roles in one process.

use std::time::Duration;

use clap::Args;
use tideline_config::settings::{SourceKind, SourceSettings};

use crate::context::{Context, Logs};
use crate::exit::{Code, Failure};
use crate::output::Out;
use crate::progress::{Once, Watcher, Watching, follow, view};
use crate::roles::{Role, RoleContext, Running};

/// For how long.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Run one complete cycle of every source, then exit; resumes an interrupted cycle and runs an approved sweep first
    ///
    /// If a signal or --timeout stops it, it exits with 7, and the next run resumes where it stopped.
    #[arg(long)]
    once: bool,
    /// Give up after this many seconds; requires --once
    #[arg(long, requires = "once", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
}

/// Runs until a signal, or until one cycle of every source has ended.
pub(crate) async fn run(context: &Context, out: &mut Out, args: RunArgs) -> anyhow::Result<Code> {
    // A person sees progress, a cron job wants little; a service logs.
    let logs = if args.once || out.is_terminal() {
        Logs::OnlyErrors
    } else {
        Logs::All
    };
    let role_context = context.role_context(context.settings()?, "run", logs).await?;
    role_context.sync_sources().await?;
    // What others write has no cycle to wait for.
    let is_read = |source: &&SourceSettings| !matches!(source.kind, SourceKind::Push);
    let sources = role_context.settings.sources.iter().filter(is_read);
    let names: Vec<String> = sources.map(|source| source.name.clone()).collect();
    let watched = if args.once {
        Watched::Once(&names, args.timeout.map(Duration::from_secs))
    } else {
        Watched::Service
    };
    if out.is_terminal() && !out.is_json() && !args.once {
        greet(&role_context, out)?;
    }
    let code = run_cycles(&role_context, out, watched).await;
    role_context.close().await;
    code
}

/// How a run is watched, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Watched<'a> {
    /// Until one cycle of each of these sources has ended, or the time is over.
    Once(&'a [String], Option<Duration>),
    /// Until a signal, step by step.
    Live,
    /// Until a signal; away from a terminal only what ended is told.
    Service,
}

/// All roles, shown while they work.
pub(crate) async fn run_cycles(
    role_context: &RoleContext,
    out: &mut Out,
    watched: Watched<'_>,
) -> anyhow::Result<Code> {
    let mut watcher = Watcher::new(role_context.store.clone(), role_context.clock.clone()).await?;
    let (watching, cycles) = match watched {
        Watched::Once(names, limit) => (Watching::Once, Some((names, limit))),
        Watched::Live => (Watching::Live, None),
        Watched::Service => (Watching::Service, None),
    };
    let (mut once, limit, roles) = match cycles {
        Some((names, limit)) => {
            let once = Once::ask(&*role_context.store, names, role_context.clock.now()).await?;
            (Some(once), limit, Role::INGESTING)
        }
        None => (None, None, Role::ALL),
    };
    let running = Running::start(role_context, roles).await?;
    let mut view = view(out, watching);
    let stop = running.stop();
    let following = follow(&mut watcher, &mut view, out, once.as_mut(), &stop);
    let ended = match limit {
        None => following.await,
        Some(limit) => tokio::time::timeout(limit, following)
            .await
            .unwrap_or_else(|_| Err(too_late(limit))),
    };
    view.close();
    let second_signal = running.second_signal();
    let stopped = running.shut_down().await;
    match ended? {
        _ if stopped == Code::Stopped && second_signal.is_cancelled() => Ok(Code::Stopped),
        Some(code) => Ok(code),
        None if once.is_some() => Err(interrupted()),
        None => Ok(stopped),
    }
}

fn greet(role_context: &RoleContext, out: &mut Out) -> std::io::Result<()> {
    let sources = match role_context.settings.sources.len() {
        1 => "1 source".to_owned(),
        number => format!("{number} sources"),
    };
    let gateway = match &role_context.settings.listen {
        Some(address) => format!("dashboard and API on http://{address}/"),
        None => "no dashboard (listen: none)".to_owned(),
    };
    out.line(format!(
        "Running all roles ({sources}); {gateway}. Press Ctrl-C to stop.\n"
    ))
}

/// A signal came before all cycles had ended: no source failed.
fn interrupted() -> anyhow::Error {
    let message = "interrupted before every cycle had ended; the next run resumes where this one stopped";
    Failure::new(Code::NotInTime, message).into()
}

fn too_late(limit: Duration) -> anyhow::Error {
    let seconds = limit.as_secs();
    let message = format!("not complete after {seconds} s; the next run resumes where this one stopped");
    Failure::new(Code::NotInTime, message).into()
}
