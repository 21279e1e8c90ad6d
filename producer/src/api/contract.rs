//! What all routes have in common, driven by the OpenAPI document: undeclared parameters and unexpected bodies are
//! refused, a client that has the newest record gets 304, and refusals that no act has recorded go into the audit log.
//! A layer, so that no route can forget it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{MatchedPath, Request};
use axum::http::header::{CONTENT_ENCODING, ETAG, HeaderMap, IF_NONE_MATCH};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::future::{BoxFuture, Either, ready};
use tideline_core::words::Role;
use tower::{Layer, Service};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, ParameterIn};

use super::extract::{timed_out, unknown_field};
use super::problem::{Code, Problem};
use super::refusals::act_of;
use super::role::Principal;
use super::{ApiState, docs};
use crate::etag::is_known;

/// Maximum size of the body that a route without one reads.
const MAX_BODY: usize = 1024 * 1024;

/// The layer.
#[derive(Clone)]
pub(super) struct Contract {
    api: Arc<ApiState>,
    routes: Arc<HashMap<(Method, String), Route>>,
}

/// An operation of the document.
struct Route {
    role: Option<Role>,
    parameters: Vec<Parameter>,
    takes_body: bool,
    /// Its name in the audit log; none: it is not an act.
    act: Option<String>,
}

/// A query parameter.
struct Parameter {
    name: String,
    /// Its range, if it is a number.
    number: Option<String>,
}

impl Contract {
    /// Of the routes of a document.
    pub(super) fn new(api: Arc<ApiState>, document: &OpenApi) -> Self {
        let mut routes = HashMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in docs::operations(item) {
                if let Ok(method) = method.to_uppercase().parse::<Method>() {
                    routes.insert((method, path.clone()), Route::of(path, operation));
                }
            }
        }
        Self {
            api,
            routes: Arc::new(routes),
        }
    }

    fn key_of(request: &Request) -> Option<(Method, String)> {
        let path = request.extensions().get::<MatchedPath>()?.as_str().to_owned();
        let method = match *request.method() {
            Method::HEAD => Method::GET,
            ref method => method.clone(),
        };
        Some((method, path))
    }
}

impl Route {
    fn of(path: &str, operation: &Operation) -> Self {
        let declared = operation.parameters.iter().flatten();
        let query = declared.filter(|parameter| parameter.parameter_in == ParameterIn::Query);
        let parameter = |parameter: &utoipa::openapi::path::Parameter| Parameter {
            name: parameter.name.clone(),
            number: parameter
                .schema
                .as_ref()
                .and_then(|schema| number_of(&serde_json::to_value(schema).ok()?)),
        };
        Self {
            role: docs::role_of(operation).and_then(|role| role.parse().ok()),
            parameters: query.map(parameter).collect(),
            takes_body: operation.request_body.is_some(),
            act: act_of(path, operation.operation_id.as_deref().unwrap_or_default()),
        }
    }

    /// A client without access to the route is told so, and not what the route expects.
    fn admits(&self, request: &Request) -> bool {
        let principal = request.extensions().get::<Principal>();
        principal.is_some_and(|principal| self.role.is_none_or(|needed| principal.role.allows(needed)))
    }

    fn check_query(&self, query: &str) -> Result<(), Problem> {
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let Some(parameter) = self.parameters.iter().find(|parameter| parameter.name == name) else {
                let known: Vec<&str> = self.parameters.iter().map(|known| known.name.as_str()).collect();
                return Err(unknown_field(&name, &known));
            };
            if let Some(number) = &parameter.number
                && value.parse::<u32>().is_err()
            {
                let detail = format!("{name} must be {number}");
                return Err(Problem::new(Code::InvalidRequest, detail));
            }
        }
        Ok(())
    }
}

/// The range of a number.
fn number_of(schema: &serde_json::Value) -> Option<String> {
    let kind = &schema["type"];
    let mut kinds = kind.as_array().into_iter().flatten();
    if kind != "integer" && !kinds.any(|kind| kind == "integer") {
        return None;
    }
    Some(match (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
        (Some(least), Some(most)) => format!("a number from {least} to {most}"),
        _ => "a number".to_owned(),
    })
}

impl<S> Layer<S> for Contract {
    type Service = Kept<S>;

    fn layer(&self, inner: S) -> Kept<S> {
        Kept {
            contract: self.clone(),
            inner,
        }
    }
}

