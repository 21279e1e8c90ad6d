//! Differences of two documents, for people: path, old value, new value.

use crate::api::types::Difference;
use maud::{Markup, html};
use serde_json::Value;

/// Differences shown of one change.
const SHOWN: usize = 30;

/// Characters shown of a value.
const MAX_TEXT: usize = 300;

/// The list of a change.
pub(super) fn list(differences: &[Difference]) -> Markup {
    html! {
        dl.diff {
            @for difference in differences.iter().take(SHOWN) {
                dt { code { (difference.path) } }
                @if let Some(before) = &difference.before { dd.before { del { (text(before)) } } }
                @if let Some(after) = &difference.after { dd.after { ins { (text(after)) } } }
            }
        }
        @if differences.len() > SHOWN { p.soft { (differences.len() - SHOWN) " more are left out." } }
    }
}

fn text(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_of_both_sides_is_text_and_long_values_are_cut() {
        let difference = Difference {
            path: ".spec[\"<b>\"]".to_owned(),
            before: Some(Value::String("<script>".repeat(200))),
            after: None,
        };
        let shown = list(&[difference]).into_string();
        assert!(!shown.contains("<script>") && !shown.contains("<b>"), "{shown}");
        assert!(shown.len() < 3_000 && !shown.contains("<ins>"), "{shown}");
    }
}
