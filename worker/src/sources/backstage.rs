//! The reference of a Backstage-like object (`kind`, `metadata.name`, `metadata.namespace`), read from its JSON text
//! without building a tree. Source: Backstage, "Descriptor Format of Catalog Entities", Overall Shape.

use serde::Deserialize;
use tideline_core::words::EntityRef;

use super::text::Text;

#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
}

/// The reference; the namespace is `default` if none is given.
///
/// # Errors
/// Says what is missing or wrong.
pub(super) fn reference(text: &str) -> Result<EntityRef, String> {
    let outline: Outline<'_> = serde_json::from_str(text)
        .map_err(|error| format!("not an object with kind, metadata.name and metadata.namespace: {error}"))?;
    let Some(kind) = outline.kind else {
        return Err("it has no kind; set its reference with entity: {kind, namespace, name}".to_owned());
    };
    let metadata = outline.metadata.ok_or("it has no metadata")?;
    let name = metadata.name.ok_or("it has no metadata.name")?;
    let namespace = metadata
        .namespace
        .as_ref()
        .map_or("default", |namespace| namespace.0.as_ref());
    EntityRef::encode(&kind.0, namespace, &name.0).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_read_past_everything_else() {
        let text = r#"{"apiVersion":"a/v1","spec":{"kind":"no"},"metadata":{"tags":["x"],"name":"We\u0062","namespace":null},"kind":"Component"}"#;
        assert_eq!(reference(text).unwrap().as_str(), "component:default/web");
        let text = r#"{"kind":"API","metadata":{"namespace":"n","name":"x"}}"#;
        assert_eq!(reference(text).unwrap().as_str(), "api:n/x");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, missing) in [
            ("{}", "kind"),
            (r#"{"kind":"A"}"#, "metadata"),
            (r#"{"kind":"A","metadata":{}}"#, "metadata.name"),
            (r#"{"kind":"A","metadata":{"name":""}}"#, "name"),
            (r#"{"kind":7,"metadata":{"name":"a"}}"#, "kind"),
            ("[]", "object"),
            ("7", "object"),
        ] {
            let error = reference(text).unwrap_err();
            assert!(error.contains(missing), "{text}: {error}");
        }
    }
}
