//! `on:` what events make a source read something again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tideline_core::rules::{TopicGlob, is_own_topic, own_topic_refusal};

use super::reader::{Section, Spec, unknown};
use super::resource::placeholders;
use super::settings::{EventFetch, RefreshRule, RefreshScope, Resource, SourceSettings};

pub(super) fn read_on(
    source: &Section<'_>,
    settings: &mut SourceSettings,
    resources: &[Resource],
    source_type: Option<&str>,
) {
    let spec = Spec {
        key: "on",
        kind: "list of sections".to_owned(),
        default: "none".to_owned(),
        range: String::new(),
        doc: "Events that trigger a refresh between cycles.",
    };
    settings.on = source.sections(spec, |rule, _| read_rule(rule, resources, source_type));
    let doc = "Minimum time between two event-driven refreshes of the same item. A burst of events causes one refresh \
               at once and one after the last event.";
    let range = Duration::ZERO..=Duration::from_secs(3_600);
    settings.refresh_spacing = source.duration("refresh_spacing", settings.refresh_spacing, range, doc);
    if source_type == Some("push") && !settings.on.is_empty() {
        source.fail("on", "has no effect: a source of type push is never read");
    }
}

fn read_topics(rule: &Section<'_>) -> Vec<String> {
    let doc = "Topic of the events, or a list of topics. `*` matches any characters.";
    let topics = rule.text_or_texts("topic", "", 100, doc);
    rule.require("topic");
    if !rule.has("topic") && !rule.is_describing() {
        rule.fail(
            "topic",
            "is missing; name a topic such as github.push, or a glob such as github.*",
        );
    }
    for topic in &topics {
        if let Err(error) = topic.parse::<TopicGlob>() {
            rule.fail("topic", error.to_string());
        }
    }
    topics
}

fn read_rule(rule: &Section<'_>, resources: &[Resource], source_type: Option<&str>) -> RefreshRule {
    let topics = read_topics(rule);
    let doc = "jq condition evaluated on the event (`.topic`, `.key`, `.body`, `.headers`). Other events are ignored.";
    let when = rule.optional_jq("when", "always", doc);
    let doc = "What to refresh: the `item` identified by `values`, an entire `partition`, or the `source` (a cycle). \
               `event` refreshes nothing: it requests what the event lacks from the API (`fetch`) and publishes it as \
               another event, for other rules.";
    let scope = rule.choice(
        "refresh",
        Some("source"),
        &["item", "partition", "source", "event"],
        doc,
    );
    let refresh = match scope {
        Some("item") => RefreshScope::Item,
        Some("partition") => RefreshScope::Partition,
        Some("event") => RefreshScope::Event,
        _ => RefreshScope::Source,
    };
    let resource = rule.optional_text("resource", "the first resource", "Resource of the item or partition.");
    let doc = "Values that identify the item (in the resource's `item`) or the partition (the values of its parents): \
               name to jq expression evaluated on the event.";
    let values = rule.text_map("values", "mapping of names to jq expressions", doc);
    let doc = "jq condition evaluated on the event: whether the event says that the item or partition was deleted. Only then \
               does a 404 (or an empty response) remove its entities at once. Otherwise the next complete cycle decides, \
               because APIs also return 404 for missing permissions.";
    let removed = rule.optional_jq("removed", "never", doc);
    let doc = "Read the item or partition a second time after this delay, for senders that drop events that closely follow \
         another one.";
    let range = Duration::from_millis(100)..=Duration::from_secs(3_600);
    let look_again = rule.duration_or_none("look_again", "none", range, doc).flatten();
    let doc = "jq expression over the event that yields several things to read, or none: one for each output. \
               `values` and `removed` are then evaluated on the output.";
    let each = rule.optional_jq("each", "the event itself", doc);
    let doc = "Refresh every partition of the resource that a cycle has found and that matches `values`, which may \
               give only some of a partition's values. Partitions that no cycle has found are never refreshed. At \
               most 1,000.";
    let only_known = rule.flag("only_known", false, doc);
    let doc = "Refresh the partitions below the partition too.";
    let deep = rule.flag("deep", false, doc);
    let doc = "With `refresh: event`: the request, and the event that is created from its response.";
    let fetch = rule.optional_section("fetch", doc, |fetch| read_fetch(fetch, &values, &topics));
    let read = RefreshRule {
        topics,
        when,
        refresh,
        resource,
        each,
        values,
        removed,
        look_again,
        only_known,
        deep,
        fetch,
    };
    if !rule.is_describing() {
        check_rule(rule, &read, resources, source_type);
    }
    read
}

