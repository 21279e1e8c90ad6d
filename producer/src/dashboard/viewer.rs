//! The viewer of a page, and the API with this person's rights.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tideline_core::words::{Role, Timestamp};

use super::format::encoded;
use super::{Dashboard, shell};
use crate::api::types::{Page as List, Source};
use crate::api::{Api, Code, PlanRequest, PlanStream, Principal, Problem};

/// Maximum size of a response of the API that a page is made of, in bytes: a page of a list and its margin.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Maximum length of a reason, in characters.
const MAX_REASON: usize = 500;

/// Whether the person signed in (and so can sign out); in the extensions of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedIn(pub(crate) bool);

/// The viewer of a page.
pub(super) struct Viewer {
    /// With which rights.
    pub(super) principal: Principal,
    /// With a session that can be ended.
    pub(super) signed_in: bool,
    /// When.
    pub(super) now: Timestamp,
    /// Path and query of the page.
    pub(super) path: String,
    /// The dashboard.
    pub(super) dashboard: Dashboard,
}

impl FromRequestParts<Dashboard> for Viewer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Self, Failure> {
        let principal = parts.extensions.get::<Principal>().cloned();
        let principal = principal.ok_or_else(|| Problem::new(Code::Unauthenticated, "sign in first"))?;
        principal.require(Role::Read)?;
        Ok(Self {
            principal,
            signed_in: parts.extensions.get::<SignedIn>().is_some_and(|signed_in| signed_in.0),
            now: dashboard.api.state.clock.now(),
            path: parts
                .uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
            dashboard: dashboard.clone(),
        })
    }
}

impl Viewer {
    /// Whether a button for what needs this role makes sense.
    pub(super) fn may(&self, role: Role) -> bool {
        self.principal.role.allows(role)
    }

    /// Whether this person may see what concerns the whole store.
    pub(super) fn sees_all(&self) -> bool {
        self.principal.require_all_sources().is_ok()
    }

    /// A trace: its id, with a link to where traces are looked at, if the configuration says where.
    pub(super) fn trace(&self, traceparent: &str) -> Markup {
        let id = traceparent.split('-').nth(1).unwrap_or(traceparent);
        let settings = self.api().state.settings.as_ref();
        let template = settings.and_then(|settings| settings.dashboard.trace_url.as_deref());
        html! {
            @match template {
                Some(template) => { a href=(template.replace("{trace_id}", &encoded(id))) rel="noreferrer" { code { (id) } } }
                None => { code { (id) } }
            }
        }
    }

    /// Returns true if there is no configuration file: commands that need it find none.
    pub(super) fn is_demo(&self) -> bool {
        let settings = self.api().state.settings.as_ref();
        settings.is_some_and(|settings| settings.is_demo())
    }

    /// A command that needs the configuration, for a viewer who may not have its file.
    pub(super) fn with_configuration(&self, command: &str) -> String {
        let settings = self.api().state.settings.as_ref();
        match settings
            .filter(|settings| settings.is_demo())
            .and_then(|settings| settings.listen.as_deref())
        {
            Some(listen) => format!("{command} --server http://{listen}"),
            None => command.to_owned(),
        }
    }

    fn api(&self) -> &Api {
        &self.dashboard.api
    }

