//! The routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State as Shared};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::artifacts::{MAX_BYTES, import};
use super::{Service, State};

type Api = Shared<Arc<State>>;

pub(super) fn router(state: Arc<State>, address: SocketAddr) -> Router {
    let api = Router::new()
        .route("/api/services", get(list))
        .route("/api/services/{id}", get(show).delete(remove))
        .route("/api/services/{id}/operation", put(operation))
        .route("/api/artifact/upload", post(upload))
        .layer(axum::extract::DefaultBodyLimit::max(16 << 20))
        .layer(from_fn_with_state(Arc::clone(&state), gate));
    let issuer = format!("http://{address}/realms/a");
    let discovery = move || async move {
        axum::Json(json!({ "issuer": issuer, "token_endpoint": format!("{issuer}/protocol/openid-connect/token") }))
    };
    Router::new()
        .route("/realms/a/.well-known/openid-configuration", get(discovery))
        .route("/realms/a/protocol/openid-connect/token", post(token))
        .merge(api)
        .with_state(state)
}

/// Trouble, and whether the caller may do it.
async fn gate(Shared(state): Api, request: Request, next: Next) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    state.calls.lock().push(line);
    let trouble = state.trouble.lock().clone();
    tokio::time::sleep(trouble.latency).await;
    if let Some((status, text)) = trouble.status {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return (status, text).into_response();
    }
    let is_stuck = {
        let mut trouble = state.trouble.lock();
        match trouble.answers {
            Some(0) => true,
            Some(left) => {
                trouble.answers = Some(left - 1);
                false
            }
            None => false,
        }
    };
    if is_stuck && !trouble.done_anyway {
        return stuck(&state).await;
    }
    let is_view = request.method() == "GET" && request.uri().path() != "/api/services";
    if let Err(status) = allowed(&state, request.headers(), is_view) {
        return status.into_response();
    }
    let response = next.run(request).await;
    if is_stuck { stuck(&state).await } else { response }
}

async fn stuck(state: &State) -> Response {
    state.stuck.cancel();
    std::future::pending().await
}

fn allowed(state: &State, headers: &HeaderMap, is_view: bool) -> Result<(), StatusCode> {
    let tokens = state.tokens.lock();
    let Some(tokens) = tokens.as_ref() else { return Ok(()) };
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let roles = token
        .and_then(|token| tokens.get(token))
        .ok_or(StatusCode::UNAUTHORIZED)?;
    let has = |role: &str| roles.iter().any(|known| known == role);
    let may = if is_view {
        has("user")
    } else {
        has("manager") || has("admin")
    };
    if may { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
}

/// The token endpoint, with a client `sync` whose secret is `hush-hush`.
async fn token(Shared(state): Api, headers: HeaderMap, body: String) -> Response {
    let basic = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let is_client = basic == Some("Basic c3luYzpodXNoLWh1c2g=") || body.contains("client_secret=hush-hush");
    if !is_client || state.trouble.lock().no_tokens {
        return (
            StatusCode::UNAUTHORIZED,
            axum::Json(json!({ "error": "invalid_client" })),
        )
            .into_response();
    }
    let number = state.tokens_given.fetch_add(1, Ordering::SeqCst);
    let roles = state.roles.lock().clone();
    let claims = json!({ "jti": number, "resource_access": { "microcks-app": { "roles": roles } } });
    let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    if let Some(tokens) = state.tokens.lock().as_mut() {
        tokens.insert(token.clone(), roles);
    }
    axum::Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": 300, "refresh_expires_in": 0 }))
        .into_response()
}

#[derive(Deserialize)]
struct PageQuery {
    page: Option<usize>,
    size: Option<usize>,
}

async fn list(Shared(state): Api, Query(query): Query<PageQuery>) -> axum::Json<Vec<Value>> {
    let mut all: Vec<Service> = state.services.lock().values().cloned().collect();
    all.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    let size = query.size.unwrap_or(20);
    let page = all.iter().skip(query.page.unwrap_or(0) * size).take(size);
    axum::Json(page.map(Service::json).collect())
}

#[derive(Deserialize)]
struct ViewQuery {
    messages: Option<bool>,
}

async fn show(Shared(state): Api, Path(id): Path<String>, Query(query): Query<ViewQuery>) -> Response {
    let id = id.replace('+', " ");
    let services = state.services.lock();
    let found = services
        .get(&id)
        .or_else(|| services.values().find(|service| service.full_name() == id));
    match found {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(service) if query.messages.unwrap_or(true) => {
            axum::Json(json!({ "service": service.json(), "messagesMap": service.messages() })).into_response()
        }
        Some(service) => axum::Json(service.json()).into_response(),
    }
}

/// 200 also if nothing was there.
async fn remove(Shared(state): Api, Path(id): Path<String>) -> StatusCode {
    state.services.lock().remove(&id);
    StatusCode::OK
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OperationQuery {
    operation_name: String,
}

async fn operation(
    Shared(state): Api,
    Path(id): Path<String>,
    Query(query): Query<OperationQuery>,
    axum::Json(body): axum::Json<Value>,
) -> StatusCode {
    let mut services = state.services.lock();
    let found = services
        .get_mut(&id)
        .and_then(|service| service.operations.get_mut(&query.operation_name));
    let (Some(operation), Value::Object(body)) = (found, body) else {
        return StatusCode::NOT_FOUND;
    };
    for key in [
        "dispatcher",
        "dispatcherRules",
        "defaultDelay",
        "defaultDelayStrategy",
        "parameterConstraints",
    ] {
        if let Some(value) = body.get(key) {
            operation.properties.insert(key.to_owned(), value.clone());
        }
    }
    operation.overridden = true;
    StatusCode::OK
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UploadQuery {
    main_artifact: Option<bool>,
}

async fn upload(Shared(state): Api, Query(query): Query<UploadQuery>, headers: HeaderMap, body: Bytes) -> Response {
    let Some((file, text)) = part(&headers, &body) else {
        return (StatusCode::BAD_REQUEST, "Required part 'file' is not present.").into_response();
    };
    if text.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    if text.len() > MAX_BYTES {
        return (StatusCode::PAYLOAD_TOO_LARGE, "Maximum upload size exceeded").into_response();
    }
    match import(&state, &file, &text, query.main_artifact.unwrap_or(true)) {
        Ok(name) => (StatusCode::CREATED, name).into_response(),
        Err(why) => (StatusCode::BAD_REQUEST, why).into_response(),
    }
}

/// File name and content of the part called `file` (RFC 7578).
fn part(headers: &HeaderMap, body: &[u8]) -> Option<(String, String)> {
    let boundary = headers
        .get(CONTENT_TYPE)?
        .to_str()
        .ok()?
        .strip_prefix("multipart/form-data; boundary=")?;
    let body = std::str::from_utf8(body).ok()?;
    let part = body.strip_prefix(&format!("--{boundary}\r\n"))?;
    let (head, rest) = part.split_once("\r\n\r\n")?;
    let text = rest.strip_suffix(&format!("\r\n--{boundary}--\r\n"))?;
    let name = head.split_once("filename=\"")?.1.split('"').next()?;
    head.contains("name=\"file\"")
        .then(|| (name.to_owned(), text.to_owned()))
}
