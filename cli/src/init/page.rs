//! The commented file that a guess leads to.

use std::fmt::Write as _;

use serde_json::Value;
use url::Url;

use super::{Guess, Paging};

/// Query parameters that say how long a page is.
const SIZES: [&str; 6] = ["per_page", "limit", "page_size", "pageSize", "maxResults", "count"];
/// Query parameters that say where a page starts: they are the pagination's.
const PLACES: [&str; 6] = ["page", "offset", "cursor", "after", "page_token", "pageToken"];

/// The file for the API at `url`. `token` names the environment variable with its bearer token.
pub(crate) fn config(name: &str, url: &Url, token: Option<&str>, guess: &Guess) -> String {
    let (base, path) = split(url);
    let resource = resource_name(&path);
    let mut text = format!(
        "# Made by `tideline init`. Check it with `tideline check`, look at a page with `tideline try {name}`, and see what\n\
         # the first cycle will add with `tideline plan {name}`. All keys: docs/configuration.md.\n\n\
         # A SQLite file for one process; a fleet shares postgres://….\nstore: sqlite://tideline.db\n\nsources:\n  \
         - name: {}\n    type: http\n    base_url: {}\n",
        quoted(name),
        quoted(&base)
    );
    if let Some(token) = token {
        let _ = writeln!(
            text,
            "    # Read from the environment; never write the token itself here.\n    auth: {{ bearer: \"${{{token}}}\" }}"
        );
    }
    text.push_str(
        "    # The pause between two cycles.\n    rest: 30m\n    # Hold a sweep that would delete more than this share, until a person \
         approves it.\n    removals: { reject_above_percent: 20 }\n    resources:\n",
    );
    let _ = writeln!(
        text,
        "      - name: {}\n        path: {}",
        quoted(&resource),
        quoted(&path)
    );
    let fixed: Vec<String> = url
        .query_pairs()
        .filter(|(key, _)| !SIZES.contains(&key.as_ref()) && !PLACES.contains(&key.as_ref()))
        .map(|(key, value)| format!("{}: {}", quoted(&key), quoted(&value)))
        .collect();
    if !fixed.is_empty() {
        let _ = writeln!(text, "        query: {{ {} }}", fixed.join(", "));
    }
    if let Some(items) = &guess.items {
        let _ = writeln!(
            text,
            "        # Where the list is in an answer (jq).\n        items: {}",
            quoted(items)
        );
    }
    pagination(&mut text, url, &guess.paging);
    entity(&mut text, &resource, guess);
    text
}

fn pagination(text: &mut String, url: &Url, paging: &Paging) {
    let size = url.query_pairs().find(|(key, _)| SIZES.contains(&key.as_ref()));
    let size = size.and_then(|(key, value)| Some((key.into_owned(), value.parse::<u32>().ok()?)));
    let size = size.map_or_else(String::new, |(key, value)| {
        format!(", size: {{ parameter: {}, value: {value} }}", quoted(&key))
    });
    let line = match paging {
        Paging::Unknown => {
            text.push_str(
                "        # The answer does not say how to get to the next page. If there is one, describe it here; types are\n        \
                 # cursor, next_url, link_header, header, page and offset.\n",
            );
            "type: none".to_owned()
        }
        Paging::LinkHeader => format!("type: link_header{size}"),
        Paging::NextUrl(next) => format!("type: next_url, next: {}{size}", quoted(next)),
        Paging::Cursor { next, parameter } => {
            text.push_str("        # The parameter that takes the cursor is a guess; see the API's documentation.\n");
            format!("type: cursor, next: {}, parameter: {parameter}{size}", quoted(next))
        }
        Paging::Page(total) => format!("type: page, parameter: page, total_pages: {}{size}", quoted(total)),
    };
    let _ = writeln!(text, "        pagination: {{ {line} }}");
}

fn entity(text: &mut String, resource: &str, guess: &Guess) {
    if guess.as_is {
        text.push_str("        # Items have kind and metadata.name, so they become entities as they are.\n");
        return;
    }
    let kind = resource
        .strip_suffix('s')
        .filter(|kind| !kind.is_empty())
        .unwrap_or(resource);
    let kind = Value::from(kind).to_string().replace('\'', "''");
    let name = guess.name.as_deref().unwrap_or(".id");
    let _ = writeln!(
        text,
        "        # What names an item: kind:namespace/name, each a jq expression.\n        entity: {{ kind: '{kind}', name: {} }}",
        quoted(name)
    );
}

/// The folder of the URL, and what is read below it.
fn split(url: &Url) -> (String, String) {
    let mut base = url.clone();
    base.set_query(None);
    base.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    let (folder, last) = path.rsplit_once('/').unwrap_or(("", ""));
    base.set_path(&format!("{folder}/"));
    // The API's own root is the list.
    let last = if last.is_empty() { "." } else { last };
    (base.to_string(), last.to_owned())
}

fn resource_name(path: &str) -> String {
    let name: String = path
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let name = name.trim_matches('-');
    if name.is_empty() {
        "items".to_owned()
    } else {
        name.to_owned()
    }
}

/// A JSON string is a YAML string. `${` would begin a variable.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace("${", "$${")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::guess;
    use super::*;

    #[test]
    fn what_is_written_is_a_configuration_without_errors() {
        let item = json!([{"id": "x", "name": "n"}]);
        for (url, body, link) in [
            (
                "https://api.example.com/v1/projects?per_page=50&state=open",
                item.clone(),
                Some("<x>; rel=\"next\""),
            ),
            ("https://api.example.com/", json!({"data": item, "next": "/p?2"}), None),
            (
                "http://localhost:8080/a/b/",
                json!({"items": item, "next_cursor": "c"}),
                None,
            ),
            (
                "https://api.example.com/x",
                json!({"data": item, "meta": {"total_pages": 2}}),
                None,
            ),
            ("https://api.example.com/x", json!([]), None),
        ] {
            let url = Url::parse(url).unwrap();
            let text = config("api", &url, Some("API_TOKEN"), &guess(&body, link).unwrap());
            let environment = |name: &str| (name == "API_TOKEN").then(|| "secret-token".to_owned());
            let settings = tideline_config::parse(&text, Path::new("t.yaml"), &environment);
            let settings = settings.unwrap_or_else(|errors| panic!("{errors}\n{text}"));
            assert_eq!(settings.sources.len(), 1);
            let opened = tideline_worker::sources::open(&settings.sources[0]);
            assert!(opened.is_ok(), "{:?}\n{text}", opened.err());
        }
    }
}
