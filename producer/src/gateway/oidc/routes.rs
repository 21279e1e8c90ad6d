//! `/sign-in/provider`, which sends a browser to the provider, and `/sign-in/callback`, where it comes back.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tideline_core::full_text;
use tideline_store::{Deed, OperatorAct, Person};

use super::pending::{self, Pending};
use super::{Oidc, SignInError};
use crate::api::tokens::hash_of;
use crate::api::{Code, Principal, Problem};
use crate::dashboard::{Door, leave_and_return, sign_in_page};
use crate::gateway::GatewayState;
use crate::gateway::requests::RequestId;
use crate::gateway::sessions::{self, Holder, address_of, cookie_of, inside, next_of, to};

impl Oidc {
    /// The button leads to `public_url`: the provider sends people back there, where their browser must have the
    /// cookie.
    pub(in crate::gateway) fn door(&self) -> Door {
        let address = format!("{}/sign-in/provider?next=", self.base);
        Door {
            provider: Some((self.settings.name.clone(), address)),
        }
    }
}

pub(in crate::gateway) fn router(state: &Arc<GatewayState>) -> Router {
    if state.oidc.is_none() {
        return Router::new();
    }
    Router::new()
        .route("/sign-in/provider", get(leave))
        .route("/sign-in/callback", get(come_back))
        .with_state(Arc::clone(state))
}

async fn leave(State(state): State<Arc<GatewayState>>, request: Request) -> Response {
    let next = next_of(request.uri().query().unwrap_or_default().as_bytes());
    let Some(oidc) = &state.oidc else {
        return Problem::new(Code::NotFound, "").into_response();
    };
    match oidc.begin(&next).await {
        Ok((url, pending)) => to(url.as_str(), Some(&pending.to_cookie(oidc.is_secure()))),
        Err(error) => failed(oidc, &next, &error),
    }
}

/// Opens a session for a person who returns from the provider. The browser comes from another site and so sends no
/// strict cookie yet: a page of ours redirects it.
async fn come_back(State(state): State<Arc<GatewayState>>, request: Request) -> Response {
    let Some(oidc) = &state.oidc else {
        return Problem::new(Code::NotFound, "").into_response();
    };
    let address = address_of(&request).map(|address| address.to_string());
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let query: Vec<(String, String)> = url::form_urlencoded::parse(query).into_owned().collect();
    let pending = cookie_of(request.headers(), pending::cookie_name(oidc.is_secure()));
    let pending = pending.and_then(|value| Pending::of_cookie(&value));
    let next = pending
        .as_ref()
        .map_or_else(|| "/".to_owned(), |pending| inside(&pending.next));
    let signed_in = match oidc.end(pending.as_ref(), &query).await {
        Ok(signed_in) => signed_in,
        Err(error) => {
            let mut response = failed(oidc, &next, &error);
            if !matches!(error, SignInError::Foreign | SignInError::Busy) {
                set_cookie(&mut response, &pending::no_cookie(oidc.is_secure()));
            }
            return response;
        }
    };
    let principal = signed_in.principal.in_request(address, request_id);
    match open(&state, signed_in.person, principal).await {
        Ok(id) => {
            let mut response = leave_and_return(&next);
            set_cookie(&mut response, &sessions::cookie(&id, oidc.is_secure(), sessions::LIFE));
            set_cookie(&mut response, &pending::no_cookie(oidc.is_secure()));
            response
        }
        Err(problem) => sign_in_page(&oidc.door(), &next, Some(&problem)),
    }
}

/// Opens a session, after recording the person in the audit log: names may change at the provider, the subject does
/// not.
async fn open(state: &GatewayState, person: Person, principal: Principal) -> Result<String, Problem> {
    let deed = Deed::SignIn {
        issuer: person.issuer.clone(),
        subject: person.subject.clone(),
        role: principal.role,
        groups: person.groups.clone(),
    };
    let act = OperatorAct::new(deed, principal.actor);
    state.api.state.store.perform(&act, state.clock.now()).await?;
    let holder = Holder {
        token_id: None,
        token_hash: hash_of(&format!("{} {}", person.issuer, person.subject)),
        person: Some(person),
    };
    sessions::begin(state, holder).await
}

fn set_cookie(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

fn failed(oidc: &Oidc, next: &str, error: &SignInError) -> Response {
    tracing::warn!(error = full_text(error), "sign-in at the OpenID provider failed");
    let code = match error {
        SignInError::Unreachable { .. } => Code::Unavailable,
        SignInError::Busy => Code::Overloaded,
        SignInError::NoRole { .. } => Code::Forbidden,
        SignInError::Foreign | SignInError::Refused { .. } | SignInError::Unverified { .. } => Code::Unauthenticated,
    };
    sign_in_page(&oidc.door(), next, Some(&Problem::new(code, error.to_string())))
}
