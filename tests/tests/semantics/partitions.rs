//! Failing partitions hold up no other partition, and keep only what they own.

use anyhow::Result;
use tideline_core::words::{CycleState, JobRecord, JobState};
use tideline_worker::{ErrorClass, Page, SourceError};

use crate::stage::{Answer, Asked, NAME, Stage, child, page, transient};

/// Children `bad`, `one` and `two`, each with an entity of its name and a `gone-…` one.
fn family(request: &Asked) -> Answer {
    let name = request.partition.as_str();
    if name == NAME {
        return Ok(Page {
            children: vec![child("bad"), child("one"), child("two")],
            ..page(&[], None)
        });
    }
    Ok(page(&[name, &format!("gone-{name}")], None))
}

/// Like [`family`] without the `gone-…` ones; `bad` answers with an error.
async fn second_cycle(stage: &Stage, error: fn() -> SourceError) -> Result<()> {
    stage.rewrite(move |request| match request.partition.as_str() {
        "bad" => Err(error()),
        NAME => family(&request),
        name => Ok(page(&[name], None)),
    });
    stage.refresh().await
}

#[tokio::test]
async fn a_child_that_always_fails_starves_no_sibling_and_cancels_no_cycle() -> Result<()> {
    let stage = Stage::start(|settings| settings.parallel_partitions = 1, |request| family(&request)).await?;
    stage.reaches(1, CycleState::Complete).await?;
    second_cycle(&stage, transient).await?;
    // Its siblings are read while it waits on its ladder.
    for sibling in ["scripted/one", "scripted/two"] {
        let done = |job: &JobRecord| job.state == JobState::Done && job.cycle.is_some_and(|cycle| cycle.0 == 2);
        stage.job(sibling, done).await?;
    }
    for rung in [1, 2] {
        stage
            .job("scripted/bad", |job| job.rung == rung && job.due_at.is_some())
            .await?;
        stage.advance(23);
    }
    let ended = stage.reaches(2, CycleState::Complete).await?;
    let reason = ended.reason.unwrap_or_default();
    assert!(
        reason.starts_with("1 of 4 partitions failed: up to 2 entities that it may own were kept"),
        "{reason}"
    );
    assert!(reason.contains("it is not well"), "{reason}");
    assert_eq!(stage.names().await?, ["bad", "gone-bad", "one", "two"]);
    Ok(())
}

#[tokio::test]
async fn a_child_that_is_refused_keeps_its_entities_and_no_others() -> Result<()> {
    let stage = Stage::start(|_| (), |request| family(&request)).await?;
    stage.reaches(1, CycleState::Complete).await?;
    second_cycle(&stage, || SourceError::new(ErrorClass::Permanent, "403 Forbidden")).await?;
    let ended = stage.reaches(2, CycleState::Complete).await?;
    assert!(ended.reason.is_some_and(|reason| reason.contains("403 Forbidden")));
    assert_eq!(stage.names().await?, ["bad", "gone-bad", "one", "two"]);
    // It is well again: what it lost meanwhile goes.
    stage.rewrite(|request| match request.partition.as_str() {
        NAME => family(&request),
        name => Ok(page(&[name], None)),
    });
    stage.refresh().await?;
    assert_eq!(stage.reaches(3, CycleState::Complete).await?.reason, None);
    assert_eq!(stage.names().await?, ["bad", "one", "two"]);
    Ok(())
}

/// The root and `second` beside it, which the root's first page reveals, each with an entity of its name and a `gone-…`
/// one.
fn two_lists(request: &Asked) -> Answer {
    let name = request.partition.as_str();
    let children = (name == NAME).then(|| child("second"));
    Ok(Page {
        children: children.into_iter().collect(),
        ..page(&[name, &format!("gone-{name}")], None)
    })
}

/// Like [`two_lists`] without the `gone-…` one of `second`; the root answers with an error.
fn first_fails(stage: &Stage, error: fn() -> SourceError) {
    stage.rewrite(move |request| match request.partition.as_str() {
        NAME => Err(error()),
        name => Ok(page(&[name], None)),
    });
}

#[tokio::test]
async fn the_other_lists_of_a_source_are_read_although_its_first_one_is_refused() -> Result<()> {
    let refused = || SourceError::new(ErrorClass::Permanent, "403 Forbidden");
    let stage = Stage::start_beside(&["second"], |_| (), |request| two_lists(&request)).await?;
    stage.reaches(1, CycleState::Complete).await?;
    first_fails(&stage, refused);
    stage.refresh().await?;
    let ended = stage.reaches(2, CycleState::Complete).await?;
    let reason = ended.reason.unwrap_or_default();
    assert!(
        reason.starts_with("1 of 2 partitions failed: up to 2 entities that it may own were kept"),
        "{reason}"
    );
    // What the refused one owns stays, what the other one lost goes.
    assert_eq!(stage.names().await?, ["gone-scripted", "scripted", "second"]);
    // Also in the first cycle ever.
    let stage = Stage::start_beside(
        &["second"],
        |_| (),
        move |request| match request.partition.as_str() {
            NAME => Err(refused()),
            name => Ok(page(&[name], None)),
        },
    )
    .await?;
    stage.reaches(1, CycleState::Complete).await?;
    assert_eq!(stage.names().await?, ["second"]);
    Ok(())
}

#[tokio::test]
async fn the_other_lists_of_a_source_are_read_and_swept_although_its_first_one_never_answers_well() -> Result<()> {
    let stage = Stage::start_beside(&["second"], |_| (), |request| two_lists(&request)).await?;
    stage.reaches(1, CycleState::Complete).await?;
    first_fails(&stage, transient);
    stage.refresh().await?;
    // While the first one waits on its ladder.
    let done = |job: &JobRecord| job.state == JobState::Done && job.cycle.is_some_and(|cycle| cycle.0 == 2);
    stage.job("scripted/second", done).await?;
    for rung in [1, 2] {
        stage.job(NAME, |job| job.rung == rung && job.due_at.is_some()).await?;
        stage.advance(23);
    }
    stage.reaches(2, CycleState::Complete).await?;
    assert_eq!(stage.names().await?, ["gone-scripted", "scripted", "second"]);
    // It is well again: what it lost meanwhile goes.
    stage.rewrite(|request| {
        let mut page = page(&[request.partition.as_str()], None);
        page.children
            .extend((request.partition == NAME).then(|| child("second")));
        Ok(page)
    });
    stage.refresh().await?;
    assert_eq!(stage.reaches(3, CycleState::Complete).await?.reason, None);
    assert_eq!(stage.names().await?, ["scripted", "second"]);
    Ok(())
}
