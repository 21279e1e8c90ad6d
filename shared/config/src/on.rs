//! `on:` what events make a source read something again.

use std::collections::BTreeSet;
use std::time::Duration;

use tideline_core::rules::TopicGlob;

use super::http::placeholders;
use super::reader::{Section, Spec, unknown};
use super::settings::{RefreshRule, RefreshScope, Resource, SourceSettings};

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

fn read_rule(rule: &Section<'_>, resources: &[Resource], source_type: Option<&str>) -> RefreshRule {
    let doc = "Topic of the events, or a list of topics. `*` matches any characters.";
    let topics = rule.text_or_texts("topic", 100, doc);
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
    let doc = "jq condition evaluated on the event (`.topic`, `.key`, `.body`, `.headers`). Other events are ignored.";
    let when = rule.optional_jq("when", "always", doc);
    let doc = "What to refresh: the `item` identified by `values`, an entire `partition`, or the `source` (a cycle).";
    let scope = rule.choice("refresh", Some("source"), &["item", "partition", "source"], doc);
    let refresh = match scope {
        Some("item") => RefreshScope::Item,
        Some("partition") => RefreshScope::Partition,
        _ => RefreshScope::Source,
    };
    let resource = rule.optional_text("resource", "the first resource", "Resource of the item or partition.");
    let doc = "Values that identify the item (in the resource's `item`) or the partition (the values of its parents): \
               name to jq expression evaluated on the event.";
    let values = rule.text_map("values", "mapping of names to jq expressions", doc);
    let doc = "jq condition evaluated on the event: whether the event says that the item or partition was deleted. Only then \
               does a 404 (or an empty partition) remove its entities at once. Otherwise the next complete cycle decides, \
               because APIs also return 404 for missing permissions.";
    let removed = rule.optional_jq("removed", "never", doc);
    let doc = "Read the item a second time after this delay, for senders that drop the events right after one.";
    let range = Duration::from_millis(100)..=Duration::from_secs(3_600);
    let look_again = rule.duration_or_none("look_again", "none", range, doc).flatten();
    let doc = "jq expression over the event that makes several things to read of it, or none: one for each output. `values` and \
               `removed` are then evaluated on the output.";
    let each = rule.optional_jq("each", "the event itself", doc);
    let doc = "Refresh every partition of the resource that a cycle has found and that has these `values`, which need not be \
               complete; never one that no cycle has found. At most 1,000.";
    let only_known = rule.flag("only_known", false, doc);
    let doc = "Refresh the partitions below the partition too.";
    let deep = rule.flag("deep", false, doc);
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
    };
    if !rule.is_describing() {
        check_rule(rule, &read, resources, source_type);
    }
    read
}

fn check_rule(rule: &Section<'_>, read: &RefreshRule, resources: &[Resource], source_type: Option<&str>) {
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
    if read.refresh == RefreshScope::Partition && rule.has("look_again") {
        rule.fail("look_again", "has no effect with refresh: partition");
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
    let found = match &read.resource {
        None => resources.first(),
        Some(name) => {
            let found = resources.iter().find(|resource| resource.name == *name);
            if found.is_none() && !resources.is_empty() {
                let names: Vec<&str> = resources.iter().map(|resource| resource.name.as_str()).collect();
                rule.fail("resource", unknown("resource", name, &names));
            }
            found
        }
    };
    let Some(resource) = found else { return };
    let wanted: BTreeSet<String> = if read.refresh == RefreshScope::Partition {
        values_above(resource, resources)
    } else if let Some(item) = &resource.item {
        let texts = std::iter::once(item.as_str()).chain(resource.query.values().map(String::as_str));
        texts.flat_map(placeholders).map(str::to_owned).collect()
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
