//! From a cursor to a request, and from an answer to the next cursor. What ends counted pages is decided in
//! [`ending`](super::ending).
//!
//! Cursors: of `cursor` and `header` pagination what the API gave; of next URLs path and query of the next one (never a
//! host, and without the query parameters of the configuration, which may be secret); of `page` and `offset` a
//! [`Position`].

use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};
use tideline_config::settings::{NextUrls, PageSize, Pagination};
use url::Url;

use super::ending::{Came, Counting, Failure, Position, Step};
use super::link::{self, NextLink};
use super::partition::Place;
use super::plan::Plan;
use super::template::{fill_body, scalar_text, set_member};

/// Maximum size of a cursor, in bytes; a larger one is refused.
const MAX_CURSOR_BYTES: usize = 8 * 1024;

const FOREIGN: &str = "the cursor was made by another kind of pagination";

/// A request, without credentials.
#[derive(Debug, Clone)]
pub(in crate::sources) struct HttpRequest {
    pub(in crate::sources) method: Method,
    pub(in crate::sources) url: Url,
    /// Those of the resource.
    pub(in crate::sources) headers: HeaderMap,
    pub(in crate::sources) body: Option<Vec<u8>>,
    /// The response contains a secret address: a person who tries the source is not shown the response.
    pub(in crate::sources) hides_answer: bool,
}

/// A response's information about the next page.
pub(super) struct PageFacts<'a> {
    /// The cursor of this page.
    pub(super) cursor: Option<&'a Value>,
    /// Items in the response, before any were left out; none if they cannot be counted.
    pub(super) count: Option<u64>,
    /// Items that were picked.
    pub(super) picked: u64,
    /// Digest of the items; none if there are none, or if it is not needed.
    pub(super) digest: Option<String>,
    pub(super) headers: &'a HeaderMap,
    /// Where the answer came from.
    pub(super) url: &'a Url,
    pub(super) next: Option<Value>,
    pub(super) total: Option<Value>,
    pub(super) total_pages: Option<Value>,
    /// The answer says that this is the last page.
    pub(super) said_last: bool,
}

impl Plan {
    /// The request for the page at `cursor`.
    ///
    /// # Errors
    /// A value is missing or cannot stand where it should, or the cursor is not of this pagination.
    pub(super) fn request(&self, base: &Url, place: &Place, cursor: Option<&Value>) -> Result<HttpRequest, String> {
        let mut query = self.own_query(place)?;
        let mut body = self.body.as_ref().map(|body| fill_body(body, &place.values));
        let mut url = self.address(base, place)?;
        match (&self.pagination, cursor) {
            (
                Pagination::NextUrl { .. } | Pagination::NextUrlHeader { .. } | Pagination::LinkHeader { .. },
                Some(cursor),
            ) => {
                url = next_url_of(base, cursor, &query)?;
            }
            (pagination, cursor) => {
                self.add_paging(pagination, cursor, &mut query, &mut body)?;
                if !query.is_empty() {
                    url.query_pairs_mut().extend_pairs(&query);
                }
            }
        }
        let body = match body {
            Some(body) if self.post => Some(body.to_string().into_bytes()),
            _ => None,
        };
        Ok(HttpRequest {
            method: if self.post { Method::POST } else { Method::GET },
            url,
            headers: self.headers.clone(),
            body,
            hides_answer: self.download.is_some(),
        })
    }

