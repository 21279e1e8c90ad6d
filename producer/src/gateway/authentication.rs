//! Authentication: the layer that puts a [`Principal`] into a request or refuses it. If a bearer token is configured,
//! its bearer is the first administrator; without one, only programs on this machine that use a loopback address, and
//! no web page (browsers send `Origin`). Health and metrics are exempt.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tideline_core::words::{Actor, ActorKind, Role, Secret};
use tracing::Instrument;

use super::limits::bounded;
use super::requests::{RequestId, span};
use super::{GatewayState, strays};
use crate::api::role::{Principal, SourceScope};
use crate::api::{Code, Problem};
use crate::secrets::is_same;

/// The environment variable with the token.
pub const TOKEN_VARIABLE: &str = "TIDELINE_API_TOKEN";

/// Who may use `/v1`.
#[derive(Clone, Debug)]
pub enum Access {
    /// Requests with this bearer token.
    Token(Secret),
    /// Programs of this machine.
    Local,
    /// No requests: the address can be reached from outside, and there is no token.
    Closed,
}

impl Access {
    pub(super) fn new(token: Option<Secret>, address: IpAddr) -> Self {
        match token {
            Some(token) => Self::Token(token),
            None if address.is_loopback() => Self::Local,
            None => Self::Closed,
        }
    }

    /// The principal of a request without an API token of the store; none: its token may be one.
    fn check(&self, headers: &HeaderMap) -> Option<Principal> {
        match self {
            Self::Token(token) => bearer(headers)
                .filter(|given| !token.reveal().is_empty() && is_same(given.as_bytes(), token.reveal().as_bytes()))
                .map(|_| configured_administrator()),
            Self::Local => {
                let host = text(headers, HOST).unwrap_or_default();
                let origin =
                    text(headers, ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
                let local = is_loopback(host) && origin.is_none_or(|origin| origin == host);
                local.then(|| administrator(ActorKind::Local, "loopback"))
            }
            Self::Closed => None,
        }
    }

    /// The problem for a request without credentials.
    fn refusal(&self, tokens: bool) -> Problem {
        match self {
            Self::Local if !tokens => Problem::new(
                Code::LocalOnly,
                "only programs on this machine have access, at its loopback address",
            ),
            Self::Closed if !tokens => Problem::new(
                Code::LocalOnly,
                format!("create a token, or set {TOKEN_VARIABLE}, to open /v1 on an address that others can reach"),
            ),
            _ => Problem::new(Code::Unauthenticated, "a bearer token is needed"),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    text(headers, AUTHORIZATION)
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, given)| given.trim())
}

/// The principal of a request, by bearer token or as a program on this machine.
pub(super) async fn principal(
    state: &GatewayState,
    headers: &HeaderMap,
    address: Option<IpAddr>,
) -> Result<Principal, Problem> {
    let administrator = state.access.check(headers);
    match (bearer(headers), administrator) {
        (Some(_), Some(administrator)) if matches!(state.access, Access::Token(_)) => Ok(administrator),
        (Some(token), _) => state.tokens.check(token, address).await,
        (None, Some(local)) if !state.tokens.exist().await? => Ok(local),
        (None, _) => Err(state.access.refusal(state.tokens.exist().await?)),
    }
}

/// The bearer of the token in [`TOKEN_VARIABLE`].
pub(super) fn configured_administrator() -> Principal {
    administrator(ActorKind::Token, TOKEN_VARIABLE)
}

/// A principal with all rights.
fn administrator(kind: ActorKind, name: &str) -> Principal {
    Principal {
        actor: Actor {
            kind,
            name: name.to_owned(),
            address: None,
            request: None,
        },
        role: Role::Admin,
        sources: SourceScope::All,
    }
}

/// Authenticates a request or refuses it, then handles it in its span with a bounded body. One layer, like
/// [`admit`](super::limits::admit).
pub(super) async fn authenticate(State(state): State<Arc<GatewayState>>, mut request: Request, next: Next) -> Response {
    let opened = state.serves_api && strays::is_opened(&request);
    let span = span(&request);
    if opened && strays::is_stray(&request) {
        return Box::pin(strays::page(&state, request).instrument(span)).await;
    }
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = address.map(|ConnectInfo(address)| address.ip().to_canonical());
    // Boxed: it has finished when the request begins to wait.
    let principal = Box::pin(principal(&state, request.headers(), address).instrument(span.clone())).await;
    let bounded = principal.and_then(|principal| {
        let id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
        let principal = principal.in_request(address.map(|address| address.to_string()), id);
        request.extensions_mut().insert(principal);
        bounded(request)
    });
    let response = match bounded {
        Ok(request) => next.run(request).instrument(span).await,
        Err(problem) => problem.into_response(),
    };
    strays::shown(response, opened)
}

fn text(headers: &HeaderMap, name: axum::http::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether `Host` is a name that no foreign DNS entry can have.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(access: &Access, headers: &[(axum::http::HeaderName, &str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        access.check(&headers).is_some()
    }

    #[test]
    fn a_token_opens_and_nothing_else_does() {
        let access = Access::new(Some(Secret::new("s3cr3t")), "127.0.0.1".parse().unwrap());
        assert!(allowed(&access, &[(AUTHORIZATION, "Bearer s3cr3t")]));
        assert!(allowed(&access, &[(AUTHORIZATION, "bearer s3cr3t")]));
        for wrong in ["Bearer s3cr3", "Bearer s3cr3tt", "Bearer ", "Basic s3cr3t", "s3cr3t"] {
            assert!(!allowed(&access, &[(AUTHORIZATION, wrong)]), "{wrong}");
        }
        assert!(!allowed(&access, &[(HOST, "localhost")]));
        assert!(!allowed(&Access::Token(Secret::new("")), &[(AUTHORIZATION, "Bearer ")]));
    }

    #[test]
    fn without_a_token_only_this_machine_may_ask_and_no_web_page() {
        let access = Access::new(None, "::1".parse().unwrap());
        for host in ["localhost:7070", "127.0.0.1:7070", "127.8.9.1", "[::1]:7070"] {
            assert!(allowed(&access, &[(HOST, host)]), "{host}");
        }
        assert!(!allowed(&access, &[(HOST, "evil.example:7070")]));
        assert!(!allowed(&access, &[]));
        let from = |origin| {
            let headers = [(HOST, "localhost:7070"), (ORIGIN, origin)];
            allowed(&access, &headers)
        };
        assert!(from("http://localhost:7070"));
        assert!(!from("https://evil.example"));
        assert!(!from("null"));
    }

    #[test]
    fn an_address_that_others_reach_is_closed_without_a_token() {
        let access = Access::new(None, "0.0.0.0".parse().unwrap());
        assert!(!allowed(&access, &[(HOST, "localhost")]));
    }
}
