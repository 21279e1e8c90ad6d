//! The resources of the `http` source: what is requested, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};

use super::lookup::read_lookup;
use super::pagination::{Paging, read_pagination};
use super::reader::{Section, unknown};
use super::settings::{AnswerFormat, EntityShape, FailIf, Pagination, Resource};

/// What is said of a resource before it is known whether it fits the others.
pub(super) struct Seen {
    name: String,
    values: BTreeSet<String>,
}

pub(super) fn read_resource(resource: &Section<'_>, seen: &mut Vec<Seen>) -> Resource {
    let name = resource.required_text("name", "Unique name.");
    let doc = "Parent resource. Each of its items becomes a partition of this resource. Without a parent, the resource \
               is one partition.";
    let parent = resource.optional_text("parent", "none", doc);
    let doc = "Values taken from each parent item: name to jq expression. Values of more distant ancestors are \
               available too. Without a parent: the values for `item`, taken from the item itself.";
    let mut parent_values = resource.text_map("values", "mapping of names to jq expressions", doc);
    let alternative = read_alternative(resource, parent.is_some());
    let each = read_each(resource, parent.is_some());
    let version = read_version(resource, parent.is_some());
    let item = read_item(resource);
    let item_values = read_item_values(resource, parent.is_none() && item.is_some(), &mut parent_values);
    let known = check_place(resource, &name, parent.as_deref(), &parent_values, seen);

    let post = resource.choice("method", Some("GET"), &["GET", "POST"], "HTTP method.") == Some("POST");
    let doc = "Path, joined to `base_url`. `{name}` is replaced by a value, percent-encoded.";
    let path = resource.required_text("path", doc);
    let query = read_query(resource);
    let headers = read_headers(resource);
    let body = resource.json(
        "body",
        "Body of a POST, sent as JSON. `{name}` in a string is replaced by a value; in a GraphQL query it is refused: use `variables`. \
         Secrets are hidden as in `query`.",
    );
    check_request(resource, &path, &query, known.as_ref());
    if body.is_some() && !post {
        resource.fail("body", "needs `method: POST`");
    }
    let doc = "How to get from one page to the next.";
    let Paging {
        pagination,
        end,
        stable,
    } = resource.section("pagination", doc, read_pagination);
    if pagination.in_body() && !post {
        resource.fail_in("pagination", "in", "body needs `method: POST`");
    }
    let download = read_download(resource, &pagination, item.is_some());
    let absent = read_absent(resource, parent.is_some());
    let fail_if = read_fail_if(resource);
    Resource {
        name,
        parent,
        each,
        parent_values,
        post,
        path,
        query,
        headers,
        body,
        pagination,
        end,
        stable,
        absent,
        fail_if,
        format: read_format(resource),
        items: resource.optional_jq(
            "items",
            "the response if it is a list, else `.items`",
            "Where the items are in the response. With `page` and `offset` pagination, an expression begins with the path of the list, \
             like `.items[] | select(.active)`.",
        ),
        entity: read_entity(resource),
        item,
        item_values,
        lookup: read_lookup(resource, known.as_ref()),
        alternative,
        version,
        download,
    }
}

fn read_alternative(resource: &Section<'_>, has_parent: bool) -> Option<String> {
    let doc = "Read this resource only if the server has this one of the source's `alternatives`; no effect without these. Children \
               follow their parents.";
    let alternative = resource.optional_text("alternative", "always read", doc);
    if alternative.is_some() && has_parent {
        let why = "has no effect with a parent: a child is read if its parent is";
        resource.fail("alternative", why);
    }
    alternative
}

/// Most values of one parameter.
const MAX_VALUES: usize = 100;

fn read_query(resource: &Section<'_>) -> BTreeMap<String, Vec<String>> {
    let doc = "Query parameters; a list repeats the parameter. `{name}` is replaced by a value. Errors never show the values of `${NAME}` variables or of names \
               like `api_key`, if they are 6 bytes or longer.";
    resource.text_lists("query", MAX_VALUES, doc)
}

/// Which partitions a parent item has: one, or one for each output of an expression.
fn read_each(resource: &Section<'_>, has_parent: bool) -> Option<String> {
    let doc = "jq expression over the parent item that yields several partitions, or none: one for each output. \
               `values` are then taken from the output.";
    let each = resource.optional_jq("each", "one partition for each item", doc);
    let doc = "jq condition over the parent item. Items for which it is false have no partition of this resource. Evaluated \
         before `each`.";
    let when = resource.optional_jq("when", "always", doc);
    for (key, given) in [("each", &each), ("when", &when)] {
        if given.is_some() && !has_parent {
            resource.fail(key, "has no effect without a parent");
        }
    }
    match (when, each) {
        (Some(when), each) => Some(format!("select({when}) | ({})", each.as_deref().unwrap_or("."))),
        (None, each) => each,
    }
}

