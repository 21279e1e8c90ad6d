//! Definitions that are in another file than the entity (`spec.definition: { $text: ./openapi.yaml }`), and what of
//! them readers of the catalog can be shown in place.

use serde_json::Value;

use crate::sources::files::yaml;

/// Backstage's placeholders for definitions. Source: Backstage, "Substitutions In The Descriptor Format", and the
/// documentation of its module for OpenAPI.
const PLACEHOLDERS: [&str; 5] = ["$text", "$yaml", "$json", "$openapi", "$asyncapi"];
/// Of those, the ones whose readers expect references to other files to be resolved.
const BUNDLED: [&str; 2] = ["$openapi", "$asyncapi"];

/// The parsed form of a definition may be longer than its text, by aliases.
const MAX_GROWTH: u64 = 4;

/// Where an entity's definition is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Definition {
    /// In the entity, or nowhere.
    #[default]
    Own,
    /// In another file, which has this text.
    Elsewhere(String),
    /// In another file that cannot be read now, or that cannot be shown without further ones.
    Unknown,
}

/// The placeholder of a definition, and the file that it names.
pub(super) fn placeholder(definition: &Value) -> Option<(&'static str, &str)> {
    let named = |key: &&'static str| Some((*key, definition[*key].as_str()?));
    PLACEHOLDERS.iter().find_map(named)
}

/// Whether readers of the placeholder can be shown the text in its place: it needs no other file.
pub(super) fn stands_alone(placeholder: &str, text: &str) -> bool {
    if !BUNDLED.contains(&placeholder) {
        return true;
    }
    let limit = (text.len() as u64).saturating_mul(MAX_GROWTH).max(1 << 16);
    let documents = yaml::documents(text.as_bytes(), limit);
    let [Ok(document)] = documents.as_slice() else {
        return false;
    };
    serde_json::from_str(document).is_ok_and(|document| refers_to_itself_only(&document))
}

fn refers_to_itself_only(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            let own = members
                .get("$ref")
                .and_then(Value::as_str)
                .is_none_or(|to| to.starts_with('#'));
            own && members.values().all(refers_to_itself_only)
        }
        Value::Array(items) => items.iter().all(refers_to_itself_only),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_that_refers_to_other_files_does_not_stand_alone_where_references_are_expected_to_be_resolved() {
        let alone = "openapi: 3.0.0\npaths: { /a: { $ref: '#/components/x' } }\n";
        let with_others = "openapi: 3.0.0\npaths: { /a: { $ref: ./a.yaml } }\n";
        for (key, text, expected) in [
            ("$openapi", alone, true),
            ("$openapi", with_others, false),
            ("$asyncapi", "asyncapi: [\n", false),
            ("$text", with_others, true),
            ("$text", "type Query { a: Int }\n", true),
        ] {
            assert_eq!(stands_alone(key, text), expected, "{key} {text}");
        }
        assert_eq!(
            placeholder(&json!({ "$openapi": "./x.yaml" })),
            Some(("$openapi", "./x.yaml"))
        );
        assert_eq!(placeholder(&json!("openapi: 3.0.0")), None);
    }
}
