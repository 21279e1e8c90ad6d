//! Follows a plan to its end, whether the gateway that `--server` names makes it or this process, which does not even
//! need a store before the first cycle.

use std::future::pending;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tideline_config::settings::Settings;
use tideline_producer::api::types::{PlanLine, PlanStep, PlanSummary};
use tideline_producer::api::{PlanRequest, PlanStream, Plans};
use tideline_runtime::stop_signals;
use tideline_store::Store;
use tokio_util::sync::CancellationToken;

use super::{SourcePlanner, configured};
use crate::client::{ClientError, Lines, Remote, Request};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::progress::Reading;

/// The timeout if none is given: practically unlimited.
const NO_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The totals, after each step was handed over. Progress is shown meanwhile.
///
/// # Errors
/// There is no plan, it was not complete after `timeout` seconds, or a signal came first; then nothing is left of it.
pub(crate) async fn follow(
    context: &Context,
    wanted: PlanRequest,
    timeout: Option<u64>,
    mut step: impl FnMut(PlanStep) -> anyhow::Result<()>,
) -> anyhow::Result<PlanSummary> {
    let (stop, hard) = (CancellationToken::new(), CancellationToken::new());
    let watching = tokio::spawn(stop_signals(stop.clone(), hard.clone()));
    let mut reading = Reading::new(&wanted.source);
    let mut plan = Plan::open(context, wanted).await?;
    let followed = tokio::select! {
        followed = to_the_end(&mut plan, &mut reading, &mut step) => followed,
        () = after(timeout) => Err(too_late(timeout)),
        () = stop.cancelled() => Err(interrupted()),
    };
    reading.close();
    let mut closing = pin!(plan.close());
    let closed = tokio::select! {
        () = &mut closing => Ok(()),
        () = hard.cancelled() => Err(Failure::new(Code::Stopped, "stopped by a second signal")),
    };
    watching.abort();
    closed?;
    followed
}

async fn to_the_end(
    plan: &mut Plan,
    reading: &mut Reading,
    step: &mut impl FnMut(PlanStep) -> anyhow::Result<()>,
) -> anyhow::Result<PlanSummary> {
    while let Some(line) = plan.next().await? {
        if !matches!(line, PlanLine::Progress { .. }) {
            reading.close();
        }
        match line {
            PlanLine::Progress { progress } => reading.show(&progress)?,
            PlanLine::Step(found) => step(found)?,
            PlanLine::Summary { summary } => return Ok(summary),
            PlanLine::Problem { problem } => return Err(ClientError::from_problem(&problem).into()),
        }
    }
    Err(Failure::new(Code::Error, "the plan ended early; try again").into())
}

async fn after(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => pending().await,
    }
}

fn too_late(seconds: Option<u64>) -> anyhow::Error {
    let seconds = seconds.unwrap_or_default();
    let message = format!("not complete after {seconds} s; the catalog is unchanged");
    Failure::new(Code::NotInTime, message).into()
}

fn interrupted() -> anyhow::Error {
    let message = "interrupted before the source was read; the catalog is unchanged";
    Failure::new(Code::NotInTime, message).into()
}

/// A plan made by this process or by a gateway.
enum Plan {
    Here(PlanStream),
    There(Lines),
}

impl Plan {
    async fn open(context: &Context, wanted: PlanRequest) -> anyhow::Result<Self> {
        if let Some(server) = context.server()? {
            let request = Request::post(&["sources", &wanted.source, "plan"]).query("ref", wanted.only.as_ref());
            return Ok(Self::There(Remote::open(server)?.lines(&request).await?));
        }
        let settings = context.settings()?;
        configured(&settings, &wanted.source)?;
        let store = existing_store(context, &settings).await?;
        let planner = SourcePlanner::new(Arc::new(settings), store);
        let plans = Plans::new(Arc::new(planner), 1, NO_TIMEOUT, CancellationToken::new());
        let started = plans.start(wanted);
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

    /// Abandons the rest of it.
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
