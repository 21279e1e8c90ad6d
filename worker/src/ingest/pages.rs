//! Converts pages as read by a source into the form that the store commits. Pure.

use std::collections::HashMap;

use tideline_core::full_text;
use tideline_core::rules::{Volatile, canonical_entity, key_hash, made_fingerprint, page_fingerprint, written_ref};
use tideline_core::words::{Entity, KeyHash, MalformedItem, PageMemory, PageWrite, Timestamp};

use crate::source::{Item, Page, PageContent};

/// Maximum length of a sample of a malformed item, in bytes.
const SAMPLE: usize = 500;

/// Turns page number `number`, whose reading began at `read_at`, into its write. `None`: the source reported a page as
/// unchanged that is not remembered.
pub(crate) fn page_write(
    number: u32,
    page: Page,
    memory: Option<PageMemory>,
    volatile: &Volatile,
    read_at: Timestamp,
) -> Option<PageWrite> {
    let Page {
        content,
        next,
        children,
        validators,
        ..
    } = page;
    let items = match content {
        PageContent::Unchanged => {
            let memory = memory?;
            let validators = (validators != memory.validators && validators.request.is_some()).then_some(validators);
            let memory = PageMemory { read_at, ..memory };
            return Some(PageWrite::Touched { memory, validators });
        }
        PageContent::Items(items) => items,
    };
    let Sorted {
        mut entities,
        malformed,
        makers,
    } = sort_out(items, volatile);
    let mut kept: Vec<_> = malformed
        .iter()
        .filter_map(|item| item.reference.as_ref().map(key_hash))
        .collect();
    let unidentified = malformed.len() - kept.len();
    // Entities won by another place are marked here and written there.
    let lost = memory.as_ref().map(|memory| memory.lost.clone()).unwrap_or_default();
    kept.extend(
        entities
            .extract_if(.., |entity| lost.contains(&entity.key_hash))
            .map(|entity| entity.key_hash),
    );
    let makers = makers_of(&entities, &makers);
    let fresh = PageMemory {
        page: number,
        fingerprint: made_fingerprint(page_fingerprint(&entities, &kept, &malformed), &makers),
        entities: u32::try_from(entities.len() + kept.len()).unwrap_or(u32::MAX),
        kept: u32::try_from(kept.len()).unwrap_or(u32::MAX),
        unidentified: u32::try_from(unidentified).unwrap_or(u32::MAX),
        next: next.map(|cursor| cursor.to_string()),
        children,
        validators,
        read_at,
        lost,
    };
    let same = memory
        .as_ref()
        .is_some_and(|old| old.fingerprint == fresh.fingerprint && old.children == fresh.children);
    Some(if same {
        let renewed = memory.is_some_and(|old| old.validators != fresh.validators || old.next != fresh.next);
        let validators = renewed.then(|| fresh.validators.clone());
        PageWrite::Touched {
            memory: fresh,
            validators,
        }
    } else {
        PageWrite::Written {
            memory: fresh,
            entities,
            kept,
            malformed,
            makers,
        }
    })
}

/// The item that made each of the entities; empty if none is known.
fn makers_of(entities: &[Entity], makers: &HashMap<i64, KeyHash>) -> Vec<KeyHash> {
    if makers.is_empty() {
        return Vec::new();
    }
    let of = |entity: &Entity| makers.get(&entity.key_hash.0).copied().unwrap_or(KeyHash(0));
    entities.iter().map(of).collect()
}

/// The result of a page's items.
#[derive(Debug)]
pub struct Sorted {
    /// In canonical form, at most one per reference.
    pub entities: Vec<Entity>,
    /// Items that are reported instead of written.
    pub malformed: Vec<MalformedItem>,
    /// The item that made each entity, by key hash, if the source tells.
    makers: HashMap<i64, KeyHash>,
}

