//! How answers are written: JSON, one JSON text per line (NDJSON, JSON Lines), or YAML documents.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use tideline_config::settings::AnswerFormat;

/// Media types. None is registered.
const NDJSON_TYPES: [&str; 5] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/json-lines",
];

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON text.
    Json,
    /// One JSON text per line.
    Lines,
    /// YAML documents.
    Yaml,
}

/// By the resource's settings, or by the answer's headers.
pub(super) fn form_of(format: AnswerFormat, headers: &HeaderMap) -> Form {
    let told = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = told.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    match format {
        AnswerFormat::Ndjson => Form::Lines,
        AnswerFormat::Yaml => Form::Yaml,
        AnswerFormat::Auto if NDJSON_TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known)) => Form::Lines,
        AnswerFormat::Json | AnswerFormat::Auto => Form::Json,
    }
}
