//! `tideline run`: all roles in one process.

use std::time::Duration;

use clap::Args;

use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::Out;
use crate::progress::{Once, Watcher, follow, view};
use crate::roles::{Ground, Role, Running};

/// For how long.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Run one complete cycle of every source, then end
    #[arg(long)]
    once: bool,
    /// With --once: give up after so many seconds
    #[arg(long, requires = "once", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
}

/// Runs until a signal, or until one cycle of every source has ended.
pub(crate) async fn run(context: &Context, out: &mut Out, args: RunArgs) -> anyhow::Result<Code> {
    let ground = context.ground(context.settings()?, "run").await?;
    let names: Vec<String> = ground
        .settings
        .sources
        .iter()
        .map(|source| source.name.clone())
        .collect();
    let cycles = run_cycles(&ground, out, args.once.then_some(&names));
    match args.timeout {
        None => cycles.await,
        Some(seconds) => tokio::time::timeout(Duration::from_secs(seconds), cycles)
            .await
            .unwrap_or_else(|_| {
                Err(Failure::new(
                    Code::NotInTime,
                    format!(
                        "the cycles were not complete after {seconds} s; the next run goes on where this one stopped"
                    ),
                )
                .into())
            }),
    }
}

/// All roles, shown while they work. `once`: the sources of which one cycle is waited for.
pub(crate) async fn run_cycles(ground: &Ground, out: &mut Out, once: Option<&Vec<String>>) -> anyhow::Result<Code> {
    ground.sync_sources().await?;
    let mut watcher = Watcher::new(ground.store.clone(), ground.clock.clone()).await?;
    let mut once = match once {
        Some(names) => Some(Once::ask(&*ground.store, names, ground.clock.now()).await?),
        None => None,
    };
    let running = Running::start(ground, &Role::ALL)?;
    let mut view = view(out);
    let ended = follow(&mut watcher, &mut *view, out, once.as_mut(), &running.stop()).await;
    view.close();
    let stopped = running.shut_down().await;
    Ok(match (ended?, stopped) {
        (_, Code::Stopped) => Code::Stopped,
        (Some(code), _) => code,
        // A signal came before all cycles had ended.
        (None, _) if once.is_some() => Code::Failed,
        (None, _) => Code::Done,
    })
}
