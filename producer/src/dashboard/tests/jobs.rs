//! Lists of jobs, and acts on one or many.

use tideline_core::clock::{Clock as _, SystemClock};
use tideline_core::words::{JobState, NewJob, Role};
use tideline_store::conformance::{KIND, job_of};

use super::{Bench, EVIL, bench, job, somebody};

async fn parked(bench: &Bench) -> u64 {
    bench.store.stats(SystemClock.now()).await.unwrap().parked
}

#[tokio::test]
async fn filters_are_in_the_address_and_lists_are_paged() {
    let bench = bench().await;
    let jobs: Vec<NewJob> = (0..1_000).map(|n| job(&format!("job-{n:04}"))).collect();
    bench.store.enqueue(&jobs, SystemClock.now()).await.unwrap();
    let first = bench.get(&format!("/jobs?kind={KIND}&state=waiting")).await;
    assert!(first.html.len() < 60_000, "{} bytes", first.html.len());
    assert!(first.html.contains("job-0049") && !first.html.contains("job-0050"));
    assert!(
        first.html.contains(&format!("value=\"{KIND}\"")) && first.html.contains("<option value=\"waiting\" selected>")
    );
    let next = first
        .html
        .split("href=\"/jobs?")
        .find(|part| part.contains("rel=\"next\""))
        .unwrap();
    let (next, _) = next.split_once('"').unwrap();
    let second = bench.get(&format!("/jobs?{}", next.replace("&amp;", "&"))).await;
    assert!(
        second.html.contains("job-0050") && !second.html.contains("job-0049"),
        "{next}"
    );
    assert!(bench.get("/jobs?kind=other").await.html.contains("No job matches"));
}

#[tokio::test]
async fn parked_jobs_are_retried_one_by_one_or_all_that_match() {
    let bench = bench().await;
    bench.hostile().await;
    assert_eq!(parked(&bench).await, 2);
    let job = job_of(&bench.store, KIND, EVIL).await;
    assert_eq!(
        bench.post("/jobs/retry", "back=%2Fjobs").await.status,
        400,
        "nothing was chosen"
    );
    assert_eq!(
        bench
            .post("/jobs/retry", &format!("job={}&back=%2Fjobs", job.id))
            .await
            .status,
        303
    );
    assert_eq!(job_of(&bench.store, KIND, EVIL).await.state, JobState::Waiting);
    let partial = bench.post("/jobs/retry", &format!("job={}&job=999999", job.id)).await;
    assert!(
        partial.status == 404 && partial.html.contains("1 of 2 jobs were refused"),
        "{}",
        partial.html
    );
    assert_eq!(bench.post("/jobs/retry", "all=1&state=parked").await.status, 303);
    assert_eq!(parked(&bench).await, 0);
}

#[tokio::test]
async fn many_jobs_are_cancelled_with_a_reason() {
    let bench = bench().await;
    bench.hostile().await;
    let job = job_of(&bench.store, KIND, EVIL).await;
    let form = format!("job={}&back=%2Fjobs", job.id);
    assert_eq!(
        bench.post("/jobs/cancel", &form).await.status,
        400,
        "no reason was given"
    );
    assert_eq!(
        bench
            .post("/jobs/cancel", &format!("{form}&reason=obsolete"))
            .await
            .status,
        303
    );
    assert_eq!(job_of(&bench.store, KIND, EVIL).await.state, JobState::Cancelled);
    let reader = bench
        .post_as(somebody(Role::Read, &[]), "/jobs/cancel", &format!("{form}&reason=r"))
        .await;
    assert_eq!(reader.status, 403);
}
