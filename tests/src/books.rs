//! The books of a store: what its cycles claim to have done, compared with what it holds. Proves that nothing was lost,
//! nothing applied twice, no sequence number skipped, and nothing deleted that the source still had.

use std::fmt::Write;

use anyhow::{Result, ensure};
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::words::{CycleState, CycleTotals, JobState};
use tideline_store::{JobFilter, Store};

use crate::hostile::{HostileServer, SOURCE};
use crate::oracle::FeedFollower;

/// More cycles than any test runs.
const ALL_CYCLES: u32 = 100_000;

/// What all cycles of the hostile source did together.
///
/// # Errors
/// The store's error.
pub async fn totals(store: &dyn Store) -> Result<CycleTotals> {
    let mut totals = CycleTotals::default();
    let Some(source) = store.find_source(SOURCE).await? else {
        return Ok(totals);
    };
    for cycle in store.list_cycles(source.id, ALL_CYCLES).await? {
        totals.pages += cycle.totals.pages;
        totals.entities += cycle.totals.entities;
        totals.added += cycle.totals.added;
        totals.modified += cycle.totals.modified;
        totals.unchanged += cycle.totals.unchanged;
        totals.removed += cycle.totals.removed;
    }
    Ok(totals)
}

/// Checks the books of a store whose only source is the hostile one, and in which nothing runs just now. The server
/// never uses a name twice, so an entity that was added twice had been deleted wrongly before.
///
/// # Errors
/// The books do not balance.
pub async fn check(store: &dyn Store, server: &HostileServer) -> Result<CycleTotals> {
    let totals = totals(store).await?;
    let last = store.stats(SystemClock.now()).await?.last_sequence.0;
    let changes = totals.added + totals.modified + totals.removed;
    ensure!(
        i64::try_from(changes)? == last,
        "{changes} changes were counted ({} added, {} modified, {} removed), but the last sequence number is {last}",
        totals.added,
        totals.modified,
        totals.removed,
    );
    let mut feed = FeedFollower::default();
    feed.follow(store, 1_000).await?;
    ensure!(
        feed.last_sequence().0 <= last,
        "a change has a later number than the counter"
    );
    ensure!(
        feed.changes() == totals.added,
        "{} entities were added, but the feed knows {}: some was added twice or is lost",
        totals.added,
        feed.changes(),
    );
    let gone: Vec<_> = feed.removed(SOURCE).collect();
    ensure!(
        gone.len() as u64 == totals.removed,
        "{} removals were counted, but {} entities are gone",
        totals.removed,
        gone.len(),
    );
    let wrong: Vec<_> = server.with_model(|model| gone.iter().filter(|it| !model.has_removed(it)).copied().collect());
    ensure!(wrong.is_empty(), "deleted although the source has them: {wrong:?}");
    let (names, modifications) = server.with_model(|model| (model.names(), model.modifications()));
    ensure!(
        totals.added <= names,
        "{} entities were added, but the source never had more than {names}",
        totals.added
    );
    ensure!(
        totals.modified <= modifications,
        "{} modifications were applied, but only {modifications} were made",
        totals.modified,
    );
    Ok(totals)
}

/// Whether the hostile source is in the middle of a cycle.
///
/// # Errors
/// The store's error.
pub async fn is_running(store: &dyn Store) -> Result<bool> {
    let Some(source) = store.find_source(SOURCE).await? else {
        return Ok(false);
    };
    let newest = store.list_cycles(source.id, 1).await?;
    Ok(newest
        .first()
        .is_some_and(|cycle| matches!(cycle.state, CycleState::Bursting | CycleState::Sweeping)))
}

/// How the store looks, for the report of a failed test: its source, its last cycles, and the jobs that are not done.
pub async fn describe(store: &dyn Store) -> String {
    let mut text = String::new();
    let now = SystemClock.now();
    let source = store.find_source(SOURCE).await;
    let _ = writeln!(text, "now {now}; {source:?}\n{:?}", store.stats(now).await);
    if let Ok(Some(source)) = source {
        for cycle in store.list_cycles(source.id, 3).await.unwrap_or_default() {
            let _ = writeln!(text, "{cycle:?}");
        }
    }
    for state in [
        JobState::Running,
        JobState::Waiting,
        JobState::Parked,
        JobState::Cancelled,
    ] {
        let filter = JobFilter {
            state: Some(state),
            limit: 8,
            ..JobFilter::default()
        };
        for job in store.list_jobs(&filter).await.unwrap_or_default() {
            let _ = writeln!(
                text,
                "job {} {:?} {state:?} due {:?} attempt {} rung {} token {} worker {:?} cycle {:?}: {:?}",
                job.id, job.key, job.due_at, job.attempt, job.rung, job.token, job.worker, job.cycle, job.last_error
            );
        }
    }
    text
}
