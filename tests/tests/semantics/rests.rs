//! What a changed configuration does to sources that rest.

use std::time::Duration;

use anyhow::{Context, Result};
use tideline_config::settings::SourceSettings;
use tideline_core::rules::Schedule;
use tideline_core::words::{CycleState, Timestamp};
use tideline_store::SourceCommand;

use super::stage::{Stage, page};

const HOUR: i64 = 3_600;

fn rest(seconds: u64) -> impl FnOnce(&mut SourceSettings) {
    move |settings| settings.rest = Some(Duration::from_secs(seconds))
}

fn schedule(expression: &str) -> impl FnOnce(&mut SourceSettings) {
    move |settings| {
        settings.rest = None;
        settings.schedule = Some(Schedule::new(expression, "UTC").unwrap());
    }
}

/// A source that rests since the moment that is returned too.
async fn resting(change: impl FnOnce(&mut SourceSettings)) -> Result<(Stage, Timestamp)> {
    let stage = Stage::start(change, |_| Ok(page(&["a"], None))).await?;
    let cycle = stage.reaches(1, CycleState::Complete).await?;
    let ended_at = cycle.ended_at.context("it has not ended")?;
    Ok((stage, ended_at))
}

async fn next_cycle(stage: &Stage) -> Result<Timestamp> {
    stage.source().await?.next_cycle_at.context("it waits for nothing")
}

#[tokio::test]
async fn a_changed_rest_counts_from_the_end_of_the_cycle_of_a_resting_source() -> Result<()> {
    let (stage, ended_at) = resting(rest(100)).await?;
    assert_eq!(next_cycle(&stage).await?, ended_at.plus(Duration::from_secs(100)));
    stage.advance(30);
    let stage = stage.restart_with(rest(200)).await?;
    assert_eq!(next_cycle(&stage).await?, ended_at.plus(Duration::from_secs(200)));
    stage.advance(30);
    let stage = stage.restart_with(rest(90)).await?;
    assert_eq!(next_cycle(&stage).await?, ended_at.plus(Duration::from_secs(90)));
    stage.advance(29);
    stage.scheduler_turns().await;
    assert_eq!(stage.source().await?.cycle.0, 1, "a second is left");
    stage.advance(2);
    stage.reaches(2, CycleState::Complete).await?;
    Ok(())
}

#[tokio::test]
async fn a_rest_that_the_change_ends_is_over_at_once() -> Result<()> {
    let (stage, _) = resting(rest(100)).await?;
    stage.advance(60);
    let stage = stage.restart_with(rest(50)).await?;
    stage.reaches(2, CycleState::Complete).await?;
    Ok(())
}

#[tokio::test]
async fn a_changed_schedule_waits_for_its_own_next_tick() -> Result<()> {
    let (stage, ended_at) = resting(rest(100_000)).await?;
    stage.advance(3 * 3_600);
    let now = stage.clock_start(3 * HOUR);
    let stage = stage.restart_with(schedule("0 * * * *")).await?;
    let hourly = next_cycle(&stage).await?;
    assert!(
        hourly > now && hourly.0 <= now.0 + HOUR * 1_000,
        "{hourly:?} is not the next hour"
    );
    assert_eq!(hourly.0 % (HOUR * 1_000), 0);
    let stage = stage.restart_with(schedule("30 * * * *")).await?;
    let half_past = next_cycle(&stage).await?;
    assert_eq!(half_past.0 % (HOUR * 1_000), 1_800_000);
    let stage = stage
        .restart_with(|settings| {
            settings.schedule = None;
            settings.rest = Some(Duration::from_secs(100_000));
        })
        .await?;
    assert_eq!(next_cycle(&stage).await?, ended_at.plus(Duration::from_secs(100_000)));
    assert_eq!(stage.source().await?.cycle.0, 1);
    Ok(())
}

#[tokio::test]
async fn a_scheduler_that_starts_again_moves_neither_a_rest_nor_a_tick() -> Result<()> {
    let stages = [resting(rest(100)).await?, resting(schedule("0 0 1 * *")).await?];
    for (stage, _) in stages {
        let next = next_cycle(&stage).await?;
        stage.advance(60);
        let stage = stage.restart_with(|_| ()).await?;
        assert_eq!(next_cycle(&stage).await?, next);
        assert_eq!(stage.source().await?.cycle.0, 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_changed_rest_moves_nothing_of_a_source_that_is_paused_until_it_goes_on() -> Result<()> {
    let (stage, ended_at) = resting(rest(100)).await?;
    stage.command(SourceCommand::Pause).await?;
    let stage = stage.restart_with(rest(200)).await?;
    assert_eq!(next_cycle(&stage).await?, ended_at.plus(Duration::from_secs(100)));
    stage.command(SourceCommand::Resume).await?;
    let stage = stage.restart_with(|_| ()).await?;
    assert_eq!(next_cycle(&stage).await?, ended_at.plus(Duration::from_secs(200)));
    Ok(())
}
