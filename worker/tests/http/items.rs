//! Reading one item again, and the partitions that events name.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tideline_config::settings::{EntityShape, HttpSettings, Pagination};
use tideline_worker::{ErrorClass, Item, ItemContent, ItemRequest, Source};

use crate::api::*;

fn values(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

/// Services that are named by their slug.
fn services(base: &url::Url) -> HttpSettings {
    let mut services = resource("services", "/services", Pagination::None);
    services.item = Some("/services/{id}".into());
    services.item_values = BTreeMap::from([("id".into(), ".slug".into())]);
    services.entity = EntityShape::Named {
        kind: "Service".into(),
        namespace: "default".into(),
        name: ".slug".into(),
        body: Some("{slug, size: (.size + 1)}".into()),
    };
    rest(base, vec![services])
}

#[tokio::test]
async fn one_item_is_read_at_its_own_path_and_shaped_like_those_of_pages() {
    let api = Api::start(|seen| match seen.path.as_str() {
        "/services/a%2Fb" => answer(json!({"slug": "a", "size": 1})),
        other => panic!("{other}"),
    })
    .await;
    let source = open(services(&api.url));
    let id = values(json!({"id": "a/b"}));
    let request = ItemRequest {
        resource: Some("services"),
        values: &id,
    };
    let ItemContent::Found(items) = source.read_item(request).await.unwrap() else {
        panic!("it is there");
    };
    let [Item::MadeBy(maker), Item::Entity { reference, body }] = items.as_slice() else {
        panic!("{items:?}");
    };
    assert_eq!(reference.as_str(), "service:default/a");
    assert_eq!(
        serde_json::from_str::<Value>(body).unwrap(),
        json!({"slug": "a", "size": 2})
    );
    let slug = values(json!({"id": "a"}));
    let named = source.item(ItemRequest {
        resource: Some("services"),
        values: &slug,
    });
    assert_eq!(*maker, named, "as its page names it");
}

#[tokio::test]
async fn a_page_says_which_item_made_an_entity_by_the_values_that_an_event_names_it_with() {
    let api = Api::start(|_| answer(json!([{"slug": 7, "size": 1}, {"size": 1}]))).await;
    let source = open(services(&api.url));
    let page = first(&source).await.unwrap();
    let id = values(json!({"id": "7"}));
    let named = source.item(ItemRequest {
        resource: Some("services"),
        values: &id,
    });
    let makers: Vec<_> = items(&page)
        .iter()
        .filter_map(|item| match item {
            Item::MadeBy(maker) => Some(*maker),
            _ => None,
        })
        .collect();
    assert!(named.is_some());
    assert_eq!(makers, [named, None]);
}

#[tokio::test]
async fn an_item_that_is_not_there_is_missing_and_its_values_tell_whose_entity_it_was() {
    let api = Api::start(|_| status(404, &[], "no such service")).await;
    let source = open(services(&api.url));
    let id = values(json!({"id": "gone"}));
    let request = ItemRequest {
        resource: None,
        values: &id,
    };
    let ItemContent::Missing {
        reference: Some(reference),
    } = source.read_item(request).await.unwrap()
    else {
        panic!("it is missing, and its name is its value");
    };
    assert_eq!(reference.as_str(), "service:default/gone");
    // Values that do not tell the name tell nothing.
    let mut settings = services(&api.url);
    settings.resources[0].item_values = BTreeMap::from([("id".into(), ".number".into())]);
    let missing = open(settings).read_item(request).await.unwrap();
    assert!(
        matches!(missing, ItemContent::Missing { reference: None }),
        "{missing:?}"
    );
}

#[tokio::test]
async fn an_item_of_a_resource_that_has_no_path_for_one_is_a_permanent_error() {
    let api = Api::start(|_| panic!("nothing is asked")).await;
    let source = open(things(&api.url, Pagination::None));
    let id = values(json!({"id": "1"}));
    let request = ItemRequest {
        resource: Some("things"),
        values: &id,
    };
    let error = source.read_item(request).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(error.message.contains("no `item`"), "{error}");
}

#[tokio::test]
async fn a_partition_has_the_name_that_the_page_gives_it_that_reveals_it() {
    let api = Api::start(|_| answer(json!([{"id": "a/b"}, {"id": "c"}]))).await;
    let mut orgs = resource("orgs", "/orgs", Pagination::None);
    orgs.entity = EntityShape::None;
    let mut projects = resource("projects", "/orgs/{org}/projects", Pagination::None);
    projects.parent = Some("orgs".into());
    projects.parent_values = BTreeMap::from([("org".into(), ".id".into())]);
    let source = open(rest(&api.url, vec![orgs, projects]));
    let page = first(&source).await.unwrap();
    let named = source
        .partition(Some("projects"), &values(json!({"org": "a/b"})))
        .unwrap();
    assert_eq!(page.children[0], named);
    assert_eq!(source.partition(None, &Map::new()).unwrap().key, "");
    assert_eq!(
        source.partition(Some("projects"), &Map::new()),
        None,
        "a value is missing"
    );
    assert_eq!(source.partition(Some("others"), &Map::new()), None);
}
