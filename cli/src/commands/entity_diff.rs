//! `tideline entities diff`: what a fresh reading of the source says of one entity. The store keeps only the newest state of an
//! entity, so that there is no older one to compare with.

use serde_json::{Value, json};
use tideline_config::settings::{Settings, SourceSettings};
use tideline_core::rules::differences;
use tideline_core::words::EntityRef;
use tideline_producer::api::types::{Difference, Entity, Page, PlanProgress};
use tideline_store::{EntityFilter, EntityRecord, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, ClientError, Request};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::{Out, Tone, moment};
use crate::plan::{configured, difference_line, read_apart};

/// Reads the sources of the entity anew and compares: each that owns it, or the one that is named.
pub(super) async fn run(
    context: &Context,
    client: &Client<'_>,
    out: &mut Out,
    reference: &EntityRef,
    source: Option<String>,
) -> anyhow::Result<Code> {
    let request = Request::get(&["entities"])
        .query("ref", Some(reference))
        .query("source", source.as_ref());
    let kept: Page<Entity> = client.ask(&request).await?;
    let names: Vec<String> = match source {
        Some(name) => vec![name],
        None => kept.items.iter().map(|entity| entity.source.clone()).collect(),
    };
    if names.is_empty() {
        let text = format!("entity {reference} does not exist; name the source that should have it with --source");
        return Err(Failure::new(Code::NotFound, text).into());
    }
    let settings = context.settings()?;
    let mut code = Code::Done;
    for name in &names {
        let source = configured(&settings, name)?;
        let before = kept.items.iter().find(|entity| entity.source == *name);
        let after = fresh(&settings, source, reference).await?;
        if before.is_none() && after.is_none() {
            let text = format!("neither the catalog nor {name} has the entity {reference}");
            return Err(Failure::new(Code::NotFound, text).into());
        }
        if show(context, out, name, before, after.as_ref())? {
            code = Code::Changes;
        }
    }
    Ok(code)
}

/// The entity as the source has it now. Reads the whole source, since only that finds it in any API, and writes nothing.
async fn fresh(
    settings: &Settings,
    source: &SourceSettings,
    reference: &EntityRef,
) -> anyhow::Result<Option<EntityRecord>> {
    let (progress, _) = watch::channel(PlanProgress::default());
    let stop = CancellationToken::new();
    let reading = read_apart(settings, source, None, progress, &stop);
    let rehearsal = reading.await.map_err(|problem| ClientError::from_problem(&problem))?;
    let found = find(rehearsal.store(), reference).await?;
    if found.is_none() && !rehearsal.is_complete() {
        let reason = rehearsal.cycle.reason.as_deref().unwrap_or_default();
        let text = format!(
            "{} was not read to its end, and what was read has no {reference}: {reason}",
            source.name
        );
        return Err(Failure::new(Code::Failed, text).into());
    }
    Ok(found)
}

async fn find(store: &dyn Store, reference: &EntityRef) -> anyhow::Result<Option<EntityRecord>> {
    let filter = EntityFilter {
        reference: Some(reference.clone()),
        limit: 1,
        ..EntityFilter::default()
    };
    Ok(store.list_entities(&filter).await?.pop())
}

/// Whether there is a difference.
fn show(
    context: &Context,
    out: &mut Out,
    source: &str,
    before: Option<&Entity>,
    after: Option<&EntityRecord>,
) -> anyhow::Result<bool> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    // Volatile annotations are part of the bodies, and of no fingerprint: they make no difference.
    let same = before
        .zip(after)
        .is_some_and(|(one, other)| one.fingerprint == other.fingerprint);
    let found = match (before, after) {
        (Some(before), Some(after)) if !same => differences(&parse(before.body.get()), &parse(&after.body)),
        _ => Vec::new(),
    };
    let found: Vec<Difference> = found.into_iter().map(Difference::from).collect();
    let change = match (before, after) {
        (Some(_), Some(_)) if same => "none",
        (Some(_), Some(_)) => "modified",
        (None, _) => "added",
        (Some(_), None) => "removed",
    };
    if out.is_json() {
        out.record(&json!({
            "source": source, "compared_with": "a fresh reading of the source", "change": change, "differences": found,
        }))?;
        return Ok(change != "none");
    }
    let since = before.map(|entity| moment(entity.changed_at.0, context.now()));
    let state = since.map_or_else(
        || "not in the catalog".to_owned(),
        |since| format!("in the catalog since {since}"),
    );
    out.toned(
        Tone::Dim,
        format!("{source}: {state}, compared with a fresh reading of the source"),
    )?;
    match change {
        "none" => out.toned(Tone::Good, "No difference.")?,
        "added" => out.toned(Tone::Good, "+ the source has it, the catalog has it not")?,
        "removed" => out.toned(Tone::Bad, "- the catalog has it, the source has it no more")?,
        _ => {
            for difference in &found {
                out.toned(Tone::Warn, format!("~ {}", difference_line(difference)))?;
            }
        }
    }
    Ok(change != "none")
}
