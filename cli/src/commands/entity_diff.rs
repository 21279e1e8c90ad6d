//! `tideline entities diff`: what a fresh reading of the source says of one entity: the step of a plan that concerns
//! it. The store keeps only the newest state of an entity, so that there is no older one to compare with.

use serde_json::json;
use tideline_core::words::{ChangeKind, EntityRef};
use tideline_producer::api::PlanRequest;
use tideline_producer::api::types::{Entity, Page, PlanStep, PlanSummary, PlannedSweep};

use crate::client::{Client, Request};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::{Out, Tone, count, moment};
use crate::plan::{difference_line, follow};

/// Reads the sources of the entity anew and compares: each that owns it, or the one that is named. With `--server`, the
/// gateway reads them.
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
        let text = format!("entity {reference} does not exist; specify the source that should have it with --source");
        return Err(Failure::new(Code::NotFound, text).into());
    }
    let mut code = Code::Done;
    for name in names {
        let before = kept.items.iter().find(|entity| entity.source == name);
        let compared = Compared::new(context, name, reference, before).await?;
        compared.show(context, out)?;
        if compared.step.is_some() {
            code = Code::Changes;
        }
    }
    Ok(code)
}

/// An entity of the catalog beside a fresh reading of its source.
struct Compared<'a> {
    source: String,
    before: Option<&'a Entity>,
    /// What the next cycle would do to it; none: nothing.
    step: Option<PlanStep>,
    summary: PlanSummary,
}

impl<'a> Compared<'a> {
    /// Reads the whole source, since only that finds the entity in any API, and writes nothing.
    async fn new(
        context: &Context,
        source: String,
        reference: &EntityRef,
        before: Option<&'a Entity>,
    ) -> anyhow::Result<Self> {
        let wanted = PlanRequest {
            source: source.clone(),
            only: Some(reference.clone()),
        };
        let mut step = None;
        let note = |found: PlanStep| {
            // An older gateway sends every step.
            if found.reference == *reference {
                step = Some(found);
            }
            Ok(())
        };
        let summary = follow(context, wanted, None, note).await?;
        let is_gone = match &step {
            Some(step) => step.change == ChangeKind::Removed,
            None => before.is_none(),
        };
        if let (true, PlannedSweep::Incomplete { reason }) = (is_gone, &summary.sweep) {
            let text = format!(
                "{source} was not read to the end, and the part that was read does not contain \
            {reference}: {reason}"
            );
            return Err(Failure::new(Code::Failed, text).into());
        }
        if is_gone && before.is_none() {
            let text = format!("neither the catalog nor {source} has the entity {reference}");
            return Err(Failure::new(Code::NotFound, text).into());
        }
        Ok(Self {
            source,
            before,
            step,
            summary,
        })
    }

    fn show(&self, context: &Context, out: &mut Out) -> anyhow::Result<()> {
        let change = self.step.as_ref().map(|step| step.change);
        let differences = self.step.as_ref().map_or(&[][..], |step| &step.differences);
        if out.is_json() {
            let change = match change {
                None => "none",
                Some(ChangeKind::Added) => "added",
                Some(ChangeKind::Modified) => "modified",
                Some(ChangeKind::Removed) => "removed",
            };
            return Ok(out.record(&json!({
                "source": self.source,
                "compared_with": "a fresh reading of the source",
                "change": change,
                "differences": differences,
            }))?);
        }
        let since = self.before.map(|entity| moment(entity.changed_at.0, context.now()));
        let state = since.map_or_else(
            || "not in the catalog".to_owned(),
            |since| format!("in the catalog since {since}"),
        );
        let source = &self.source;
        out.toned(
            Tone::Dim,
            format!("{source}: {state}, compared with a fresh reading of the source"),
        )?;
        match change {
            None => self.show_same(out)?,
            Some(ChangeKind::Added) => out.toned(Tone::Good, "+ in the source, but not in the catalog")?,
            Some(ChangeKind::Removed) => out.toned(Tone::Bad, "- in the catalog, but no longer in the source")?,
            Some(ChangeKind::Modified) => {
                for difference in differences {
                    out.toned(Tone::Warn, format!("~ {}", difference_line(difference)))?;
                }
            }
        }
        Ok(())
    }

    fn show_same(&self, out: &mut Out) -> std::io::Result<()> {
        out.toned(Tone::Good, "No difference.")?;
        if self.summary.malformed > 0 {
            let malformed = count(self.summary.malformed);
            let text = format!(
                "{malformed} items of the source are malformed; the catalog keeps their existing \
            entities."
            );
            out.toned(Tone::Warn, text)?;
        }
        Ok(())
    }
}