fn read_fetch(fetch: &Section<'_>, values: &BTreeMap<String, String>, topics: &[String]) -> EventFetch {
    let doc = "Path of the request, joined to `base_url`. `{name}` is replaced by one of the rule's `values`.";
    let path = fetch.required_text("path", doc);
    let doc = "Query parameters. `{name}` is replaced by one of the rule's `values`.";
    let query = fetch.text_map("query", "mapping of names to texts", doc);
    let doc = "Statuses that mean that the resource does not exist: the response is then null.";
    let absent = fetch
        .statuses("absent", "[404, 410]", doc)
        .unwrap_or_else(|| vec![404, 410]);
    let topic = fetch.required_text("topic", "Topic of the event that is published.");
    let doc = "Body of that event: a jq expression over `{event, response}`, where `.event` has the members that `when` sees.";
    let body = fetch.required_jq("body", doc);
    if path.contains("://") || path.starts_with("//") || path.contains(['?', '#']) {
        fetch.fail("path", "must be a path without a host, `?` and `#`; use query");
    }
    let names: Vec<&str> = values.keys().map(String::as_str).collect();
    for name in placeholders(&path).filter(|name| !names.contains(name)) {
        fetch.fail(
            "path",
            format!("{{{name}}} names no value: {}", unknown("value", name, &names)),
        );
    }
    let globs: Vec<TopicGlob> = topics.iter().filter_map(|topic| topic.parse().ok()).collect();
    if topic.contains('*') || topic.parse::<TopicGlob>().is_err() {
        fetch.fail("topic", "must be a topic, without `*`");
    } else if is_own_topic(&topic) {
        fetch.fail("topic", own_topic_refusal());
    } else if globs.iter().any(|glob| glob.matches(&topic)) {
        fetch.fail(
            "topic",
            "is a topic that this rule follows itself, which would never end",
        );
    }
    EventFetch {
        path,
        query,
        absent,
        topic,
        body,
    }
}

fn check_event(rule: &Section<'_>, source_type: Option<&str>) {
    let without = ["resource", "removed", "look_again", "only_known", "deep"];
    for key in without.into_iter().filter(|key| rule.has(key)) {
        rule.fail(key, "has no effect with refresh: event");
    }
    if !rule.has("fetch") {
        rule.fail("fetch", "is missing: it defines the request to the API");
    }
    if source_type.is_some_and(|kind| kind != "http") {
        rule.fail(
            "refresh",
            "must not be event: only sources of type http can request more",
        );
    }
}

fn check_rule(rule: &Section<'_>, read: &RefreshRule, resources: &[Resource], source_type: Option<&str>) {
    if read.refresh == RefreshScope::Event {
        return check_event(rule, source_type);
    }
    if rule.has("fetch") {
        rule.fail("fetch", "needs refresh: event");
    }
    if read.refresh == RefreshScope::Source {
        for key in [
            "resource",
            "each",
            "values",
            "removed",
            "look_again",
            "only_known",
            "deep",
        ]
        .into_iter()
        .filter(|key| rule.has(key))
        {
            rule.fail(key, "has no effect with refresh: source");
        }
        return;
    }
    if read.only_known && rule.has("look_again") {
        rule.fail("look_again", "has no effect with only_known");
    }
    for key in ["only_known", "deep"].into_iter().filter(|key| rule.has(key)) {
        if read.refresh == RefreshScope::Item {
            rule.fail(key, "has no effect with refresh: item");
        }
    }
    if source_type == Some("terraform") && read.refresh == RefreshScope::Partition {
        check_workspace(rule, read);
        return;
    }
    if source_type.is_some_and(|kind| kind != "http") {
        rule.fail(
            "refresh",
            "must be source: only sources of type http can read items and partitions alone, and those of type terraform \
             partitions",
        );
        return;
    }
    let Some(resource) = resource_of(rule, read, resources) else {
        return;
    };
    let wanted: BTreeSet<String> = if read.refresh == RefreshScope::Partition {
        values_above(resource, resources)
    } else if let Some(item) = &resource.item {
        values_of_item(resource, item)
    } else {
        let why = format!(
            "must not be item: resource \"{}\" has no `item`, the path of one of them",
            resource.name
        );
        rule.fail("refresh", why);
        return;
    };
    let incomplete = |name: &&String| !read.only_known && !read.values.contains_key(*name);
    for name in wanted.iter().filter(incomplete) {
        rule.fail(
            "values",
            format!("lack {name:?}, which resource \"{}\" needs", resource.name),
        );
    }
}

/// The values that reading one item needs.
fn values_of_item(resource: &Resource, item: &String) -> BTreeSet<String> {
    let lookup = resource.lookup.iter();
    let beside = lookup.flat_map(|lookup| {
        let query = lookup.query.values().chain(lookup.item_query.values());
        query.chain(std::iter::once(&lookup.path))
    });
    let texts = std::iter::once(item)
        .chain(resource.query.values().flatten())
        .chain(beside);
    texts.flat_map(|text| placeholders(text)).map(str::to_owned).collect()
}

/// Resource of an item or partition: the first one, unless the rule names another.
fn resource_of<'r>(rule: &Section<'_>, read: &RefreshRule, resources: &'r [Resource]) -> Option<&'r Resource> {
    let Some(name) = &read.resource else {
        return resources.first();
    };
    let found = resources.iter().find(|resource| resource.name == *name);
    if found.is_none() && !resources.is_empty() {
        let names: Vec<&str> = resources.iter().map(|resource| resource.name.as_str()).collect();
        rule.fail("resource", unknown("resource", name, &names));
    }
    found
}

/// A partition of a `terraform` source is a workspace, named by its id.
fn check_workspace(rule: &Section<'_>, read: &RefreshRule) {
    let name = "workspace";
    if read.resource.as_deref().is_some_and(|resource| resource != name) {
        rule.fail(
            "resource",
            "must be workspace, the only one of a source of type terraform",
        );
    }
    if !read.values.contains_key(name) {
        rule.fail("values", "lack \"workspace\", the id of the workspace");
    }
}

/// The values that a partition of the resource has.
fn values_above(resource: &Resource, resources: &[Resource]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut at = Some(resource);
    for _ in 0..=resources.len() {
        let Some(resource) = at else { break };
        names.extend(resource.parent_values.keys().cloned());
        at = resource
            .parent
            .as_ref()
            .and_then(|parent| resources.iter().find(|other| other.name == *parent));
    }
    names
}
