#![allow(clippy::unwrap_used, reason = "this is test code")]

use std::path::Path;

use super::settings::{RefreshScope, Settings, SourceKind};

fn parse(text: &str) -> Result<Settings, Vec<String>> {
    super::parse(text, Path::new("t.yaml"), &|_| None).map_err(|errors| {
        let errors = errors.0.into_iter();
        errors
            .map(|error| {
                format!(
                    "{}:{} {}: {}",
                    error.at.line, error.at.column, error.path, error.message
                )
            })
            .collect()
    })
}

fn services(on: &str) -> String {
    format!(
        "sources:\n- name: s\n  type: http\n  base_url: https://a.example\n  resources:\n  - name: services\n    path: /services\n    \
         item: /services/{{id}}\n    values: {{ id: .id }}\n  on:\n{on}"
    )
}

#[test]
fn a_rule_says_what_an_event_makes_a_source_read_again() {
    let settings = parse(&services(
        "  - topic: ci.service.*\n    when: .body.environment == \"production\"\n    refresh: item\n    resource: services\n    \
         values: { id: .body.service.id }\n    removed: .body.action == \"deleted\"\n  - { topic: [a, b], refresh: source }\n",
    ))
    .unwrap();
    let [item, source] = settings.sources[0].on.as_slice() else {
        panic!("two rules");
    };
    assert_eq!(
        (item.topics.as_slice(), item.refresh),
        (["ci.service.*".to_owned()].as_slice(), RefreshScope::Item)
    );
    assert_eq!(item.values["id"], ".body.service.id");
    assert!(item.when.is_some() && item.removed.is_some());
    assert_eq!((source.topics.len(), source.refresh), (2, RefreshScope::Source));
    let SourceKind::Http(http) = &settings.sources[0].kind else {
        panic!("an http source");
    };
    assert_eq!(http.resources[0].item.as_deref(), Some("/services/{id}"));
    assert_eq!(http.resources[0].item_values["id"], ".id");
}

#[test]
fn a_rule_that_names_an_unknown_resource_is_told_the_nearest_one() {
    let errors = parse(&services(
        "  - { topic: a, refresh: item, resource: servces, values: { id: .x } }\n",
    ))
    .unwrap_err();
    assert_eq!(
        errors,
        [r#"11:42 sources[0].on[0].resource: unknown resource "servces"; did you mean "services"?"#]
    );
}

#[test]
fn a_rule_that_cannot_work_is_an_error_at_its_place() {
    for (rule, expected) in [
        ("{ refresh: source }", "topic: is missing"),
        (
            "{ topic: \"a b\", refresh: source }",
            "topic: a topic may contain only letters",
        ),
        (
            "{ topic: a, refresh: item }",
            "values: lack \"id\", which resource \"services\" needs",
        ),
        (
            "{ topic: a, refresh: source, values: { id: .x } }",
            "values: has no effect with refresh: source",
        ),
        (
            "{ topic: a, refresh: item, only_known: true, values: { id: .x } }",
            "only_known: has no effect with refresh: item",
        ),
        (
            "{ topic: a, refresh: source, deep: true }",
            "deep: has no effect with refresh: source",
        ),
        ("{ topic: a, refresh: all }", "refresh:"),
    ] {
        let errors = parse(&services(&format!("  - {rule}\n"))).unwrap_err();
        let expected = format!("sources[0].on[0].{expected}");
        assert!(
            errors.iter().any(|error| error.contains(&expected)),
            "{rule}: {errors:?}"
        );
    }
    let files = "sources:\n- { name: f, type: files, path: x, on: [{ topic: a, refresh: partition }] }\n";
    assert!(parse(files).unwrap_err()[0].contains("only sources of type http"));
    let push = "sources:\n- { name: p, type: push, on: [{ topic: a }] }\n";
    assert!(parse(push).unwrap_err()[0].contains("a source of type push is never read"));
}

#[test]
fn a_source_of_type_push_needs_nothing_but_a_name() {
    let settings = parse("sources:\n- { name: p, type: push }\n").unwrap();
    assert!(matches!(settings.sources[0].kind, SourceKind::Push));
    assert_eq!(settings.sources[0].spec().source_type, "push");
}
