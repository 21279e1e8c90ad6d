use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tideline_core::words::{JobRecord, JobState};
use tideline_store::{JobFilter, OperatorStore};
use tideline_tests::hostile::FaultRates;
use tideline_tests::{crowded, wait_until};

use super::stage::{LIMIT, Stage, Wanted, on_stage};

/// What a rolling restart may delay a job by.
const MAX_DELAY: Duration = Duration::from_secs(2);

/// Claims that each restart waits for, so that the next one meets a fleet at work.
const CLAIMS: i64 = 5;

/// Drains one process and starts it again, as a deployment does: a worker in the middle of a burst.
async fn roll(stage: &mut Stage, at: usize) -> Result<()> {
    let name = stage.fleet.name(at).to_owned();
    if stage.fleet.of_role("worker").contains(&at) {
        wait_until(&format!("a burst of {name}"), LIMIT, async || stage.works(&name).await).await?;
    }
    let process = stage.fleet.process(at);
    process.terminate()?;
    let status = process
        .wait(Duration::from_secs(40))
        .await
        .with_context(|| name.clone())?;
    ensure!(status.success(), "{name} ended with {status}");
    let before = stage.ledger.claims_since(0).await?;
    ensure!(stage.fleet.revive()? == 1, "only {name} was to start again");
    wait_until("claims after the restart", LIMIT, async || {
        let now = stage.ledger.claims_since(0).await?;
        ensure!(now.count >= before.count + CLAIMS, "{now:?}");
        Ok(())
    })
    .await
}

impl Stage {
    /// Whether this worker runs a job just now.
    async fn works(&self, name: &str) -> Result<()> {
        let filter = JobFilter {
            state: Some(JobState::Running),
            limit: 100,
            ..JobFilter::default()
        };
        let jobs = self.store.list_jobs(&filter).await?;
        let its = |job: &JobRecord| {
            job.worker
                .as_ref()
                .is_some_and(|worker| worker.0.starts_with(&format!("{name}/")))
        };
        ensure!(jobs.iter().any(its), "it has none of {} jobs", jobs.len());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_spends_no_attempt_and_delays_no_job_by_more_than_two_seconds() {
    let test = "a_rolling_restart_spends_no_attempt_and_delays_no_job_by_more_than_two_seconds";
    // Pages take their time, so that every restart meets bursts.
    let wanted = Wanted {
        workers: 3,
        changes: true,
        faults: FaultRates {
            latency: Duration::from_millis(100),
            ..FaultRates::default()
        },
        ..Wanted::default()
    };
    on_stage(test, wanted, async |stage| {
        wait_until("bursts", LIMIT, async || {
            let claims = stage.ledger.claims_since(0).await?;
            ensure!(claims.count > 60, "{claims:?}");
            Ok(())
        })
        .await?;
        let begun = stage.ledger.now().await?;
        for at in 0..stage.fleet.len() {
            roll(stage, at).await?;
        }
        let claims = stage.ledger.claims_since(begun).await?;
        println!("{claims:?}");
        let restarts = i64::try_from(stage.fleet.len())?;
        ensure!(
            claims.count >= restarts * CLAIMS,
            "the restarts met no work: {claims:?}"
        );
        ensure!(claims.attempt == 1, "an attempt was spent: {claims:?}");
        ensure!(claims.rescues == 0, "a job was rescued, not handed back: {claims:?}");
        let delay = Duration::from_millis(u64::try_from(claims.lag_ms)?);
        ensure!(delay <= crowded(MAX_DELAY), "a job was delayed: {claims:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_two_schedulers_and_a_producer_catch_up_with_a_hostile_source() {
    let test = "three_workers_two_schedulers_and_a_producer_catch_up_with_a_hostile_source";
    let wanted = Wanted {
        workers: 3,
        changes: true,
        faults: FaultRates::nasty(),
        ..Wanted::default()
    };
    on_stage(test, wanted, async |stage| {
        wait_until("cycles with faults", LIMIT, async || {
            let counts = stage.source.counts();
            let cycles = counts.cycles.load(std::sync::atomic::Ordering::Relaxed);
            ensure!(cycles > 6, "{cycles} cycles");
            Ok(())
        })
        .await?;
        stage.all_run()
    })
    .await;
}
