//! Failed responses with a success status.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::reading::ReadError;

/// Whether what `fail_if` found says that the request failed: everything but nothing, false, "" and, of GraphQL, no
/// errors.
///
/// # Errors
/// It does.
pub(super) fn check_failure(is_graphql: bool, found: Option<Value>, text: &str) -> Result<(), ReadError> {
    match found {
        None | Some(Value::Bool(false)) => Ok(()),
        Some(Value::String(found)) if found.is_empty() => Ok(()),
        Some(Value::Array(errors)) if is_graphql && errors.is_empty() => Ok(()),
        Some(errors) if is_graphql => Err(graphql_error(text, &errors)),
        Some(Value::String(found)) => Err(ReadError::Failed(format!("the response reports a failure: {found}"))),
        Some(_) => Err(ReadError::Failed("the response counts as failed by fail_if".to_owned())),
    }
}

/// What the `errors` of a GraphQL answer mean. Without a member `data` the query was not run at all (section 7.1 of the
/// specification): it is wrong, unless too many were asked.
fn graphql_error(text: &str, errors: &Value) -> ReadError {
    let shown = errors.to_string();
    let messages: Vec<&str> = errors.as_array().map_or_else(Vec::new, |errors| {
        let messages = errors.iter().filter_map(|error| error.get("message")?.as_str());
        messages.take(3).collect()
    });
    let why = if messages.is_empty() {
        "GraphQL errors without a message".to_owned()
    } else {
        format!("GraphQL errors: {}", messages.join("; "))
    };
    let upper = shown.to_ascii_uppercase();
    let limited = ["RATE_LIMIT", "RATE LIMIT", "THROTTLED"]
        .iter()
        .any(|word| upper.contains(word));
    // `null` is a member too: the query was run, and something in it failed.
    let members = serde_json::from_str::<BTreeMap<String, &RawValue>>(text);
    let ran = members.is_ok_and(|members| members.contains_key("data"));
    if ran || limited {
        ReadError::Failed(why)
    } else {
        ReadError::Wrong(why)
    }
}
