//! Reads a source into a store that is thrown away.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tideline_config::settings::{Settings, SourceSettings, TelemetrySettings};
use tideline_core::words::{CycleRecord, CycleState, MalformedRecord, Secret, SourceRecord, Timestamp};
use tideline_store::Store;

use crate::commands::run::{Watched, run_cycles};
use crate::context::{Context, Logs};
use crate::exit::{Code, Failure};
use crate::output::Out;
use crate::roles::Ground;

/// Malformed items that are remembered by name, so that what the catalog has of them is not shown as removed.
pub(crate) const MALFORMED_KEPT: u32 = 10_000;

/// The next cycle comes long after the plan is shown.
const REST: Duration = Duration::from_secs(24 * 60 * 60);

/// A source as it was read.
pub(crate) struct Rehearsal {
    /// The roles' ground, with the store.
    ground: Ground,
    /// Its files; they go with it.
    _folder: TempDir,
    /// The cycle that read it.
    pub(crate) cycle: CycleRecord,
    /// What could not be read.
    pub(crate) malformed: Vec<MalformedRecord>,
}

/// Reads every page of the source. Its limits hold: `held_until` is what the fleet knows of them.
///
/// # Errors
/// The source is blocked, or it was not read in time.
pub(crate) async fn rehearse(
    context: &Context,
    settings: &Settings,
    source: &SourceSettings,
    held_until: Option<Timestamp>,
    limit: Option<Duration>,
) -> anyhow::Result<Rehearsal> {
    // Entities will be in it: only this user can read it.
    let folder = tempfile::Builder::new().prefix("tideline-plan-").tempdir();
    let folder = folder.context("make a temporary folder (TMPDIR says where)")?;
    let scratch = scratch(settings, source, folder.path());
    let ground = context.ground(scratch, "plan", Logs::OnlyErrors).await?;
    match read(&ground, &source.name, held_until, limit).await {
        Ok((cycle, malformed)) => Ok(Rehearsal {
            ground,
            _folder: folder,
            cycle,
            malformed,
        }),
        Err(error) => {
            ground.close().await;
            Err(error)
        }
    }
}

impl Rehearsal {
    /// Whether everything was read.
    pub(crate) fn is_complete(&self) -> bool {
        self.cycle.state == CycleState::Complete && !self.cycle.totals.has_gaps()
    }

    /// What was read.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.ground.store
    }

    /// Throws the store away.
    pub(crate) async fn discard(self) {
        self.ground.close().await;
    }
}

async fn read(
    ground: &Ground,
    name: &str,
    held_until: Option<Timestamp>,
    limit: Option<Duration>,
) -> anyhow::Result<(CycleRecord, Vec<MalformedRecord>)> {
    ground.sync_sources().await?;
    let source = find(ground, name).await?;
    if let Some(until) = held_until {
        ground.store.hold_back(source.id, until).await?;
    }
    let code = run_cycles(
        ground,
        &mut Out::stderr(),
        Watched::Rehearsal(&[name.to_owned()], limit),
    )
    .await?;
    let source = find(ground, name).await?;
    if let Some(reason) = source.blocked_reason {
        return Err(Failure::new(Code::Failed, format!("the source {name} cannot be read: {reason}")).into());
    }
    if code == Code::Stopped {
        return Err(Failure::new(code, "stopped").into());
    }
    let cycle = ground.store.list_cycles(source.id, 1).await?.pop();
    let cycle = cycle.context("the source was not read")?;
    let malformed = ground.store.list_malformed(source.id, MALFORMED_KEPT).await?;
    Ok((cycle, malformed))
}

async fn find(ground: &Ground, name: &str) -> anyhow::Result<SourceRecord> {
    let source = ground.store.find_source(name).await?;
    source.context("the source is not in the store of the plan")
}

/// One source, read without pauses into a file of its own; nothing listens and nothing is reported elsewhere.
fn scratch(settings: &Settings, source: &SourceSettings, folder: &Path) -> Settings {
    let source = SourceSettings {
        burst_interval: Duration::ZERO,
        rest: Some(REST),
        schedule: None,
        malformed_keep: MALFORMED_KEPT,
        ..source.clone()
    };
    Settings {
        store: Secret::new(format!("sqlite://{}", folder.join("plan.db").display())),
        queue: Secret::new("in-process"),
        listen: None,
        telemetry: TelemetrySettings {
            otlp_endpoint: None,
            ..settings.telemetry.clone()
        },
        sources: vec![source],
        ..settings.clone()
    }
}