    fn address(&self, base: &Url, place: &Place) -> Result<Url, String> {
        let filled = self.path.fill_path(&place.values)?;
        let (path, query) = match filled.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (filled.as_str(), None),
        };
        let mut url = base.clone();
        if !path.is_empty() {
            let joined = format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/'));
            url.set_path(&joined);
        }
        if query.is_some() {
            url.set_query(query);
        }
        Ok(url)
    }

    /// The query of the configuration. What the pagination sets itself is left to it.
    fn own_query(&self, place: &Place) -> Result<Vec<(String, String)>, String> {
        let set = self.pagination.query_parameters();
        let own = self.query.iter().filter(|(name, _)| !set.contains(&name.as_str()));
        own.map(|(name, template)| Ok((name.clone(), template.fill(&place.values)?)))
            .collect()
    }

    fn add_paging(
        &self,
        pagination: &Pagination,
        cursor: Option<&Value>,
        query: &mut Vec<(String, String)>,
        body: &mut Option<Value>,
    ) -> Result<(), String> {
        let mut set = |size: Option<&PageSize>, parameter: Option<(&String, Value)>| -> Result<(), String> {
            let size = size.map(|size| (&size.parameter, Value::from(size.size)));
            for (name, value) in size.into_iter().chain(parameter) {
                if pagination.in_body() {
                    set_member(body.get_or_insert_with(|| json!({})), name, value);
                } else {
                    query.push((name.clone(), scalar_text(&value).ok_or(FOREIGN)?));
                }
            }
            Ok(())
        };
        match pagination {
            Pagination::None => Ok(()),
            Pagination::Cursor { parameter, size, .. } | Pagination::Header { parameter, size, .. } => {
                set(size.as_ref(), cursor.map(|cursor| (parameter, cursor.clone())))
            }
            Pagination::NextUrl { size, .. }
            | Pagination::NextUrlHeader { size, .. }
            | Pagination::LinkHeader { size } => set(size.as_ref(), None),
            Pagination::Page { parameter, .. } | Pagination::Offset { parameter, .. } => {
                let here = self.counting().and_then(|counting| Position::of(cursor, &counting));
                let here = here.ok_or(FOREIGN)?;
                set(pagination.size(), Some((parameter, here.at.into())))
            }
        }
    }

    /// Whether the next page is asked for although no answer announced it.
    pub(super) fn counts_pages(&self) -> bool {
        self.counting().is_some()
    }

    /// How pages are counted, if they are.
    fn counting(&self) -> Option<Counting<'_>> {
        let (first, by_offset) = match &self.pagination {
            Pagination::Page { first, .. } => (*first, false),
            Pagination::Offset { first, .. } => (*first, true),
            _ => return None,
        };
        Some(Counting {
            first,
            by_offset,
            size: self.pagination.size().map(|size| size.size.into()),
            end: &self.end,
        })
    }

    /// The cursor of the next page; none if this was the last one.
    ///
    /// # Errors
    /// The next page cannot be determined or used: another host, not a text, too long, the page itself.
    pub(super) fn next(&self, facts: &PageFacts<'_>, base: &Url, place: &Place) -> Result<Option<Value>, Failure> {
        let next = match self.counting() {
            Some(counting) => counted(&counting, facts)?,
            None if facts.said_last => None,
            None => self.named_next(facts, base, place).map_err(Failure::permanent)?,
        };
        match next {
            Some(next) if !self.pagination.counts() && self.is_own(&next, facts, base, place) => {
                if self.end.repeat {
                    return Ok(None);
                }
                Err(Failure::permanent(
                    "the next cursor or URL of the page points to the page itself; if the API ends lists this way, \
                     set pagination.end.repeat: true",
                ))
            }
            Some(next) if cursor_bytes(&next) > MAX_CURSOR_BYTES => Err(Failure::permanent(format!(
                "the next cursor is longer than {MAX_CURSOR_BYTES} bytes"
            ))),
            next => Ok(next),
        }
    }

    /// What follows if the API says by its status that there is no such page.
    ///
    /// # Errors
    /// Before it told of more.
    pub(super) fn next_after_refusal(&self, cursor: &Value) -> Result<Option<Value>, Failure> {
        let Some(counting) = self.counting() else {
            return Ok(None);
        };
        let here = Position::of(Some(cursor), &counting).ok_or_else(|| Failure::permanent(FOREIGN))?;
        to_cursor(&counting, counting.after_refusal(&here))
    }

    /// The next page as the answer names it.
    fn named_next(&self, facts: &PageFacts<'_>, base: &Url, place: &Place) -> Result<Option<Value>, String> {
        let target = match &self.pagination {
            Pagination::None | Pagination::Page { .. } | Pagination::Offset { .. } => return Ok(None),
            Pagination::Cursor { in_body, .. } => return cursor_value(facts.next.clone(), *in_body),
            Pagination::Header { header, size, .. } => return self.header_cursor(facts, header, size.as_ref()),
            Pagination::NextUrl { .. } => match cursor_value(facts.next.clone(), false)? {
                None => None,
                Some(Value::String(target)) => Some(target),
                Some(other) => return Err(format!("the next URL is {other}, not a text")),
            },
            Pagination::NextUrlHeader { header, size } => {
                let told = self.telling(facts, header, size.as_ref())?.map(link::url_text);
                told.map(|told| told.trim().to_owned()).filter(|told| !told.is_empty())
            }
            Pagination::LinkHeader { size } => match link::next(facts.headers) {
                NextLink::Target(target) => Some(target),
                NextLink::None => None,
                NextLink::NoHeader => {
                    self.telling(facts, "Link", size.as_ref())?;
                    None
                }
                NextLink::Unreadable => {
                    return Err("the Link header cannot be read, so nobody knows whether a page follows".to_owned());
                }
            },
        };
        target
            .map(|target| self.url_cursor(&target, facts.url, base, place))
            .transpose()
    }

    /// The next cursor as a header tells it.
    fn header_cursor(
        &self,
        facts: &PageFacts<'_>,
        header: &str,
        size: Option<&PageSize>,
    ) -> Result<Option<Value>, String> {
        let Some(told) = self.telling(facts, header, size)? else {
            return Ok(None);
        };
        let told = std::str::from_utf8(told.as_bytes())
            .map_err(|_| format!("the next cursor in the header {header} is not UTF-8"))?
            .trim();
        Ok((!told.is_empty()).then(|| Value::from(told)))
    }

    /// The header that tells what follows.
    ///
    /// # Errors
    /// A full first page without it: it may be the only one, or something took the header out.
    fn telling<'f>(
        &self,
        facts: &PageFacts<'f>,
        header: &str,
        size: Option<&PageSize>,
    ) -> Result<Option<&'f HeaderValue>, String> {
        let told = facts.headers.get(header);
        let count = facts.count.unwrap_or(facts.picked);
        match size {
            Some(size)
                if told.is_none() && facts.cursor.is_none() && !self.end.no_link && count >= size.size.into() =>
            {
                Err(format!(
                    "the first page is full ({count} items), but there is no header {header}: does a proxy remove it, or does \
                     the API paginate in another way? If one full page may be all there is, as on GitHub, set \
                     pagination.end.no_link: true"
                ))
            }
            _ => Ok(told),
        }
    }

    /// Whether a cursor leads to the page that it came from.
    fn is_own(&self, next: &Value, facts: &PageFacts<'_>, base: &Url, place: &Place) -> bool {
        match (facts.cursor, &self.pagination) {
            (Some(cursor), _) => cursor == next,
            (None, Pagination::Cursor { .. } | Pagination::Header { .. }) => false,
            (None, _) => {
                let own = self.request(base, place, None).ok();
                let target = self.request(base, place, Some(next)).ok();
                own.zip(target).is_some_and(|(own, target)| own.url == target.url)
            }
        }
    }

    /// Path and query of the next URL, without what the configuration adds anyway.
    fn url_cursor(&self, target: &str, from: &Url, base: &Url, place: &Place) -> Result<Value, String> {
        let mut url = from
            .join(target)
            .map_err(|error| format!("the next URL cannot be read: {error}"))?;
        if !same_host(base, &url) && !allows(&self.next_urls, &url) {
            return Err(format!(
                "the next URL points to another host ({}); only {} is asked (if a proxy is in between, name that host in \
                 next_urls.hosts)",
                origin_text(&url),
                origin_text(base)
            ));
        }
        if let Some(base_path) = &self.next_urls.base_path
            && !target.starts_with(['?', '.'])
        {
            move_below(base, base_path, &mut url);
        }
        let ours = self.own_query(place)?;
        let is_ours = |name: &str, value: &str| ours.iter().any(|(ours, text)| ours == name && text == value);
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let with: Vec<&str> = pairs
            .iter()
            .filter(|(name, value)| is_ours(name, value))
            .map(|(name, _)| name.as_str())
            .collect();
        if with.is_empty() {
            return Ok(Value::from(path_and_query(&url)));
        }
        let mut bare = url.clone();
        bare.set_query(None);
        let rest: Vec<_> = pairs.iter().filter(|(name, value)| !is_ours(name, value)).collect();
        if !rest.is_empty() {
            bare.query_pairs_mut().extend_pairs(rest);
        }
        Ok(json!({"url": path_and_query(&bare), "with": with}))
    }
}

