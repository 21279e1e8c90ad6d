//! Gives an artifact the name and version of a mock, in place: only the spans of those values are replaced, so that
//! comments, order, quoting and numbers of the rest stay exactly as its author wrote them.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{ArtifactKind, Recognized};

/// Deeper documents are refused.
const MAX_DEPTH: usize = 100;

/// Whose artifact it shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity<'a> {
    /// Of the service: the entity's name.
    pub(super) name: &'a str,
    /// See [`owned_version`](super::owned_version).
    pub(super) version: &'a str,
}

/// Why an artifact cannot get an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct StampError(String);

impl StampError {
    pub(super) fn no_document() -> Self {
        Self("is neither YAML nor JSON".to_owned())
    }
}

fn wrong<T>(problem: impl Into<String>) -> Result<T, StampError> {
    Err(StampError(problem.into()))
}

/// The artifact with this identity.
///
/// # Errors
/// It cannot be parsed, or has no place for a name or a version.
pub(super) fn stamp(artifact: &Recognized<'_>, identity: Identity<'_>) -> Result<String, StampError> {
    match artifact.kind {
        ArtifactKind::OpenApi | ArtifactKind::AsyncApi => artifact.document()?.replace(&[
            (&["info", "title"], identity.name),
            (&["info", "version"], identity.version),
        ]),
        ArtifactKind::ApiMetadata | ArtifactKind::ApiExamples => artifact.document()?.replace(&[
            (&["metadata", "name"], identity.name),
            (&["metadata", "version"], identity.version),
        ]),
        ArtifactKind::Postman => postman(artifact.document()?, identity),
        ArtifactKind::GraphQl => comment(artifact.text, identity),
        ArtifactKind::Har => har(artifact.document()?, identity),
        ArtifactKind::SoapUi => soap_ui(artifact.text, identity),
        ArtifactKind::Protobuf => wrong(
            "a protobuf file has no name and version of its own (Microcks takes them from its package), so its mocks \
             cannot be told apart; use another kind of artifact",
        ),
    }
}

/// Microcks takes `info.version`, or `version=…` in `info.description`.
fn postman(document: &Scalars<'_>, identity: Identity<'_>) -> Result<String, StampError> {
    const NAME: &[&str] = &["info", "name"];
    if document.has(&["info", "version"]) {
        return document.replace(&[(NAME, identity.name), (&["info", "version"], identity.version)]);
    }
    let description = document.get(&["info", "description"]).unwrap_or_default();
    let Some((before, rest)) = description.split_once("version=") else {
        return wrong("the Postman collection needs info.version, or version=… in info.description");
    };
    let after = rest.split_once(' ').map_or("", |(_, after)| after);
    let description = format!("{before}version={} {after}", identity.version);
    document.replace(&[(NAME, identity.name), (&["info", "description"], &description)])
}

fn microcks_id(identity: Identity<'_>) -> String {
    format!("microcksId: {} : {}", identity.name, identity.version)
}

/// `# microcksId: name : version`.
fn comment(text: &str, identity: Identity<'_>) -> Result<String, StampError> {
    if identity.name.contains(" : ") || identity.name.contains('\n') {
        return wrong("a name with \" : \" in it cannot stand in a microcksId comment");
    }
    let mut found = false;
    // All of them: which one counts is up to Microcks.
    let lines = text.split_inclusive('\n').map(|line| {
        if line.trim_start().starts_with('#') && line.contains("microcksId:") {
            found = true;
            let end = if line.ends_with("\r\n") {
                "\r\n"
            } else if line.ends_with('\n') {
                "\n"
            } else {
                ""
            };
            return format!("# {}{end}", microcks_id(identity));
        }
        line.to_owned()
    });
    let stamped: String = lines.collect();
    if found {
        Ok(stamped)
    } else {
        wrong("a GraphQL schema needs a comment # microcksId: name : version")
    }
}

fn har(document: &Scalars<'_>, identity: Identity<'_>) -> Result<String, StampError> {
    const COMMENT: &[&str] = &["log", "comment"];
    if !document.get(COMMENT).unwrap_or_default().contains("microcksId:") {
        return wrong("an HTTP archive needs a comment (log.comment) microcksId: name : version");
    }
    document.replace(&[(COMMENT, &microcks_id(identity))])
}

