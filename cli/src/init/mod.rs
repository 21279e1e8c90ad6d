//! Guesses from one response of an API how to read it. Pure; the command fetches the response and writes the file.
//!
//! A guess that is wrong must show: a cursor that the API ignores is an error when it is read. What would lose items
//! without a word is not guessed at: where nothing is sure, nothing is written but a warning.

mod counted;
mod format;
mod kept;
mod list;
mod more;
mod naming;
mod page;
mod paging;
mod query;
#[cfg(test)]
mod tests;

use reqwest::header::HeaderMap;
use serde_json::{Map, Value};
use tideline_worker::sources::http::next_link;
use url::Url;

pub(crate) use format::unreadable;
pub(crate) use list::error_in;
pub(crate) use page::config;

use list::{List, find_list};
use naming::{Naming, naming};
use query::Query;

/// Objects in which APIs keep what is about paging.
const ENVELOPES: [&str; 25] = [
    "",
    "links",
    "_links",
    "paging",
    "paging.cursors",
    "pagination",
    "meta",
    "meta.pagination",
    "meta.page",
    "meta.paging",
    "_meta",
    "metadata",
    "_metadata",
    "page",
    "pageInfo",
    "page_info",
    "pageable",
    "info",
    "result_info",
    "result_info.cursors",
    "response_metadata",
    "additional_data",
    "additional_data.pagination",
    "message",
    "response",
];

/// What a response looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guess {
    /// jq path of the list; none: the default of the `http` source finds it.
    pub(crate) items: Option<String>,
    /// How many items are on the page.
    pub(crate) count: usize,
    /// How to get to the next page.
    pub(crate) paging: Paging,
    /// Query parameter of the page size, and the size, as given.
    pub(crate) size: Option<(String, u32)>,
    /// The other query parameters that every page is requested with.
    pub(crate) query: Vec<(String, Vec<String>)>,
    /// Fields that indicate more pages, if no field says how to request them.
    pub(crate) more: Vec<String>,
    /// The path that next URLs leave out, as in Confluence.
    pub(crate) context: Option<String>,
    /// What an item is called.
    pub(crate) naming: Naming,
    /// Items are Backstage-like objects already.
    pub(crate) as_is: bool,
}

/// How to get to the next page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Paging {
    /// Nothing in the response says.
    #[default]
    Unknown,
    /// A `Link` header.
    LinkHeader,
    /// A URL in the response, at this jq path.
    NextUrl(String),
    /// A URL in this header.
    NextUrlHeader(&'static str),
    /// A cursor in the response.
    Cursor {
        /// jq expression.
        next: String,
        /// Query parameter.
        parameter: String,
        /// Nothing but habit says that it is this parameter.
        guessed: bool,
    },
    /// A cursor in a header.
    Header {
        header: &'static str,
        /// Query parameter.
        parameter: String,
    },
    /// Numbered pages.
    Page {
        /// Query parameter.
        parameter: String,
        /// The first page has the number 0.
        from_zero: bool,
        /// jq path of the number of pages.
        total_pages: Option<String>,
        /// jq path of the number of items.
        total: Option<String>,
        /// Nothing but habit says that it is this parameter.
        guessed: bool,
    },
    /// Offsets.
    Offset {
        /// Query parameter.
        parameter: String,
        /// Query parameter of the page size, and the size.
        size: (String, u32),
        /// jq path of the number of items.
        total: Option<String>,
        /// jq condition that a page is the last one.
        last: Option<String>,
    },
}

/// A response.
pub(crate) struct Response {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Guess {
    /// What the person who runs it must know.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let more = (!self.more.is_empty()).then(|| {
            format!(
                "The response says that there is more ({}), but not how to get it: set pagination before you run this.",
                self.more.join(", ")
            )
        });
        let name = self
            .naming
            .name
            .as_deref()
            .filter(|_| self.naming.ambiguous && !self.as_is);
        let name = name.map(|name| {
            format!("Several items have the same {name}: set entity.name to what tells them apart before you run this.")
        });
        more.into_iter().chain(name).collect()
    }
}

