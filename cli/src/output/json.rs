//! Records for programs: as in the store, but JSON texts become JSON. Times are milliseconds since 1970 in UTC.

use serde::Serialize;
use serde_json::Value;

/// The record with its members `texts`, which hold JSON texts, as JSON. A text that is none stays a text.
///
/// # Errors
/// The record cannot be JSON (a key that is no text).
pub(crate) fn embedded<T: Serialize>(record: &T, texts: &[&str]) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(record)?;
    for name in texts {
        if let Some(member) = value.get_mut(*name)
            && let Some(parsed) = member.as_str().and_then(|text| serde_json::from_str(text).ok())
        {
            *member = parsed;
        }
    }
    Ok(value)
}

/// A list of such records.
///
/// # Errors
/// As [`embedded`].
pub(crate) fn embedded_all<T: Serialize>(records: &[T], texts: &[&str]) -> serde_json::Result<Vec<Value>> {
    records.iter().map(|record| embedded(record, texts)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_json_text_becomes_json_and_another_text_stays() {
        let record = json!({"body": "{\"a\":[1,2]}", "cursor": "not json", "args": null});
        assert_eq!(
            embedded(&record, &["body", "cursor", "args"]).unwrap(),
            json!({"body": {"a": [1, 2]}, "cursor": "not json", "args": null})
        );
    }
}
