//! Names an entity's mocks as servers in its definition, for readers of the catalog and its feed. It is made of what
//! the source gave, never of what was added before, and so cannot feed back into what is uploaded. A definition that is
//! in another file is shown in place, for it has no other servers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tideline_core::clock::Clock;
use tideline_core::rules::canonical_json;
use tideline_core::words::EntityRef;
use tideline_store::{Additions, Enrichment, OriginalEntity, Store, StoreError};

use super::super::events::SyncEvents;
use super::definition::{Definition, placeholder};
use super::servers::with_servers;

/// What stands before the hash of a definition from another file, among the addresses that are added.
const PRINT: &str = "definition:";
/// Maximum number of tries when the entity changes meanwhile. Then another job is due anyway.
const TRIES: usize = 3;

/// Whose mocks they are.
pub(super) struct Enricher<'e> {
    pub(super) store: &'e dyn Store,
    pub(super) clock: &'e dyn Clock,
    pub(super) events: &'e SyncEvents<'e>,
    pub(super) target: &'e str,
    pub(super) reference: &'e EntityRef,
}

impl Enricher<'_> {
    /// Readers of the entity that this source owns see these servers; of those of other sources, none of this target's.
    pub(super) async fn show(
        &self,
        source: Option<&str>,
        servers: &[String],
        definition: &Definition,
    ) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let mut is_shown = true;
            for entity in self.store.list_originals(std::slice::from_ref(self.reference)).await? {
                let mine = servers_of(&entity, source, servers);
                is_shown &= self.change(entity, mine, definition).await?;
            }
            if is_shown {
                break;
            }
        }
        Ok(())
    }

    /// `false`: the entity is another one by now.
    async fn change(
        &self,
        entity: OriginalEntity,
        servers: &[String],
        definition: &Definition,
    ) -> Result<bool, StoreError> {
        let Some((mine, text)) = wanted(&entity, servers, definition) else {
            return Ok(true);
        };
        if shown(&entity, self.target) == mine {
            return Ok(true);
        }
        let mut additions = entity.additions.clone();
        if mine.is_empty() {
            additions.remove(self.target);
        } else {
            additions.insert(self.target.to_owned(), mine);
        }
        let body = enriched(&entity.body, &additions, text);
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
            let topic = if servers.is_empty() {
                "sync.openapi_servers_removed"
            } else {
                "sync.openapi_servers_injected"
            };
            let event = json!({ "source": enrichment.source, "servers": servers });
            self.events.tell(topic, event).await;
        }
        Ok(is_shown)
    }
}

/// Whether readers of these entities, which sources have under one reference, see these servers of the target, as after
/// [`Enricher::show`].
pub(super) fn is_shown(
    entities: &[OriginalEntity],
    (target, source): (&str, Option<&str>),
    servers: &[String],
    definition: &Definition,
) -> bool {
    entities.iter().all(|entity| {
        let wanted = wanted(entity, servers_of(entity, source, servers), definition);
        wanted.is_none_or(|(mine, _)| shown(entity, target) == mine)
    })
}

/// The servers that the entity shall show, if these are those of the one that this source owns.
fn servers_of<'s>(entity: &OriginalEntity, source: Option<&str>, servers: &'s [String]) -> &'s [String] {
    if source == Some(entity.source.as_str()) {
        servers
    } else {
        &[]
    }
}

/// What the entity shows of the target.
fn shown<'e>(entity: &'e OriginalEntity, target: &str) -> &'e [String] {
    entity.additions.get(target).map_or(&[][..], Vec::as_slice)
}

/// What the entity shall show, and the definition that is in another file. None: what is shown stays.
fn wanted<'d>(
    entity: &OriginalEntity,
    servers: &[String],
    definition: &'d Definition,
) -> Option<(Vec<String>, Option<&'d str>)> {
    let mut mine = servers.to_vec();
    let text = match definition {
        _ if !is_elsewhere(&entity.body) => None,
        Definition::Elsewhere(text) => Some(text.as_str()),
        Definition::Own | Definition::Unknown if mine.is_empty() => None,
        Definition::Own | Definition::Unknown => return None,
    };
    if !mine.is_empty() {
        // Another text is another thing to show.
        mine.extend(text.map(|text| format!("{PRINT}{}", hex::encode(Sha256::digest(text.as_bytes())))));
    }
    Some((mine, text))
}

/// Whether the definition is in another file.
fn is_elsewhere(body: &str) -> bool {
    let entity: Value = serde_json::from_str(body).unwrap_or_default();
    placeholder(&entity["spec"]["definition"]).is_some()
}

/// The entity with these servers in its definition, which is `text` if it is in another file. None: that has nothing to
/// gain.
fn enriched(body: &str, additions: &Additions, text: Option<&str>) -> Option<String> {
    let mut seen = BTreeSet::new();
    let urls: Vec<String> = (additions.values().flatten())
        .filter(|url| !url.starts_with(PRINT) && seen.insert(url.as_str()))
        .cloned()
        .collect();
    if urls.is_empty() {
        return None;
    }
    // Everything else stays as it is written, numbers too.
    let mut entity: BTreeMap<String, Box<RawValue>> = serde_json::from_str(body).ok()?;
    let mut spec: BTreeMap<String, Box<RawValue>> = serde_json::from_str(entity.get("spec")?.get()).ok()?;
    let definition: String = match text {
        Some(text) => text.to_owned(),
        None => serde_json::from_str(spec.get("definition")?.get()).ok()?,
    };
    let definition = to_raw_value(&with_servers(&definition, &urls)?).ok()?;
    spec.insert("definition".to_owned(), definition);
    entity.insert("spec".to_owned(), to_raw_value(&spec).ok()?);
    canonical_json(&serde_json::to_string(&entity).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_all_targets_are_named_once() {
        let body = json!({ "kind": "API", "spec": { "definition": "{\"openapi\":\"3.0.0\"}" } }).to_string();
        let additions: Additions = [
            ("one".to_owned(), vec!["https://a".to_owned(), "https://b".to_owned()]),
            ("two".to_owned(), vec!["https://b".to_owned()]),
        ]
        .into();
        let entity: Value = serde_json::from_str(&enriched(&body, &additions, None).unwrap()).unwrap();
        let definition: Value = serde_json::from_str(entity["spec"]["definition"].as_str().unwrap()).unwrap();
        assert_eq!(
            definition["servers"],
            json!([{ "url": "https://a" }, { "url": "https://b" }])
        );
        assert_eq!(enriched(&body, &Additions::new(), None), None);
        let elsewhere = r#"{"spec":{"definition":{"$text":"x"}}}"#;
        assert_eq!(enriched(elsewhere, &additions, None), None);
        let entity: Value =
            serde_json::from_str(&enriched(elsewhere, &additions, Some("openapi: 3.0.0\n")).unwrap()).unwrap();
        assert!(entity["spec"]["definition"].as_str().unwrap().contains("https://b"));
    }
}
