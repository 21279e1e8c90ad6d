//! The boards and alert rules under deploy/ against the page that Prometheus really gets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is test code")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use saphyr::{LoadableYamlNode, YamlOwned};
use serde_json::Value;
use tideline_config::settings::TelemetrySettings;
use tideline_core::words::DriftTotals;
use tideline_runtime::telemetry::{init, metrics};

/// Labels that Prometheus adds itself, or that belong to its histograms.
const OF_PROMETHEUS: [&str; 3] = ["job", "instance", "le"];

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

/// Records everything that a board or rule may show, once.
fn record() {
    let second = Duration::from_secs(1);
    metrics::due_lag("ingest", second);
    metrics::schedule_lateness("s", second);
    metrics::burst("s", "done", second);
    metrics::attempts("ingest", "done", 1);
    metrics::enqueued("ingest", "inserted", 1);
    metrics::rescued(false, 1);
    metrics::cycle_ended("s", "complete");
    metrics::drift("s", DriftTotals::default());
    metrics::partition_failed("s", "p");
    metrics::pages("s", "written", 1);
    metrics::entities("s", "added", 1);
    metrics::source_request("s", "ok", second);
    metrics::rung("s", 0);
    metrics::held_sweeps(0);
    metrics::lease_lost("ingest");
    metrics::fenced_write_refused("settle");
    metrics::hints_sent("ingest", 1);
    metrics::hints_resent("ingest", 1);
    metrics::hints_failed("ingest", 1);
    metrics::queue_degraded(false);
    metrics::due_jobs(0, second);
    metrics::jobs(0, 0);
    metrics::hook_request("h", "stored", second);
    metrics::source("s", 1, second, false);
    metrics::subscription("x", 0, 0);
    metrics::target_job("t", "done", second);
    metrics::target_request("t", "ok", second);
    metrics::target("t", 0, 0, 0, false);
}

/// Series of the page, each with its labels.
fn series() -> &'static BTreeMap<String, BTreeSet<String>> {
    static SERIES: OnceLock<BTreeMap<String, BTreeSet<String>>> = OnceLock::new();
    SERIES.get_or_init(|| {
        let guard = init(&TelemetrySettings::default(), "test").unwrap();
        record();
        let page = guard.metrics_page().render();
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let labels = line
                .split_once('{')
                .map_or("", |(_, rest)| rest.split('}').next().unwrap());
            let labels = labels
                .split(',')
                .filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
            found.entry(name.to_owned()).or_default().extend(labels);
        }
        found
    })
}

/// The words of an expression, without what stands between quotes; a name that is followed by `{` comes with what is in
/// there.
fn words(expression: &str) -> Vec<(String, String)> {
    let outside: Vec<&str> = expression.split('"').step_by(2).collect();
    let outside = outside.join("\"\"");
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = Vec::new();
    let mut rest = outside.as_str();
    while let Some(start) = rest.find(is_name) {
        rest = &rest[start..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let selector = after.strip_prefix('{').and_then(|inside| inside.split('}').next());
        words.push((word.to_owned(), selector.unwrap_or_default().to_owned()));
        rest = after;
    }
    words
}

/// What is wrong with an expression: `tideline_*` names that no process exports.
fn unknown(expression: &str) -> Vec<String> {
    let series = series();
    let is_label = |word: &str| OF_PROMETHEUS.contains(&word) || series.values().any(|labels| labels.contains(word));
    let mut wrong = Vec::new();
    for (word, selector) in words(expression) {
        let ours = word.starts_with("tideline_") || word.starts_with("messaging_");
        if ours && !series.contains_key(&word) && !is_label(&word) {
            wrong.push(word.clone());
        }
        if let Some(labels) = series.get(&word) {
            let selected = words(&selector).into_iter().map(|(label, _)| label);
            wrong.extend(
                selected
                    .filter(|label| !labels.contains(label))
                    .map(|label| format!("{word}{{{label}}}")),
            );
        }
    }
    wrong
}

fn boards() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(deploy("grafana/boards")).unwrap();
    let read = |file: std::io::Result<std::fs::DirEntry>| {
        let path = file.unwrap().path();
        let board = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).expect("a board is JSON");
        (path.file_name().unwrap().to_string_lossy().into_owned(), board)
    };
    files.map(read).collect()
}

fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn yaml(path: &str) -> YamlOwned {
    let text = std::fs::read_to_string(deploy(path)).unwrap();
    YamlOwned::load_from_str(&text).expect(path).remove(0)
}

fn text<'a>(node: &'a YamlOwned, name: &str) -> &'a str {
    node.as_mapping_get(name)
        .and_then(YamlOwned::as_str)
        .unwrap_or_default()
}

