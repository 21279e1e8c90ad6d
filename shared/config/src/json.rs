use serde_json::{Map, Number, Value};

use super::reader::Context;
use super::yaml::{Kind, Node, join_key};

/// A part of the configuration as JSON. A plain scalar without variables follows the core schema of YAML 1.2 (numbers, truth
/// values, null); any other is a text.
pub(super) fn to_json(context: &Context<'_>, node: &Node, path: &str) -> Option<Value> {
    match &node.kind {
        Kind::List(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(index, item)| to_json(context, item, &format!("{path}[{index}]")))
                .collect()
        }
        Kind::Map(entries) => {
            let entries = entries.iter().map(|entry| {
                let value = to_json(context, &entry.value, &join_key(path, &entry.key))?;
                Some((entry.key.clone(), value))
            });
            entries.collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        Kind::Scalar { text, plain } => {
            let scalar = context.scalar(node, path, "a value")?;
            Some(if *plain && scalar.text == *text {
                plain_json(node, text)
            } else {
                Value::String(scalar.text)
            })
        }
    }
}

fn plain_json(node: &Node, text: &str) -> Value {
    let number = || {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let looks_like_one = digits
            .trim_start_matches('-')
            .starts_with(|c: char| c.is_ascii_digit() || c == '.');
        let integer = digits
            .parse::<i64>()
            .map(Number::from)
            .or_else(|_| digits.parse::<u64>().map(Number::from));
        looks_like_one.then(|| integer.ok().or_else(|| digits.parse().ok().and_then(Number::from_f64)))?
    };
    match text {
        _ if node.is_null() => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number().map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}
