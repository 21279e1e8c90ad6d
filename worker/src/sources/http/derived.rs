//! Plans derived from others: rereading one item of a resource, reading its lookup, and requesting the data that an
//! event lacks.

use std::collections::{BTreeMap, BTreeSet};

use tideline_config::settings::{
    AnswerFormat, EntityShape, FailIf, HttpSettings, Lookup, PageEnd, Pagination, RefreshRule, Resource,
};

use super::plan::{Plan, Problem, Shape, compile_resource};
use super::template::Template;

/// The name of the plan that reads one item of a resource.
pub(super) fn item_plan(resource: &str) -> String {
    format!("{resource}\0item")
}

/// The name of the plan that reads the lookup of another plan.
pub(super) fn lookup_plan(plan: &str) -> String {
    format!("{plan}\0lookup")
}

/// The name of the plan that requests the data that an event lacks, for the rule at this position.
pub(super) fn event_plan(rule: usize) -> String {
    format!("\0on\0{rule}")
}

/// How a rule asks for what an event lacks: the answer, with the event, is the one item, and the body of the other
/// event its one entry. What is wrong with the expression, the rules say that are compiled from it.
pub(super) fn compile_event(settings: &HttpSettings, place: usize, rule: &RefreshRule) -> Option<Plan> {
    let fetch = rule.fetch.as_ref()?;
    let like = settings.resources.first()?;
    let above = Resource {
        name: String::new(),
        parent: None,
        ..like.clone()
    };
    let body = &fetch.body;
    let alone = Resource {
        name: event_plan(place),
        parent: Some(String::new()),
        each: None,
        parent_values: rule.values.keys().map(|name| (name.clone(), ".".to_owned())).collect(),
        post: false,
        path: fetch.path.clone(),
        query: one_each(fetch.query.clone()),
        headers: BTreeMap::new(),
        body: None,
        pagination: Pagination::None,
        end: PageEnd::default(),
        absent: fetch.absent.clone(),
        fail_if: FailIf::Never,
        format: AnswerFormat::Json,
        items: Some(".".to_owned()),
        entity: EntityShape::Shaped(format!("{{key: \"body\", value: ({body})}}")),
        item: None,
        item_values: BTreeMap::new(),
        lookup: None,
        alternative: None,
        version: None,
        download: None,
        ..like.clone()
    };
    let settings = HttpSettings {
        resources: vec![above, alone],
        ..settings.clone()
    };
    let mut plan = compile_resource(&settings, 1, "", &mut Vec::new())?;
    if let Shape::Shaped(pull) = plan.shape {
        plan.shape = Shape::Entries(pull);
    }
    Some(plan)
}

fn one_each(query: BTreeMap<String, String>) -> BTreeMap<String, Vec<String>> {
    query.into_iter().map(|(name, value)| (name, vec![value])).collect()
}

/// The plan that rereads one item of a resource: the response is the item. Problems of its expressions are reported by
/// the resource's own plan.
pub(super) fn compile_item(settings: &HttpSettings, index: usize, salt: &str) -> Vec<Plan> {
    let resource = &settings.resources[index];
    let Some(path) = resource.item.clone() else {
        return Vec::new();
    };
    let lookup = resource.lookup.clone().map(|lookup| Lookup {
        query: lookup.query.into_iter().chain(lookup.item_query.clone()).collect(),
        ..lookup
    });
    let beside = lookup
        .iter()
        .flat_map(|lookup| lookup.query.values().chain(std::iter::once(&lookup.path)));
    let texts = std::iter::once(&path)
        .chain(resource.query.values().flatten())
        .chain(beside);
    let names = texts.flat_map(|text| Template::parse(text).unknown(&BTreeSet::new()));
    let parent_values = names.map(|name| (name, ".".to_owned())).collect();
    let above = Resource {
        name: String::new(),
        parent: None,
        ..resource.clone()
    };
    let alone = Resource {
        name: item_plan(&resource.name),
        parent: Some(String::new()),
        parent_values,
        post: false,
        path,
        body: None,
        pagination: Pagination::None,
        end: PageEnd::default(),
        items: Some(".".to_owned()),
        lookup,
        version: None,
        download: None,
        ..resource.clone()
    };
    let settings = HttpSettings {
        resources: vec![above, alone],
        ..settings.clone()
    };
    let plan = compile_resource(&settings, 1, salt, &mut Vec::new());
    let lookup = compile_lookup(&settings, 1, salt, &mut Vec::new());
    plan.into_iter().chain(lookup).collect()
}

/// The plan that reads the lookup of a resource.
pub(super) fn compile_lookup(
    settings: &HttpSettings,
    index: usize,
    salt: &str,
    problems: &mut Vec<Problem>,
) -> Option<Plan> {
    let resource = &settings.resources[index];
    let lookup = resource.lookup.clone()?;
    let beside = Resource {
        name: lookup_plan(&resource.name),
        each: None,
        post: false,
        path: lookup.path,
        query: one_each(lookup.query),
        body: None,
        pagination: lookup.pagination,
        end: lookup.end,
        absent: Vec::new(),
        items: lookup.items,
        entity: EntityShape::Shaped(lookup.entries),
        item: None,
        item_values: BTreeMap::new(),
        lookup: None,
        version: None,
        download: None,
        ..resource.clone()
    };
    let mut settings = settings.clone();
    settings.resources[index] = beside;
    let mut found = Vec::new();
    let plan = compile_resource(&settings, index, salt, &mut found);
    let at = format!("resources[{index}].");
    let own = ["path", "query", "items", "pagination", "entity"];
    problems.extend(found.into_iter().filter_map(|(key, why)| {
        let key = key.strip_prefix(&at)?;
        // Problems of the resource itself are reported by its own plan.
        own.iter().find(|own| key.starts_with(**own))?;
        let key = if key == "entity.shape" { "entries" } else { key };
        Some((format!("{at}lookup.{key}"), why))
    }));
    let mut plan = plan?;
    plan.siblings.clear();
    plan.children.clear();
    if let Shape::Shaped(pull) = plan.shape {
        plan.shape = Shape::Entries(pull);
    }
    Some(plan)
}
