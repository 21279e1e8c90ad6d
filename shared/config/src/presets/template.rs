//! The language of presets: YAML in which `<<…>>` stands for parameters.
//!
//! | Where | What | Meaning |
//! |---|---|---|
//! | in a text | `<<NAME>>` | the value, of a parameter whose values may stand in a path |
//! | in a text | `<<json NAME>>` | the value as JSON: a text or list in a jq expression |
//! | as a whole value | `<<NAME>>` | the value: a list becomes a list |
//! | as a key of a mapping | `<<if>>: CONDITION` | the mapping is left out unless the condition holds |
//!
//! Conditions: `NAME` (given, and neither false nor an empty list), `NAME has WORD`, `NAME is WORD`; `not` before any of them;
//! several are joined by `and`.

use super::super::yaml::{Entry, Kind, Node};
use super::parameters::{Value, Values};

const IF: &str = "<<if>>";

/// The node with its places filled; none: its condition does not hold.
pub(super) fn fill(node: &Node, values: &Values) -> Option<Node> {
    let kind = match &node.kind {
        Kind::Scalar { text, plain } => fill_text(text, *plain, node, values),
        Kind::List(items) => Kind::List(items.iter().filter_map(|item| fill(item, values)).collect()),
        Kind::Map(entries) => {
            let condition = node.get(IF).and_then(Node::text);
            if condition.is_some_and(|condition| !holds(condition, values)) {
                return None;
            }
            let entries = entries.iter().filter(|entry| entry.key != IF).filter_map(|entry| {
                Some(Entry {
                    value: fill(&entry.value, values)?,
                    ..entry.clone()
                })
            });
            Kind::Map(entries.collect())
        }
    };
    Some(Node { at: node.at, kind })
}

fn fill_text(text: &str, plain: bool, node: &Node, values: &Values) -> Kind {
    let whole = text.strip_prefix("<<").and_then(|rest| rest.strip_suffix(">>"));
    if let Some(Value::List(items)) = whole.and_then(|name| values.get(name)) {
        let items = items.iter().map(|item| Node {
            at: node.at,
            kind: quoted(escape(item)),
        });
        return Kind::List(items.collect());
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<<") {
        let Some((place, tail)) = after.split_once(">>") else {
            break;
        };
        out.push_str(before);
        let (name, json) = match place.strip_prefix("json ") {
            Some(name) => (name, true),
            None => (place, false),
        };
        match values.get(name) {
            Some(value) if json => out.push_str(&escape(&value.json())),
            Some(Value::Text(value)) => out.push_str(&escape(value)),
            Some(Value::Flag(flag)) => out.push_str(&flag.to_string()),
            Some(Value::List(_)) => {}
            None if json => out.push_str("null"),
            None => {}
        }
        rest = tail;
    }
    out.push_str(rest);
    // What a parameter says stays a text; a flag does not.
    let plain = plain && (out == text || out == "true" || out == "false");
    Kind::Scalar { text: out, plain }
}

fn quoted(text: String) -> Kind {
    Kind::Scalar { text, plain: false }
}

/// Variables were filled in already: what came of them is not looked at again. Where they were not, so that a person can copy
/// them, they are marked (see `show.rs`).
fn escape(text: &str) -> String {
    text.replace("${", "$${").replace(super::show::VARIABLE, "${")
}

fn holds(condition: &str, values: &Values) -> bool {
    condition.split(" and ").all(|one| {
        let one = one.trim();
        match one.strip_prefix("not ") {
            Some(inner) => !is_true(inner, values),
            None => is_true(one, values),
        }
    })
}

fn is_true(condition: &str, values: &Values) -> bool {
    let words: Vec<&str> = condition.split_whitespace().collect();
    match (words.as_slice(), words.first().and_then(|name| values.get(*name))) {
        ([_, "has", word], Some(Value::List(texts))) => texts.iter().any(|text| text == word),
        ([_, "is", word], Some(Value::Text(text))) => text == word,
        ([_], Some(Value::Flag(flag))) => *flag,
        ([_], Some(Value::List(texts))) => !texts.is_empty(),
        ([_], Some(Value::Text(_))) => true,
        _ => false,
    }
}
