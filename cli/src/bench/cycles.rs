//! Whole cycles over the static source, in this process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tideline_core::words::{CycleRecord, CycleState, Trigger};
use tideline_producer::Producer;
use tideline_store::Store;

use super::meter::{Meter, Written};
use crate::roles::{Role, RoleContext, Running};

/// A cycle that ended well, and what its store wrote.
pub(crate) struct Measured {
    pub(crate) cycle: CycleRecord,
    pub(crate) written: Option<Written>,
}

impl Measured {
    pub(crate) fn seconds(&self) -> f64 {
        let ended = self.cycle.ended_at.unwrap_or(self.cycle.started_at);
        // Times have a resolution of a millisecond.
        ended.since(self.cycle.started_at).as_secs_f64().max(0.001)
    }
}

/// Worker and scheduler at work on one source.
pub(crate) struct Cycles<'a> {
    role_context: &'a RoleContext,
    source: &'a str,
    meter: Meter,
    running: Running,
}

impl<'a> Cycles<'a> {
    /// Starts them.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn start(role_context: &'a RoleContext, source: &'a str) -> anyhow::Result<Self> {
        Ok(Self {
            role_context,
            source,
            meter: Meter::new(role_context.settings.store.reveal()),
            running: Running::start(role_context, Role::INGESTING).await?,
        })
    }

    /// One cycle from now on; the first one comes with the source itself.
    ///
    /// # Errors
    /// It did not complete, or the store failed.
    pub(crate) async fn run(&self) -> anyhow::Result<Measured> {
        let before = self.meter.read().await?;
        let (store, clock) = (&self.role_context.store, &self.role_context.clock);
        let last = self.newest(&**store).await?.map_or(0, |cycle| cycle.number.0);
        if last == 0 {
            self.role_context.sync_sources().await?;
            self.role_context.queue.wake().await;
        } else {
            let producer = Producer::new(
                Arc::clone(store),
                Arc::clone(&self.role_context.queue),
                Arc::clone(clock),
            );
            producer.refresh(self.source, Trigger::Manual).await?;
        }
        let stop = self.running.stop();
        let cycle = loop {
            ensure!(!stop.is_cancelled(), "stopped");
            let newest = self.newest(&**store).await?;
            match newest.filter(|cycle| cycle.number.0 > last && cycle.ended_at.is_some()) {
                Some(cycle) => break cycle,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        ensure!(
            cycle.state == CycleState::Complete,
            "the cycle is not complete: {}",
            cycle.reason.as_deref().unwrap_or_default()
        );
        let written = self.meter.read().await?;
        Ok(Measured {
            cycle,
            written: written.zip(before).map(|(after, before)| after.since(before)),
        })
    }

    /// Stops the roles.
    pub(crate) async fn stop(self) {
        self.running.shut_down().await;
    }

    async fn newest(&self, store: &dyn Store) -> anyhow::Result<Option<CycleRecord>> {
        let Some(source) = store.find_source(self.source).await? else {
            return Ok(None);
        };
        let cycles = store.list_cycles(source.id, 1).await.context("look at the cycle")?;
        Ok(cycles.into_iter().next())
    }
}