/// Microcks takes the name of the mock service, and the version from the mock service's own properties. Source:
/// Microcks' documentation, "SoapUI Mocks".
fn soap_ui(text: &str, identity: Identity<'_>) -> Result<String, StampError> {
    let document = roxmltree::Document::parse(text)
        .map_err(|error| StampError(format!("the SoapUI project is not XML: {error}")))?;
    let service = mock_service(&document)?;
    let Some(name) = service.attribute_node("name") else {
        return wrong("the mock service of the SoapUI project has no name");
    };
    let mut edits = vec![(name.range_value(), escape_xml(identity.name))];
    for value in versions(service) {
        let (Some(first), Some(last)) = (value.first_child(), value.last_child()) else {
            return wrong("the property version of the SoapUI project's mock service has no value");
        };
        edits.push((first.range().start..last.range().end, escape_xml(identity.version)));
    }
    if edits.len() == 1 {
        return wrong(
            "the mock service of the SoapUI project needs a custom property named version, of its own: that of the \
             project does not count",
        );
    }
    let stamped = splice(text, edits);
    if has_identity(&stamped, identity) {
        Ok(stamped)
    } else {
        wrong("the mock service of the SoapUI project cannot be renamed; write its name and version as plain texts")
    }
}

fn mock_service<'a, 'i>(document: &'a roxmltree::Document<'i>) -> Result<roxmltree::Node<'a, 'i>, StampError> {
    let is_service = |node: &roxmltree::Node<'_, '_>| {
        let name = node.tag_name().name();
        node.is_element() && matches!(name, "mockService" | "restMockService")
    };
    let mut services = document.root_element().descendants().filter(is_service);
    match (services.next(), services.count()) {
        (Some(service), 0) => Ok(service),
        (None, _) => wrong("the SoapUI project has no mock service, of which Microcks makes a service"),
        (Some(_), others) => wrong(format!(
            "the SoapUI project has {} mock services; a mock is made of one, so move each into a project of its own",
            others + 1
        )),
    }
}

/// The values of a mock service's properties named `version`.
fn versions<'a, 'i>(service: roxmltree::Node<'a, 'i>) -> impl Iterator<Item = roxmltree::Node<'a, 'i>> {
    service
        .children()
        .filter(|node| node.tag_name().name() == "properties")
        .flat_map(|properties| properties.children())
        .filter(|node| node.tag_name().name() == "property")
        .filter(|node| child_named(*node, "name").and_then(|name| name.text()).map(str::trim) == Some("version"))
        .filter_map(|property| child_named(property, "value"))
}

fn has_identity(stamped: &str, identity: Identity<'_>) -> bool {
    let Ok(document) = roxmltree::Document::parse(stamped) else {
        return false;
    };
    let Ok(service) = mock_service(&document) else {
        return false;
    };
    service.attribute("name") == Some(identity.name)
        && versions(service).all(|value| value.text() == Some(identity.version))
}

fn child_named<'a, 'i>(node: roxmltree::Node<'a, 'i>, name: &str) -> Option<roxmltree::Node<'a, 'i>> {
    node.children().find(|child| child.tag_name().name() == name)
}

fn escape_xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The text with each of these ranges (in bytes, none inside of another) replaced.
fn splice(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut spliced = String::with_capacity(text.len() + 128);
    let mut at = 0;
    for (range, replacement) in edits {
        spliced.push_str(&text[at..range.start]);
        spliced.push_str(&replacement);
        at = range.end;
    }
    spliced.push_str(&text[at..]);
    spliced
}

/// The single values of a YAML or JSON document that stand one or two keys deep, with their places in the text.
pub(super) struct Scalars<'t> {
    text: &'t str,
    found: Vec<Found>,
}

struct Found {
    path: Vec<String>,
    value: Content,
}

enum Content {
    /// Its text and its place, in bytes.
    Scalar(String, Range<usize>),
    /// An alias, or a value that others are aliases of.
    Shared,
    /// A mapping or a list.
    Inner,
}

/// An open mapping or list.
struct Frame {
    mapping: bool,
    /// The key whose value is awaited, and where it ends, in bytes.
    key: Option<(String, usize)>,
}

