//! `tideline plan`: what the next cycle of a source would change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tideline_config::settings::{Settings, SourceKind, SourceSettings};
use tideline_core::words::SourceRecord;
use tideline_store::{CatalogStore, Store};

use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::Out;
use crate::plan::compare::Comparison;
use crate::plan::{Rehearsal, Report, Summary, rehearse};

/// What to plan.
#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    /// Name of a source in the configuration
    source: String,
    /// Show only the totals
    #[arg(long)]
    summary: bool,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
}

/// Reads the whole source, compares, and writes nothing to the store.
pub(crate) async fn run(context: &Context, out: &mut Out, args: PlanArgs) -> anyhow::Result<Code> {
    let settings = context.settings()?;
    let source = configured(&settings, &args.source)?;
    let store = existing_store(context, &settings).await?;
    let record = match &store {
        Some(store) => store.find_source(&source.name).await?,
        None => None,
    };
    let held_until = record.as_ref().and_then(|record| record.hold_until);
    let limit = args.timeout.map(Duration::from_secs);
    let rehearsal = rehearse(context, &settings, source, held_until, limit).await?;
    let shown = show(out, &args, source, &rehearsal, store.as_deref(), record.as_ref()).await;
    rehearsal.discard().await;
    let summary = shown?;
    Ok(match (summary.is_complete(), summary.has_changes()) {
        (false, _) => Code::Failed,
        (true, true) => Code::Changes,
        (true, false) => Code::Done,
    })
}

async fn show(
    out: &mut Out,
    args: &PlanArgs,
    source: &SourceSettings,
    rehearsal: &Rehearsal,
    store: Option<&dyn Store>,
    record: Option<&SourceRecord>,
) -> anyhow::Result<Summary> {
    let catalog: Option<&dyn CatalogStore> = store.map(|store| store as &dyn CatalogStore);
    let mut comparison = Comparison::new(catalog, rehearsal.store(), &source.name);
    let mut report = Report::new(rehearsal, !args.summary);
    while let Some(step) = comparison.next().await? {
        report.step(out, &step)?;
    }
    let summary = report.summary(rehearsal, source, record.map_or(0, |record| record.entities));
    if !out.is_json() {
        if !args.summary && summary.has_changes() {
            out.line("")?;
        }
        summary.show(out)?;
    } else if args.summary {
        out.document(&summary)?;
    } else {
        out.record(&json!({ "summary": summary }))?;
    }
    Ok(summary)
}

/// The source of this name, if it can be read.
///
/// # Errors
/// It is not configured (the error names those that are), or programs write it.
pub(crate) fn configured<'a>(settings: &'a Settings, name: &str) -> anyhow::Result<&'a SourceSettings> {
    let found = settings.sources.iter().find(|source| source.name == name);
    if found.is_some_and(|source| matches!(source.kind, SourceKind::Push)) {
        let message = format!("programs write the entities of {name} (type push): there is nothing to read");
        return Err(Failure::new(Code::Refused, message).into());
    }
    found.ok_or_else(|| {
        let names: Vec<&str> = settings.sources.iter().map(|source| source.name.as_str()).collect();
        let known = if names.is_empty() {
            "it has no sources".to_owned()
        } else {
            format!("it has {}", names.join(", "))
        };
        let message = format!("source {name} is not in the configuration; {known}");
        Failure::new(Code::NotFound, message).into()
    })
}

/// The configured store; none: it is a file that no cycle has made yet.
async fn existing_store(context: &Context, settings: &Settings) -> anyhow::Result<Option<Arc<dyn Store>>> {
    let file = settings.store.reveal().strip_prefix("sqlite://");
    let file = file.and_then(|path| path.split('?').next());
    if file.is_some_and(|path| !Path::new(path).exists()) {
        return Ok(None);
    }
    Ok(Some(context.operator_store().await?))
}
