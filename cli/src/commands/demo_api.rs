//! `tideline demo-api`: the demo's HTTP API alone, as a service for others to ingest.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::demo::{ApiSettings, World, serve};
use crate::exit::Code;
use crate::output::Out;
use crate::roles::first_signal;

/// Where and what to serve.
#[derive(Args, Debug)]
pub(crate) struct DemoApiArgs {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:7071", env = "TIDELINE_DEMO_LISTEN")]
    listen: SocketAddr,
    #[command(flatten)]
    world: WorldArgs,
}

/// Which world.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct WorldArgs {
    /// Approximate number of entities
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(3..=5_000_000))]
    pub(crate) entities: u64,
    /// Seed of the generated data
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Mean response latency in milliseconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    latency: u64,
    /// Never respond with 500 or 429
    #[arg(long)]
    pub(crate) calm: bool,
}

impl WorldArgs {
    /// What the API needs, starting with this generation.
    pub(crate) fn api_settings(self, generation: u64) -> ApiSettings {
        ApiSettings {
            world: World::new(self.seed, self.entities),
            generation,
            latency: Duration::from_millis(self.latency),
            faults: !self.calm,
        }
    }
}

/// Serves until a signal.
pub(crate) async fn run(out: &mut Out, args: DemoApiArgs) -> anyhow::Result<Code> {
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("listen on {}", args.listen))?;
    out.line(format!("The demo API listens on http://{}/v1/", listener.local_addr()?))?;
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, args.world.api_settings(0), stop.clone()));
    first_signal().await?;
    stop.cancel();
    server.await??;
    Ok(Code::Done)
}
