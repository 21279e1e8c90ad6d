//! Many small partitions, which are read in each other's places and committed together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use parking_lot::Mutex;
use tideline_core::words::{CycleState, JobRecord, JobState};
use tideline_worker::{ErrorClass, Page, PageContent, SourceError};

use crate::stage::{Answer, Asked, NAME, Stage, child, page, transient};

const CHILDREN: usize = 300;

/// Requests by partition.
type Requests = Arc<Mutex<HashMap<String, usize>>>;

fn children() -> Page {
    Page {
        children: (0..CHILDREN)
            .map(|number| child(&format!("part-{number:03}")))
            .collect(),
        ..page(&[], None)
    }
}

/// Each child has one entity of its name.
fn small(request: &Asked) -> Answer {
    if request.partition == NAME {
        return Ok(children());
    }
    Ok(page(&[request.partition.as_str()], None))
}

/// Counts what is asked for.
fn counted(
    requests: &Requests,
    mut script: impl FnMut(Asked) -> Answer + Send + 'static,
) -> impl FnMut(Asked) -> Answer + Send + 'static {
    let requests = Arc::clone(requests);
    move |request| {
        *requests.lock().entry(request.partition.clone()).or_default() += 1;
        script(request)
    }
}

#[tokio::test]
async fn many_small_partitions_are_each_asked_for_once_and_never_more_at_once_than_places() -> Result<()> {
    let requests = Requests::default();
    let script = counted(&requests, |request| small(&request));
    let stage = Stage::start(|settings| settings.parallel_partitions = 3, script).await?;
    let ended = stage.reaches(1, CycleState::Complete).await?;
    assert_eq!(ended.totals.partitions_done, CHILDREN as u64 + 1);
    assert_eq!(ended.totals.added, CHILDREN as u64);
    assert!(requests.lock().values().all(|count| *count == 1), "{requests:?}");
    assert!(stage.most_at_once() <= 3, "{} at once", stage.most_at_once());
    // Nothing changed: each is marked, and nothing else is written.
    stage.rewrite(|request| {
        if request.partition == NAME {
            return Ok(children());
        }
        Ok(Page {
            content: PageContent::Unchanged,
            ..page(&[], None)
        })
    });
    stage.refresh().await?;
    let ended = stage.reaches(2, CycleState::Complete).await?;
    assert_eq!(ended.totals.pages_unchanged, CHILDREN as u64 + 1);
    assert_eq!(
        (ended.totals.removed, ended.totals.added, ended.totals.modified),
        (0, 0, 0)
    );
    assert_eq!(stage.names().await?.len(), CHILDREN);
    Ok(())
}

#[tokio::test]
async fn a_long_partition_among_small_ones_is_read_to_its_end() -> Result<()> {
    let script = |request: Asked| {
        if request.partition != "part-150" {
            return small(&request);
        }
        let at = request.cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0);
        Ok(page(&[format!("long-{at}").as_str()], (at < 9).then_some(at + 1)))
    };
    let stage = Stage::start(|settings| settings.parallel_partitions = 2, script).await?;
    let ended = stage.reaches(1, CycleState::Complete).await?;
    assert_eq!(ended.totals.added, CHILDREN as u64 - 1 + 10);
    let names = stage.names().await?;
    assert!((0..10).all(|at| names.contains(&format!("long-{at}"))), "{names:?}");
    Ok(())
}

#[tokio::test]
async fn one_of_many_small_partitions_that_fails_or_panics_climbs_its_ladder_alone() -> Result<()> {
    let requests = Requests::default();
    let script = counted(&requests, |request| match request.partition.as_str() {
        "part-100" => Err(transient()),
        "part-200" => panic!("this one is poisoned"),
        _ => small(&request),
    });
    let stage = Stage::start(|settings| settings.parallel_partitions = 2, script).await?;
    for (key, why) in [("scripted/part-100", "not well"), ("scripted/part-200", "poisoned")] {
        let failed = stage.job(key, |job| job.rung == 1).await?;
        assert!(failed.last_error.is_some_and(|error| error.contains(why)));
    }
    let done = |job: &JobRecord| job.state == JobState::Done;
    stage.job("scripted/part-299", done).await?;
    stage.rewrite(|request| small(&request));
    stage.advance(11);
    let ended = stage.reaches(1, CycleState::Complete).await?;
    assert_eq!(ended.totals.added, CHILDREN as u64);
    let requests = requests.lock();
    let innocent = |name: &&String| !["part-100", "part-200"].contains(&name.as_str());
    assert!(
        requests.keys().filter(innocent).all(|name| requests[name] == 1),
        "{requests:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_small_partition_that_is_told_to_wait_holds_back_all_that_are_left() -> Result<()> {
    let requests = Requests::default();
    let script = counted(&requests, |request| {
        if request.partition == "part-100" {
            let class = ErrorClass::Transient {
                retry_after: Some(Duration::from_secs(50)),
            };
            return Err(SourceError::new(class, "429"));
        }
        small(&request)
    });
    let stage = Stage::start(|settings| settings.parallel_partitions = 1, script).await?;
    stage.job("scripted/part-100", |job| job.rung == 1).await?;
    stage.scheduler_turns().await;
    let asked = requests.lock().len();
    assert!(asked < CHILDREN, "{asked} were asked for");
    stage.advance(30);
    stage.scheduler_turns().await;
    assert_eq!(requests.lock().len(), asked, "nobody asked during the hold");
    stage.rewrite(|request| small(&request));
    stage.advance(21);
    let ended = stage.reaches(1, CycleState::Complete).await?;
    assert_eq!(ended.totals.added, CHILDREN as u64);
    Ok(())
}

#[tokio::test]
async fn a_shutdown_among_small_partitions_hands_them_back_and_spends_no_attempt() -> Result<()> {
    let slow = |request: Asked| {
        std::thread::sleep(Duration::from_millis(2));
        small(&request)
    };
    let stage = Stage::start(|settings| settings.parallel_partitions = 1, slow).await?;
    stage
        .job("scripted/part-020", |job| job.state == JobState::Done)
        .await?;
    let stage = stage.restart().await?;
    let waiting = |job: &JobRecord| job.state != JobState::Running && job.attempt > 0;
    let spent: Vec<JobRecord> = stage.jobs().await?.into_iter().filter(waiting).collect();
    assert!(spent.is_empty(), "{spent:?}");
    let ended = stage.reaches(1, CycleState::Complete).await?;
    assert_eq!(ended.totals.added, CHILDREN as u64);
    Ok(())
}
