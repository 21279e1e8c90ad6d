//! `tideline migrate`: bring the store's schema up to date, as `run` does by itself.

use clap::Args;
use serde_json::json;
use tideline_runtime::backends::redact_url;

use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::Out;

/// No arguments of its own.
#[derive(Args, Debug)]
pub(crate) struct MigrateArgs {}

/// Even if several run at once, each migration runs once.
pub(crate) async fn run(context: &Context, out: &mut Out, _args: MigrateArgs) -> anyhow::Result<Code> {
    if context.named_server()?.is_some() {
        let text = "migrate works on the configured store, not through a gateway: run it without --server (and TIDELINE_SERVER)";
        return Err(Failure::new(Code::Config, text).into());
    }
    let settings = context.migrate().await?;
    let store = redact_url(settings.store.reveal());
    if out.is_json() {
        out.document(&json!({"store": store, "current": true}))?;
    } else {
        out.line(format!("The schema of {store} is up to date."))?;
    }
    Ok(Code::Done)
}
