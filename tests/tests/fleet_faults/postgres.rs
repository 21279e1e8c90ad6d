use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tideline_tests::hostile::Counts;
use tideline_tests::proxy::Mode;
use tideline_tests::servers::Restart;
use tideline_tests::wait_until;

use super::stage::{LIMIT, Stage, Wanted, on_stage};

/// How soon after the return the first page is committed: pauses of a role grow to 5 s.
const SOON: Duration = Duration::from_secs(10);

/// How long Postgres is away: `TIDELINE_OUTAGE_SECONDS`, else ten seconds (a minute proves the same and takes longer).
fn outage() -> Duration {
    let given = std::env::var("TIDELINE_OUTAGE_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(given.unwrap_or(10))
}

/// Processor time that a process has used, from `/proc` (`proc(5)`: fields 14 and 15 of `stat`, in hundredths of a
/// second).
fn processor_time(id: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields = stat.rsplit_once(')').context("stat")?.1;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<std::result::Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

impl Stage {
    fn processor_times(&mut self) -> Result<Vec<Duration>> {
        (0..self.fleet.len())
            .map(|at| processor_time(self.fleet.process(at).id()))
            .collect()
    }

    /// During an outage no process uses more than a fifth of a CPU.
    async fn nobody_spins(&mut self) -> Result<()> {
        // What was under way has failed by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = self.processor_times()?;
        tokio::time::sleep(outage()).await;
        self.all_run()?;
        for (at, (before, after)) in before.into_iter().zip(self.processor_times()?).enumerate() {
            let used = after - before;
            ensure!(
                used < outage() / 5,
                "{} used {used:?} of the processor",
                self.fleet.name(at)
            );
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgres_is_gone_nobody_crashes_or_spins_and_work_goes_on_within_seconds_of_its_return() {
    let test = "while_postgres_is_gone_nobody_crashes_or_spins_and_work_goes_on_within_seconds_of_its_return";
    on_stage(test, Wanted::default(), async |stage| {
        stage.catches_up("at first").await?;
        for how in [Restart::Fast, Restart::Immediate] {
            let stop = async |stage: &mut Stage| {
                stage.postgres.stop(how).await?;
                stage.nobody_spins().await
            };
            let start = async |stage: &mut Stage| {
                stage.postgres.launch().await?;
                let pages = stage.ledger.pages().await?;
                wait_until("the first page", SOON, async || {
                    let now = stage.ledger.pages().await?;
                    ensure!(now > pages, "{now} pages");
                    Ok(())
                })
                .await
            };
            stage
                .outlives(&format!("Postgres is gone ({how:?})"), stop, start)
                .await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_whose_answers_are_lost_are_never_applied_twice() {
    let test = "commits_whose_answers_are_lost_are_never_applied_twice";
    on_stage(test, Wanted::changing(), async |stage| {
        let cycles = |stage: &Stage| Counts::of(&stage.source.counts().cycles);
        let first = cycles(stage);
        stage.to_postgres.set(Mode::LoseAnswers(61));
        wait_until("cycles with lost answers", LIMIT, async || {
            let now = cycles(stage);
            ensure!(now >= first + 4, "{now} cycles");
            Ok(())
        })
        .await?;
        stage.all_run()
        // The ledger then proves it, page by page.
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_hang_or_crawl_or_are_cut_only_cost_time() {
    let test = "connections_that_hang_or_crawl_or_are_cut_only_cost_time";
    on_stage(test, Wanted::changing(), async |stage| {
        stage.catches_up_with_changes().await?;
        for mode in [Mode::HalfOpen, Mode::Delay(Duration::from_millis(40)), Mode::Refuse] {
            for proxy in [&stage.to_postgres, &stage.to_nats] {
                proxy.set(mode);
                tokio::time::sleep(Duration::from_secs(2)).await;
                proxy.cut();
                proxy.set(Mode::Forward);
            }
        }
        stage.all_run()
    })
    .await;
}

impl Stage {
    async fn catches_up_with_changes(&self) -> Result<()> {
        wait_until("pages", LIMIT, async || {
            let pages = self.ledger.pages().await?;
            ensure!(pages > 200, "{pages} pages");
            Ok(())
        })
        .await
    }
}
