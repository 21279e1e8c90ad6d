//! YAML as a tree that knows where each part stands. Made from the parser's events rather than by its loader, because here
//! nesting is limited, a scalar keeps its text (`1.10` is not 1.1), keys have places too, and all repeated keys are found.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::error::Location;

/// Nesting allowed.
const MAX_DEPTH: usize = 64;
/// Scalars, lists and mappings allowed, those that aliases repeat counted each time.
const MAX_NODES: usize = 200_000;
/// Bytes of all texts together, those that aliases repeat counted each time.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// A part of the document.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Location,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A text; plain: without quotes, so it may stand for a number, a truth value or nothing.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in order of the file.
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Location,
    pub(super) value: Node,
}

/// Something wrong with the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) at: Location,
    pub(super) path: String,
    pub(super) message: String,
}

impl Node {
    /// Nothing is given: an empty value, `~` or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The value of a key of a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The text of a single value.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// What a list has; nothing if it is none.
    pub(super) fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// What a mapping has; nothing if it is none.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// What it is, for people.
    pub(super) fn noun(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar { .. } if self.is_null() => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// How many values it has, and bytes of text.
    fn size(&self) -> (usize, usize) {
        let sum = |one: (usize, usize), other: (usize, usize)| (one.0 + other.0, one.1 + other.1);
        match &self.kind {
            Kind::Scalar { text, .. } => (1, text.len()),
            Kind::List(items) => items.iter().map(Self::size).fold((1, 0), sum),
            Kind::Map(entries) => entries
                .iter()
                .map(|entry| sum(entry.value.size(), (0, entry.key.len())))
                .fold((1, 0), sum),
        }
    }
}

/// `parent.key`, or `parent["key"]` if the key is not a plain word.
pub(super) fn join_key(parent: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match (plain, parent) {
        (true, "") => key.to_owned(),
        (true, _) => format!("{parent}.{key}"),
        (false, _) => format!("{parent}[{key:?}]"),
    }
}

/// Reads a document. None without problems: it is empty.
pub(super) fn parse(text: &str) -> (Option<Node>, Vec<Problem>) {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text.trim_start_matches('\u{feff}')) {
        let step = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(Problem {
                at: location(error.marker().line(), error.marker().col()),
                path: builder.path(),
                message: format!("not YAML: {}", error.info()),
            }),
        };
        if let Err(problem) = step {
            builder.problems.push(problem);
            return (None, builder.problems);
        }
    }
    (builder.document, builder.problems)
}

fn location(line: usize, column_from_0: usize) -> Location {
    Location {
        line: line.max(1),
        column: column_from_0.saturating_add(1),
    }
}

struct Frame {
    node: Node,
    anchor: usize,
    key: Option<(String, Location)>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Frame>,
    document: Option<Node>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    bytes: usize,
    problems: Vec<Problem>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let at = location(span.start.line(), span.start.col());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let text_tag = self.check_tag(tag.as_deref(), at)?;
                self.grow(at, 1, text.len())?;
                let kind = Kind::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain && !text_tag,
                };
                self.add(Node { at, kind }, anchor)
            }
            Event::SequenceStart(anchor, tag) => self.start(Kind::List(Vec::new()), anchor, tag.as_deref(), at),
            Event::MappingStart(anchor, tag) => self.start(Kind::Map(Vec::new()), anchor, tag.as_deref(), at),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(frame) => self.add(frame.node, frame.anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let Some((nodes, bytes)) = self.anchors.get(&anchor).map(Node::size) else {
                    return Err(self.problem(at, "an alias must not refer to a node that contains it"));
                };
                self.grow(at, nodes, bytes)?;
                match self.anchors.get(&anchor).cloned() {
                    Some(node) => self.add(Node { at, ..node }, 0),
                    None => Ok(()),
                }
            }
            Event::DocumentStart(_) if self.document.is_some() => {
                Err(self.problem(at, "only one YAML document is allowed; another one starts here"))
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, kind: Kind, anchor: usize, tag: Option<&Tag>, at: Location) -> Result<(), Problem> {
        self.check_tag(tag, at)?;
        self.grow(at, 1, 0)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(self.problem(at, &format!("nested deeper than {MAX_DEPTH} levels")));
        }
        if self.waits_for_a_key() {
            return Err(self.problem(at, "a key must be a single value"));
        }
        self.open.push(Frame {
            node: Node { at, kind },
            anchor,
            key: None,
        });
        Ok(())
    }

    /// Counts what is about to be added.
    fn grow(&mut self, at: Location, nodes: usize, bytes: usize) -> Result<(), Problem> {
        self.nodes += nodes;
        self.bytes += bytes;
        if self.nodes > MAX_NODES {
            return Err(self.problem(at, &format!("more than {MAX_NODES} values, aliases counted each time")));
        }
        if self.bytes > MAX_BYTES {
            let why = format!("more than {MAX_BYTES} bytes of text, aliases counted each time");
            return Err(self.problem(at, &why));
        }
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let path = self.path();
        let Some(frame) = self.open.last_mut() else {
            self.document = Some(node);
            return Ok(());
        };
        match &mut frame.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries) => match (frame.key.take(), node.kind) {
                (None, Kind::Scalar { text, .. }) => {
                    if let Some(first) = entries.iter().find(|entry| entry.key == text) {
                        self.problems.push(Problem {
                            at: node.at,
                            path: join_key(&path, &text),
                            message: format!("given twice; first in line {}", first.key_at.line),
                        });
                    }
                    frame.key = Some((text, node.at));
                }
                (None, _) => return Err(self.problem(node.at, "a key must be a single value")),
                (Some((key, key_at)), kind) => entries.push(Entry {
                    key,
                    key_at,
                    value: Node { at: node.at, kind },
                }),
            },
            Kind::Scalar { .. } => {}
        }
        Ok(())
    }

    fn waits_for_a_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Frame {
                node: Node { kind: Kind::Map(_), .. },
                key: None,
                ..
            })
        )
    }

    /// Whether the tag makes a text of it.
    fn check_tag(&self, tag: Option<&Tag>, at: Location) -> Result<bool, Problem> {
        match tag {
            None => Ok(false),
            Some(tag) if tag.is_yaml_core_schema() => Ok(tag.suffix == "str"),
            // `! text`: the tag that only says "not a number".
            Some(tag) if tag.suffix.is_empty() || tag.suffix == "!" => Ok(true),
            Some(tag) => Err(self.problem(at, &format!("the tag {tag} is not supported"))),
        }
    }

    fn problem(&self, at: Location, message: &str) -> Problem {
        Problem {
            at,
            path: self.path(),
            message: message.to_owned(),
        }
    }

    /// The path of the value that comes next.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.open {
            match (&frame.node.kind, &frame.key) {
                (Kind::List(items), _) => path.push_str(&format!("[{}]", items.len())),
                (_, Some((key, _))) => path = join_key(&path, key),
                _ => {}
            }
        }
        path
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
