//! `tideline plan`: what the next cycle of a source would change. Asks the gateway that `--server` names; else it is made here,
//! where not even a store is needed before the first cycle.

use std::future::pending;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tideline_config::settings::Settings;
use tideline_producer::api::types::{PlanLine, PlanSummary};
use tideline_producer::api::{PlanStream, Plans};
use tideline_runtime::stop_signals;
use tideline_store::Store;
use tokio_util::sync::CancellationToken;

use crate::client::{ClientError, Lines, Remote, Request};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::Out;
use crate::plan::{Printer, SourcePlanner, configured};
use crate::progress::Reading;

/// Where no time is given, there is none.
const NO_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What to plan.
#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    /// Name of a source in the configuration
    source: String,
    /// Show only the totals
    #[arg(long)]
    summary: bool,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
}

/// Shows the plan and writes nothing to the store.
pub(crate) async fn run(context: &Context, out: &mut Out, args: PlanArgs) -> anyhow::Result<Code> {
    let (stop, hard) = (CancellationToken::new(), CancellationToken::new());
    tokio::spawn(stop_signals(stop.clone(), hard.clone()));
    let mut plan = Plan::open(context, &args.source).await?;
    let mut reading = Reading::new(&args.source);
    let shown = tokio::select! {
        shown = show(&mut plan, &mut reading, out, &args) => shown,
        () = timeout(args.timeout) => Err(too_late(args.timeout)),
        () = stop.cancelled() => Err(interrupted()),
    };
    reading.close();
    let mut closing = pin!(plan.close());
    tokio::select! {
        () = &mut closing => {}
        () = hard.cancelled() => return Ok(Code::Stopped),
    }
    let summary = shown?;
    Ok(match (summary.is_complete(), summary.has_changes()) {
        (false, _) => Code::Failed,
        (true, true) => Code::Changes,
        (true, false) => Code::Done,
    })
}

async fn show(plan: &mut Plan, reading: &mut Reading, out: &mut Out, args: &PlanArgs) -> anyhow::Result<PlanSummary> {
    let mut printer = Printer::new(out, !args.summary);
    while let Some(line) = plan.next().await? {
        if !matches!(line, PlanLine::Progress { .. }) {
            reading.close();
        }
        match line {
            PlanLine::Progress { progress } => reading.show(&progress)?,
            PlanLine::Step(step) => printer.step(&step)?,
            PlanLine::Summary { summary } => {
                printer.summary(&summary)?;
                return Ok(summary);
            }
            PlanLine::Problem { problem } => return Err(ClientError::from_problem(&problem).into()),
        }
    }
    Err(Failure::new(Code::Error, "the plan was cut off before its end; try again").into())
}

async fn timeout(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => pending().await,
    }
}

fn too_late(seconds: Option<u64>) -> anyhow::Error {
    let seconds = seconds.unwrap_or_default();
    let message = format!("not complete after {seconds} s; the catalog is as it was");
    Failure::new(Code::NotInTime, message).into()
}

fn interrupted() -> anyhow::Error {
    let message = "interrupted before the source was read; the catalog is as it was";
    Failure::new(Code::NotInTime, message).into()
}

/// A plan that is made here or by a gateway.
enum Plan {
    Here(PlanStream),
    There(Lines),
}

impl Plan {
    async fn open(context: &Context, source: &str) -> anyhow::Result<Self> {
        if let Some(server) = context.server()? {
            let request = Request::post(&["sources", source, "plan"]);
            return Ok(Self::There(Remote::open(server)?.lines(&request).await?));
        }
        let settings = context.settings()?;
        configured(&settings, source)?;
        let store = existing_store(context, &settings).await?;
        let planner = SourcePlanner::new(Arc::new(settings), store);
        let plans = Plans::new(Arc::new(planner), 1, NO_TIMEOUT, CancellationToken::new());
        let started = plans.start(source.to_owned());
        Ok(Self::Here(
            started.map_err(|problem| ClientError::from_problem(&problem))?,
        ))
    }

    async fn next(&mut self) -> anyhow::Result<Option<PlanLine>> {
        match self {
            Self::Here(plan) => Ok(plan.next().await),
            Self::There(lines) => Ok(lines.next().await?),
        }
    }

    /// Gives up what is left of it.
    async fn close(self) {
        match self {
            Self::Here(plan) => plan.cancel().await,
            Self::There(lines) => drop(lines),
        }
    }
}

/// The configured store; none: it is a file that no cycle has made yet.
async fn existing_store(context: &Context, settings: &Settings) -> anyhow::Result<Option<Arc<dyn Store>>> {
    let file = settings.store.reveal().strip_prefix("sqlite://");
    let file = file.and_then(|path| path.split('?').next());
    if file.is_some_and(|path| !Path::new(path).exists()) {
        return Ok(None);
    }
    Ok(Some(context.operator_store().await?))
}
