//! `tideline producer`, `tideline worker`, `tideline scheduler`: one role alone.

use clap::Args;

use crate::context::{Context, Logs};
use crate::exit::Code;
use crate::roles::{Role, RoleContext, Running};

/// No arguments of its own: roles are configured.
#[derive(Args, Debug)]
pub(crate) struct RoleArgs {}

/// Runs the role until a signal.
pub(crate) async fn run(context: &Context, role: Role, _args: RoleArgs) -> anyhow::Result<Code> {
    let role_context = context
        .role_context(context.settings()?, role.name(), Logs::All)
        .await?;
    let code = serve(&role_context, role).await;
    role_context.close().await;
    code
}

async fn serve(role_context: &RoleContext, role: Role) -> anyhow::Result<Code> {
    // One role does it, so that a worker with an older file does not bring back what it says.
    if role == Role::Scheduler {
        role_context.sync_sources().await?;
    }
    let running = Running::start(role_context, &[role]).await?;
    tracing::info!(role = role.name(), "started");
    running.stop().cancelled().await;
    Ok(running.shut_down().await)
}
