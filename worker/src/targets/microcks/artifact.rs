//! What an artifact is, found in its content as Microcks does it, and the file names under which artifacts are
//! uploaded.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::stamp::{Scalars, StampError};

/// What Microcks takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArtifactKind {
    /// OpenAPI 3 or Swagger 2.
    OpenApi,
    /// AsyncAPI 2 or 3.
    AsyncApi,
    /// `kind: APIMetadata`.
    ApiMetadata,
    /// `kind: APIExamples`.
    ApiExamples,
    /// A Postman collection.
    Postman,
    /// A SoapUI project.
    SoapUi,
    /// A GraphQL schema with a `# microcksId:` comment.
    GraphQl,
    /// An HTTP archive with a `microcksId:` comment.
    Har,
    /// A proto3 file.
    Protobuf,
}

/// A text that Microcks takes.
pub(super) struct Recognized<'t> {
    pub(super) kind: ArtifactKind,
    pub(super) text: &'t str,
    document: Option<Scalars<'t>>,
}

impl<'t> Recognized<'t> {
    /// Finds out what a text is; none: Microcks knows no such thing.
    #[must_use]
    pub(super) fn detect(text: &'t str) -> Option<Self> {
        let of_text = |kind| Self {
            kind,
            text,
            document: None,
        };
        let start = text.trim_start_matches('\u{feff}').trim_start();
        if start.starts_with('<') {
            return text.contains("soapui-project").then(|| of_text(ArtifactKind::SoapUi));
        }
        let line = |wanted: &dyn Fn(&str) -> bool| text.lines().map(str::trim).any(wanted);
        if line(&|line| line.starts_with("syntax") && line.contains("proto3")) {
            return Some(of_text(ArtifactKind::Protobuf));
        }
        if line(&|line| line.starts_with('#') && line.contains("microcksId:")) {
            return Some(of_text(ArtifactKind::GraphQl));
        }
        let document = Scalars::read(text).ok()?;
        Some(Self {
            kind: ArtifactKind::of_document(&document)?,
            text,
            document: Some(document),
        })
    }

    /// The values of a YAML or JSON document.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn document(&self) -> Result<&Scalars<'t>, StampError> {
        self.document.as_ref().ok_or_else(StampError::no_document)
    }
}

impl ArtifactKind {
    fn of_document(document: &Scalars<'_>) -> Option<Self> {
        let says = |path: &[&str]| document.get(path).unwrap_or_default();
        if document.has(&["openapi"]) || document.has(&["swagger"]) {
            Some(Self::OpenApi)
        } else if document.has(&["asyncapi"]) {
            Some(Self::AsyncApi)
        } else if says(&["kind"]) == "APIMetadata" {
            Some(Self::ApiMetadata)
        } else if says(&["kind"]) == "APIExamples" {
            Some(Self::ApiExamples)
        } else if document.has(&["info", "_postman_id"]) || says(&["info", "schema"]).contains("getpostman.com") {
            Some(Self::Postman)
        } else if document.has(&["log", "version"]) || document.has(&["log", "comment"]) {
            Some(Self::Har)
        } else {
            None
        }
    }

    /// Whether a service can be made of it alone.
    #[must_use]
    pub(super) fn can_be_main(self) -> bool {
        !matches!(self, Self::ApiMetadata | Self::ApiExamples)
    }
}

/// Names under which the artifacts at these paths are uploaded: Microcks replaces examples by the name of the file they
/// came in, so names are unique within a mock and the same every time.
#[must_use]
pub(super) fn file_names(paths: &[&str]) -> Vec<String> {
    let plain = |path: &str| -> String {
        let base = path.split(['?', '#']).next().unwrap_or_default();
        let base = base.rsplit('/').find(|part| !part.is_empty()).unwrap_or("artifact");
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        base.chars().map(|c| if allowed(c) { c } else { '-' }).collect()
    };
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for path in paths {
        let name = plain(path);
        if !seen.insert(name.clone()) {
            twice.insert(name);
        }
    }
    let hashed = |path: &str, name: &str| format!("{}-{name}", hex::encode(&Sha256::digest(path.as_bytes())[..4]));
    let mut used = BTreeSet::new();
    let unique = paths.iter().map(|path| {
        let plain = plain(path);
        let mut name = match twice.contains(&plain) {
            true => hashed(path, &plain),
            false => plain.clone(),
        };
        // Two files may have one path, which count from different folders.
        let mut number = 1;
        while !used.insert(name.clone()) {
            number += 1;
            name = hashed(&format!("{path}\n{number}"), &plain);
        }
        name
    });
    unique.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_what_its_content_says() {
        use ArtifactKind as Kind;
        for (text, kind) in [
            ("openapi: 3.1.0\ninfo: {title: a}\n", Some(Kind::OpenApi)),
            ("{\"swagger\":\"2.0\"}", Some(Kind::OpenApi)),
            ("asyncapi: 2.6.0\n", Some(Kind::AsyncApi)),
            (
                "apiVersion: mocks.microcks.io/v1alpha1\nkind: APIMetadata\n",
                Some(Kind::ApiMetadata),
            ),
            ("kind: APIExamples\n", Some(Kind::ApiExamples)),
            ("{\"info\":{\"_postman_id\":\"1\",\"name\":\"x\"}}", Some(Kind::Postman)),
            (
                "{\"info\":{\"schema\":\"https://schema.getpostman.com/json/collection/v2.1.0/collection.json\"}}",
                Some(Kind::Postman),
            ),
            (
                "<?xml version=\"1.0\"?>\n<con:soapui-project name=\"a\"/>",
                Some(Kind::SoapUi),
            ),
            ("# microcksId: Films : 1.0\ntype Query { a: Int }", Some(Kind::GraphQl)),
            ("syntax = \"proto3\";\npackage a.v1;", Some(Kind::Protobuf)),
            (
                "{\"log\":{\"version\":\"1.2\",\"comment\":\"microcksId: a : 1\"}}",
                Some(Kind::Har),
            ),
            ("hello: world\n", None),
            ("\t- broken: [", None),
        ] {
            let found = Recognized::detect(text).map(|found| found.kind);
            assert_eq!(found, kind, "{text}");
        }
    }

    #[test]
    fn two_artifacts_with_one_base_name_do_not_overwrite_each_other() {
        let names = file_names(&[
            "a/examples.yaml",
            "b/examples.yaml",
            "https://x.example/e f.yaml?ref=main",
        ]);
        assert_ne!(names[0], names[1]);
        assert!(names[0].ends_with("-examples.yaml"), "{names:?}");
        assert_eq!(names[2], "e-f.yaml");
        assert_eq!(
            file_names(&["b/examples.yaml", "a/examples.yaml"])[1],
            names[0],
            "the order changes no name"
        );
        let inline = file_names(&["definition.yaml", "definition.yaml", "b/definition.yaml"]);
        let unique: BTreeSet<&String> = inline.iter().collect();
        assert_eq!(unique.len(), 3, "{inline:?}");
        assert_eq!(
            inline[0],
            file_names(&["definition.yaml", "b/definition.yaml"])[0],
            "the name that it had"
        );
    }
}
