//! `tideline producer`, `tideline worker`, `tideline scheduler`: one role alone.

use clap::Args;
use tideline_shared::config::settings::Settings;
use tideline_shared::telemetry::{self, MetricsPage};

use crate::context::Context;
use crate::exit::Code;
use crate::roles::{Role, Running};

/// No arguments of its own: roles are configured.
#[derive(Args, Debug)]
pub(crate) struct RoleArgs {}

/// Runs the role until a signal.
pub(crate) async fn run(context: &Context, role: Role, _args: RoleArgs) -> anyhow::Result<Code> {
    let settings = context.settings()?;
    let telemetry = telemetry::init(&settings.telemetry, role.name())?;
    let code = serve(context, settings, role, telemetry.metrics_page()).await;
    // Sending the rest blocks its thread.
    tokio::task::spawn_blocking(move || drop(telemetry)).await?;
    code
}

async fn serve(context: &Context, settings: Settings, role: Role, metrics: MetricsPage) -> anyhow::Result<Code> {
    let ground = context.ground(settings, role.name()).await?;
    // One role does it, so that a worker with an older file does not bring back what it says.
    if role == Role::Scheduler {
        ground.sync_sources().await?;
    }
    let running = Running::start(&ground, &[role])?;
    running.listen(&ground, metrics).await?;
    tracing::info!(role = role.name(), "started");
    running.stop().cancelled().await;
    Ok(running.shut_down().await)
}
