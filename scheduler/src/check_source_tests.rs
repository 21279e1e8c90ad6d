use std::sync::atomic::{AtomicU32, Ordering};

use tideline_core::clock::ManualClock;
use tideline_core::rules::fingerprint;
use tideline_core::words::SourceSpec;
use tideline_store::SourceCommand;
use tideline_store::sqlite::SqliteStore;
use tokio::sync::Notify;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

/// Counts checks, and takes as long as a test wants.
#[derive(Default)]
struct Counting {
    checks: AtomicU32,
    /// Goes on until it is stopped.
    endless: bool,
    begun: Notify,
}

#[async_trait]
impl SourceChecker for Counting {
    async fn check(&self, _: &SourceRecord, stop: &CancellationToken) -> Option<CheckRecord> {
        let times = self.checks.fetch_add(1, Ordering::SeqCst);
        self.begun.notify_one();
        if self.endless {
            stop.cancelled().await;
            return None;
        }
        Some(CheckRecord {
            began_at: Timestamp(i64::from(times)),
            ended_at: Timestamp(i64::from(times) + 1),
            totals: DriftTotals {
                diverged: 2,
                ..DriftTotals::default()
            },
            unconfirmed: 0,
            differences: Vec::new(),
            failure: None,
        })
    }
}

struct Bench {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    checker: Arc<Counting>,
    places: Arc<Semaphore>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new(endless: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let bench = Self {
            store: Arc::new(SqliteStore::open(path.to_str().unwrap()).await.unwrap()),
            clock: Arc::new(ManualClock::new(Timestamp(1_000_000))),
            checker: Arc::new(Counting {
                endless,
                ..Counting::default()
            }),
            places: Arc::new(Semaphore::new(1)),
            stop: CancellationToken::new(),
            _folder: folder,
        };
        let spec = SourceSpec {
            name: "a".to_owned(),
            source_type: "files".to_owned(),
            identity: fingerprint(b"a"),
            parallel_partitions: 1,
        };
        bench.store.sync_sources(&[spec], bench.clock.now()).await.unwrap();
        bench
    }

    /// In its first cycle.
    async fn started(endless: bool) -> Self {
        let bench = Self::new(endless).await;
        bench.store.start_cycles(10, bench.clock.now()).await.unwrap();
        assert!(bench.source().await.cycle_ended_at.is_none());
        bench
    }

    /// At rest after its first cycle.
    async fn rested(endless: bool) -> Self {
        let bench = Self::started(endless).await;
        bench.command(SourceCommand::Cancel).await;
        assert!(bench.source().await.cycle_ended_at.is_some());
        bench
    }

    async fn command(&self, command: SourceCommand) {
        let now = self.clock.now();
        self.store.command_source("a", command, now).await.unwrap();
    }

    fn scheduler(&self) -> CheckSource {
        CheckSource {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            name: "a".to_owned(),
            check: CheckSettings {
                every: Some(HOUR),
                schedule: None,
                timeout: CheckSettings::TIMEOUT,
            },
            checker: Arc::clone(&self.checker) as Arc<dyn SourceChecker>,
            places: Arc::clone(&self.places),
            stop: self.stop.clone(),
        }
    }

    /// Sets the first check and lets it become due.
    async fn due(&self) {
        let due = self.clock.now().plus(HOUR);
        assert_eq!(self.scheduler().run_once().await.unwrap(), Pace::Until(due));
        assert_eq!(self.checks(), 0, "it is not due");
        self.clock.advance(HOUR);
    }

    async fn source(&self) -> SourceRecord {
        self.store.find_source("a").await.unwrap().unwrap()
    }

    async fn recorded(&self) -> Vec<CheckRecord> {
        self.store.list_checks(self.source().await.id, 10).await.unwrap()
    }

