use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::faults::Fault;
use super::model::{Model, body};
use super::paging::{Asked, Cut, cut};
use super::{Paging, Shared};

/// Answers whatever is asked, with the fault that the seed decides.
pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    sent: Bytes,
) -> Response {
    shared.counts.requests.fetch_add(1, Ordering::Relaxed);
    let Some(path) = list_path(uri.path()) else {
        return (StatusCode::NOT_FOUND, "no such list").into_response();
    };
    let asked = read_asked(&uri, &sent);
    let first_page = asked.cursor.is_none() && asked.page.unwrap_or(1) <= 1 && asked.offset.unwrap_or(0) == 0;
    if path.is_empty() && first_page {
        shared.counts.cycles.fetch_add(1, Ordering::Relaxed);
        if shared.changes_on.load(Ordering::SeqCst) {
            shared.model.lock().change(shared.config.changes);
        }
    }
    let what = format!("{method} {uri} {}", String::from_utf8_lossy(&sent))
        .trim_end()
        .to_owned();
    let fault = decide(&shared, what, asked.cursor.is_some()).await;
    if let Some(answer) = fault.and_then(refuse) {
        return answer;
    }
    let page = {
        let mut model = shared.model.lock();
        if fault == Some(Fault::Moved) {
            model.move_one(&path);
        }
        render(&shared, &model, &path, &asked)
    };
    match page {
        Ok(page) => deliver(&shared, page, &headers, fault == Some(Fault::Cut)),
        Err(refusal) => refusal.into_response(),
    }
}

async fn decide(shared: &Shared, what: String, has_cursor: bool) -> Option<Fault> {
    let times = {
        let mut asked = shared.asked.lock();
        let times = asked.entry(what.clone()).or_default();
        *times += 1;
        *times
    };
    if !shared.faults_on.load(Ordering::SeqCst) {
        return None;
    }
    let (latency, fault) = shared
        .config
        .faults
        .decide(shared.config.seed, &what, times, has_cursor);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if fault.is_some() {
        shared.counts.faults.fetch_add(1, Ordering::Relaxed);
    }
    fault
}

fn list_path(path: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["orgs"] => Some(vec![]),
        ["orgs", org, "projects"] => Some(vec![org]),
        ["orgs", org, "projects", project, "components"] => Some(vec![org, project]),
        _ => None,
    }
}

fn read_asked(uri: &Uri, sent: &[u8]) -> Asked {
    let mut asked = Asked {
        limit: 100,
        ..Asked::default()
    };
    for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or("").as_bytes()) {
        match name.as_ref() {
            "limit" => asked.limit = value.parse().unwrap_or(100),
            "cursor" => asked.cursor = Some(value.into_owned()),
            "page" => asked.page = value.parse().ok(),
            "offset" => asked.offset = value.parse().ok(),
            _ => {}
        }
    }
    if let Ok(body) = serde_json::from_slice::<Value>(sent) {
        asked.cursor = body["cursor"].as_str().map(str::to_owned).or(asked.cursor);
        let limit = body["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok());
        asked.limit = limit.unwrap_or(asked.limit);
    }
    asked.limit = asked.limit.clamp(1, 10_000);
    asked
}

fn refuse(fault: Fault) -> Option<Response> {
    Some(match fault {
        Fault::TooMany(seconds) => (
            StatusCode::TOO_MANY_REQUESTS,
            [("retry-after", seconds.to_string())],
            "too many",
        )
            .into_response(),
        Fault::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "something broke").into_response(),
        Fault::WrongJson => ([(header::CONTENT_TYPE, "application/json")], "{\"items\": [{\"kind\": ").into_response(),
        Fault::Expired => (StatusCode::GONE, "the cursor expired").into_response(),
        Fault::Cut | Fault::Moved => return None,
    })
}

struct Page {
    text: String,
    headers: Vec<(&'static str, String)>,
}

fn render(shared: &Shared, model: &Model, path: &[&str], asked: &Asked) -> Result<Page, (StatusCode, &'static str)> {
    let list = model.list(path).ok_or((StatusCode::NOT_FOUND, "no such parent"))?;
    let epoch = shared.epoch.load(Ordering::SeqCst);
    let Cut { items, next_cursor } = cut(list, asked, epoch).ok_or((StatusCode::GONE, "the cursor expired"))?;
    let parent = path.last().copied().unwrap_or("");
    let items: Vec<Value> = items.into_iter().map(|node| body(node, path.len(), parent)).collect();
    let mut page = json!({ "items": items });
    let mut headers = Vec::new();
    match (shared.config.paging, next_cursor) {
        (Paging::Cursor | Paging::CursorInBody, next) => page["next"] = json!(next),
        (Paging::NextUrl, next) => page["next"] = json!(next.map(|next| next_url(shared, path, asked.limit, &next))),
        (Paging::LinkHeader, Some(next)) => {
            let url = next_url(shared, path, asked.limit, &next);
            headers.push((
                "link",
                format!("<{url}>; rel=\"next\", <{}>; rel=\"first\"", list_url(shared, path)),
            ));
        }
        (Paging::Header, Some(next)) => headers.push(("x-next-cursor", next)),
        (Paging::Page | Paging::Offset, _) => page["total"] = json!(list.len()),
        (Paging::LinkHeader | Paging::Header, None) => {}
    }
    Ok(Page {
        text: page.to_string(),
        headers,
    })
}

fn list_url(shared: &Shared, path: &[&str]) -> String {
    let base = format!("http://{}/orgs", shared.address);
    match path {
        [org] => format!("{base}/{org}/projects"),
        [org, project, ..] => format!("{base}/{org}/projects/{project}/components"),
        [] => base,
    }
}

fn next_url(shared: &Shared, path: &[&str], limit: usize, cursor: &str) -> String {
    format!("{}?limit={limit}&cursor={cursor}", list_url(shared, path))
}

fn deliver(shared: &Shared, page: Page, asked: &HeaderMap, cut_short: bool) -> Response {
    let mut hasher = DefaultHasher::new();
    (&page.text, &page.headers).hash(&mut hasher);
    let etag = format!("\"{:016x}\"", hasher.finish());
    let known = asked
        .get(header::IF_NONE_MATCH)
        .is_some_and(|sent| sent.as_bytes() == etag.as_bytes());
    let mut answer = if known {
        shared.counts.not_modified.fetch_add(1, Ordering::Relaxed);
        StatusCode::NOT_MODIFIED.into_response()
    } else if cut_short {
        half_a_body(page.text)
    } else {
        shared.counts.pages.fetch_add(1, Ordering::Relaxed);
        page.text.into_response()
    };
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in page.headers.into_iter().chain([("etag", etag)]) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    answer
}

/// Promises the whole body, sends half of it and breaks the connection.
fn half_a_body(text: String) -> Response {
    let whole = text.len();
    let half = Bytes::copy_from_slice(&text.as_bytes()[..whole / 2]);
    let first = stream::once(async move { Ok(half) });
    // The first half must be on its way before the connection breaks, or the client sees no answer at all.
    let rest = stream::once(async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Err(io::Error::other("cut on purpose"))
    });
    let mut answer = Body::from_stream(first.chain(rest)).into_response();
    answer
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(whole));
    answer
}
