//! YAML documents as JSON texts. A file nested too deeply, or with more aliases than are sensible, is an error and no crash.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

/// Deeper files are refused. `serde_json` reads 128 levels.
const MAX_DEPTH: usize = 100;

/// The documents of a text; empty ones are left out.
///
/// # Errors
/// Says what is wrong and on which line.
pub(super) fn documents(text: &str) -> Result<Vec<String>, String> {
    check_depth(text)?;
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    let mut texts = Vec::with_capacity(documents.len());
    for (index, document) in documents.iter().enumerate() {
        let value = json(document).map_err(|why| format!("document {}: {why}", index + 1))?;
        if !value.is_null() {
            texts.push(value.to_string());
        }
    }
    Ok(texts)
}

/// The parser's events are flat; building the tree is not.
fn check_depth(text: &str) -> Result<(), String> {
    let mut depth = 0_usize;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!(
                "nested deeper than {MAX_DEPTH} levels at line {}",
                span.start.line()
            ));
        }
    }
    Ok(())
}

fn json(node: &Yaml<'_>) -> Result<Value, String> {
    match node {
        Yaml::Value(scalar) => scalar_json(scalar),
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Mapping(members) => {
            let mut object = Map::new();
            for (key, value) in members {
                let key = match json(key)? {
                    Value::String(text) => text,
                    Value::Null => "null".to_owned(),
                    key @ (Value::Bool(_) | Value::Number(_)) => key.to_string(),
                    _ => return Err("a key is neither a text nor a number".to_owned()),
                };
                object.insert(key, json(value)?);
            }
            Ok(Value::Object(object))
        }
        Yaml::Tagged(_, inner) => json(inner),
        Yaml::Representation(text, ..) => Ok(Value::from(text.as_ref())),
        Yaml::Alias(_) => Err("an alias has no anchor".to_owned()),
        Yaml::BadValue => Err("a value does not fit its tag".to_owned()),
    }
}

fn scalar_json(scalar: &Scalar<'_>) -> Result<Value, String> {
    Ok(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(flag) => Value::from(*flag),
        Scalar::Integer(number) => Value::from(*number),
        Scalar::FloatingPoint(number) => serde_json::Number::from_f64(number.into_inner())
            .map(Value::Number)
            .ok_or("JSON has no infinity and no NaN")?,
        Scalar::String(text) => Value::from(text.as_ref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_json() {
        let texts = documents("a: 1\nb: [x, 2.5, true, ~]\n---\n---\n? 7\n: &v {c: \"007\"}\nd: *v\n").unwrap();
        assert_eq!(
            texts,
            [
                r#"{"a":1,"b":["x",2.5,true,null]}"#,
                r#"{"7":{"c":"007"},"d":{"c":"007"}}"#
            ]
        );
    }

    #[test]
    fn a_broken_file_says_where() {
        let error = documents("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.contains("line"), "{error}");
        assert!(documents("a: .nan").is_err());
    }

    #[test]
    fn files_made_to_do_harm_are_errors() {
        for text in ["[".repeat(200_000), "- ".repeat(200_000), "{a: ".repeat(200_000)] {
            assert!(documents(&text).is_err());
        }
        let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..10 {
            let inner = vec![format!("*a{}", level - 1); 10].join(",");
            laughs.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        assert!(documents(&laughs).is_err());
    }
}
