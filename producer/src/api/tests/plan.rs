use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::super::types::{PlanLine, PlanProgress, PlanStep, PlanSummary};
use super::*;

/// Plans as a test wants it.
#[derive(Default)]
pub(super) struct Planned {
    /// Goes on until it is stopped.
    endless: bool,
    stopped: CancellationToken,
}

impl Answered {
    fn lines(&self) -> Vec<PlanLine> {
        let lines = self.body.lines();
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn summary(source: &str) -> PlanSummary {
    PlanSummary {
        source: source.to_owned(),
        added: 1,
        unchanged: 1,
        ..PlanSummary::default()
    }
}

#[async_trait]
impl Planner for Planned {
    fn check(&self, source: &str) -> Result<(), Problem> {
        if source == "team-a" {
            return Err(Problem::new(Code::Conflict, "there is nothing to read"));
        }
        Ok(())
    }

    async fn plan(
        &self,
        wanted: &PlanRequest,
        lines: &mpsc::Sender<PlanLine>,
        stop: &CancellationToken,
    ) -> Result<PlanSummary, Problem> {
        let progress = PlanProgress::default();
        let _ = lines.send(PlanLine::Progress { progress }).await;
        if self.endless {
            stop.cancelled().await;
            self.stopped.cancel();
            return Err(Problem::new(Code::Unavailable, "stopped"));
        }
        for reference in ["component:default/new", "component:default/newer"] {
            let step = PlanStep {
                change: tideline_core::words::ChangeKind::Added,
                reference: reference.parse().unwrap(),
                differences: Vec::new(),
            };
            if wanted.wants(&step.reference) {
                let _ = lines.send(PlanLine::Step(step)).await;
            }
        }
        Ok(summary(&wanted.source))
    }
}

async fn bench_that_plans(yaml: &str, endless: bool) -> (Bench, Arc<Planned>) {
    let planned = Arc::new(Planned {
        endless,
        ..Planned::default()
    });
    let settings = tideline_config::parse(yaml, Path::new("t.yaml"), &|_| None).unwrap();
    let planner: Arc<dyn Planner> = Arc::clone(&planned) as Arc<dyn Planner>;
    (bench_of(Some(settings), Some(planner)).await, planned)
}

fn request(name: &str) -> Request<Body> {
    let request = Request::builder()
        .method("POST")
        .uri(format!("/v1/sources/{name}/plan"));
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_plan_comes_line_by_line_and_ends_with_its_summary() {
    let (bench, _) = bench_that_plans("", false).await;
    let answer = bench.post("/v1/sources/platform/plan", None).await;
    assert_eq!((answer.status, answer.kind.as_str()), (200, "application/x-ndjson"));
    let lines = answer.lines();
    assert!(
        matches!(&lines[..], [PlanLine::Progress { .. }, PlanLine::Step(step), PlanLine::Step(_), PlanLine::Summary { summary: end }]
            if step.reference.as_str() == "component:default/new" && *end == summary("platform")),
        "{lines:?}"
    );
    assert_eq!(
        bench.get("/v1/audit").await.json()["items"],
        json!([]),
        "a plan is no act"
    );
}

#[tokio::test]
async fn a_plan_of_one_entity_sends_no_other_step() {
    let (bench, _) = bench_that_plans("", false).await;
    let path = "/v1/sources/platform/plan?ref=component:default/newer";
    let lines = bench.post(path, None).await.lines();
    assert!(
        matches!(&lines[..], [PlanLine::Progress { .. }, PlanLine::Step(step), PlanLine::Summary { summary: end }]
            if step.reference.as_str() == "component:default/newer" && *end == summary("platform")),
        "{lines:?}"
    );
    let wrong = bench.post("/v1/sources/platform/plan?ref=none", None).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "invalid_request"));
}

#[tokio::test]
async fn what_cannot_be_planned_is_refused_before_anything_is_read() {
    let (bench, _) = bench_that_plans("", false).await;
    let nothing = bench.post("/v1/sources/team-a/plan", None).await;
    assert_eq!((nothing.status, nothing.code().as_str()), (409, "conflict"));
    let limited = holder(Role::Operate, &["team-*"]);
    let hidden = bench.ask(limited, "POST", "/v1/sources/platform/plan", None, &[]).await;
    assert_eq!((hidden.status, hidden.code().as_str()), (404, "unknown_source"));
    let unconfigured = super::bench().await.post("/v1/sources/platform/plan", None).await;
    assert_eq!(unconfigured.status, 404, "{}", unconfigured.body);
}

#[tokio::test]
async fn a_plan_ends_when_its_reader_goes_and_leaves_its_place_to_others() {
    let (bench, planned) = bench_that_plans("plan: { concurrency: 1 }", true).await;
    let response = bench.api.call(holder(Role::Operate, &[]), request("platform")).await;
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().is_ok(), "the plan has begun");
    let busy = bench.post("/v1/sources/platform/plan", None).await;
    assert_eq!((busy.status, busy.code().as_str()), (503, "overloaded"));
    assert!(busy.body.contains("plan.concurrency"), "{}", busy.body);

    drop(body);
    tokio::time::timeout(Duration::from_secs(10), planned.stopped.cancelled())
        .await
        .expect("the plan goes on although nobody reads it");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let next = bench.api.call(holder(Role::Operate, &[]), request("platform")).await;
        if next.status() == StatusCode::OK {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the place was not given back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_plan_that_takes_too_long_ends_with_a_problem() {
    let (bench, planned) = bench_that_plans("plan: { timeout: 1s }", true).await;
    let answer = bench.post("/v1/sources/platform/plan", None).await;
    assert_eq!(answer.status, 200);
    let last: PlanLine = serde_json::from_str(answer.body.lines().last().unwrap()).unwrap();
    assert!(
        matches!(&last, PlanLine::Problem { problem } if problem.code == Code::PlanTimeout),
        "{last:?}"
    );
    assert!(planned.stopped.is_cancelled(), "the planner was not told");
}
