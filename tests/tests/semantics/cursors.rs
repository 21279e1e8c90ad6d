//! Cursors that expire, do not advance, or lead in a circle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tideline_core::words::{CycleState, JobState};
use tideline_worker::{ErrorClass, Page, SourceError};

use crate::stage::{Asked, NAME, Stage, page};

/// Bursts of 10 s without a wait between them: each has one page of 11 s, or two of 6 s.
fn short_bursts(settings: &mut tideline_config::settings::SourceSettings) {
    settings.burst_interval = Duration::ZERO;
}

fn number(asked: &Asked) -> u64 {
    asked.cursor.as_ref().and_then(serde_json::Value::as_u64).unwrap_or(0)
}

#[tokio::test]
async fn a_cursor_that_does_not_advance_parks_its_partition_and_nothing_is_swept() -> Result<()> {
    let stage = Stage::start(|_| (), |_| Ok(page(&["a", "b"], None))).await?;
    stage.reaches(1, CycleState::Complete).await?;
    stage.rewrite(|_| Ok(page(&["a"], Some(7))));
    stage.refresh().await?;
    let ended = stage.reaches(2, CycleState::Incomplete).await?;
    assert!(ended.reason.is_some_and(|reason| reason.contains("does not advance")));
    stage.job(NAME, |job| job.state == JobState::Parked).await?;
    assert_eq!(stage.names().await?, ["a", "b"]);
    Ok(())
}

#[tokio::test]
async fn an_expired_cursor_starts_its_partition_over_and_what_was_marked_stays_marked() -> Result<()> {
    let asked = Arc::new(AtomicUsize::new(0));
    let stage = Stage::start(|_| (), |_| Ok(page(&["a", "b", "c"], None))).await?;
    stage.reaches(1, CycleState::Complete).await?;
    // The first pass shows "a" and then expires; after that "a" is gone, but it was seen in this cycle.
    let count = Arc::clone(&asked);
    stage.rewrite(
        move |request| match (count.fetch_add(1, Ordering::SeqCst), request.cursor) {
            (0, _) => Ok(page(&["a"], Some(1))),
            (1, Some(_)) => Err(SourceError::new(ErrorClass::CursorExpired, "410")),
            _ => Ok(page(&["b"], None)),
        },
    );
    stage.refresh().await?;
    let ended = stage.reaches(2, CycleState::Complete).await?;
    assert_eq!(
        stage.names().await?,
        ["a", "b"],
        "c was not seen, a was seen before the restart"
    );
    assert_eq!(ended.totals.removed, 1);
    Ok(())
}

#[tokio::test]
async fn a_cursor_that_expires_again_and_again_parks_its_partition() -> Result<()> {
    let script = |request: Asked| match request.cursor {
        None => Ok(page(&["a"], Some(1))),
        Some(_) => Err(SourceError::new(ErrorClass::CursorExpired, "410")),
    };
    let stage = Stage::start(|settings| settings.max_restarts = 2, script).await?;
    let parked = stage.job(NAME, |job| job.state == JobState::Parked).await?;
    assert!(
        parked
            .last_error
            .is_some_and(|error| error.contains("max_restarts (2)"))
    );
    stage.reaches(1, CycleState::Incomplete).await?;
    Ok(())
}

#[tokio::test]
async fn a_circle_of_cursors_that_is_longer_than_a_burst_parks_its_partition() -> Result<()> {
    for seconds in [11, 6] {
        let pages = Arc::new(AtomicU64::new(0));
        let read = Arc::clone(&pages);
        let script = move |asked: Asked| {
            // As an API that starts again after its seventh page does. It stops only so that the test ends.
            asked.clock.advance(Duration::from_secs(seconds));
            let next = (number(&asked) + 1) % 7;
            let last = read.fetch_add(1, Ordering::SeqCst) > 100;
            Ok(page(&["a"], (!last).then_some(next)))
        };
        let stage = Stage::start(short_bursts, script).await?;
        let ended = stage.reaches(1, CycleState::Incomplete).await?;
        assert!(ended.reason.is_some_and(|reason| reason.contains("does not advance")));
        stage.job(NAME, |job| job.state == JobState::Parked).await?;
        assert!(pages.load(Ordering::SeqCst) < 4 * 7);
        stage.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_partition_that_starts_over_and_meets_the_same_cursors_again_is_not_called_a_circle() -> Result<()> {
    let pages = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&pages);
    let script = move |asked: Asked| {
        asked.clock.advance(Duration::from_secs(11));
        // The second restart comes while the cursor of page eight, 3, is kept; it comes again as that of page twelve.
        if [5, 10].contains(&read.fetch_add(1, Ordering::SeqCst)) {
            return Err(SourceError::new(ErrorClass::CursorExpired, "410"));
        }
        let number = number(&asked);
        Ok(page(
            &[format!("e{number}").as_str()],
            (number < 6).then_some(number + 1),
        ))
    };
    let stage = Stage::start(short_bursts, script).await?;
    stage.reaches(1, CycleState::Complete).await?;
    assert_eq!(stage.names().await?.len(), 7);
    assert_eq!(pages.load(Ordering::SeqCst), 5 + 1 + 4 + 1 + 7);
    Ok(())
}

#[tokio::test]
async fn a_circle_of_signed_next_urls_is_told_without_their_queries() -> Result<()> {
    let script = |_| {
        Ok(Page {
            next: Some(json!("/things?signature=hush-hush")),
            ..page(&["a"], None)
        })
    };
    let stage = Stage::start(|_| (), script).await?;
    let parked = stage.job(NAME, |job| job.state == JobState::Parked).await?;
    let error = parked.last_error.unwrap_or_default();
    assert!(
        error.contains("/things?[redacted]") && !error.contains("hush"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn a_page_whose_next_cursor_came_before_is_stored_before_it_is_refused() -> Result<()> {
    let script = |asked: Asked| {
        Ok(match number(&asked) {
            0 => page(&["a"], Some(1)),
            _ => page(&["b"], Some(1)),
        })
    };
    let stage = Stage::start(|_| (), script).await?;
    stage.job(NAME, |job| job.state == JobState::Parked).await?;
    assert_eq!(stage.names().await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_page_behind_which_nobody_can_tell_what_follows_is_stored_and_its_partition_parked() -> Result<()> {
    let script = |_| {
        Ok(Page {
            failure: Some(SourceError::new(ErrorClass::Permanent, "the next URL is refused")),
            ..page(&["a", "b"], None)
        })
    };
    let stage = Stage::start(|_| (), script).await?;
    let parked = stage.job(NAME, |job| job.state == JobState::Parked).await?;
    assert!(parked.last_error.is_some_and(|error| error.contains("refused")));
    stage.reaches(1, CycleState::Incomplete).await?;
    assert_eq!(stage.names().await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn new_cursors_without_end_are_read_up_to_max_pages() -> Result<()> {
    let script = |asked: Asked| {
        let number = number(&asked);
        Ok(page(&[format!("e{number}").as_str()], Some(number + 1)))
    };
    let stage = Stage::start(|settings| settings.max_pages = 5, script).await?;
    let parked = stage.job(NAME, |job| job.state == JobState::Parked).await?;
    assert!(parked.last_error.is_some_and(|error| error.contains("max_pages")));
    assert_eq!(stage.names().await?.len(), 5);
    Ok(())
}
