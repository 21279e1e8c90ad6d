//! Names an entity's mocks as servers in its definition, for readers of the catalog and its feed. It is made of what the source
//! gave, never of what was added before, and so cannot feed back into what is uploaded.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tideline_core::clock::Clock;
use tideline_core::rules::canonical_json;
use tideline_core::words::EntityRef;
use tideline_store::{Additions, Enrichment, OriginalEntity, Store, StoreError};

use super::super::events::SyncEvents;
use super::servers::with_servers;

/// So often it is tried again when the entity changes meanwhile. Another job is due then anyway.
const TRIES: usize = 3;

/// Whose mocks they are.
pub(super) struct Enricher<'e> {
    pub(super) store: &'e dyn Store,
    pub(super) clock: &'e dyn Clock,
    pub(super) events: &'e SyncEvents,
    pub(super) target: &'e str,
    pub(super) reference: &'e EntityRef,
}

impl Enricher<'_> {
    /// Readers of the entity that this source owns see these servers; of those of other sources, none of this target's.
    pub(super) async fn show(&self, source: Option<&str>, servers: &[String]) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let mut is_shown = true;
            for entity in self.store.list_originals(self.reference).await? {
                let mine = if source == Some(entity.source.as_str()) {
                    servers
                } else {
                    &[]
                };
                is_shown &= self.change(entity, mine).await?;
            }
            if is_shown {
                break;
            }
        }
        Ok(())
    }

    /// `false`: the entity is another one by now.
    async fn change(&self, entity: OriginalEntity, mine: &[String]) -> Result<bool, StoreError> {
        let before = entity.additions.get(self.target).map_or(&[][..], Vec::as_slice);
        if before == mine {
            return Ok(true);
        }
        let mut additions = entity.additions.clone();
        if mine.is_empty() {
            additions.remove(self.target);
        } else {
            additions.insert(self.target.to_owned(), mine.to_vec());
        }
        let body = enriched(&entity.body, &additions);
        if body.is_none() {
            additions.clear();
        }
        if additions == entity.additions {
            return Ok(true);
        }
        let enrichment = Enrichment {
            source: entity.source,
            reference: entity.reference,
            sequence: entity.sequence,
            additions,
            body,
        };
        let is_shown = self.store.enrich_entity(&enrichment, self.clock.now()).await?;
        if is_shown {
            let topic = if mine.is_empty() {
                "sync.openapi_servers_removed"
            } else {
                "sync.openapi_servers_injected"
            };
            let event = json!({ "source": enrichment.source, "servers": mine });
            self.events.tell(topic, event).await;
        }
        Ok(is_shown)
    }
}

/// The entity with these servers in its inline definition. None: that has nothing to gain.
fn enriched(body: &str, additions: &Additions) -> Option<String> {
    let mut seen = BTreeSet::new();
    let urls: Vec<String> = (additions.values().flatten())
        .filter(|url| seen.insert(url.as_str()))
        .cloned()
        .collect();
    if urls.is_empty() {
        return None;
    }
    // Everything else stays as it is written, numbers too.
    let mut entity: BTreeMap<String, Box<RawValue>> = serde_json::from_str(body).ok()?;
    let mut spec: BTreeMap<String, Box<RawValue>> = serde_json::from_str(entity.get("spec")?.get()).ok()?;
    let definition: String = serde_json::from_str(spec.get("definition")?.get()).ok()?;
    let definition = to_raw_value(&with_servers(&definition, &urls)?).ok()?;
    spec.insert("definition".to_owned(), definition);
    entity.insert("spec".to_owned(), to_raw_value(&spec).ok()?);
    canonical_json(&serde_json::to_string(&entity).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn servers_of_all_targets_are_named_once() {
        let body = json!({ "kind": "API", "spec": { "definition": "{\"openapi\":\"3.0.0\"}" } }).to_string();
        let additions: Additions = [
            ("one".to_owned(), vec!["https://a".to_owned(), "https://b".to_owned()]),
            ("two".to_owned(), vec!["https://b".to_owned()]),
        ]
        .into();
        let entity: Value = serde_json::from_str(&enriched(&body, &additions).unwrap()).unwrap();
        let definition: Value = serde_json::from_str(entity["spec"]["definition"].as_str().unwrap()).unwrap();
        assert_eq!(
            definition["servers"],
            json!([{ "url": "https://a" }, { "url": "https://b" }])
        );
        assert_eq!(enriched(&body, &Additions::new()), None);
        assert_eq!(enriched(r#"{"spec":{"definition":{"$text":"x"}}}"#, &additions), None);
    }
}