/// Guesses from the response of a URL. None: there is no list of objects in it.
pub(crate) fn guess(url: &Url, response: &Response) -> Option<Guess> {
    let Response { headers, body } = response;
    let mut segments = url.path_segments().into_iter().flatten();
    let resource = segments.rfind(|segment| !segment.is_empty());
    let list = find_list(body, resource.unwrap_or_default())?;
    let sample = Sample {
        headers,
        body,
        query: Query::of(url),
        scopes: scopes(body, list.wrapper),
        list,
    };
    let paging = paging::paging(&sample);
    let more = match paging {
        Paging::Unknown => sample.signs_of_more(),
        _ => Vec::new(),
    };
    let next = next_url(&sample, &paging);
    let items = sample.list.items;
    let is_entity = |item: &Value| item["kind"].is_string() && item["metadata"]["name"].is_string();
    Some(Guess {
        items: Some(sample.list.path.clone()).filter(|path| path != "." && path != ".items"),
        count: items.len(),
        size: sample.query.size().filter(|_| paging != Paging::Unknown),
        query: kept::kept(&sample, url, &paging, next.as_deref()),
        context: next.as_ref().and_then(|next| context(url, body, next)),
        naming: naming(items),
        as_is: !items.is_empty() && items.iter().all(is_entity),
        more,
        paging,
    })
}

/// The URL of the next page as it stands in the response.
fn next_url(sample: &Sample<'_>, paging: &Paging) -> Option<String> {
    match paging {
        Paging::LinkHeader => next_link(sample.headers),
        Paging::NextUrl(path) => {
            let find = |scope: &Scope<'_>| {
                let within = |(name, value): (&'_ str, &'_ Value)| {
                    let here = scope.path(name);
                    let rest = path.strip_prefix(&here)?;
                    let target = if rest.is_empty() { value } else { value.get(&rest[1..])? };
                    target.as_str().map(str::to_owned)
                };
                scope.members().find_map(within)
            };
            sample.scopes.iter().find_map(find)
        }
        _ => None,
    }
}

/// The path of `_links.base`, if next URLs begin below it.
fn context(url: &Url, body: &Value, next: &str) -> Option<String> {
    let base = Url::parse(body["_links"]["base"].as_str()?).ok()?;
    let path = base.path().trim_end_matches('/');
    let is_below = |text: &str| text.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    let leaves_out = next.starts_with('/') && !is_below(next);
    (!path.is_empty() && leaves_out && is_below(url.path())).then(|| path.to_owned())
}

/// A response and the URL that it came from.
struct Sample<'r> {
    headers: &'r HeaderMap,
    body: &'r Value,
    query: Query,
    list: List<'r>,
    scopes: Vec<Scope<'r>>,
}

impl Sample<'_> {
    fn count(&self) -> u64 {
        self.list.items.len() as u64
    }
}

/// An object that may say something about paging.
struct Scope<'r> {
    prefix: String,
    members: &'r Map<String, Value>,
}

impl<'r> Scope<'r> {
    fn get(&self, name: &str) -> Option<&'r Value> {
        self.members.get(name)
    }

    fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.as_u64()
    }

    fn members(&self) -> impl Iterator<Item = (&'r str, &'r Value)> + use<'r> {
        self.members.iter().map(|(name, value)| (name.as_str(), value))
    }

    fn path(&self, name: &str) -> String {
        format!("{}{}", self.prefix, member(name))
    }
}

fn scopes<'r>(body: &'r Value, wrapper: Option<&str>) -> Vec<Scope<'r>> {
    let root = (String::new(), body);
    let wrapped = wrapper.and_then(|name| Some((member(name), body.get(name)?)));
    let tops: Vec<(String, &Value)> = [root].into_iter().chain(wrapped).collect();
    let within = |envelope: &str| {
        let mut tops = tops.clone();
        for name in envelope.split('.').filter(|name| !name.is_empty()) {
            let deeper = tops
                .iter()
                .filter_map(|(prefix, value)| Some((format!("{prefix}{}", member(name)), value.get(name)?)));
            tops = deeper.collect();
        }
        tops
    };
    let mut scopes: Vec<Scope<'_>> = Vec::new();
    for (prefix, value) in ENVELOPES.iter().flat_map(|envelope| within(envelope)) {
        let is_known = scopes.iter().any(|scope| scope.prefix == prefix);
        if let Some(members) = value.as_object().filter(|_| !is_known) {
            scopes.push(Scope { prefix, members });
        }
    }
    scopes
}

/// A member as jq names it.
fn member(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && !name.starts_with(|c: char| c.is_ascii_digit()) {
        format!(".{name}")
    } else {
        format!(".[{}]", Value::from(name))
    }
}
