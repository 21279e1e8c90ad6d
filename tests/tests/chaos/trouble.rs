use std::time::Duration;

use anyhow::Result;
use async_nats::{HeaderMap, jetstream};
use futures::StreamExt;
use rand::RngExt;
use rand::rngs::StdRng;
use tideline_tests::proxy::{Mode, Proxy};
use tideline_tests::servers::Restart;

use super::stage::Stage;

/// Something that breaks. Troubles that last (a frozen process, a slow network) end by themselves before the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    KillWorker,
    KillAny,
    KillAll,
    FreezeWorker,
    FreezeAny,
    FreezeLong,
    PostgresFast,
    PostgresImmediate,
    NatsRestart,
    NatsKill,
    NatsWipe,
    DeleteStream,
    CutPostgres,
    CutNats,
    DelayPostgres,
    DelayNats,
    HalfOpenPostgres,
    HalfOpenNats,
    RefusePostgres,
    RefuseNats,
    DoubleHints,
    DropHints,
}

impl Trouble {
    pub(crate) const ALL: [Self; 22] = [
        Self::KillWorker,
        Self::KillAny,
        Self::KillAll,
        Self::FreezeWorker,
        Self::FreezeAny,
        Self::FreezeLong,
        Self::PostgresFast,
        Self::PostgresImmediate,
        Self::NatsRestart,
        Self::NatsKill,
        Self::NatsWipe,
        Self::DeleteStream,
        Self::CutPostgres,
        Self::CutNats,
        Self::DelayPostgres,
        Self::DelayNats,
        Self::HalfOpenPostgres,
        Self::HalfOpenNats,
        Self::RefusePostgres,
        Self::RefuseNats,
        Self::DoubleHints,
        Self::DropHints,
    ];
}

fn pause(random: &mut StdRng, from_ms: u64, to_ms: u64) -> Duration {
    Duration::from_millis(random.random_range(from_ms..to_ms))
}

impl Stage {
    /// Breaks something, and mends it unless that is the fleet's own business.
    pub(crate) async fn make(&mut self, trouble: Trouble, random: &mut StdRng) -> Result<()> {
        let workers = self.fleet.of_role("worker");
        let worker = workers[random.random_range(0..workers.len())];
        let any = random.random_range(0..self.fleet.len());
        match trouble {
            Trouble::KillWorker => self.fleet.kill(worker).await,
            Trouble::KillAny => self.fleet.kill(any).await,
            Trouble::KillAll => {
                for at in 0..self.fleet.len() {
                    self.fleet.kill(at).await?;
                }
                Ok(())
            }
            Trouble::FreezeWorker => self.freeze(worker, pause(random, 1_500, 3_000)).await,
            Trouble::FreezeAny => self.freeze(any, pause(random, 100, 1_500)).await,
            Trouble::FreezeLong => self.freeze(worker, pause(random, 4_000, 7_000)).await,
            Trouble::PostgresFast => self.postgres.restart(Restart::Fast).await,
            Trouble::PostgresImmediate => self.postgres.restart(Restart::Immediate).await,
            Trouble::NatsRestart => self.nats.restart(false).await,
            Trouble::NatsKill => self.nats.restart(true).await,
            Trouble::NatsWipe => self.nats.wipe().await,
            Trouble::DeleteStream => delete_stream(&self.nats.url()).await,
            Trouble::CutPostgres => {
                self.to_postgres.cut();
                Ok(())
            }
            Trouble::CutNats => {
                self.to_nats.cut();
                Ok(())
            }
            Trouble::DelayPostgres => slow(&self.to_postgres, Mode::Delay(pause(random, 5, 60)), random).await,
            Trouble::DelayNats => slow(&self.to_nats, Mode::Delay(pause(random, 5, 200)), random).await,
            Trouble::HalfOpenPostgres => slow(&self.to_postgres, Mode::HalfOpen, random).await,
            Trouble::HalfOpenNats => slow(&self.to_nats, Mode::HalfOpen, random).await,
            Trouble::RefusePostgres => {
                self.to_postgres.set(Mode::Refuse);
                self.to_postgres.cut();
                slow(&self.to_postgres, Mode::Refuse, random).await
            }
            Trouble::RefuseNats => {
                self.to_nats.set(Mode::Refuse);
                self.to_nats.cut();
                slow(&self.to_nats, Mode::Refuse, random).await
            }
            Trouble::DoubleHints => double_hints(&self.nats.url(), pause(random, 1_000, 2_500)).await,
            Trouble::DropHints => drop_hints(&self.nats.url(), pause(random, 1_000, 2_500)).await,
        }
    }

    async fn freeze(&mut self, at: usize, time: Duration) -> Result<()> {
        self.fleet.freeze(at)?;
        tokio::time::sleep(time).await;
        self.fleet.thaw()
    }
}

async fn slow(proxy: &Proxy, mode: Mode, random: &mut StdRng) -> Result<()> {
    proxy.set(mode);
    tokio::time::sleep(pause(random, 1_000, 3_000)).await;
    proxy.set(Mode::Forward);
    Ok(())
}

/// Publishes every hint of the next moments once more.
async fn double_hints(url: &str, time: Duration) -> Result<()> {
    let client = async_nats::connect(url).await?;
    let mut hints = client.subscribe("tideline.hints.*").await?;
    let copy = async {
        while let Some(hint) = hints.next().await {
            let is_copy = hint
                .headers
                .as_ref()
                .is_some_and(|headers| headers.get("x-copy").is_some());
            if !is_copy {
                let mut headers = HeaderMap::new();
                headers.insert("x-copy", "1");
                client.publish_with_headers(hint.subject, headers, hint.payload).await?;
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(time, copy).await.unwrap_or(Ok(()))
}

async fn delete_stream(url: &str) -> Result<()> {
    let context = jetstream::new(async_nats::connect(url).await?);
    // It may not exist just now.
    let _ = context.delete_stream("TIDELINE_HINTS").await;
    Ok(())
}

/// Empties the stream again and again for a while.
async fn drop_hints(url: &str, time: Duration) -> Result<()> {
    let context = jetstream::new(async_nats::connect(url).await?);
    let purge = async {
        loop {
            // It may not exist just now: then there is nothing to drop.
            if let Ok(stream) = context.get_stream("TIDELINE_HINTS").await {
                let _ = stream.purge().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(time, purge).await;
    Ok(())
}