    /// Calls a route of the API.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let answer = self.ask(Method::GET, path, None, None).await?;
        read(&answer)
    }

    /// Requests a list, with the filters that are set.
    pub(super) async fn list<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Problem> {
        self.get(&address(path, query)).await
    }

    /// Names of the sources that this person may see.
    pub(super) async fn sources(&self) -> Result<Vec<String>, Problem> {
        let sources: List<Source> = self.get("/v1/sources").await?;
        Ok(sources.items.into_iter().map(|source| source.name).collect())
    }

    /// Starts a plan of a source.
    pub(super) async fn plan(&self, source: &str) -> Result<PlanStream, Problem> {
        self.principal.require(Role::Operate)?;
        self.api().state.plan(&self.principal, PlanRequest::whole(source)).await
    }

    /// Performs an act.
    pub(super) async fn act(&self, method: Method, path: &str, act: Act<'_>) -> Result<Bytes, Problem> {
        self.ask(method, path, act.body, act.reason).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        reason: Option<&str>,
    ) -> Result<Bytes, Problem> {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(reason) = reason.map(str::trim).filter(|reason| !reason.is_empty()) {
            let short: String = reason.chars().take(MAX_REASON).collect();
            request = request.header(HeaderName::from_static("tideline-reason"), encoded(&short));
        }
        let request = request
            .body(body.map_or_else(Body::empty, Body::from))
            .map_err(|error| Problem::internal("a page requested a wrong address", &error))?;
        let response = self.api().call(self.principal.clone(), request).await;
        let status = response.status();
        let answer = axum::body::to_bytes(response.into_body(), MAX_ANSWER)
            .await
            .map_err(|_| Problem::new(Code::Unavailable, "the response ended early"))?;
        if status.is_success() {
            return Ok(answer);
        }
        Err(serde_json::from_slice(&answer).unwrap_or_else(|_| match status {
            StatusCode::NOT_FOUND => Problem::new(Code::NotFound, ""),
            other => Problem::new(Code::Internal, other.to_string()),
        }))
    }
}

/// The content of an act.
#[derive(Default)]
pub(super) struct Act<'a> {
    /// JSON.
    pub(super) body: Option<String>,
    /// Why, for the audit log.
    pub(super) reason: Option<&'a str>,
}

impl<'a> Act<'a> {
    /// Without a body.
    pub(super) fn because(reason: &'a str) -> Self {
        Self {
            body: None,
            reason: Some(reason),
        }
    }

    /// With a body.
    pub(super) fn with(body: &impl Serialize, reason: &'a str) -> Self {
        Self {
            body: serde_json::to_string(body).ok(),
            reason: Some(reason),
        }
    }
}

/// The API's response.
pub(super) fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(answer).map_err(|error| Problem::internal("a page does not understand the API", &error))
}

/// A path with the parameters that are set.
pub(super) fn address(path: &str, query: &[(&str, &str)]) -> String {
    let mut address = path.to_owned();
    let set = query.iter().filter(|(_, value)| !value.is_empty());
    for (place, (name, value)) in set.enumerate() {
        address.push(if place == 0 { '?' } else { '&' });
        address.push_str(name);
        address.push('=');
        address.push_str(&encoded(value));
    }
    address
}

/// The fields of a form, or of a query: a name that comes twice counts the first time, one that does not come is empty.
#[derive(Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// From `application/x-www-form-urlencoded`.
    pub(super) fn of(text: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(text).into_owned().collect())
    }

    /// One of them, without the space around it.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value.trim())
    }
}

impl Fields {
    /// All values of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(field, _)| field == name);
        named.map(|(_, value)| value.trim())
    }

    /// A page of ours that a form came from.
    pub(super) fn inside<'a>(&'a self, name: &str, usual: &'a str) -> &'a str {
        let path = self.get(name);
        let ours = path.starts_with('/') && !path.starts_with("//") && !path.contains('\\');
        if ours { path } else { usual }
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|_| Problem::new(Code::BodyTooLarge, "the form is too large, or did not arrive in time"))?;
        Ok(Self::of(&body))
    }
}

/// The query of a page.
pub(super) struct Query(pub(super) Fields);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(Fields::of(parts.uri.query().unwrap_or_default().as_bytes())))
    }
}

/// Back to a page after an act, so that reloading it does not repeat the act.
pub(super) fn back_to(path: &str) -> Response {
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// A page that could not be made, or an act that was refused; shown as a page.
pub(super) struct Failure(Problem);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        shell::problem(&self.0)
    }
}