    fn checks(&self) -> u32 {
        self.checker.checks.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_source_is_checked_once_per_interval_however_many_schedulers_look() {
    let bench = Bench::rested(false).await;
    bench.due().await;
    let (one, other) = (bench.scheduler(), bench.scheduler());
    let (one, other) = tokio::join!(one.run_once(), other.run_once());
    let next = bench.clock.now().plus(HOUR);
    assert!([one.unwrap(), other.unwrap()].contains(&Pace::Until(next)));
    assert_eq!((bench.checks(), bench.recorded().await.len()), (1, 1));
    assert_eq!(bench.scheduler().run_once().await.unwrap(), Pace::Until(next));
    assert_eq!(bench.checks(), 1);
}

#[tokio::test]
async fn a_check_waits_for_a_running_cycle_a_pause_and_a_limit_of_the_source() {
    let bench = Bench::started(false).await;
    bench.due().await;
    assert_eq!(
        bench.scheduler().run_once().await.unwrap(),
        Pace::Idle,
        "a cycle is running"
    );
    bench.command(SourceCommand::Cancel).await;

    let now = bench.clock.now();
    bench.command(SourceCommand::Pause).await;
    assert_eq!(
        bench.scheduler().run_once().await.unwrap(),
        Pace::Idle,
        "the source is paused"
    );
    bench.command(SourceCommand::Resume).await;

    let until = now.plus(HOUR);
    bench.store.hold_back(bench.source().await.id, until).await.unwrap();
    assert_eq!(bench.scheduler().run_once().await.unwrap(), Pace::Until(until));
    assert_eq!(bench.checks(), 0);
    bench.clock.advance(HOUR);
    bench.scheduler().run_once().await.unwrap();
    assert_eq!(bench.checks(), 1);
}

#[tokio::test]
async fn a_check_whose_scheduler_was_killed_is_made_by_another_one_and_its_own_result_counts_no_more() {
    let bench = Bench::rested(false).await;
    bench.due().await;
    let source = bench.source().await;
    let now = bench.clock.now();
    let killed = bench
        .store
        .begin_check(source.id, now.plus(LEASE), now)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bench.scheduler().run_once().await.unwrap(), Pace::Idle, "it has it");
    bench.clock.advance(LEASE);
    bench.scheduler().run_once().await.unwrap();
    assert_eq!(bench.checks(), 1);
    let late = bench.recorded().await.remove(0);
    assert!(!bench.store.end_check(source.id, killed, &late, now).await.unwrap());
    assert_eq!(bench.recorded().await.len(), 1);
}

#[tokio::test]
async fn a_check_that_is_stopped_records_nothing_and_is_due_at_once_for_others() {
    let bench = Bench::rested(true).await;
    bench.due().await;
    let one = bench.scheduler();
    let running = tokio::spawn(async move { one.run_once().await });
    bench.checker.begun.notified().await;
    assert_eq!(
        bench.scheduler().run_once().await.unwrap(),
        Pace::After(OTHERS),
        "no place is free"
    );
    bench.stop.cancel();
    assert_eq!(running.await.unwrap().unwrap(), Pace::Idle);
    assert!(bench.recorded().await.is_empty());
    let now = bench.clock.now();
    let again = bench
        .store
        .begin_check(bench.source().await.id, now.plus(LEASE), now)
        .await;
    assert!(again.unwrap().is_some(), "the lease was not given back");
}

#[tokio::test]
async fn a_check_ends_when_its_source_is_paused_meanwhile() {
    let bench = Bench::rested(true).await;
    bench.due().await;
    let one = bench.scheduler();
    let running = tokio::spawn(async move { one.run_once().await });
    bench.checker.begun.notified().await;
    bench.command(SourceCommand::Pause).await;
    let ended = tokio::time::timeout(Duration::from_secs(30), running).await;
    assert_eq!(ended.unwrap().unwrap().unwrap(), Pace::Idle);
    assert!(bench.recorded().await.is_empty());
}

#[tokio::test]
async fn a_check_that_takes_too_long_is_recorded_as_failed_and_comes_again_at_its_time() {
    let bench = Bench::rested(true).await;
    bench.due().await;
    let mut one = bench.scheduler();
    one.check.timeout = Duration::from_millis(1);
    let next = bench.clock.now().plus(HOUR);
    assert_eq!(one.run_once().await.unwrap(), Pace::Until(next));
    let recorded = bench.recorded().await.remove(0);
    assert!(recorded.failure.unwrap().contains("check.timeout"));
}
