//! `tideline producer`, `tideline worker`, `tideline scheduler`: one role alone.

use clap::Args;

use crate::context::Context;
use crate::exit::Code;
use crate::roles::{Role, Running};

/// No arguments of its own: roles are configured.
#[derive(Args, Debug)]
pub(crate) struct RoleArgs {}

/// Runs the role until a signal.
pub(crate) async fn run(context: &Context, role: Role, _args: RoleArgs) -> anyhow::Result<Code> {
    let ground = context.ground(context.settings()?, role.name()).await?;
    let running = Running::start(&ground, &[role]).await?;
    tracing::info!(role = role.name(), "started");
    running.stop().cancelled().await;
    Ok(running.shut_down().await)
}
