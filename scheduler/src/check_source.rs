//! Checks a source: reads it only to compare it with the catalog, on its own schedule (`check`). A [`SourceChecker`]
//! knows how to read and compare a source; this module decides when, and stores the results. A check waits for the end
//! of a running cycle, which reads the same source. It belongs to the scheduler that began it as long as that extends
//! its lease: if it dies, another one restarts the check.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tideline_config::settings::CheckSettings;
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::rules::resting_until;
use tideline_core::words::{CheckRecord, DriftTotals, SourceRecord, SourceState, Timestamp};
use tideline_runtime::telemetry::metrics;
use tideline_runtime::{Backoff, Pace, note_progress};
use tideline_store::{CheckToken, Store, StoreError};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::scheduler::Task;

/// A scheduler holds a check for this long after its last sign of life.
const LEASE: Duration = Duration::from_secs(60);

/// Interval between two signs of life. The source is read, too: it may have been paused.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// How long the next check waits while the process is running its maximum number of checks.
const OTHERS: Duration = Duration::from_secs(5);

/// How long an abandoned check may take to clean up.
const TIDY_UP: Duration = Duration::from_secs(10);

/// How often writing the results is retried if the store is away: reading the source again would cost more.
const WRITES: u32 = 20;

/// Reads a source and compares it with the catalog. Writes nothing to the store except holds requested by the source.
#[async_trait]
pub trait SourceChecker: Send + Sync {
    /// The differences; what could not be read is in the record's `failure`. None: it was stopped. After `stop` it
    /// returns soon and leaves nothing behind.
    async fn check(&self, source: &SourceRecord, stop: &CancellationToken) -> Option<CheckRecord>;
}

/// See the module.
pub struct CheckSource {
    /// Knows when checks are due.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Name of the source.
    pub name: String,
    /// When it is checked.
    pub check: CheckSettings,
    /// Makes the check.
    pub checker: Arc<dyn SourceChecker>,
    /// Limits the number of concurrent checks of this process.
    pub places: Arc<Semaphore>,
    /// Ends them.
    pub stop: CancellationToken,
}

/// How a check ended.
enum Ended {
    Found(CheckRecord),
    /// It has to be restarted: by another scheduler, or when the source is active again.
    GivenBack,
    /// Another scheduler has taken it over.
    Lost,
}

#[async_trait]
impl Task for CheckSource {
    /// Runs the check if it is due.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let Some(source) = self.store.find_source(&self.name).await? else {
            return Ok(Pace::Idle);
        };
        let now = self.clock.now();
        let Some(following) = self.following(now) else {
            return Ok(Pace::Idle);
        };
        match self.store.next_check(source.id).await? {
            Some(due) if due <= now => {}
            Some(due) if due <= following => return Ok(Pace::Until(due)),
            // It was never set, or the schedule has changed since.
            other => {
                self.store.move_check(source.id, other, following).await?;
                return Ok(Pace::Until(following));
            }
        }
        if let Some(wait) = obstacle(&source, now) {
            return Ok(wait);
        }
        let Ok(_place) = self.places.try_acquire() else {
            return Ok(Pace::After(OTHERS));
        };
        let leased_until = now.plus(LEASE);
        let Some(token) = self.store.begin_check(source.id, leased_until, now).await? else {
            return Ok(Pace::Idle);
        };
        let ended = self.make(&source, token, now).await;
        self.close(&source, token, ended).await
    }
}

/// What the check waits for.
fn obstacle(source: &SourceRecord, now: Timestamp) -> Option<Pace> {
    // Before the first cycle everything would count as missing.
    if source.state != SourceState::Active || source.cycle_ended_at.is_none() {
        return Some(Pace::Idle);
    }
    let held = source.hold_until.filter(|until| *until > now);
    held.map(Pace::Until)
}

impl CheckSource {
    /// When a check is due if one ends now; none: never again.
    fn following(&self, now: Timestamp) -> Option<Timestamp> {
        resting_until(now, now, self.check.every, self.check.schedule.as_ref())
    }

