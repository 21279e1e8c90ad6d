//! `tideline demo`: watch it work.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tideline_config::parse;
use tideline_core::words::SourceState;
use tideline_runtime::backends::redact_url;
use tideline_store::{SourceCommand, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::demo_api::WorldArgs;
use super::run::{Watched, run_cycles};
use crate::context::{Context, Logs, environment};
use crate::demo::{is_demo_source, mark, serve, source_name, yaml};
use crate::exit::{Code, Failure};
use crate::output::{Out, Tone, count};

/// Where the API listens, unless something else does.
const PORT: u16 = 7071;

/// Entities of another demo that are deleted in one transaction.
const DELETE_STEP: u32 = 5_000;

/// Where the dashboard is, unless something else is there.
const DASHBOARD_PORT: u16 = 7070;

/// How long the dashboard may take until the browser is opened.
const DASHBOARD_WAIT: Duration = Duration::from_secs(10);

/// Which demo.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Exit after one complete cycle; the exit code is 7 if it is interrupted first
    #[arg(long)]
    once: bool,
    /// Port of the demo API [default: 7071, or any free port]
    #[arg(long)]
    port: Option<u16>,
    /// Port of the dashboard [default: 7070, or any free port]
    #[arg(long, conflicts_with = "once", value_name = "PORT")]
    dashboard_port: Option<u16>,
    /// Open the dashboard in the browser
    #[arg(long, conflicts_with = "once")]
    open: bool,
    #[command(flatten)]
    world: WorldArgs,
}

pub(crate) async fn run(context: &Context, out: &mut Out, args: DemoArgs) -> anyhow::Result<Code> {
    let store = context.demo_store()?;
    let shown = redact_url(&store);
    let shown = shown.trim_start_matches("sqlite://");
    let option = context.store_option();
    let name = source_name(args.world.seed, args.world.entities);
    let listener = listen(args.port).await?;
    let address = listener.local_addr()?;
    let dashboard = if args.once {
        None
    } else {
        Some(dashboard_address(args.dashboard_port).await?)
    };
    let text = yaml(&name, address, &store, dashboard);
    let mut settings = parse(&text, Path::new("demo.yaml"), &environment)?;
    mark(&mut settings);
    let role_context = context.role_context(settings, "demo", Logs::OnlyErrors).await?;
    refuse_foreign(&*role_context.store, shown).await?;
    role_context.sync_sources().await?;
    forget_other_demos(context, &*role_context.store, &name).await?;

    // The world goes on where the stored cycles left it.
    let cycle = role_context
        .store
        .find_source(&name)
        .await?
        .map_or(0, |source| source.cycle.0);
    let stop = CancellationToken::new();
    let api_settings = args.world.api_settings(u64::try_from(cycle).unwrap_or(0));
    let server = tokio::spawn(serve(listener, api_settings, stop.clone()));
    if !out.is_json() {
        greet(shown, &option, out, &args, address, dashboard)?;
    }
    if let Some(dashboard) = dashboard.filter(|_| args.open) {
        tokio::spawn(open_browser(dashboard));
    }
    let names = [name];
    let watched = if args.once {
        Watched::Once(&names, None)
    } else {
        Watched::Live
    };
    let code = run_cycles(&role_context, out, watched).await;
    if !out.is_json() && code.is_ok() {
        out.line(format!(
            "\nEverything is in {shown}. Look around with `tideline status{option}`, or continue with `tideline demo{option}`."
        ))?;
    }
    role_context.close().await;
    stop.cancel();
    server.abort();
    code
}

async fn listen(port: Option<u16>) -> anyhow::Result<TcpListener> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match (TcpListener::bind(at(port.unwrap_or(PORT))).await, port) {
        (Err(_), None) => TcpListener::bind(at(0)).await.context("listen on a free port"),
        (bound, _) => bound.with_context(|| format!("listen on {}", at(port.unwrap_or(PORT)))),
    }
}

/// What a demo of another world left in the store goes.
async fn forget_other_demos(context: &Context, store: &dyn Store, name: &str) -> anyhow::Result<()> {
    for source in store.list_sources().await? {
        if source.state == SourceState::Orphaned && is_demo_source(&source) && source.name != name {
            store
                .command_source(&source.name, SourceCommand::ResetAndDelete, context.now())
                .await?;
            let mut left = source.entities;
            while left > 0 {
                let after = store
                    .delete_source_entities(&source.name, DELETE_STEP, context.now())
                    .await?;
                if after >= left {
                    break;
                }
                left = after;
            }
        }
    }
    Ok(())
}

/// Where the dashboard will be: the gateway gets this very address, so that it can be printed now.
async fn dashboard_address(port: Option<u16>) -> anyhow::Result<SocketAddr> {
    let listener = match port {
        Some(port) => TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .with_context(|| format!("--dashboard-port: listen on 127.0.0.1:{port}"))?,
        None => match TcpListener::bind((Ipv4Addr::LOCALHOST, DASHBOARD_PORT)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .await
                .context("listen on a free port")?,
        },
    };
    Ok(listener.local_addr()?)
}

/// Opens the dashboard as soon as it answers. Where there is no browser, its address is on the screen.
async fn open_browser(address: SocketAddr) {
    let answers = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(DASHBOARD_WAIT, answers).await.is_ok()
        && let Err(error) = open::that_detached(format!("http://{address}/"))
    {
        tracing::warn!(%error, "no browser could be opened");
    }
}

fn greet(
    shown: &str,
    option: &str,
    out: &mut Out,
    args: &DemoArgs,
    address: SocketAddr,
    dashboard: Option<SocketAddr>,
) -> std::io::Result<()> {
    out.line(format!(
        "The demo API at http://{address}/v1/ has about {} entities: organisations, their projects, their components.",
        count(args.world.entities)
    ))?;
    let nature = if args.world.calm {
        "It is slow and changes between cycles"
    } else {
        "It is slow, fails now and then, and changes between cycles"
    };
    out.line(format!("{nature}. Ingesting it into {shown}."))?;
    if let Some(dashboard) = dashboard {
        out.line(format!("The dashboard is at http://{dashboard}/"))?;
    }
    if !args.once {
        out.toned(
            Tone::Dim,
            format!(
                "In another terminal: tideline status{option}, tideline entities list{option}, \
                 tideline changes --follow{option}. Press Ctrl-C to stop."
            ),
        )?;
    }
    out.line("")
}

/// Refuses a store with sources of somebody else, before they would be orphaned.
async fn refuse_foreign(store: &dyn Store, shown: &str) -> anyhow::Result<()> {
    let sources = store.list_sources().await?;
    match sources.iter().find(|source| !is_demo_source(source)) {
        None => Ok(()),
        Some(foreign) => Err(Failure::new(
            Code::Config,
            format!(
                "{shown} contains the source {}, which does not belong to the demo; use a separate store for the \
                 demo: --store demo.db",
                foreign.name
            ),
        )
        .into()),
    }
}