/// Absent, null, false and "" end the pages.
fn cursor_value(value: Option<Value>, any: bool) -> Result<Option<Value>, String> {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(value @ (Value::String(_) | Value::Number(_))) => Ok(Some(value)),
        Some(value) if any => Ok(Some(value)),
        Some(_) => Err("the next cursor is neither a text nor a number".to_owned()),
    }
}

fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    }
}

fn counted(counting: &Counting<'_>, facts: &PageFacts<'_>) -> Result<Option<Value>, Failure> {
    let here = Position::of(facts.cursor, counting).ok_or_else(|| Failure::permanent(FOREIGN))?;
    let came = Came {
        count: facts.count,
        digest: facts.digest.clone(),
        said_last: facts.said_last,
        total: number(facts.total.as_ref()),
        total_pages: number(facts.total_pages.as_ref()),
    };
    to_cursor(counting, counting.after(&here, &came))
}

fn to_cursor(counting: &Counting<'_>, step: Step) -> Result<Option<Value>, Failure> {
    match step {
        Step::Next(position) => Ok(Some(position.cursor(counting.by_offset))),
        Step::End => Ok(None),
        Step::Failed(failure) => Err(failure),
    }
}

fn next_url_of(base: &Url, cursor: &Value, query: &[(String, String)]) -> Result<Url, String> {
    let text = cursor.as_str().or_else(|| cursor.get("url")?.as_str()).ok_or(FOREIGN)?;
    let (path, rest) = match text.split_once('?') {
        Some((path, rest)) => (path, Some(rest)),
        None => (text, None),
    };
    let mut url = base.clone();
    url.set_path(path);
    url.set_query(rest);
    let with = cursor.get("with").and_then(Value::as_array);
    for name in with.into_iter().flatten().filter_map(Value::as_str) {
        if let Some((name, value)) = query.iter().find(|(ours, _)| ours == name) {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    Ok(url)
}

/// The size of a cursor as it is sent; of one that is no text, as JSON.
fn cursor_bytes(cursor: &Value) -> usize {
    cursor.as_str().map_or_else(|| cursor.to_string().len(), str::len)
}

fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// The same origin; or the same host on default ports with another scheme, as servers behind a TLS proxy say it. What
/// is asked is the configured origin in any case.
fn same_host(base: &Url, other: &Url) -> bool {
    let web = |url: &Url| matches!(url.scheme(), "http" | "https");
    base.origin() == other.origin()
        || (web(other) && base.host() == other.host() && base.port().is_none() && other.port().is_none())
}

/// Whether the host of a next URL is configured. Requests go to the configured origin in any case.
fn allows(next_urls: &NextUrls, url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    matches!(url.scheme(), "http" | "https") && next_urls.hosts.contains(&host)
}

/// Puts the path of `base` in the place of `base_path`, under which the API believes itself to be.
fn move_below(base: &Url, base_path: &str, url: &mut Url) {
    let below = |path: &str, above: &str| {
        let rest = path.strip_prefix(above)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
    };
    let own = base.path().trim_end_matches('/');
    let is_there = base_path.is_empty() && !own.is_empty() && below(url.path(), own).is_some();
    if !is_there && let Some(rest) = below(url.path(), base_path) {
        url.set_path(&format!("{own}{rest}"));
    }
}

/// Scheme, host and port.
pub(super) fn origin_text(url: &Url) -> String {
    url.origin().ascii_serialization()
}