/// A route whose contract is enforced.
#[derive(Clone)]
pub(super) struct Kept<S> {
    contract: Contract,
    inner: S,
}

impl<S> Service<Request> for Kept<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    // A read passes unboxed: thousands may wait for changes, and each box would take memory as long as they do.
    type Future = Either<S::Future, BoxFuture<'static, Result<Response, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let key = Contract::key_of(&request);
        let route = key.as_ref().and_then(|key| self.contract.routes.get(key));
        let Some(route) = route else {
            return Either::Left(self.inner.call(request));
        };
        let admitted = route.admits(&request);
        if admitted && let Err(problem) = route.check_query(request.uri().query().unwrap_or_default()) {
            return Either::Right(Box::pin(ready(Ok(problem.into_response()))));
        }
        let looks = matches!(*request.method(), Method::GET | Method::HEAD);
        if looks && !request.headers().contains_key(IF_NONE_MATCH) {
            return Either::Left(self.inner.call(request));
        }
        let takes_body = looks || route.takes_body || !admitted;
        let (contract, mut inner) = (self.contract.clone(), self.inner.clone());
        Either::Right(Box::pin(async move {
            if looks {
                let known = request.headers().clone();
                return Ok(unless_known(&known, inner.call(request).await?));
            }
            let about = About::of(&request);
            let response = match read_no_more(request, takes_body).await {
                Ok(request) => inner.call(request).await?,
                Err(problem) => problem.into_response(),
            };
            let act = key.and_then(|key| contract.routes.get(&key)?.act.as_deref());
            let problem = response.extensions().get::<Problem>().cloned();
            if let (Some(about), Some(act), Some(problem)) = (about, act, problem) {
                about.write_down(&contract.api, act, &problem).await;
            }
            Ok(response)
        }))
    }
}

/// Refuses a body that is encoded, or that the route does not read.
async fn read_no_more(request: Request, takes_body: bool) -> Result<Request, Problem> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let encoding = request.headers().get(CONTENT_ENCODING);
    if let Some(encoding) = encoding.filter(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let encoding = String::from_utf8_lossy(encoding.as_bytes());
        let detail = format!("the body must not be compressed: Content-Encoding {encoding} is not supported");
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    if takes_body {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY)
        .await
        .map_err(|error| match timed_out(&error) {
            true => Problem::new(Code::RequestTimeout, "the body did not arrive in time; send it again"),
            false => Problem::new(Code::BodyTooLarge, "this request takes no body"),
        })?;
    let text = body.trim_ascii();
    if !text.is_empty() {
        let fields: serde_json::Map<_, _> = serde_json::from_slice(text)
            .map_err(|_| Problem::new(Code::InvalidRequest, "this request takes no body"))?;
        if let Some(field) = fields.keys().next() {
            return Err(unknown_field(field, &[]));
        }
    }
    Ok(Request::from_parts(parts, Body::empty()))
}

/// Responds 304 to a client that already has this record.
fn unless_known(asked: &HeaderMap, response: Response) -> Response {
    let Some(tag) = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()) else {
        return response;
    };
    if response.status() != StatusCode::OK || !is_known(asked, tag) {
        return response;
    }
    (StatusCode::NOT_MODIFIED, [(ETAG, tag.to_owned())]).into_response()
}

/// The principal, and the target of the request.
struct About {
    principal: Principal,
    /// Values of the path, by name.
    names: Vec<(String, String)>,
}

impl About {
    /// None: the client is not authenticated.
    fn of(request: &Request) -> Option<Self> {
        let template = request.extensions().get::<MatchedPath>()?.as_str();
        let parts = template.split('/').zip(request.uri().path().split('/'));
        let named = parts.filter_map(|(name, value)| {
            let name = name.strip_prefix('{')?.strip_suffix('}')?;
            let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            Some((name.to_owned(), value.into_owned()))
        });
        Some(Self {
            principal: request.extensions().get::<Principal>()?.clone(),
            names: named.collect(),
        })
    }

    /// Records a refusal that was not recorded yet.
    async fn write_down(self, api: &ApiState, act: &str, problem: &Problem) {
        if problem.recorded || !matches!(problem.status, 403 | 404 | 409 | 412 | 422) {
            return;
        }
        let target = self
            .names
            .into_iter()
            .next()
            .map_or_else(String::new, |(_, value)| value);
        api.note_refusal(self.principal.actor, act, target, problem).await;
    }
}
