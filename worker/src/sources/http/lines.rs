//! Answers with one JSON text per line (NDJSON, JSON Lines).

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

/// Whether the body is one JSON text per line.
pub(super) fn is_by_line(format: AnswerFormat, headers: &HeaderMap) -> bool {
    let told = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = told.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    match format {
        AnswerFormat::Json => false,
        AnswerFormat::Ndjson => true,
        AnswerFormat::Auto => NDJSON_TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known)),
    }
}
