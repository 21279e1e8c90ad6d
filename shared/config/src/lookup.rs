//! `lookup`: a second list, beside a resource's own, whose values its expressions look up.

use std::collections::BTreeSet;

use super::pagination::{Paging, read_pagination};
use super::reader::{Section, unknown};
use super::resource::placeholders;
use super::settings::Lookup;

/// Reads `lookup` of a resource whose partitions have these values.
pub(super) fn read_lookup(resource: &Section<'_>, known: Option<&BTreeSet<String>>) -> Option<Lookup> {
    let doc = "A second list that is read before the pages of each partition. The results of `entries` are available \
               as `$lookup` in the resource's expressions: an object with a list of values for each key. All of its \
               pages count towards `page_timeout`, and all values of a partition together are limited to 8 MiB.";
    resource.optional_section("lookup", doc, |lookup| {
        let path = lookup.required_text(
            "path",
            "Path, joined to `base_url`. `{name}` is replaced by a value of the partition.",
        );
        let doc = "Query parameters. `{name}` is replaced by a value of the partition.";
        let query = lookup.text_map("query", "mapping of names to texts", doc);
        let doc = "How to get from one page of the list to the next.";
        let Paging { pagination, end, .. } = lookup.section("pagination", doc, read_pagination);
        if pagination.in_body() {
            lookup.fail_in("pagination", "in", "body has no effect: the list is read with GET");
        }
        let default = "the response if it is a list, else `.items`";
        let items = lookup.optional_jq("items", default, "Where the items are in the response.");
        let doc = "Yields any number of `{key, value}` objects for each item.";
        let entries = lookup.required_jq("entries", doc);
        let doc = "Additional query parameters when a single item (`item`) is read, to list only what belongs to it. \
                   `{name}` \
                   is replaced by a value that identifies the item.";
        let item_query = lookup.text_map("item_query", "mapping of names to texts", doc);
        check(lookup, &path, known);
        Lookup {
            path,
            query,
            pagination,
            end,
            items,
            entries,
            item_query,
        }
    })
}

fn check(lookup: &Section<'_>, path: &str, known: Option<&BTreeSet<String>>) {
    if path.contains("://") || path.starts_with("//") {
        lookup.fail("path", "is joined to base_url and must not name a host");
    }
    if path.contains(['?', '#']) {
        lookup.fail("path", "must have no `?` and no `#`; use query");
    }
    let Some(known) = known else { return };
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    for name in placeholders(path).filter(|name| !known.contains(*name)) {
        let why = format!("{{{name}}} names no value: {}", unknown("value", name, &names));
        lookup.fail("path", why);
    }
}
