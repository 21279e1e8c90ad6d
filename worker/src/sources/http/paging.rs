//! From a cursor to a request, and from an answer to the next cursor.
//!
//! Cursors: of `cursor` and `header` pagination what the API gave; of `next_url` and `link_header` path and query of the next
//! URL (never a host, and without the query parameters of the configuration, which may be secret); of `page` the page's
//! number, of `offset` the offset.

use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tideline_config::settings::{PageSize, Pagination};
use url::Url;

use super::link;
use super::partition::Place;
use super::plan::Plan;
use super::template::{fill_body, scalar_text, set_member};

/// A cursor with more bytes is refused: it would not be one, but a page.
const MAX_CURSOR_BYTES: usize = 8 * 1024;

/// A request, without credentials.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Option<Vec<u8>>,
}

/// What an answer says about the next page.
pub(super) struct Signs<'a> {
    /// The cursor of this page.
    pub(super) cursor: Option<&'a Value>,
    /// Items that the answer had, before any was left out; none if jq picked them.
    pub(super) count: Option<u64>,
    /// Items that were picked.
    pub(super) picked: u64,
    pub(super) headers: &'a HeaderMap,
    /// Where the answer came from.
    pub(super) url: &'a Url,
    pub(super) next: Option<Value>,
    pub(super) total: Option<Value>,
    pub(super) total_pages: Option<Value>,
}

