//! Query, path and body of a request, with problems that name the field.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::{Code, Problem, nearest};

/// Query parameters.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(QueryRejection::FailedToDeserializeQueryString(error)) => Err(explain(&error.body_text())),
            Err(other) => Err(explain(&other.body_text())),
        }
    }
}

/// Parts of the path.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(path)| Self(path))
            .map_err(|error| Problem::new(Code::InvalidRequest, wrong_path(error)))
    }
}

fn wrong_path(error: PathRejection) -> String {
    let PathRejection::FailedToDeserializePathParams(error) = error else {
        return error.body_text();
    };
    match error.into_kind() {
        ErrorKind::ParseErrorAtKey { key, value, .. } => format!("{key} must be a number, not {value}"),
        ErrorKind::ParseErrorAtIndex { value, .. } | ErrorKind::ParseError { value, .. } => {
            format!("{value} in the path must be a number")
        }
        ErrorKind::InvalidUtf8InPathParam { key } => format!("{key} in the path is not UTF-8"),
        other => other.to_string(),
    }
}

/// A JSON body.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Problem::new(
                Code::UnsupportedMediaType,
                "send the body with Content-Type: application/json",
            )),
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Problem::new(Code::BodyTooLarge, "send a smaller body"))
            }
            Err(error) if timed_out(&error) => Err(Problem::new(
                Code::RequestTimeout,
                "the body did not arrive in time; send it again",
            )),
            Err(error) => Err(explain(&error.body_text())),
        }
    }
}

/// Whether the body of a request stopped arriving.
pub(super) fn timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::TimedOut)
}

/// Names the wrong field, and the one that was probably meant.
fn explain(text: &str) -> Problem {
    let text = text
        .trim_start_matches("Failed to deserialize query string: ")
        .trim_start_matches("Failed to deserialize the JSON body into the target type: ")
        .trim_start_matches("Failed to parse the request body as JSON: ");
    let mut quoted = text.split('`').skip(1).step_by(2);
    match (text.contains("unknown field"), quoted.next()) {
        (true, Some(field)) => unknown_field(field, &quoted.collect::<Vec<_>>()),
        _ => Problem::new(Code::InvalidRequest, text),
    }
}

/// A field or parameter is unknown.
pub(super) fn unknown_field(field: &str, known: &[&str]) -> Problem {
    let hint = match nearest(field, known.iter().copied()) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None if known.is_empty() => "this request takes no fields".to_owned(),
        None => format!("there are {}", known.join(", ")),
    };
    Problem::new(Code::UnknownField, format!("unknown field {field}; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_is_named_with_the_nearest_known_one() {
        let problem = explain("Failed to deserialize query string: unknown field `limt`, expected `after` or `limit`");
        assert_eq!(problem.code, Code::UnknownField);
        assert_eq!(problem.detail, "unknown field limt; did you mean limit?");
        let problem = explain("unknown field `colour`, expected one of `after`, `limit`, `wait`");
        assert_eq!(problem.detail, "unknown field colour; there are after, limit, wait");
    }
}