/// Entities in canonical form, at most one per reference, and what is malformed. If several items have the same
/// reference, the first one counts, and those that differ from it are reported.
#[must_use]
pub fn sort_out(items: Vec<Item>, volatile: &Volatile) -> Sorted {
    let mut entities: Vec<Entity> = Vec::with_capacity(items.len());
    let mut malformed = Vec::new();
    let mut places: HashMap<i64, usize> = HashMap::with_capacity(items.len());
    let (mut makers, mut maker) = (HashMap::new(), None);
    for item in items {
        let (reference, body) = match item {
            Item::Entity { reference, body } => (reference, body),
            Item::MadeBy(item) => {
                maker = item;
                continue;
            }
            Item::Malformed(item) => {
                malformed.push(item);
                continue;
            }
        };
        let (body, fingerprint) = match canonical_entity(&body, volatile) {
            Ok(canonical) => canonical,
            Err(error) => {
                let sample = body.chars().take(SAMPLE / 4).collect();
                malformed.push(MalformedItem {
                    reference: Some(reference),
                    error: full_text(&error),
                    sample,
                });
                continue;
            }
        };
        let entity = Entity {
            key_hash: key_hash(&reference),
            reference,
            fingerprint,
            body,
        };
        match places.get(&entity.key_hash.0) {
            Some(place) if entities[*place].fingerprint == entity.fingerprint => {}
            Some(place) => malformed.push(MalformedItem {
                error: same_reference(&entities[*place], &entity),
                reference: Some(entity.reference),
                sample: entity.body.chars().take(SAMPLE / 4).collect(),
            }),
            None => {
                places.insert(entity.key_hash.0, entities.len());
                makers.extend(maker.map(|maker| (entity.key_hash.0, maker)));
                entities.push(entity);
            }
        }
    }
    Sorted {
        entities,
        malformed,
        makers,
    }
}