/// What of the parent item tells that a partition has not changed.
fn read_version(resource: &Section<'_>, has_parent: bool) -> Option<String> {
    let doc = "jq expression over the parent item (or the output of `each`): a version of what is below it, such as a content hash or \
               the time of the last change. A partition whose version has not changed since its last reading counts as unchanged \
               without a request, for at most a day. Null: always requested. A 404 counts once it is repeated, or if nothing was there.";
    let version = resource.optional_jq("version", "always requested", doc);
    if version.is_some() && !has_parent {
        resource.fail("version", "has no effect without a parent");
    }
    version
}

/// How one item of the resource is read again.
fn read_item(resource: &Section<'_>) -> Option<String> {
    let doc = "Path of a single item, for refreshing it when an event names it (see `on`). It is joined to `base_url` \
               and sent with the resource's `query`. `{name}` is replaced by a value from the rule. The response must \
               be the item itself.";
    let item = resource.optional_text("item", "none", doc)?;
    if item.contains("://") || item.starts_with("//") {
        resource.fail("item", "is joined to base_url and must not name a host");
    }
    if item.contains(['?', '#']) {
        resource.fail("item", "must have no `?` and no `#`; use query");
    }
    if placeholders(&item).next().is_none() {
        resource.fail(
            "item",
            "names no value; write the path of one item, such as /v1/services/{id}",
        );
    }
    Some(item)
}

/// The values in `item`, over the item. Of a resource without a parent, `values` are the same.
fn read_item_values(
    resource: &Section<'_>,
    take_values: bool,
    values: &mut BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let doc =
        "Values for `item`, taken from the item itself by plain paths. They identify the entity of a deleted item.";
    let mut item_values = resource.text_map("item_values", "mapping of names to jq expressions", doc);
    if !item_values.is_empty() && !resource.has("item") {
        resource.fail("item_values", "have no effect without item");
    }
    if take_values {
        item_values.extend(std::mem::take(values));
    }
    item_values
}

/// Where what is read lies, if the response only tells its address.
fn read_download(resource: &Section<'_>, pagination: &Pagination, has_item: bool) -> Option<String> {
    let doc = "jq expression over the response that yields an address, which is read instead of the response. It may \
               be on a host in `download_hosts`. It is requested without credentials, and is neither stored nor \
               shown. `format` is the format of the download.";
    let download = resource.optional_jq("download", "the response itself is read", doc)?;
    if !matches!(pagination, Pagination::None) {
        resource.fail("download", "needs a resource of one page, without pagination");
    }
    if has_item {
        resource.fail("download", "has no effect on item: a resource has one or the other");
    }
    Some(download)
}

fn read_absent(resource: &Section<'_>, is_child: bool) -> Vec<u16> {
    let doc = "Statuses that mean there is nothing to read, such as the issues of a repository with issues disabled. \
               The partition is then complete and empty; the sweep treats its entities as usual. A 204 \
               always means that.";
    let default = "[404, 410] with a parent; else none";
    let given = resource.statuses("absent", default, doc);
    given.unwrap_or_else(|| if is_child { vec![404, 410] } else { Vec::new() })
}

/// Not for secrets: `headers` of the source and `auth` are.
fn read_headers(resource: &Section<'_>) -> BTreeMap<String, String> {
    let doc = "Headers of this resource's requests, besides those of the source. Not for secrets.";
    let headers = resource.text_map("headers", "mapping of header names to texts", doc);
    for (name, value) in &headers {
        let wrong = super::fields::header_name(name).err();
        let wrong = wrong.or_else(|| super::fields::one_line(value).err());
        if let Some(wrong) = wrong {
            resource.fail_in("headers", name, wrong);
        }
    }
    headers
}

fn read_format(resource: &Section<'_>) -> AnswerFormat {
    let doc = "`ndjson`: one JSON item per line. `yaml`: each document is an item. `auto`: JSON or NDJSON, by the response's \
               `Content-Type`. What else is looked for in the response (`fail_if`, and `next`, `total`, `total_pages` and `end.when` \
               of `pagination`) needs JSON.";
    match resource.choice("format", Some("auto"), &["auto", "json", "ndjson", "yaml"], doc) {
        Some("json") => AnswerFormat::Json,
        Some("ndjson") => AnswerFormat::Ndjson,
        Some("yaml") => AnswerFormat::Yaml,
        _ => AnswerFormat::Auto,
    }
}

fn read_fail_if(resource: &Section<'_>) -> FailIf {
    let doc = "jq expression evaluated on a successful response. If the result is anything but false, null, \"\" or \
               empty, the page has failed and is retried; a string result is shown as the error. `none` disables the \
               check.";
    let default = "GraphQL: `.errors`; else none";
    match resource.optional_jq("fail_if", default, doc) {
        None => FailIf::Default,
        Some(text) if text == "none" => FailIf::Never,
        Some(text) => FailIf::Expression(text),
    }
}

