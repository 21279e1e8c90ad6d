//! Refuses settings that compile but could not be read without losing data, before any request.

use std::collections::BTreeSet;

use serde_json::Value;
use tideline_config::settings::{AnswerFormat, Pagination, Resource};

use super::plan::{ItemsAt, PagingPulls, Problem};

/// What is wrong with a resource at this place, whose partitions have these values.
pub(super) fn check_resource(
    resource: &Resource,
    (items, paging): (&ItemsAt, &PagingPulls),
    known: &BTreeSet<String>,
    at: &str,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |key: &str, why: String| problems.push((format!("{at}.{key}"), why));
    if let Some(why) = uncounted(resource, items) {
        wrong("items", why.to_owned());
    }
    if matches!(resource.format, AnswerFormat::Ndjson | AnswerFormat::Yaml) {
        for key in paging.keys() {
            wrong(key, format!("needs a response that is one JSON text: {}", advice(key)));
        }
    }
    if let Some(name) = resource.body.as_ref().and_then(|body| clash(body, known)) {
        let why = format!(
            "`{{{name}}}` in the GraphQL query would be replaced by the value \"{name}\", also where it selects a field: write a \
             selection with spaces (`{{ {name} }}`), and pass the value as a variable (`variables: {{ {name}: \"{{{name}}}\" }}`)"
        );
        wrong("body", why);
    }
    problems
}

/// What to do about a key that has no effect on NDJSON and YAML.
pub(super) fn advice(key: &str) -> &'static str {
    match key {
        "fail_if" => "leave it out (for a GraphQL query: `fail_if: none`), or set `format: json`",
        _ => "leave it out, or set `format: json`",
    }
}

/// Page numbers and offsets end at an empty page, which a page looks like of which jq left out everything. So the list
/// must be known that it picks from; only page numbers can do with the answer's own word.
fn uncounted(resource: &Resource, items: &ItemsAt) -> Option<&'static str> {
    let told = match &resource.pagination {
        Pagination::Page { total_pages, .. } => total_pages.is_some() || resource.end.when.is_some(),
        Pagination::Offset { .. } => false,
        _ => true,
    };
    let counted = !matches!(items, ItemsAt::Jq { records: None, .. });
    (!told && !counted).then_some(
        "with page or offset pagination this must begin with the plain path of the list, like .items[] | select(.active), or a page \
         that jq thinned out would look like the last one; or choose items in entity.shape instead",
    )
}

/// Whether a POST's body is that of a GraphQL query: a member `query` with a selection.
pub(super) fn is_graphql(resource: &Resource) -> bool {
    let query = resource.body.as_ref().and_then(|body| body.get("query")?.as_str());
    resource.post && query.is_some_and(|query| query.contains('{'))
}

/// The value of a parent whose place in a GraphQL query, or in one of a batch, may be a selection.
fn clash<'k>(body: &Value, known: &'k BTreeSet<String>) -> Option<&'k str> {
    let requests = body.as_array().map_or(std::slice::from_ref(body), Vec::as_slice);
    let queries = requests.iter().filter_map(|request| request.get("query")?.as_str());
    queries.filter_map(|query| clash_in_query(query, known)).next()
}

/// A text with nothing but places for values in braces is a search, and no GraphQL.
fn clash_in_query<'k>(query: &str, known: &'k BTreeSet<String>) -> Option<&'k str> {
    let (mut first, mut rest) = (None, query.to_owned());
    for name in known {
        let place = format!("{{{name}}}");
        if query.contains(&place) {
            first = first.or(Some(name.as_str()));
            rest = rest.replace(&place, "");
        }
    }
    let mut words = rest.split(|c: char| !c.is_ascii_alphanumeric());
    let is_operation = words
        .next()
        .is_some_and(|word| matches!(word, "query" | "subscription"));
    first.filter(|_| rest.contains('{') || is_operation)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selection_that_a_value_would_replace_is_refused_and_other_places_are_not() {
        let known = BTreeSet::from(["id".to_owned(), "org".to_owned()]);
        for (query, clashes) in [
            ("{ items{id} }", Some("id")),
            ("query{id}", Some("id")),
            ("query Q { org(name: \"{org}\") { id } }", Some("org")),
            ("query Q($org: String!) { org(name: $org) { id } }", None),
            ("{ items { id } }", None),
            ("org:{org} archived:false", None),
            ("{id}", None),
        ] {
            assert_eq!(
                clash(&json!({"query": query, "variables": {"id": "{id}"}}), &known),
                clashes,
                "{query}"
            );
            assert_eq!(clash(&json!([{"query": query}]), &known), clashes, "a batch of {query}");
        }
        assert_eq!(clash(&json!({"query": {"term": {"text": "{id} {"}}}), &known), None);
    }
}