    /// Runs the check, and extends its lease meanwhile.
    async fn make(&self, source: &SourceRecord, token: CheckToken, began_at: Timestamp) -> Ended {
        let stop = self.stop.child_token();
        let mut checking = pin!(self.checker.check(source, &stop));
        let deadline = Instant::now() + self.check.timeout;
        let ended = loop {
            tokio::select! {
                found = &mut checking => return found.map_or(Ended::GivenBack, Ended::Found),
                () = tokio::time::sleep(SIGN_OF_LIFE) => {}
                () = tokio::time::sleep_until(deadline) => break Ended::Found(self.too_late(began_at)),
            }
            note_progress();
            if let Some(ended) = self.keep(source, token).await {
                break ended;
            }
        };
        stop.cancel();
        let _ = tokio::time::timeout(TIDY_UP, checking).await;
        ended
    }

    /// Extends the check's lease; some: the check has ended. During a store outage it continues: whether it was lost
    /// shows when the store is back.
    async fn keep(&self, source: &SourceRecord, token: CheckToken) -> Option<Ended> {
        let until = self.clock.now().plus(LEASE);
        match self.store.extend_check(source.id, token, until).await {
            Ok(true) => {}
            Ok(false) => return Some(Ended::Lost),
            Err(_) => return None,
        }
        match self.store.find_source(&source.name).await {
            Ok(Some(found)) if found.state == SourceState::Active => None,
            Ok(_) => Some(Ended::GivenBack),
            Err(_) => None,
        }
    }

    fn too_late(&self, began_at: Timestamp) -> CheckRecord {
        let seconds = self.check.timeout.as_secs();
        CheckRecord {
            began_at,
            ended_at: self.clock.now(),
            totals: DriftTotals::default(),
            unconfirmed: 0,
            differences: Vec::new(),
            failure: Some(format!("the source was not read within {seconds} s (check.timeout)")),
        }
    }

    async fn close(&self, source: &SourceRecord, token: CheckToken, ended: Ended) -> Result<Pace, StoreError> {
        match ended {
            Ended::Found(found) => self.write(source, token, &found).await,
            Ended::GivenBack => {
                self.store.extend_check(source.id, token, self.clock.now()).await?;
                Ok(Pace::Idle)
            }
            Ended::Lost => {
                tracing::warn!(
                    source = source.name,
                    "another scheduler has started this check in the meantime"
                );
                Ok(Pace::Idle)
            }
        }
    }

    async fn write(&self, source: &SourceRecord, token: CheckToken, found: &CheckRecord) -> Result<Pace, StoreError> {
        let mut backoff = Backoff::default();
        for _ in 1..WRITES {
            match self.end(source, token, found).await {
                Err(error) if error.may_retry() && !self.stop.is_cancelled() => {
                    tracing::warn!(
                        source = source.name,
                        error = full_text(&error),
                        "a check is not written yet"
                    );
                    note_progress();
                    tokio::time::sleep(backoff.next_wait()).await;
                }
                ended => return ended,
            }
        }
        self.end(source, token, found).await
    }

    async fn end(&self, source: &SourceRecord, token: CheckToken, found: &CheckRecord) -> Result<Pace, StoreError> {
        let now = self.clock.now();
        let next = self.following(now).unwrap_or(Timestamp(i64::MAX));
        if !self.store.end_check(source.id, token, found, next).await? {
            return Ok(Pace::Idle);
        }
        let (name, totals) = (&source.name, found.totals);
        metrics::drift(name, totals);
        match &found.failure {
            None => tracing::info!(source = name, drift = totals.sum(), "source checked"),
            Some(failure) => tracing::warn!(
                source = name,
                drift = totals.sum(),
                failure,
                "source not checked completely"
            ),
        }
        Ok(Pace::Until(next))
    }
}

#[cfg(test)]
#[path = "check_source_tests.rs"]
mod tests;