/// Checks name, parent and values; answers the names of all values that a partition of it has, if that can be known.
fn check_place(
    resource: &Section<'_>,
    name: &str,
    parent: Option<&str>,
    values: &BTreeMap<String, String>,
    seen: &mut Vec<Seen>,
) -> Option<BTreeSet<String>> {
    for value in values.keys().filter(|value| !is_value_name(value)) {
        resource.fail(
            "values",
            format!("{value:?} is not a valid name; use letters, digits and `_`"),
        );
    }
    if !name.is_empty() && seen.iter().any(|other| other.name == name) {
        resource.fail(
            "name",
            format!("another resource of this source already has the name \"{name}\""),
        );
    }
    let inherited = match parent {
        None => {
            if !values.is_empty() {
                resource.fail("values", "have no effect without a parent");
            }
            Some(BTreeSet::new())
        }
        Some(parent) => {
            let above = seen.iter().find(|other| other.name == parent);
            if above.is_none() && !resource.is_describing() {
                let names: Vec<&str> = seen.iter().map(|other| other.name.as_str()).collect();
                let why = if names.is_empty() {
                    "the first resource has no parent".to_owned()
                } else {
                    format!(
                        "{}; a parent must come before its children",
                        unknown("resource", parent, &names)
                    )
                };
                resource.fail("parent", why);
            }
            if values.is_empty() {
                resource.fail(
                    "values",
                    "a child needs at least one value that tells its parents apart",
                );
            }
            above.map(|above| above.values.clone())
        }
    };
    let known = inherited.map(|mut known| {
        known.extend(values.keys().cloned());
        known
    });
    seen.push(Seen {
        name: name.to_owned(),
        values: known.clone().unwrap_or_default(),
    });
    known
}

fn check_request(
    resource: &Section<'_>,
    path: &str,
    query: &BTreeMap<String, Vec<String>>,
    known: Option<&BTreeSet<String>>,
) {
    if path.contains("://") || path.starts_with("//") {
        resource.fail("path", "is joined to base_url and must not name a host");
    }
    if path.contains(['?', '#']) {
        resource.fail("path", "must have no `?` and no `#`; use query");
    }
    let Some(known) = known else { return };
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let wrong = |name: &str| {
        if names.is_empty() {
            format!("{{{name}}} names no value: this resource has none; give it a parent and values")
        } else {
            format!("{{{name}}} names no value: {}", unknown("value", name, &names))
        }
    };
    for name in placeholders(path).filter(|name| !known.contains(*name)) {
        resource.fail("path", wrong(name));
    }
    for (parameter, texts) in query {
        let names = texts.iter().flat_map(|text| placeholders(text));
        for name in names.filter(|name| !known.contains(*name)) {
            resource.fail_in("query", parameter, wrong(name));
        }
    }
}

/// The names in `{name}`. Braces around anything else are text.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|part| {
        let (name, _) = part.split_once('}')?;
        is_value_name(name).then_some(name)
    })
}

fn is_value_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn read_entity(resource: &Section<'_>) -> EntityShape {
    if resource.is_the_word("entity", "none") {
        return EntityShape::None;
    }
    let doc = "How an item becomes an entity. If unset, the item is used as it is (`kind`, `metadata.name`, \
               `metadata.namespace`). `none`: items are not stored; only their children are read.";
    resource
        .optional_section("entity", doc, read_shape)
        .unwrap_or(EntityShape::AsIs)
}

fn read_shape(entity: &Section<'_>) -> EntityShape {
    let doc = "Turns the item into an entire entity (or several, or none). Replaces the other keys.";
    let shape = entity.optional_jq("shape", "none", doc);
    let kind = entity.optional_jq(
        "kind",
        "required without `shape`",
        "Kind of the entity: a jq expression evaluated on the item, or a constant.",
    );
    let namespace = entity.optional_jq("namespace", "default", "Namespace of the entity, given like `kind`.");
    let doc = "Name of the entity, given like `kind`. Any text is allowed: `:`, `/`, `%`, spaces and control \
               characters are percent-encoded, so that `@babel/core` becomes `@babel%2fcore`.";
    let name = entity.optional_jq("name", "required without `shape`", doc);
    let body = entity.optional_jq(
        "body",
        "the item as it is",
        "The stored body. `$parent` holds the values of the parent.",
    );
    if let Some(shape) = shape {
        for key in ["kind", "namespace", "name", "body"]
            .into_iter()
            .filter(|key| entity.has(key))
        {
            entity.fail(key, "has no effect with shape");
        }
        return EntityShape::Shaped(shape);
    }
    for key in ["kind", "name"]
        .into_iter()
        .filter(|key| !entity.has(key) && !entity.has("shape"))
    {
        entity.fail(key, "is missing; an entity needs kind and name, or shape");
    }
    EntityShape::Named {
        kind: kind.unwrap_or_default(),
        namespace: namespace.unwrap_or_else(|| "default".to_owned()),
        name: name.unwrap_or_default(),
        body,
    }
}