impl Plan {
    /// The request for the page at `cursor`.
    ///
    /// # Errors
    /// A value is missing or cannot stand where it should, or the cursor is not of this pagination.
    pub(super) fn asked(&self, base: &Url, place: &Place, cursor: Option<&Value>) -> Result<Asked, String> {
        let mut query = Vec::new();
        for (name, template) in &self.query {
            query.push((name.clone(), template.fill(&place.values)?));
        }
        let mut body = self.body.as_ref().map(|body| fill_body(body, &place.values));
        let mut url = self.address(base, place)?;
        match (&self.pagination, cursor) {
            (Pagination::NextUrl { .. } | Pagination::LinkHeader { .. }, Some(cursor)) => {
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
        Ok(Asked {
            method: if self.post { Method::POST } else { Method::GET },
            url,
            body,
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

    fn add_paging(
        &self,
        pagination: &Pagination,
        cursor: Option<&Value>,
        query: &mut Vec<(String, String)>,
        body: &mut Option<Value>,
    ) -> Result<(), String> {
        let foreign = || "the cursor was made by another kind of pagination".to_owned();
        let text = |cursor: &Value| scalar_text(cursor).ok_or_else(foreign);
        let sized = |size: &Option<PageSize>, query: &mut Vec<(String, String)>| {
            if let Some(size) = size {
                query.push((size.parameter.clone(), size.size.to_string()));
            }
        };
        match pagination {
            Pagination::None => {}
            Pagination::Cursor {
                parameter,
                in_body: true,
                size,
                ..
            } => {
                let body = body.get_or_insert_with(|| json!({}));
                if let Some(size) = size {
                    set_member(body, &size.parameter, size.size.into());
                }
                if let Some(cursor) = cursor {
                    set_member(body, parameter, cursor.clone());
                }
            }
            Pagination::Cursor { parameter, size, .. } | Pagination::Header { parameter, size, .. } => {
                sized(size, query);
                if let Some(cursor) = cursor {
                    query.push((parameter.clone(), text(cursor)?));
                }
            }
            Pagination::NextUrl { size, .. } | Pagination::LinkHeader { size } => sized(size, query),
            Pagination::Page {
                parameter, first, size, ..
            } => {
                sized(size, query);
                let page = cursor.map_or(Some(*first), |cursor| page_of(cursor).map(|(page, _)| page));
                query.push((parameter.clone(), page.ok_or_else(foreign)?.to_string()));
            }
            Pagination::Offset { parameter, size, .. } => {
                query.push((size.parameter.clone(), size.size.to_string()));
                let offset = cursor.map_or(Some(0), Value::as_u64).ok_or_else(foreign)?;
                query.push((parameter.clone(), offset.to_string()));
            }
        }
        Ok(())
    }

    /// The cursor of the next page; none if this was the last one.
    ///
    /// # Errors
    /// The answer's sign cannot be used: another host, not a text, too long.
    pub(super) fn next(&self, signs: &Signs<'_>, base: &Url, place: &Place) -> Result<Option<Value>, String> {
        let next = match &self.pagination {
            Pagination::None => None,
            Pagination::Cursor { in_body, .. } => cursor_value(signs.next.clone(), *in_body)?,
            Pagination::NextUrl { .. } => match cursor_value(signs.next.clone(), false)? {
                None => None,
                Some(Value::String(target)) => Some(self.url_cursor(&target, signs.url, base, place)?),
                Some(other) => return Err(format!("the next URL is {other}, not a text")),
            },
            Pagination::LinkHeader { .. } => match link::next(signs.headers) {
                None => None,
                Some(target) => Some(self.url_cursor(&target, signs.url, base, place)?),
            },
            Pagination::Header { header, .. } => signs
                .headers
                .get(header.as_str())
                .and_then(|value| value.to_str().ok())
                .map(str::trim)
                .filter(|value| !value.is_empty())
                .map(Value::from),
            Pagination::Page { first, size, .. } => {
                next_page(signs, *first, size.as_ref(), self.paging.total.is_some())?
            }
            Pagination::Offset { size, .. } => next_offset(signs, size)?,
        };
        match &next {
            Some(cursor) if cursor.to_string().len() > MAX_CURSOR_BYTES => {
                Err(format!("the next cursor is longer than {MAX_CURSOR_BYTES} bytes"))
            }
            _ => Ok(next),
        }
    }

    /// Path and query of the next URL, without what the configuration adds anyway.
    fn url_cursor(&self, target: &str, from: &Url, base: &Url, place: &Place) -> Result<Value, String> {
        let url = from
            .join(target)
            .map_err(|error| format!("the next URL cannot be read: {error}"))?;
        if !same_host(base, &url) {
            return Err(format!(
                "the next URL points to another host ({}); only {} is asked",
                origin_text(&url),
                origin_text(base)
            ));
        }
        let mut ours = Vec::new();
        for (name, template) in &self.query {
            ours.push((name.clone(), template.fill(&place.values)?));
        }
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

/// Number of the page, and items seen before it.
fn page_of(cursor: &Value) -> Option<(u64, u64)> {
    match cursor.as_u64() {
        Some(page) => Some((page, 0)),
        None => Some((cursor.get("page")?.as_u64()?, cursor.get("seen")?.as_u64()?)),
    }
}

fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    }
}

/// A total that is told decides; else a short or empty page is the last one.
fn next_page(signs: &Signs<'_>, first: u64, size: Option<&PageSize>, counts: bool) -> Result<Option<Value>, String> {
    let foreign = "the cursor was made by another kind of pagination";
    let (page, seen) = signs.cursor.map_or(Some((first, 0)), page_of).ok_or(foreign)?;
    let count = signs.count.unwrap_or(signs.picked);
    let seen = seen.saturating_add(count);
    let (total, pages) = (number(signs.total.as_ref()), number(signs.total_pages.as_ref()));
    let last = match (total, pages, signs.count) {
        (_, Some(pages), _) => page.saturating_sub(first).saturating_add(1) >= pages,
        (Some(total), None, Some(count)) => seen >= total || count == 0,
        (Some(total), None, None) => {
            // jq picked some of the items: only full pages can be counted.
            let size = size.ok_or("with a total and items picked by jq a page size is needed")?;
            (page.saturating_sub(first).saturating_add(1)).saturating_mul(size.size.into()) >= total
        }
        (None, None, Some(count)) => count == 0 || size.is_some_and(|size| count < size.size.into()),
        (None, None, None) => {
            return Err("the answer has no total, and items picked by jq cannot be counted".to_owned());
        }
    };
    let next = page.checked_add(1).ok_or("the page number is too large")?;
    Ok((!last).then(|| {
        if counts {
            json!({"page": next, "seen": seen})
        } else {
            json!(next)
        }
    }))
}

fn next_offset(signs: &Signs<'_>, size: &PageSize) -> Result<Option<Value>, String> {
    let foreign = "the cursor was made by another kind of pagination";
    let offset = signs.cursor.map_or(Some(0), Value::as_u64).ok_or(foreign)?;
    let full = u64::from(size.size);
    let next = offset.saturating_add(signs.count.unwrap_or(full));
    let last = match (number(signs.total.as_ref()), signs.count) {
        (Some(total), count) => next >= total || count == Some(0),
        (None, Some(count)) => count < full,
        (None, None) => return Err("the answer has no total, and items picked by jq cannot be counted".to_owned()),
    };
    Ok((!last).then(|| json!(next)))
}

fn next_url_of(base: &Url, cursor: &Value, query: &[(String, String)]) -> Result<Url, String> {
    let foreign = || "the cursor was made by another kind of pagination".to_owned();
    let text = cursor
        .as_str()
        .or_else(|| cursor.get("url")?.as_str())
        .ok_or_else(foreign)?;
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

fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// The same origin; or the same host on default ports with another scheme, as servers behind a TLS proxy say it. What is asked
/// is the configured origin in any case.
fn same_host(base: &Url, other: &Url) -> bool {
    let web = |url: &Url| matches!(url.scheme(), "http" | "https");
    base.origin() == other.origin()
        || (web(other) && base.host() == other.host() && base.port().is_none() && other.port().is_none())
}

/// Scheme, host and port.
pub(super) fn origin_text(url: &Url) -> String {
    url.origin().ascii_serialization()
}
