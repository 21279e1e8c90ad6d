//! The presets: every expression in them compiles, whatever their parameters are.

use std::path::Path;

use tideline_config::presets::{find_preset, presets};
use tideline_config::settings::{SourceKind, SourceSettings};
use tideline_worker::sources::http::check;

fn source(yaml: &str) -> SourceSettings {
    let settings = tideline_config::parse(yaml, Path::new("t.yaml"), &|_| None);
    settings.unwrap_or_else(|errors| panic!("{errors}")).sources.remove(0)
}

fn problems_of(yaml: &str) -> Vec<(String, String)> {
    match source(yaml).kind {
        SourceKind::Http(http) => check(&http),
        kind => panic!("{kind:?}"),
    }
}

#[test]
fn every_expression_of_a_preset_compiles_whatever_its_parameters_are() {
    assert!(presets().iter().all(|preset| find_preset(preset.name()).is_some()));
    for lines in [
        "type: openchoreo, base_url: \"https://a.example\"",
        "type: github, organization: acme",
        "type: github, user: a, catalog_files: [], catalog_globs: ['a/**/*.yaml', 'b\"('], names: ['x*'], topics: [a], owner: 'x'",
        "type: github, installation: true, archived: true, repositories: false",
        "type: openchoreo, base_url: \"https://a.example\", owner: 'a\"\\(1)\\', namespaces: [a, 'b\"'], cluster_wide: false",
    ] {
        assert_eq!(
            problems_of(&format!("sources: [{{ name: a, {lines} }}]")),
            [],
            "{lines}"
        );
    }
}

#[test]
fn functions_of_definitions_can_be_used_in_every_expression_and_are_told_apart_from_them() {
    let yaml = |definitions: &str| {
        format!(
            "sources:\n- name: a\n  type: http\n  base_url: https://a.example\n  definitions: '{definitions}'\n  resources:\n  - \
             {{ name: x, path: /x, items: '.items | real', entity: {{ kind: thing, name: title }} }}\n"
        )
    };
    assert_eq!(
        problems_of(&yaml("def real: map(select(.real)); def shown: .title;")),
        []
    );
    let problems = problems_of(&yaml("def real: map(;"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].0, "definitions");
}
