//! JSON as a collapsible tree, without script. Numbers keep their digits: values are parsed as texts. The tree is
//! bounded, however large the value.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::value::RawValue;

use super::format::bytes;

/// Values shown of one tree.
const MAX_VALUES: usize = 2_000;

/// Characters shown of one text.
const MAX_TEXT: usize = 4_000;

/// Levels that are open from the start.
const OPEN: usize = 2;

/// Levels shown; deeper ones are shown as text.
const MAX_DEPTH: usize = 40;

/// The tree of a value.
pub(super) fn tree(value: &RawValue) -> Markup {
    let mut left = MAX_VALUES;
    html! {
        div.json { (node(None, value, 0, &mut left)) }
        @if left == 0 {
            p.soft { "Only the first " (MAX_VALUES) " values are shown of " (bytes(value.get().len() as u64)) "." }
        }
    }
}

/// A value with its key, which is part of the fold's summary.
fn node(key: Option<&str>, value: &RawValue, depth: usize, left: &mut usize) -> Markup {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') if depth < MAX_DEPTH => match serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
            Ok(fields) => {
                let count = fields.len();
                let fields = fields.iter().map(|(key, value)| (Some(key.as_str()), *value));
                branch(key, ["{", "}"], count, fields, depth, left)
            }
            Err(_) => leaf(key, text),
        },
        Some(b'[') if depth < MAX_DEPTH => match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(items) => branch(
                key,
                ["[", "]"],
                items.len(),
                items.iter().map(|item| (None, *item)),
                depth,
                left,
            ),
            Err(_) => leaf(key, text),
        },
        _ => leaf(key, text),
    }
}

fn named(key: Option<&str>) -> Markup {
    html! { @if let Some(key) = key { span.key { (key) } ": " } }
}

fn branch<'a>(
    key: Option<&str>,
    [begin, end]: [&str; 2],
    count: usize,
    values: impl Iterator<Item = (Option<&'a str>, &'a RawValue)>,
    depth: usize,
    left: &mut usize,
) -> Markup {
    if count == 0 {
        return html! { (named(key)) (begin) (end) };
    }
    let mut shown = Vec::new();
    for (key, value) in values {
        if *left == 0 {
            break;
        }
        *left -= 1;
        shown.push(node(key, value, depth + 1, left));
    }
    html! {
        details open[depth < OPEN] {
            summary { (named(key)) (begin) span.soft { " " (count) " " (end) } }
            ul {
                @for value in &shown { li { (value) } }
                @if shown.len() < count { li.soft { "…" } }
            }
        }
    }
}

fn leaf(key: Option<&str>, text: &str) -> Markup {
    let string = serde_json::from_str::<String>(text).ok();
    let shown = string.as_deref().unwrap_or(text);
    let (cut, more) = match shown.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => (shown.get(..end).unwrap_or_default(), true),
        None => (shown, false),
    };
    html! {
        (named(key))
        @if string.is_some() { span.text { (cut) } } @else { code { (cut) } }
        @if more { span.soft { " … " (bytes(shown.len() as u64)) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> String {
        tree(&RawValue::from_string(json.to_owned()).unwrap()).into_string()
    }

    #[test]
    fn markup_is_text_and_numbers_keep_their_digits() {
        let shown = shown(r#"{"<b>": "<script>alert(1)</script>", "n": 12345678901234567890123.10}"#);
        assert!(!shown.contains("<script>") && !shown.contains("<b>"), "{shown}");
        assert!(shown.contains("12345678901234567890123.10"), "{shown}");
    }

    #[test]
    fn a_tree_is_bounded_however_large_the_value_is() {
        let many = format!("[{}1]", "1,".repeat(100_000));
        assert!(shown(&many).len() < 200_000);
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(shown(&deep).len() < 20_000);
        let long = format!("\"{}\"", "x".repeat(1_000_000));
        assert!(shown(&long).len() < 10_000);
    }
}