fn rules() -> Vec<YamlOwned> {
    let file = yaml("prometheus/alerts.yaml");
    let groups = file.as_mapping_get("groups").and_then(YamlOwned::as_sequence).unwrap();
    let rules = |group: &YamlOwned| {
        group
            .as_mapping_get("rules")
            .and_then(YamlOwned::as_sequence)
            .unwrap()
            .clone()
    };
    groups.iter().flat_map(rules).collect()
}

#[test]
fn every_metric_and_label_that_a_board_or_an_alert_names_is_exported() {
    let mut named = 0;
    for (file, board) in boards() {
        let queries = items(&board["templating"], "list")
            .iter()
            .map(|variable| &variable["definition"]);
        let targets = items(&board, "panels").iter().flat_map(|panel| items(panel, "targets"));
        for expression in targets.map(|target| &target["expr"]).chain(queries) {
            let expression = expression.as_str().expect("a query is a text");
            assert_eq!(unknown(expression), Vec::<String>::new(), "{file}: {expression}");
            named += 1;
        }
    }
    for rule in rules() {
        let expression = text(&rule, "expr");
        assert_eq!(unknown(expression), Vec::<String>::new(), "alerts.yaml: {expression}");
        named += 1;
    }
    assert!(named > 50, "hardly any expression was found: {named}");
}

#[test]
fn an_unknown_metric_or_a_label_that_it_does_not_have_is_found() {
    assert_eq!(unknown("sum(rate(tideline_pagez_total[5m]))"), ["tideline_pagez_total"]);
    assert_eq!(
        unknown(r#"tideline_pages_total{tideline_hook="tideline_x"}"#),
        ["tideline_pages_total{tideline_hook}"]
    );
    assert_eq!(
        unknown("sum by (tideline_sauce) (tideline_pages_total)"),
        ["tideline_sauce"]
    );
    assert_eq!(
        unknown(r#"sum by (tideline_source) (rate(tideline_pages_total{tideline_source="tideline_x"}[5m]))"#),
        Vec::<String>::new()
    );
}

#[test]
fn grafana_finds_the_data_source_and_the_boards_where_they_are_provisioned() {
    let sources = yaml("grafana/provisioning/datasources/prometheus.yaml");
    let source = &sources
        .as_mapping_get("datasources")
        .and_then(YamlOwned::as_sequence)
        .unwrap()[0];
    let uid = text(source, "uid");
    assert!(!uid.is_empty());
    let providers = yaml("grafana/provisioning/dashboards/tideline.yaml");
    let provider = &providers
        .as_mapping_get("providers")
        .and_then(YamlOwned::as_sequence)
        .unwrap()[0];
    let path = text(provider.as_mapping_get("options").unwrap(), "path");
    let compose = std::fs::read_to_string(deploy("../docker-compose.yml")).unwrap();
    assert!(
        compose.contains(&format!("./deploy/grafana/boards:{path}:ro")),
        "{path} is not mounted"
    );

    let mut uids = BTreeSet::new();
    for (file, board) in boards() {
        assert!(
            uids.insert(board["uid"].as_str().unwrap().to_owned()),
            "{file}: its uid is another's"
        );
        let mut ids = BTreeSet::new();
        for panel in items(&board, "panels") {
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{file}: an id is given twice"
            );
            assert_eq!(panel["datasource"]["uid"], uid, "{file}: {}", panel["title"]);
            let place = &panel["gridPos"];
            assert!(
                place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24,
                "{file}: {}",
                panel["title"]
            );
        }
    }
    let wanted = ["overview", "queue", "sources", "targets", "webhooks"].map(|name| format!("tideline-{name}"));
    assert_eq!(uids, BTreeSet::from(wanted));
}

#[test]
fn every_alert_says_what_happened_and_what_to_do() {
    let rules = rules();
    for rule in &rules {
        let name = text(rule, "alert");
        let annotations = rule.as_mapping_get("annotations").expect(name);
        for annotation in ["summary", "description"] {
            assert!(!text(annotations, annotation).is_empty(), "{name} has no {annotation}");
        }
        let severity = text(rule.as_mapping_get("labels").expect(name), "severity");
        assert!(["warning", "critical"].contains(&severity), "{name}: {severity}");
        assert!(!text(rule, "for").is_empty(), "{name} fires at the first look");
    }
    let names: BTreeSet<&str> = rules.iter().map(|rule| text(rule, "alert")).collect();
    for name in [
        "TidelineSweepHeld",
        "TidelineJobsLate",
        "TidelineQueueDegraded",
        "TidelineDeadLetters",
        "TidelineNoCycle",
    ] {
        assert!(names.contains(name), "no alert {name}");
    }
}
