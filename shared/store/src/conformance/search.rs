//! Cases: finding entities by name and by content.

use std::sync::Arc;

use super::deltas::gone;
use super::{Reader, T0, changes_after, claim_ingest, entity, new_job, only, spec, t};
use crate::{ChangeSearch, NamePattern, NameSearch, Store};
use tideline_core::words::{ChangeKind, EntityRef, NewJob, SourceId};

/// Kinds and namespaces whose names lie close together in the order of references, in two sources.
const REFERENCES: [&str; 12] = [
    "api:default/payments",
    "component:default-a/payments-1",
    "component:default/mail",
    "component:default/pay%20ments",
    "component:default/payments",
    "component:default/payments-1",
    "component:default/payments-2",
    "component:default/été",
    "component:default0/a_payments",
    "component:other/payments-1",
    "component:other/repayments",
    "components:default/payments",
];

async fn filled(store: &Arc<dyn Store>) -> SourceId {
    store.sync_sources(&[spec("a", 1), spec("b", 1)], T0).await.unwrap();
    store.start_cycles(10, T0).await.unwrap();
    for job in claim_ingest(store, "w", 10, T0).await {
        let mut root = Reader::new(job);
        let tier = |number: usize| if number.is_multiple_of(2) { "gold" } else { "silver" };
        let all = REFERENCES.iter().enumerate();
        let all = all.map(|(number, name)| entity(name, &format!("{{\"tier\":\"{}\"}}", tier(number))));
        root.write(store, all.collect(), None, t(1)).await;
    }
    store.find_source("a").await.unwrap().unwrap().id
}

/// Whatever a search may find, in steps of `look` names and `limit` answers.
async fn find(store: &Arc<dyn Store>, source: SourceId, search: NameSearch<'_>) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let step = NameSearch {
            after: &after,
            ..search.clone()
        };
        let step = store.find_names(source, &step).await.unwrap();
        assert!(step.names.len() <= search.limit as usize);
        found.extend(step.names.iter().map(ToString::to_string));
        match step.next {
            Some(next) => {
                assert!(next > after, "{next} is not after {after}");
                after = next;
            }
            None => return found,
        }
    }
}

pub async fn names_are_found_by_kind_namespace_and_pattern_in_steps_of_any_size(store: Arc<dyn Store>) {
    let source = filled(&store).await;
    let searches = [
        (None, None, "payments"),
        (None, None, "payments-*"),
        (None, None, "pay*"),
        (None, None, "*pay*"),
        (None, None, "*_pay*"),
        (None, None, "pay%*"),
        (None, None, "é*"),
        (None, None, "none*"),
        (None, None, "*"),
        (Some("component"), None, "payments*"),
        (Some("component"), None, "*payments"),
        (Some("component"), Some("default"), "*"),
        (Some("component"), Some("default"), "payments-*"),
        (None, Some("default"), "payments"),
        (None, Some("default"), "*"),
        (Some("none"), None, "*"),
        (None, Some("none"), "pay*"),
    ];
    for (kind, namespace, glob) in searches {
        let pattern = NamePattern::of_glob(glob);
        let wanted: Vec<&str> = REFERENCES
            .into_iter()
            .filter(|reference| {
                let (of_kind, rest) = reference.split_once(':').unwrap();
                let (of_namespace, name) = rest.split_once('/').unwrap();
                kind.is_none_or(|kind| kind == of_kind)
                    && namespace.is_none_or(|namespace| namespace == of_namespace)
                    && like(glob, name)
            })
            .collect();
        for (look, limit) in [(1, 1), (3, 2), (100_000, 1), (100_000, 10_000)] {
            let search = NameSearch {
                kind,
                namespace,
                name: Some(&pattern),
                after: "",
                look,
                limit,
            };
            let found = find(&store, source, search).await;
            assert_eq!(found, wanted, "{kind:?} {namespace:?} {glob}, {limit} of {look}");
        }
    }
}

/// Of the globs of the test: a star at either end.
fn like(glob: &str, name: &str) -> bool {
    match (glob.strip_prefix('*'), glob.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(end), Some(_)) => name.contains(end.trim_end_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(beginning)) => name.starts_with(beginning),
        (None, None) => name == glob,
    }
}

pub async fn a_search_looks_at_a_bounded_part_and_says_where_it_goes_on(store: Arc<dyn Store>) {
    let source = filled(&store).await;
    let pattern = NamePattern::of_glob("*none");
    let search = NameSearch {
        kind: None,
        namespace: None,
        name: Some(&pattern),
        after: "",
        look: 5,
        limit: 10,
    };
    let found = store.find_names(source, &search).await.unwrap();
    assert_eq!(found.names, []);
    assert_eq!(found.next.as_deref(), Some(REFERENCES[4]), "the fifth name");
}

