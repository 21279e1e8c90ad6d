//! From items to entities.

use serde_json::{Value, json};
use tideline_config::settings::{EntityShape, Pagination};
use tideline_worker::{ErrorClass, Item, Page, PageContent, SourceError};

use crate::api::*;

async fn read(body: Value, items: Option<&str>, entity: EntityShape) -> Result<Page, SourceError> {
    let api = Api::start(move |_| answer(body.clone())).await;
    let mut settings = things(&api.url, Pagination::None);
    settings.resources[0].items = items.map(Into::into);
    settings.resources[0].entity = entity;
    first(&open(settings)).await
}

fn named(kind: &str, namespace: &str, name: &str, body: Option<&str>) -> EntityShape {
    EntityShape::Named {
        kind: kind.into(),
        namespace: namespace.into(),
        name: name.into(),
        body: body.map(Into::into),
    }
}

fn bodies(page: &Page) -> Vec<Value> {
    let body = |item: &Item| match item {
        Item::Entity { body, .. } => serde_json::from_str(body).unwrap(),
        item => panic!("{item:?}"),
    };
    items(page).iter().map(body).collect()
}

#[tokio::test]
async fn items_are_found_by_default_by_path_by_jq_and_as_one_object() {
    let list = components(0, 2);
    for (body, items) in [
        (json!(list), None),
        (json!({"items": list}), None),
        (json!({"a": {"b": list}}), Some(".a.b")),
        (json!({"a": {"b": list}}), Some(".a.b[]")),
        (json!({"a": {"b": list, "c": []}}), Some(".a | .b + .c")),
        (json!({"a": {"x": list[0], "y": list[1]}}), Some(".a[]")),
    ] {
        let shown = body.to_string();
        let page = read(body, items, EntityShape::AsIs).await.unwrap();
        assert_eq!(
            references(&page),
            ["component:default/c0", "component:default/c1"],
            "{items:?} {shown}"
        );
    }
    let page = read(component("one"), Some("."), EntityShape::AsIs).await.unwrap();
    assert_eq!(references(&page), ["component:default/one"]);
}

#[tokio::test]
async fn an_answer_without_a_list_is_an_error_and_no_empty_page() {
    for (body, items) in [
        (json!({"error": "hiccup"}), None),
        (json!({"data": {}}), Some(".data.items")),
        (json!({}), Some(".items | .")),
        (json!("text"), None),
    ] {
        let error = read(body, items, EntityShape::AsIs).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent, "{items:?} {error}");
    }
    let page = read(json!({"items": null}), None, EntityShape::AsIs).await.unwrap();
    assert_eq!(items(&page).len(), 0);
}

#[tokio::test]
async fn objects_of_any_form_are_named_by_paths_texts_and_jq() {
    let body = json!([{"Package": "zlib", "id": 7, "team": {"name": "Core"}}]);
    let page = read(body.clone(), None, named("Package", "default", ".Package", None))
        .await
        .unwrap();
    assert_eq!(references(&page), ["package:default/zlib"]);
    assert_eq!(bodies(&page), [body[0].clone()]);
    let shape = named(
        "\"Pack\" + \"age\"",
        ".team.name",
        ".id",
        Some("{id, team: .team.name}"),
    );
    let page = read(body, None, shape).await.unwrap();
    assert_eq!(references(&page), ["package:core/7"]);
    assert_eq!(bodies(&page), [json!({"id": 7, "team": "Core"})]);
}

#[tokio::test]
async fn one_expression_may_make_several_entities_or_none() {
    let shape = EntityShape::Shaped("select(.ok) | {kind: \"API\", metadata: {name: .names[]}}".into());
    let page = read(
        json!([{"ok": true, "names": ["x", "y"]}, {"ok": false, "names": ["z"]}]),
        None,
        shape,
    )
    .await
    .unwrap();
    assert_eq!(references(&page), ["api:default/x", "api:default/y"]);
}

