//! Who may use `/v1`: with a bearer token configured, whoever has it; without one, only programs of this machine that ask a
//! loopback address, and no web page (a browser tells by `Origin` where a request comes from). Health and metrics are open.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tideline_core::words::Secret;

use super::GatewayState;
use super::problem::Problem;

/// The variable that the token comes from.
pub const TOKEN_VARIABLE: &str = "TIDELINE_API_TOKEN";

/// Who may use `/v1`.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever sends this bearer token.
    Token(Secret),
    /// Programs of this machine.
    Local,
    /// Nobody: the address can be reached from outside, and there is no token.
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

    fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match self {
            Self::Token(token) => {
                let given = text(headers, AUTHORIZATION)
                    .and_then(|value| value.split_once(' '))
                    .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
                    .map(|(_, given)| given.trim());
                match given {
                    Some(given) if same(given, token.reveal()) => Ok(()),
                    _ => Err(Problem::new(StatusCode::UNAUTHORIZED, "a bearer token is needed")),
                }
            }
            Self::Local => {
                let host = text(headers, HOST).unwrap_or_default();
                let origin =
                    text(headers, ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
                if is_loopback(host) && origin.is_none_or(|origin| origin == host) {
                    return Ok(());
                }
                Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    "only programs of this machine may ask, at its loopback address",
                ))
            }
            Self::Closed => Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!("set {TOKEN_VARIABLE} to open /v1 on an address that others can reach"),
            )),
        }
    }
}

/// Lets a request through or not.
pub(super) async fn guard(State(state): State<Arc<GatewayState>>, request: Request, next: Next) -> Response {
    match state.access.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn text(headers: &HeaderMap, name: axum::http::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `Host` of a name that no foreign DNS entry can have.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Takes the same time wherever the texts differ.
fn same(given: &str, wanted: &str) -> bool {
    let differences = given.bytes().zip(wanted.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    given.len() == wanted.len() && differences == 0 && !wanted.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(access: &Access, headers: &[(axum::http::HeaderName, &str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        access.check(&headers).is_ok()
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