pub async fn found_entities_are_read_if_they_live_and_contain_what_is_wanted(store: Arc<dyn Store>) {
    let source = filled(&store).await;
    let names: Vec<EntityRef> = REFERENCES.iter().map(|name| name.parse().unwrap()).collect();
    let read = async |texts: &[&str], limit| {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let found = store.read_entities(source, &names, &texts, limit).await.unwrap();
        assert!(
            found
                .iter()
                .all(|entity| entity.source == "a" && entity.changed_at == t(1))
        );
        let references = found.into_iter().map(|entity| entity.reference.to_string());
        references.collect::<Vec<_>>()
    };
    assert_eq!(read(&[], 100).await, REFERENCES);
    assert_eq!(read(&[], 3).await, REFERENCES[..3]);
    assert_eq!(read(&["\"tier\":\"gold\""], 100).await.len(), 6);
    assert_eq!(read(&["\"tier\":\"gold\"", "\"tier\":\"silver\""], 100).await.len(), 12);
    assert_eq!(read(&["\"tier\":\"gold\""], 2).await, [REFERENCES[0], REFERENCES[2]]);
    assert_eq!(read(&["tier\":%"], 100).await.len(), 0, "a text is no pattern");
    let removal = gone(REFERENCES[0], t(5));
    store.write_deltas(source, &[removal], t(5)).await.unwrap();
    assert_eq!(read(&[], 100).await, REFERENCES[1..]);
    let none: EntityRef = "component:default/none".parse().unwrap();
    assert_eq!(store.read_entities(source, &[none], &[], 10).await.unwrap(), []);
    let kept = store.read_entities(source, &names[1..2], &[], 10).await.unwrap();
    assert_eq!(only(kept).body, "{\"tier\":\"silver\"}");
}

pub async fn jobs_of_a_kind_are_found_by_what_their_args_contain(store: Arc<dyn Store>) {
    let job = |kind: &str, key: &str, event: u32| NewJob {
        kind: kind.to_owned(),
        args: format!("{{\"event\":{event}}}"),
        ..new_job(key, "1")
    };
    let jobs = [
        job("refresh", "a", 7),
        job("other", "b", 7),
        job("refresh", "c", 8),
        job("refresh", "d", 7),
    ];
    store.enqueue(&jobs, T0).await.unwrap();
    let find = async |text: &str, limit| {
        let found = store.find_jobs("refresh", text, limit).await.unwrap();
        found.into_iter().map(|job| job.key).collect::<Vec<_>>()
    };
    assert_eq!(find("\"event\":7", 10).await, ["a", "d"]);
    assert_eq!(find("\"event\":7", 1).await, ["a"]);
    assert_eq!(find("\"event\":%", 10).await, [""; 0], "a text is no pattern");
}

pub async fn changes_are_found_newest_first_by_source_kind_and_text_in_steps_of_any_size(store: Arc<dyn Store>) {
    let source = filled(&store).await;
    let removal = gone(REFERENCES[4], t(5));
    store.write_deltas(source, &[removal], t(5)).await.unwrap();
    let find = async |search: ChangeSearch<'_>| {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let step = ChangeSearch {
                before,
                ..search.clone()
            };
            let step = store.find_changes(&step).await.unwrap();
            assert!(step.changes.iter().all(|change| change.body.is_none()));
            found.extend(step.changes);
            before = step.next;
            if before.is_none() {
                return found;
            }
        }
    };
    let mut all = changes_after(&store, 0, 100).await;
    all.reverse();
    assert_eq!(all.len(), 2 * REFERENCES.len());
    let searches = [
        (None, None, None),
        (Some("a"), None, None),
        (None, Some(ChangeKind::Removed), None),
        (Some("b"), Some(ChangeKind::Added), Some("default/pay")),
        (None, None, Some("none")),
        (Some("none"), None, None),
    ];
    for (source, change, text) in searches {
        let wanted = all.iter().filter(|known| {
            source.is_none_or(|source| source == known.source)
                && change.is_none_or(|change| change == known.change)
                && text.is_none_or(|text| known.reference.as_str().contains(text))
        });
        let wanted: Vec<_> = wanted.map(|change| change.sequence).collect();
        for (look, limit) in [(1, 1), (3, 2), (100_000, 1), (100_000, 10_000)] {
            let found = find(ChangeSearch {
                source,
                change,
                text,
                before: None,
                look,
                limit,
            });
            let found: Vec<_> = found.await.into_iter().map(|change| change.sequence).collect();
            assert_eq!(found, wanted, "{source:?} {change:?} {text:?}, {limit} of {look}");
        }
    }
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_search {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            search: names_are_found_by_kind_namespace_and_pattern_in_steps_of_any_size,
            a_search_looks_at_a_bounded_part_and_says_where_it_goes_on,
            found_entities_are_read_if_they_live_and_contain_what_is_wanted,
            jobs_of_a_kind_are_found_by_what_their_args_contain,
            changes_are_found_newest_first_by_source_kind_and_text_in_steps_of_any_size,
        );
    };
}
