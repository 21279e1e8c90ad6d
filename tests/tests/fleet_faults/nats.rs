use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::jetstream;
use tideline_tests::proxy::Mode;
use tideline_tests::{crowded, wait_until};

use super::stage::{Stage, Wanted, on_stage};

const STREAM: &str = "TIDELINE_HINTS";

/// How soon hints flow (again). A stream that is broken by its deletion is noticed after seven seconds, and may break
/// again when it is made while the machine is busy.
const SOON: Duration = Duration::from_secs(60);

impl Stage {
    /// When the consumer was made, and the hints that workers have acked since.
    async fn hints_acked(&self) -> Result<(i128, u64)> {
        let context = jetstream::new(async_nats::connect(self.nats.url()).await?);
        let stream = context.get_stream(STREAM).await?;
        let info = stream.consumer_info("ingest").await?;
        Ok((info.created.unix_timestamp_nanos(), info.ack_floor.stream_sequence))
    }

    /// Waits until workers take hints from NATS (again). A fleet may make the stream more than once until they do, and
    /// counting begins anew each time.
    async fn hints_flow(&self) -> Result<()> {
        let mut first = None;
        wait_until("hints", SOON, async || {
            let (made, acked) = self.hints_acked().await?;
            let (_, before) = *first.insert(first.filter(|(since, _)| *since == made).unwrap_or((made, acked)));
            ensure!(acked > before, "{acked} acked");
            Ok(())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_whose_nats_comes_late_works_from_the_store_until_then() {
    let test = "a_fleet_whose_nats_comes_late_works_from_the_store_until_then";
    let wanted = Wanted {
        nats: Mode::Refuse,
        ..Wanted::default()
    };
    on_stage(test, wanted, async |stage| {
        stage.catches_up("without NATS").await?;
        let still_without = async |stage: &mut Stage| stage.catches_up("still without NATS").await;
        let nats_comes = async |stage: &mut Stage| {
            stage.to_nats.set(Mode::Forward);
            stage.hints_flow().await
        };
        stage.outlives("NATS is not there", still_without, nats_comes).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_goes_on_when_nats_is_lost_or_its_stream_its_consumer_or_its_whole_store_is_deleted() {
    let test = "a_fleet_goes_on_when_nats_is_lost_or_its_stream_its_consumer_or_its_whole_store_is_deleted";
    on_stage(test, Wanted::default(), async |stage| {
        stage.catches_up("at first").await?;
        stage.hints_flow().await.context("at first")?;

        let lose = async |stage: &mut Stage| {
            stage.to_nats.set(Mode::Refuse);
            stage.to_nats.cut();
            stage.catches_up("without NATS").await
        };
        let find = async |stage: &mut Stage| {
            stage.to_nats.set(Mode::Forward);
            stage.hints_flow().await
        };
        stage.outlives("NATS is lost", lose, find).await?;

        let context = jetstream::new(async_nats::connect(stage.nats.url()).await?);
        let flow = async |stage: &mut Stage| stage.hints_flow().await;
        let delete = async |_: &mut Stage| {
            context.delete_consumer_from_stream("ingest", STREAM).await?;
            Ok(())
        };
        stage.outlives("the consumer is deleted", delete, flow).await?;
        let delete = async |_: &mut Stage| {
            context.delete_stream(STREAM).await?;
            Ok(())
        };
        stage.outlives("the stream is deleted", delete, flow).await?;
        let wipe = async |stage: &mut Stage| stage.nats.wipe().await;
        stage.outlives("NATS forgets everything", wipe, flow).await
    })
    .await;
}

/// How soon a worker that waits for hints finds work in the store: a server that hangs is noticed within five seconds,
/// and work is looked for every 50 ms from then on. Some bursts follow each other until the catalog is the source.
const FOUND: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nats_dies_or_hangs_work_is_claimed_from_the_store_within_seconds() {
    let test = "when_nats_dies_or_hangs_work_is_claimed_from_the_store_within_seconds";
    on_stage(test, Wanted::default(), async |stage| {
        stage.catches_up("at first").await?;
        for mode in [Mode::Refuse, Mode::HalfOpen] {
            stage.hints_flow().await.context("before")?;
            stage.to_nats.set(mode);
            if mode == Mode::Refuse {
                stage.to_nats.cut();
            }
            stage.change();
            let found = tokio::time::timeout(crowded(FOUND), stage.catches_up("from the store")).await;
            found.with_context(|| format!("nothing was claimed for long: {mode:?}"))??;
            stage.to_nats.cut();
            stage.to_nats.set(Mode::Forward);
        }
        stage.hints_flow().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_that_are_garbage_doubled_or_dropped_change_nothing() {
    let test = "hints_that_are_garbage_doubled_or_dropped_change_nothing";
    on_stage(test, Wanted::changing(), async |stage| {
        stage.hints_flow().await?;
        let client = async_nats::connect(stage.nats.url()).await?;
        let context = jetstream::new(client.clone());
        let mut hints = client.subscribe("tideline.hints.>").await?;
        let meddle = async {
            use futures::StreamExt;
            let mut count = 0_u64;
            while let Some(hint) = hints.next().await {
                count += 1;
                // What we publish comes back to us: only every other message is answered.
                if count.is_multiple_of(2) {
                    continue;
                }
                client.publish(hint.subject.clone(), hint.payload).await?;
                client.publish(hint.subject, vec![0xff; 40].into()).await?;
                if count.is_multiple_of(5) {
                    // It may be the moment in which somebody makes it anew.
                    if let Ok(stream) = context.get_stream(STREAM).await {
                        let _ = stream.purge().await;
                    }
                }
            }
            anyhow::Ok(())
        };
        if let Ok(ended) = tokio::time::timeout(Duration::from_secs(6), meddle).await {
            ended?;
        }
        stage.source.stop_changes();
        stage.catches_up("after the meddling").await?;
        stage.all_run()
    })
    .await;
}