impl<'t> Scalars<'t> {
    pub(super) fn read(text: &'t str) -> Result<Self, StampError> {
        // Positions of the parser count characters.
        let mut bytes: Vec<usize> = text.char_indices().map(|(byte, _)| byte).collect();
        bytes.push(text.len());
        let mut scalars = Self {
            text,
            found: Vec::new(),
        };
        let mut frames: Vec<Frame> = Vec::new();
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| StampError(format!("is neither YAML nor JSON: {error}")))?;
            let range = || {
                let at = |index: usize| bytes.get(index).copied().unwrap_or(text.len());
                at(span.start.index())..at(span.end.index())
            };
            match event {
                Event::Scalar(value, style, anchor, _) => {
                    let end = range().end;
                    let after_key = frames
                        .last()
                        .and_then(|frame| frame.key.as_ref())
                        .map_or(0, |(_, end)| *end);
                    let range = trimmed(text, range(), style, after_key);
                    let content = if anchor == 0 {
                        Content::Scalar(value.clone().into_owned(), range)
                    } else {
                        Content::Shared
                    };
                    scalars.take(&mut frames, Some((&value, end)), content);
                }
                Event::Alias(_) => scalars.take(&mut frames, None, Content::Shared),
                Event::MappingStart(..) | Event::SequenceStart(..) => {
                    if frames.len() >= MAX_DEPTH {
                        return wrong(format!("is nested deeper than {MAX_DEPTH} levels"));
                    }
                    let mapping = matches!(event, Event::MappingStart(..));
                    scalars.open(&frames);
                    frames.push(Frame { mapping, key: None });
                }
                Event::MappingEnd | Event::SequenceEnd => {
                    frames.pop();
                    if let Some(frame) = frames.last_mut() {
                        frame.key = None;
                    }
                }
                Event::DocumentEnd => break,
                _ => {}
            }
        }
        Ok(scalars)
    }

    /// A key, or the value of one.
    fn take(&mut self, frames: &mut [Frame], scalar: Option<(&str, usize)>, content: Content) {
        let Some(frame) = frames.last_mut().filter(|frame| frame.mapping) else {
            return;
        };
        if frame.key.is_none() {
            frame.key = Some(scalar.map_or((String::new(), 0), |(text, end)| (text.to_owned(), end)));
            return;
        }
        self.note(frames, content);
        if let Some(frame) = frames.last_mut() {
            frame.key = None;
        }
    }

    fn open(&mut self, frames: &[Frame]) {
        self.note(frames, Content::Inner);
    }

    fn note(&mut self, frames: &[Frame], value: Content) {
        if frames.len() > 2 || !frames.iter().all(|frame| frame.mapping && frame.key.is_some()) || frames.is_empty() {
            return;
        }
        let path = frames
            .iter()
            .filter_map(|frame| frame.key.as_ref().map(|(key, _)| key.clone()))
            .collect();
        self.found.push(Found { path, value });
    }

    fn find<'s>(&'s self, path: &'s [&str]) -> impl Iterator<Item = &'s Content> {
        let wanted = move |found: &&Found| found.path.iter().map(String::as_str).eq(path.iter().copied());
        self.found.iter().filter(wanted).map(|found| &found.value)
    }

    pub(super) fn has(&self, path: &[&str]) -> bool {
        self.find(path).next().is_some()
    }

    /// The text of a single value; of a key that stands twice, the last one's, as most parsers have it.
    pub(super) fn get(&self, path: &[&str]) -> Option<&str> {
        let texts = self
            .found
            .iter()
            .rev()
            .filter(|found| found.path.iter().map(String::as_str).eq(path.iter().copied()));
        texts.into_iter().find_map(|found| match &found.value {
            Content::Scalar(text, _) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The text with these values in double quotes, which mean the same in JSON and YAML.
    fn replace(&self, edits: &[(&[&str], &str)]) -> Result<String, StampError> {
        let mut spans = Vec::new();
        for (path, value) in edits {
            let name = path.join(".");
            let before = spans.len();
            for content in self.find(path) {
                match content {
                    Content::Scalar(_, range) => {
                        spans.push((range.clone(), serde_json::Value::from(*value).to_string()));
                    }
                    Content::Shared => {
                        return wrong(format!("{name} is an alias or has an anchor; write its value itself"));
                    }
                    Content::Inner => return wrong(format!("{name} must be a single value")),
                }
            }
            if spans.len() == before {
                return wrong(format!("has no {name}"));
            }
        }
        Ok(splice(self.text, spans))
    }
}

/// The place of a value as its author wrote it: without the white space and comment lines that the parser counts to it,
/// and with the indicator of a block scalar, which stands somewhere after the key.
fn trimmed(text: &str, range: Range<usize>, style: ScalarStyle, after_key: usize) -> Range<usize> {
    let indicator = match style {
        ScalarStyle::Literal => '|',
        ScalarStyle::Folded => '>',
        _ => {
            let value = &text[range.clone()];
            return range.start..range.start + value.trim_end().len();
        }
    };
    let before = text.get(after_key..range.start).unwrap_or_default();
    let start = before.find(indicator).map_or(range.start, |at| after_key + at);
    start..start + text[start..range.end].trim_end().len()
}

#[cfg(test)]
#[path = "stamp_tests.rs"]
mod tests;
