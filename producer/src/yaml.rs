//! JSON as the YAML that people write.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use saphyr::{Scalar, ScalarStyle, Yaml, YamlEmitter};
use serde_json::value::RawValue;

/// Why a text cannot be written as YAML.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// It is not JSON.
    #[error("the text is not JSON")]
    Read(#[from] serde_json::Error),
    /// It cannot be written.
    #[error("the document cannot be written")]
    Write(#[from] saphyr::EmitError),
    /// It cannot be written.
    #[error("the text cannot be written")]
    Format(#[from] std::fmt::Error),
}

/// A body as a YAML document, without the line break at its end. Numbers keep all their digits.
///
/// # Errors
/// It is not JSON.
pub fn document(json: &str) -> Result<String, YamlError> {
    let mut text = String::new();
    YamlEmitter::new(&mut text).dump(&node(serde_json::from_str(json)?)?)?;
    writeln!(text)?;
    text.truncate(text.trim_end().len());
    Ok(text)
}

fn node(json: &RawValue) -> Result<Yaml<'static>, serde_json::Error> {
    let text = json.get();
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            let members = members
                .into_iter()
                .map(|(name, value)| Ok((string(name), node(value)?)));
            Yaml::Mapping(members.collect::<Result<_, serde_json::Error>>()?)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            Yaml::Sequence(items.into_iter().map(node).collect::<Result<_, _>>()?)
        }
        Some(b'"') => string(serde_json::from_str(text)?),
        _ => Yaml::Representation(Cow::Owned(text.to_owned()), ScalarStyle::Plain, None),
    })
}

/// The emitter quotes what YAML 1.2 would take for something else. Dates, `1_000` and line breaks such as U+2028 are what YAML 1.1
/// takes for more than text.
fn string(text: String) -> Yaml<'static> {
    let has_breaks = text.contains(['\u{85}', '\u{2028}', '\u{2029}']);
    let begins_like_a_number = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    let is_like_a_number = |c: char| c.is_ascii_hexdigit() || "_+-.:xoTtZz ".contains(c);
    let is_plain = !(has_breaks || begins_like_a_number && text.chars().all(is_like_a_number));
    if is_plain {
        return Yaml::Value(Scalar::String(Cow::Owned(text)));
    }
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
    let inner = inner.replace('\u{85}', "\\u0085").replace('\u{2028}', "\\u2028");
    let inner = inner.replace('\u{2029}', "\\u2029");
    Yaml::Representation(Cow::Owned(inner), ScalarStyle::DoubleQuoted, None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use saphyr::LoadableYamlNode as _;

    use super::*;

    #[test]
    fn a_body_reads_back_from_its_yaml_as_it_was() {
        let body = r#"{"a":[],"b":{},"kind":"Component","metadata":{"name":"web","on":"yes","version":"1.10"},"n":null,
            "spec":{"2020-01-01":"2021-02-03","lines":"a\nb","list":[{"x":true},[1,-2.5]],"n":1,"quote":"1\"2","s":"1_000",
            "tags":["a","b"],"u":"x\u2028y\u0085z"}}"#;
        let text = document(body).unwrap();
        assert!(text.starts_with("---\na: []\n"), "{text}");
        assert!(text.contains("\nkind: Component\n"), "{text}");
        assert_eq!(Yaml::load_from_str(&text).unwrap(), Yaml::load_from_str(body).unwrap());
        for quoted in [
            "\"2020-01-01\": \"2021-02-03\"",
            "s: \"1_000\"",
            "u: \"x\\u2028y\\u0085z\"",
        ] {
            assert!(text.contains(quoted), "{quoted} is something else in YAML 1.1: {text}");
        }
    }

    #[test]
    fn numbers_keep_all_their_digits() {
        for number in [
            "12345678901234567890123456789",
            "18446744073709551615",
            "1e400",
            "0.10000000000000000555",
        ] {
            assert_eq!(
                document(&format!(r#"{{"n":{number}}}"#)).unwrap(),
                format!("---\nn: {number}")
            );
        }
    }
}