/// Why the second of two items is not written.
fn same_reference(first: &Entity, second: &Entity) -> String {
    let reference = &second.reference;
    let written = |entity: &Entity| written_ref(reference, &entity.body).unwrap_or_else(|| reference.to_string());
    let (first, second) = (written(first), written(second));
    let why = format!("an earlier item on this page has the same reference, {reference}");
    if first == second {
        return why;
    }
    format!("{why}: {first} and {second} differ only in case, and references are compared without it")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tideline_core::words::{ChildPartition, EntityRef, Validators};

    use super::*;

    fn entity(name: &str, value: u32) -> Item {
        Item::Entity {
            reference: EntityRef::new("component", "default", name).unwrap(),
            body: json!({ "value": value }).to_string(),
        }
    }

    fn page(items: Vec<Item>) -> Page {
        Page {
            content: PageContent::Items(items),
            next: Some(json!("n")),
            children: vec![],
            validators: Validators::default(),
            hold: None,
            failure: None,
        }
    }

    fn write(page: Page, memory: Option<PageMemory>) -> PageWrite {
        page_write(0, page, memory, &Volatile::default(), Timestamp(1)).unwrap()
    }

    #[test]
    fn the_same_items_again_only_touch_the_page() {
        let memory = write(page(vec![entity("a", 1), entity("b", 2)]), None).memory().clone();
        let again = write(page(vec![entity("a", 1), entity("b", 2)]), Some(memory.clone()));
        assert!(matches!(again, PageWrite::Touched { validators: None, .. }));
        let other = write(page(vec![entity("a", 1), entity("b", 3)]), Some(memory));
        assert!(matches!(other, PageWrite::Written { entities, .. } if entities.len() == 2));
    }

    #[test]
    fn another_next_cursor_is_stored_with_a_touched_page() {
        let memory = write(page(vec![entity("a", 1)]), None).memory().clone();
        let moved = Page {
            next: Some(json!("other")),
            ..page(vec![entity("a", 1)])
        };
        let PageWrite::Touched {
            memory,
            validators: Some(_),
        } = write(moved, Some(memory))
        else {
            panic!("same entities: only touched, but with something to renew");
        };
        assert_eq!(memory.next.as_deref(), Some("\"other\""));
    }

    #[test]
    fn other_children_make_a_page_a_written_one() {
        let memory = write(page(vec![]), None).memory().clone();
        let child = ChildPartition {
            key: "c".into(),
            args: json!({}),
        };
        let grown = Page {
            children: vec![child],
            ..page(vec![])
        };
        assert!(matches!(write(grown, Some(memory)), PageWrite::Written { .. }));
    }

    #[test]
    fn unchanged_without_a_memory_is_refused() {
        let unchanged = Page {
            content: PageContent::Unchanged,
            ..page(vec![])
        };
        assert!(page_write(0, unchanged, None, &Volatile::default(), Timestamp(1)).is_none());
    }

    #[test]
    fn of_two_items_whose_names_differ_only_in_case_the_first_one_counts_and_both_are_named() {
        let named = |name: &str| Item::Entity {
            reference: EntityRef::new("API", "default", name).unwrap(),
            body: json!({ "kind": "API", "metadata": { "name": name } }).to_string(),
        };
        let items = vec![named("API-Gateway"), named("api-gateway")];
        let PageWrite::Written {
            entities, malformed, ..
        } = write(page(items), None)
        else {
            panic!("a new page is written");
        };
        assert_eq!(entities.len(), 1);
        assert_eq!(entities[0].reference.as_str(), "api:default/api-gateway");
        assert!(entities[0].body.contains("API-Gateway"), "its case is kept");
        let error = &malformed[0].error;
        for part in [
            "api:default/api-gateway: ",
            "api:default/API-Gateway and api:default/api-gateway differ only in case",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn of_two_items_with_one_reference_the_first_one_counts_and_the_other_is_reported() {
        let items = vec![entity("a", 1), entity("a", 1), entity("a", 2)];
        let PageWrite::Written {
            entities, malformed, ..
        } = write(page(items), None)
        else {
            panic!("a new page is written");
        };
        assert_eq!(entities.len(), 1);
        assert_eq!(entities[0].body, "{\"value\":1}");
        assert_eq!(malformed.len(), 1, "an item that is the same loses nothing");
        assert!(
            malformed[0].error.contains("component:default/a"),
            "{}",
            malformed[0].error
        );
    }

    #[test]
    fn an_entity_that_another_place_wins_is_marked_and_not_written() {
        let mut memory = write(page(vec![entity("a", 1), entity("b", 1)]), None).memory().clone();
        let a = key_hash(&EntityRef::new("component", "default", "a").unwrap());
        memory.lost = vec![a];
        let PageWrite::Written {
            entities, kept, memory, ..
        } = write(page(vec![entity("a", 2), entity("b", 1)]), Some(memory))
        else {
            panic!("another page is written");
        };
        assert_eq!(kept, vec![a]);
        assert_eq!((entities.len(), memory.entities), (1, 2));
        // What it loses may change as it likes: the page stays what it is.
        let again = write(page(vec![entity("a", 3), entity("b", 1)]), Some(memory));
        assert!(matches!(again, PageWrite::Touched { .. }));
    }

    #[test]
    fn a_malformed_item_with_a_name_is_marked_and_one_without_is_counted() {
        let named = EntityRef::new("component", "default", "bad").unwrap();
        let malformed = |reference| {
            Item::Malformed(MalformedItem {
                reference,
                error: "no".into(),
                sample: "x".into(),
            })
        };
        let PageWrite::Written {
            memory,
            kept,
            malformed,
            ..
        } = write(page(vec![malformed(Some(named.clone())), malformed(None)]), None)
        else {
            panic!("a new page is written");
        };
        assert_eq!(kept, vec![key_hash(&named)]);
        assert_eq!((memory.entities, memory.unidentified), (1, 1));
        assert_eq!(malformed.len(), 2);
    }
}
