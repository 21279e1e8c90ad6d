//! Rereads one item.

use tideline_core::rules::key_hash;
use tideline_core::words::{Delta, DeltaBasis, DeltaChange, Origin, Timestamp};
use tideline_runtime::telemetry::metrics;

use super::{READINGS, Ready, RefreshHandler, partition_of};
use crate::handler::{HandlerError, Outcome};
use crate::ingest::{Sorted, failed, sort_out};
use crate::source::{ErrorClass, ItemContent, ItemRequest, SourceError};

impl RefreshHandler {
    /// Reads one item and writes its current state. Repeats if a reading that began later was faster.
    pub(super) async fn item(
        &self,
        ready: &Ready<'_>,
        request: ItemRequest<'_>,
        removed: bool,
    ) -> Result<Outcome, HandlerError> {
        let mut origin = origin_of(ready, request);
        for _ in 0..READINGS {
            let began = self.clock.now();
            let (changes, complete) = match self.read_item(ready, request, began).await? {
                ItemContent::Found(items) => {
                    let Sorted {
                        entities, malformed, ..
                    } = sort_out(items, &ready.readable.settings.volatile);
                    if let Some(item) = malformed.first().filter(|_| entities.is_empty()) {
                        return Err(HandlerError::Permanent(format!(
                            "the item is no entity: {}; it begins: {}",
                            item.error, item.sample
                        )));
                    }
                    let upserts = entities.into_iter().map(DeltaChange::Upsert);
                    (upserts.collect::<Vec<_>>(), malformed.is_empty())
                }
                ItemContent::Missing { reference } if removed => match &mut origin {
                    // Another item may make the same entity: the store checks which items show it.
                    Some(origin) => {
                        origin.entity = reference.as_ref().map(key_hash);
                        (Vec::new(), true)
                    }
                    None => (reference.into_iter().map(DeltaChange::Remove).collect(), true),
                },
                ItemContent::Missing { .. } => {
                    // The next complete cycle decides whether it is gone, or only not shown.
                    tracing::info!(source = ready.readable.settings.name, "item not found at the source");
                    return Ok(Outcome::Done);
                }
            };
            let basis = DeltaBasis::Read(began);
            let deltas: Vec<Delta> = (changes.into_iter()).map(|change| Delta { change, basis }).collect();
            if !self.write(ready, origin.as_ref(), &deltas).await? {
                continue;
            }
            if let Some(origin) = origin.as_ref().filter(|_| complete) {
                self.drop_unseen(ready, origin, began, removed).await?;
            }
            return Ok(Outcome::Done);
        }
        Err(HandlerError::Transient {
            message: format!("{READINGS} readings in a row were overtaken by readings that began later"),
            not_before: None,
        })
    }

    async fn read_item(
        &self,
        ready: &Ready<'_>,
        request: ItemRequest<'_>,
        began: Timestamp,
    ) -> Result<ItemContent, HandlerError> {
        let settings = &ready.readable.settings;
        let timeout = settings.page_timeout;
        let read = tokio::time::timeout(timeout, ready.readable.source.read_item(request)).await;
        let read = read.unwrap_or_else(|_| {
            Err(SourceError::new(
                ErrorClass::Transient { retry_after: None },
                format!("the item took longer than page_timeout ({timeout:?})"),
            ))
        });
        let class = if read.is_ok() { "ok" } else { "failed" };
        metrics::source_request(&settings.name, class, self.clock.now().since(began));
        match read {
            Ok(content) => Ok(content),
            Err(error) => Err(failed(&*self.store, &*self.clock, ready.source, error).await),
        }
    }
}

/// The known origin of the item's entities; none: the source does not tell.
fn origin_of(ready: &Ready<'_>, request: ItemRequest<'_>) -> Option<Origin> {
    let item = ready.readable.source.item(request)?;
    let partition = partition_of(ready.readable, request.resource, request.values);
    Some(Origin {
        partition: partition.map(|part| part.job),
        item: Some(item),
        entity: None,
    })
}
