use std::path::Path;

use super::super::{parse, presets};
use super::show::write;
use super::*;
use crate::settings::{Settings, SourceKind};

fn env(name: &str) -> Option<String> {
    match name {
        "OC_URL" => Some("https://oc.example".to_owned()),
        "OC_TOKEN" => Some("s3cret".to_owned()),
        "OWNER" => Some("group:x/\"quoted\" \\(1) ${HOME}".to_owned()),
        _ => None,
    }
}

fn read(text: &str) -> Settings {
    parse(text, Path::new("t.yaml"), &env).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors_of(text: &str) -> Vec<String> {
    let Err(errors) = parse(text, Path::new("t.yaml"), &env) else {
        panic!("it has no errors");
    };
    let shown = |error: crate::ConfigError| {
        format!(
            "{}:{} {}: {}",
            error.at.line, error.at.column, error.path, error.message
        )
    };
    errors.0.into_iter().map(shown).collect()
}

/// A line that a preset needs besides its type.
fn least(preset: &Preset) -> String {
    let required = preset
        .parameters
        .iter()
        .filter(|parameter| parameter.shown_default.is_empty());
    let mut names: Vec<&str> = required.map(|parameter| parameter.name.as_str()).collect();
    names.extend(preset.one_of.first().map(String::as_str));
    let parameters: Vec<String> = names.iter().map(|name| format!(", {name}: acme")).collect();
    let base_url = if preset.has_key("base_url") {
        ""
    } else {
        ", base_url: \"${OC_URL}\""
    };
    format!(
        "sources:\n- {{ name: a, type: {}{base_url}{}}}\n",
        preset.name,
        parameters.concat()
    )
}

#[test]
fn every_file_is_a_preset_without_mistakes_and_all_of_it_is_used() {
    for (name, text) in FILES {
        let preset = Preset::parse(name, text).unwrap_or_else(|why| panic!("{why}"));
        for parameter in &preset.parameters {
            let quoted = [
                format!("<<{}>>", parameter.name),
                format!("<<json {}>>", parameter.name),
            ];
            let named = text.matches(parameter.name.as_str()).count() > 1;
            assert!(
                named || quoted.iter().any(|place| text.contains(place)),
                "{}",
                parameter.name
            );
        }
    }
    for preset in presets::presets() {
        let settings = read(&least(preset));
        assert_eq!(settings.sources[0].source_type, preset.name);
        assert!(matches!(settings.sources[0].kind, SourceKind::Http(_)));
    }
    assert_eq!(presets::presets().len(), FILES.len());
}

#[test]
fn what_a_preset_stands_for_can_be_copied_and_reads_the_same_data() {
    for preset in presets::presets() {
        let yaml = least(preset);
        let copied = format!("sources:\n{}", show_source(&yaml, "a").unwrap());
        let (copy, line) = (read(&copied), read(&yaml));
        assert_eq!(copy.sources[0].source_type, "http");
        assert_eq!(copy.sources[0].identity, line.sources[0].identity, "{copied}");
        let (copy, line) = (
            format!("{:?}", copy.sources[0].kind),
            format!("{:?}", line.sources[0].kind),
        );
        assert_eq!(copy, line);
        let shown = show_preset(preset);
        assert!(!shown.contains("<<"), "{shown}");
    }
}

#[test]
fn the_users_keys_win_mapping_by_mapping() {
    let text = "sources:\n- name: a\n  type: openchoreo\n  base_url: ${OC_URL}\n  burst: { length: 3s }\n  on: []\n  \
                max_body_bytes: 1MiB\n  auth: { bearer: \"${OC_TOKEN}\" }\n  kinds: [projects]\n  cluster_wide: false\n";
    let settings = read(text);
    let source = &settings.sources[0];
    assert_eq!(source.burst_length.as_secs(), 3);
    assert!(source.on.is_empty());
    let SourceKind::Http(http) = &source.kind else {
        panic!("an http source")
    };
    assert_eq!(http.max_body_bytes, 1 << 20);
    let names: Vec<&str> = http.resources.iter().map(|resource| resource.name.as_str()).collect();
    let both = ["namespaces", "projects", "organizations", "organization-projects"];
    assert_eq!(names, both, "either of the APIs, as it is not said which");
}

#[test]
fn mistakes_are_told_at_the_users_own_keys() {
    let text = "sources:\n- name: a\n  type: openchoreo\n  kinds: [projects, componets]\n  onwer: x\n  burst: { lenght: 3s }\n  \
                cluster_wide: perhaps\n";
    assert_eq!(
        errors_of(text),
        [
            "2:3 sources[0].base_url: is missing; it must be given (URL)",
            "4:21 sources[0].kinds[1]: must be one of projects, components, workloads, resources, environments, dataplanes, \
             workflowplanes, observabilityplanes, deploymentpipelines, componenttypes, traits, workflows, resourcetypes, \
             projecttypes, observabilityalertsnotificationchannels, but is \"componets\"",
            "5:3 sources[0].onwer: unknown key \"onwer\"; did you mean \"owner\"?",
            "6:12 sources[0].burst.lenght: unknown key \"lenght\"; did you mean \"length\"?",
            "7:17 sources[0].cluster_wide: must be true or false, but is \"perhaps\"",
        ]
    );
    let text = "sources:\n- { name: a, type: openchorio, base_url: \"${OC_URL}\" }\n";
    assert_eq!(
        errors_of(text),
        ["2:20 sources[0].type: unknown value \"openchorio\"; did you mean \"openchoreo\"?"]
    );
}

#[test]
fn a_mistyped_parameter_is_not_followed_by_errors_of_the_presets_own_keys() {
    let needs = "sources[0]: needs exactly one of organization, user, installation, but has 0";
    assert_eq!(
        errors_of("sources:\n- name: a\n  type: github\n  organisation: acme\n"),
        [
            format!("2:3 {needs}"),
            "4:3 sources[0].organisation: unknown key \"organisation\"; did you mean \"organization\"?".to_owned(),
        ]
    );
    assert_eq!(
        errors_of("sources:\n- { name: a, type: github }\n"),
        [format!("2:3 {needs}")]
    );
}

#[test]
fn a_mistake_in_what_a_preset_adds_is_told_at_the_type() {
    let text = "sources:\n- { name: a, type: openchoreo, base_url: \"${OC_URL}\" }\n";
    let found = |_: crate::Examined<'_>| vec![("resources[0].items".to_owned(), "is wrong".to_owned())];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.yaml");
    std::fs::write(&file, text).unwrap();
    let errors = crate::load_examined(&file, &env, &found).unwrap_err();
    assert_eq!(
        (errors.0[0].path.as_str(), errors.0[0].at.column),
        ("sources[0].type", 20)
    );
    assert!(errors.0[0].message.contains("resources[0].items"), "{errors}");
}

#[test]
fn a_value_stays_a_text_in_expressions_and_variables_are_filled_in_once() {
    let text = "sources:\n- { name: a, type: openchoreo, base_url: \"${OC_URL}\", owner: \"${OWNER}\" }\n";
    let settings = read(text);
    let SourceKind::Http(http) = &settings.sources[0].kind else {
        panic!("an http source")
    };
    let definitions = http.definitions.as_deref().unwrap();
    assert!(
        definitions.contains(r#"// "group:x/\"quoted\" \\(1) ${HOME}";"#),
        "{definitions}"
    );
    let shown = show_source(text, "a").unwrap();
    assert!(shown.contains(r#"// "${OWNER}";"#), "{shown}");
}

#[test]
fn a_source_is_shown_with_its_variables_and_without_secrets() {
    let text = "sources:\n- name: a\n  type: openchoreo\n  base_url: \"${OC_URL}\"\n  headers: { x-key: topsecret }\n  \
                auth: { oauth2: { token_url: \"https://t.example\", client_id: me, client_secret: topsecret } }\n- name: b\n  \
                type: http\n  auth: { bearer: \"${OC_TOKEN}\" }\n";
    let shown = show_source(text, "a").unwrap();
    assert!(
        shown.contains("${OC_URL}") && shown.contains("[redacted]") && shown.contains("client_id: me"),
        "{shown}"
    );
    assert!(!shown.contains("topsecret"), "{shown}");
    assert!(show_source(text, "b").unwrap().contains("${OC_TOKEN}"));
    assert!(show_source(text, "c").unwrap_err().contains("no source named \"c\""));
}

#[test]
fn no_rule_of_openchoreo_follows_events_of_namespaces_that_are_not_read() {
    for api in ["auto", "namespaces", "organizations"] {
        let text = format!(
            "sources:\n- {{ name: a, type: openchoreo, base_url: \"${{OC_URL}}\", api: {api}, namespaces: [a] }}\n"
        );
        let settings = read(&text);
        let rules = &settings.sources[0].on;
        assert!(!rules.is_empty());
        for rule in rules {
            let cluster_wide = rule
                .resource
                .as_deref()
                .is_some_and(|resource| resource.starts_with("cluster"));
            let when = rule.when.as_deref().unwrap_or_default();
            assert_eq!(when.contains("among_namespaces"), !cluster_wide, "{rule:?}");
        }
    }
}

#[test]
fn what_is_written_is_read_as_the_same() {
    let text = "a: 1\nb: \"1\"\nc: [x, {y: null, z: [[1, 2], []]}]\nd: |\n  one\n\n    two\ne: |-\n  def f: \"a\";\n  .x\nf: {}\n\"g h\": -1.5\n\
                h: \"true\"\ni: true\nj: \"a: b # c\"\nk: ~\n";
    let (first, problems) = yaml::parse(text);
    assert!(problems.is_empty());
    let first = first.unwrap();
    let written = write(&first);
    let (again, problems) = yaml::parse(&written);
    assert!(problems.is_empty(), "{written}");
    assert_eq!(shape(&first), shape(&again.unwrap()), "{written}");
}

/// The node without its places.
fn shape(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar { plain, .. } if node.is_null() => format!("null {plain}"),
        Kind::Scalar { text, plain } => format!("{text:?} {plain}"),
        Kind::List(items) => format!("{:?}", items.iter().map(shape).collect::<Vec<_>>()),
        Kind::Map(entries) => {
            let entries = entries.iter().map(|entry| (entry.key.clone(), shape(&entry.value)));
            format!("{:?}", entries.collect::<Vec<_>>())
        }
    }
}
