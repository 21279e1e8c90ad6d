//! References as sources write them. They are compared without case, as Backstage compares them (`stringifyEntityRef`),
//! so the stored reference is lower-case; the stored body keeps what the source wrote.

use std::borrow::Cow;

use serde::Deserialize;

use crate::words::EntityRef;

#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Option<Cow<'a, str>>,
}

/// The reference with namespace and name as a body of Backstage's shape has them; none: the body is of another shape,
/// has another reference, or there is no upper case in them. Kinds stay lower-case: their case is convention.
#[must_use]
pub fn written_ref(reference: &EntityRef, body: &str) -> Option<String> {
    let outline: Outline<'_> = serde_json::from_str(body).ok()?;
    let Metadata { name, namespace } = outline.metadata;
    let namespace = namespace.unwrap_or(Cow::Borrowed("default"));
    reference.as_written(&outline.kind, &namespace, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reference: &str, body: &str) -> Option<String> {
        written_ref(&reference.parse().unwrap(), body)
    }

    #[test]
    fn a_reference_is_written_as_its_body_has_it() {
        let body = r#"{"apiVersion":"v1","kind":"API","metadata":{"name":"Orders","namespace":"Shop","tags":["x"]},"spec":{"kind":"no"}}"#;
        assert_eq!(written("api:shop/orders", body).as_deref(), Some("api:Shop/Orders"));
        let body = r#"{"kind":"component","metadata":{"name":"\u0057eb"}}"#;
        assert_eq!(
            written("component:default/web", body).as_deref(),
            Some("component:default/Web")
        );
        let body = r#"{"kind":"npm","metadata":{"name":"@Babel/Core"}}"#;
        assert_eq!(
            written("npm:default/@babel%2fcore", body).as_deref(),
            Some("npm:default/@Babel%2FCore")
        );
    }

    #[test]
    fn what_says_nothing_of_its_case_is_none() {
        for body in [
            r#"{"kind":"Component","metadata":{"name":"web"}}"#,
            r#"{"kind":"Component","metadata":{"name":"other"}}"#,
            r#"{"kind":"Component","metadata":{"name":"w/eb"}}"#,
            r#"{"kind":7,"metadata":{"name":"Web"}}"#,
            r#"{"name":"Web"}"#,
            "[1]",
            "no JSON",
        ] {
            assert_eq!(written("component:default/web", body), None, "{body}");
        }
    }
}
