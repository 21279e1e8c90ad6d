//! `POST /v1/sources/NAME/plan`: what the next cycle of a source would do, streamed line by line. The API does not know
//! how a source is read; a [`Planner`] does. [`Plans`] limits the number of concurrent plans, and their duration.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;
use tideline_core::words::EntityRef;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::entities::reference_of;
use super::extract::{Path, Query};
use super::problem::{Code, Problem};
use super::role::{By, Operate, Principal};
use super::sources::find;
use super::types::{PlanLine, PlanSummary};
use super::{ApiRouter, ApiState};

/// Media type of a plan: one JSON value per line.
pub const NDJSON: &str = "application/x-ndjson";

/// Number of buffered lines. A planner that is ahead of its reader waits, so that memory stays bounded.
const LINES: usize = 16;

/// How long an abandoned plan may take to clean up.
const TIDY_UP: Duration = Duration::from_secs(10);

/// The requested plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRequest {
    /// Name of the source.
    pub source: String,
    /// Send only the step of this entity; the totals cover all. None: every step.
    pub only: Option<EntityRef>,
}

impl PlanRequest {
    /// Every step of a source.
    #[must_use]
    pub fn whole(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            only: None,
        }
    }

    /// Whether the step of this entity is sent.
    #[must_use]
    pub fn wants(&self, reference: &EntityRef) -> bool {
        self.only.as_ref().is_none_or(|only| only == reference)
    }
}

/// Reads a source for a plan and compares it with the catalog. Writes nothing to the store.
#[async_trait]
pub trait Planner: Send + Sync {
    /// Refuses a source that cannot be planned, before anything is read.
    ///
    /// # Errors
    /// `conflict`: it is not configured here, or there is nothing to read.
    fn check(&self, source: &str) -> Result<(), Problem>;

    /// Sends progress and the requested steps, waits for room, and returns the totals. After `stop` it returns soon and
    /// leaves nothing behind.
    ///
    /// # Errors
    /// Why there is no plan.
    async fn plan(
        &self,
        wanted: &PlanRequest,
        lines: &mpsc::Sender<PlanLine>,
        stop: &CancellationToken,
    ) -> Result<PlanSummary, Problem>;
}

/// The plans of this process.
pub struct Plans {
    planner: Arc<dyn Planner>,
    places: Arc<Semaphore>,
    timeout: Duration,
    stop: CancellationToken,
}

impl Plans {
    /// At most `concurrency` at a time, each for `timeout` at most. `stop` ends all of them.
    #[must_use]
    pub fn new(planner: Arc<dyn Planner>, concurrency: u32, timeout: Duration, stop: CancellationToken) -> Self {
        let places = usize::try_from(concurrency).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            planner,
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            timeout,
            stop,
        }
    }

    /// Starts a plan.
    ///
    /// # Errors
    /// `overloaded`: too many are being made. Those of [`Planner::check`].
    pub fn start(&self, wanted: PlanRequest) -> Result<PlanStream, Problem> {
        self.planner.check(&wanted.source)?;
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let detail = "the maximum number of plans (plan.concurrency) is being made; try again later";
            Problem::new(Code::Overloaded, detail)
        })?;
        let (sender, lines) = mpsc::channel(LINES);
        let stop = self.stop.child_token();
        let making = Making {
            planner: Arc::clone(&self.planner),
            wanted,
            timeout: self.timeout,
            stop: stop.clone(),
            _place: place,
        };
        Ok(PlanStream {
            lines,
            making: tokio::spawn(making.run(sender)),
            stop: stop.drop_guard(),
        })
    }
}

/// A plan in progress.
struct Making {
    planner: Arc<dyn Planner>,
    wanted: PlanRequest,
    timeout: Duration,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Making {
    async fn run(self, lines: mpsc::Sender<PlanLine>) {
        let mut plan = self.planner.plan(&self.wanted, &lines, &self.stop);
        let made = tokio::select! {
            made = &mut plan => made,
            () = tokio::time::sleep(self.timeout) => {
                self.stop.cancel();
                let _ = tokio::time::timeout(TIDY_UP, plan).await;
                let seconds = self.timeout.as_secs();
                Err(Problem::new(Code::PlanTimeout, format!("the plan was not complete after {seconds} s (plan.timeout)")))
            }
        };
        let last = match made {
            Ok(summary) => PlanLine::Summary { summary },
            Err(problem) => PlanLine::Problem { problem },
        };
        // A client that does not read must not hold the place any longer.
        let _ = lines.send_timeout(last, TIDY_UP).await;
    }
}

/// The lines of a plan in progress. Dropping it abandons the plan.
#[derive(Debug)]
pub struct PlanStream {
    lines: mpsc::Receiver<PlanLine>,
    making: JoinHandle<()>,
    stop: DropGuard,
}

impl PlanStream {
    /// The next line; none after the summary or the problem. None without either: the process stops.
    pub async fn next(&mut self) -> Option<PlanLine> {
        self.lines.recv().await
    }

    /// Abandons the plan and waits until it is cleaned up.
    pub async fn cancel(self) {
        let Self { lines, making, stop } = self;
        drop((lines, stop));
        let _ = making.await;
    }
}

impl ApiState {
    /// Starts a plan of a source that the principal may act on.
    pub(crate) async fn plan(&self, principal: &Principal, wanted: PlanRequest) -> Result<PlanStream, Problem> {
        find(self, principal, &wanted.source).await?;
        let plans = self.plans.as_ref().ok_or_else(|| {
            Problem::new(
                Code::NotFound,
                "the process that responds has no configuration of sources",
            )
        })?;
        plans.start(wanted)
    }
}

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(plan))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PlanQuery {
    /// Show only what would happen to the entity with this reference. The summary covers the whole source.
    #[serde(rename = "ref")]
    reference: Option<String>,
}

/// Reads the whole source and shows what the next cycle would add, modify and remove. Writes nothing. One JSON value per line:
/// progress while the source is read, then the changes by reference, then the summary, or the problem that ended the plan. A
/// response without either was cut off. Closing the connection ends the plan.
#[utoipa::path(
    post, path = "/sources/{name}/plan", tag = "sources", security(("token" = ["operate"])),
    params(("name" = String, Path, description = "Its name"), PlanQuery),
    responses((status = 200, body = PlanLine, content_type = "application/x-ndjson")),
)]
async fn plan(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Query(query): Query<PlanQuery>,
) -> Result<Response, Problem> {
    by.refuse_if_match()?;
    let only = query.reference.as_deref().map(reference_of).transpose()?;
    let plan = api.plan(&by.principal, PlanRequest { source: name, only }).await?;
    let lines = stream::unfold(plan, async |mut plan| {
        let line = plan.next().await?;
        let text = serde_json::to_vec(&line).map(|mut text| {
            text.push(b'\n');
            Bytes::from(text)
        });
        Some((text, plan))
    });
    Ok(([(CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response())
}