#[tokio::test]
async fn a_malformed_item_is_reported_beside_the_good_ones() {
    let long = "x".repeat(2000);
    let body =
        json!([component("ok"), {"kind": "X"}, 7, {"kind": "A", "metadata": {"name": "", "token": "t0p", "l": long}}]);
    let page = read(body, None, EntityShape::AsIs).await.unwrap();
    let malformed: Vec<_> = items(&page)
        .iter()
        .filter_map(|item| match item {
            Item::Malformed(item) => Some(item),
            Item::Entity { .. } | Item::MadeBy(_) => None,
        })
        .collect();
    assert_eq!((items(&page).len(), malformed.len()), (4, 3));
    assert!(
        malformed
            .iter()
            .all(|item| item.reference.is_none() && item.sample.len() <= 500)
    );
    assert!(!malformed[2].sample.contains("t0p"), "{}", malformed[2].sample);
}

#[tokio::test]
async fn an_expression_that_fails_is_told_in_a_sentence() {
    let error = read(json!({"items": []}), Some("error(\"boom\")"), EntityShape::AsIs).await;
    let error = error.unwrap_err().message;
    assert!(
        error.contains("items: the expression failed: \"boom\"; the answer begins: "),
        "{error}"
    );
    let page = read(json!([{}]), None, EntityShape::Shaped("error(\"boom\")".into()))
        .await
        .unwrap();
    let Item::Malformed(item) = &items(&page)[0] else {
        panic!("{page:?}")
    };
    assert_eq!(item.error, "entity.shape: the expression failed: \"boom\"");
}

#[tokio::test]
async fn an_item_whose_body_fails_keeps_its_name() {
    let shape = named("Thing", "default", ".id", Some("{size: (.size | tonumber)}"));
    let page = read(json!([{"id": "a", "size": "1"}, {"id": "b", "size": "x"}]), None, shape)
        .await
        .unwrap();
    let Item::Malformed(item) = &items(&page)[1] else {
        panic!("{page:?}")
    };
    assert_eq!(item.reference.as_ref().unwrap().as_str(), "thing:default/b");
}

#[tokio::test]
async fn a_page_whose_expressions_never_end_is_transient_and_the_source_stays_alive() {
    let api = Api::start(|_| answer(json!([{"id": "a"}]))).await;
    let mut settings = things(&api.url, Pagination::None);
    settings.resources[0].items =
        Some("[last(range(1000000000000))] | map({kind: \"A\", metadata: {name: \"x\"}})".into());
    let source = open_within(settings, std::time::Duration::from_millis(100));
    let error = first(&source).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Transient { retry_after: None });
    assert!(error.message.contains("page_timeout"), "{error}");
    let again = first(&source).await.unwrap_err();
    assert!(again.message.contains("still run"), "{again}");
    let endless = read(json!({"items": []}), Some("repeat(.)"), EntityShape::AsIs)
        .await
        .unwrap_err();
    assert!(endless.message.contains("outputs"), "{endless}");
}

#[tokio::test]
async fn ids_beyond_64_bits_do_not_merge() {
    let api = Api::start(|_| {
        let body = r#"[{"id": 18446744073709551616, "n": 1}, {"id": 18446744073709551617, "n": 1}]"#;
        status(200, &[("content-type", "application/json")], body)
    })
    .await;
    for (name, body) in [(".id", None), ("(.id | tostring)", None), (".id", Some("{id, n}"))] {
        let mut settings = things(&api.url, Pagination::None);
        settings.resources[0].entity = EntityShape::Named {
            kind: "thing".into(),
            namespace: "default".into(),
            name: name.into(),
            body: body.map(str::to_owned),
        };
        let page = first(&open(settings)).await.unwrap();
        let expected = [
            "thing:default/18446744073709551616",
            "thing:default/18446744073709551617",
        ];
        assert_eq!(references(&page), expected, "{name}");
        let PageContent::Items(items) = page.content else {
            panic!()
        };
        for (item, digits) in items.iter().zip(["18446744073709551616", "18446744073709551617"]) {
            assert!(
                matches!(item, Item::Entity { body, .. } if body.contains(digits)),
                "{item:?}"
            );
        }
    }
}

#[tokio::test]
async fn names_with_slashes_and_blanks_are_encoded_and_not_refused() {
    let page = read(
        json!([
            {"kind": "NPM", "metadata": {"name": "@babel/core"}},
            {"kind": "Repo", "metadata": {"name": "a b"}}
        ]),
        None,
        EntityShape::AsIs,
    )
    .await
    .unwrap();
    assert_eq!(references(&page), ["npm:default/@babel%2fcore", "repo:default/a%20b"]);
}
