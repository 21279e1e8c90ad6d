//! Errors as `application/problem+json`, RFC 9457. [`Code`] is the closed list of them; docs/problems.md is made from
//! it.

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tideline_core::full_text;
use tideline_store::StoreError;
use utoipa::ToSchema;

/// What comes before the code in `type`.
const TYPE_PREFIX: &str = "urn:tideline:problem:";

macro_rules! codes {
    ($($name:ident $word:literal $status:literal $title:literal $doc:literal)*) => {
        /// The kind of problem. Codes are stable, so programs may rely on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $(#[doc = $doc] $name,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The status it is answered with.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// A short summary, the same for all problems with this code.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it means and what to do, for the documentation.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }
        }
    };
}

codes! {
    InvalidRequest "invalid_request" 400 "The request is not valid"
        "A parameter, header or body is invalid. `detail` says which one and what is accepted."
    UnknownField "unknown_field" 400 "A field is not known"
        "A query parameter or a field of the body is unknown. `detail` names it and the closest known one."
    InvalidPageToken "invalid_page_token" 400 "The page token is not valid"
        "`page_token` is not a `next_page_token` of this list with these filters. Start over without it."
    Unauthenticated "unauthenticated" 401 "Authentication is required"
        "Send `Authorization: Bearer` with a valid token."
    TokenExpired "token_expired" 401 "The token has expired"
        "The token is no longer valid. Ask an administrator for a new one."
    TokenRevoked "token_revoked" 401 "The token was revoked"
        "The token is no longer valid. Ask an administrator for a new one."
    Forbidden "forbidden" 403 "The token does not allow this"
        "The token's role, or the sources it is limited to, does not cover the request. `detail` names the required role."
    LocalOnly "local_only" 403 "Only local programs have access"
        "There is no token yet: only programs on this machine may use the API, at its loopback address. Create a \
         token, or set `TIDELINE_API_TOKEN`."
    NotFound "not_found" 404 "Not found"
        "The path or the record does not exist."
    UnknownSource "unknown_source" 404 "The source does not exist"
        "No source has this name, or the token does not cover it. `detail` names the closest one."
    MethodNotAllowed "method_not_allowed" 405 "The method is not allowed"
        "The path exists, but not with this method. The header `Allow` lists the methods."
    RequestTimeout "request_timeout" 408 "The request took too long to arrive"
        "The body did not arrive in time. Send it again."
    Conflict "conflict" 409 "The state does not allow this"
        "The record is not in a state that allows the act. `detail` says why."
    StartOver "start_over" 410 "The reader must start over"
        "The reader would miss changes or events. Discard what was read and start over with `after=0`."
    PreconditionFailed "precondition_failed" 412 "The record has changed"
        "The record no longer matches `If-Match`. Read it again before you decide."
    BodyTooLarge "body_too_large" 413 "The body is too large"
        "Send a smaller body."
    UnsupportedMediaType "unsupported_media_type" 415 "The body must be JSON"
        "Send the body with `Content-Type: application/json`, not compressed."
    IdempotencyKeyReused "idempotency_key_reused" 422 "The idempotency key was used for another request"
        "The same `Idempotency-Key` was used with a different act or different arguments. Use a new key for every act."
    TooManyAttempts "too_many_attempts" 429 "Too many wrong tokens"
        "Too many wrong tokens came from this address. Wait for the time in `Retry-After`."
    SourceUnreadable "source_unreadable" 502 "The source cannot be read"
        "A plan could not read its source. `detail` says why. Occurs as the last line of a plan."
    PlanTimeout "plan_timeout" 504 "The plan took too long"
        "A plan was not complete within `plan.timeout`. Occurs as the last line of a plan."
    Internal "internal" 500 "Tideline failed"
        "A bug or a broken store. The gateway's log has details under the request id."
    Unavailable "unavailable" 503 "The store does not respond"
        "The store cannot be reached or is overloaded. Retry later; with an `Idempotency-Key`, the request is safe to \
         repeat."
    Overloaded "overloaded" 503 "The gateway is busy"
        "Too many requests or connections at once. Try again later."
}

/// What went wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:tideline:problem:` and the code.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// For programs.
    pub code: Code,
    /// The HTTP status.
    pub status: u16,
    /// A short summary, the same for all problems with this code.
    pub title: Cow<'static, str>,
    /// What is wrong with this request, and what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Seconds to wait; sent as `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<u64>,
    /// The audit log has it.
    #[serde(skip)]
    pub recorded: bool,
}

impl Problem {
    /// Of a kind, with what is wrong in this case.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            problem_type: format!("{TYPE_PREFIX}{}", code.as_str()),
            code,
            status: code.status(),
            title: Cow::Borrowed(code.title()),
            detail: detail.into(),
            retry_after: (code.status() == 503).then_some(1),
            recorded: false,
        }
    }

    /// No source has this name; `known` are those that the caller may know of.
    #[must_use]
    pub fn unknown_source(name: &str, known: &[String]) -> Self {
        let nearest = nearest(name, known.iter().map(String::as_str));
        let hint = nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"));
        Self::new(Code::UnknownSource, format!("source {name} does not exist{hint}"))
    }

    /// An act was not done. The store has recorded a refusal.
    pub(super) fn of_act(error: StoreError) -> Self {
        let recorded = error.is_refusal();
        Self {
            recorded,
            ..error.into()
        }
    }

    /// Something is wrong with a stored value; the log says what.
    #[must_use]
    pub(crate) fn internal(what: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = full_text(error), what, "a request failed");
        Self::new(Code::Internal, what)
    }
}

/// The known word that a wrong one was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len().min(word.len()) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::NotFound { what: "source", .. } => Code::UnknownSource,
            StoreError::NotFound { .. } => Code::NotFound,
            StoreError::Refused(_) => Code::Conflict,
            StoreError::Changed { .. } => Code::PreconditionFailed,
            StoreError::KeyReused => Code::IdempotencyKeyReused,
            StoreError::StartOver(_) => Code::StartOver,
            StoreError::Unavailable { .. } | StoreError::Conflict { .. } => Code::Unavailable,
            _ => Code::Internal,
        };
        if code.status() >= 500 {
            tracing::warn!(error = full_text(&error), "a request failed in the store");
        }
        if let StoreError::StartOver(gap) = error {
            let detail = format!("{gap}; discard what you have and start over with after=0");
            return Self::new(code, detail);
        }
        // The client must not learn where the store is or who has which rights in it.
        if let StoreError::Config(_) | StoreError::Schema(_) = error {
            let detail = "the store cannot be used in its current state; see the gateway's log";
            return Self::new(code, detail);
        }
        Self::new(code, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}
