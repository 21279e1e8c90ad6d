//! Parameters of presets: how they are declared in a preset's file, and read from a user's source.

use std::collections::BTreeMap;

use super::super::reader::{Section, Spec};
use super::super::yaml::{Kind, Node};
use super::Preset;

/// Values of a list at most.
const MOST: usize = 100;
/// Characters of a text at most.
const LONGEST: usize = 500;

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// Letters, digits, `-`, `_` and `.`: may stand in a path.
    Name,
    /// Any text; stands only in expressions, as JSON.
    Text,
    /// Any texts.
    Texts,
    /// One of a few words.
    Word,
    /// Some of a few words.
    Words,
    /// `true` or `false`.
    Flag,
}

/// A parameter.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    sort: Sort,
    /// Words of `Word` and `Words`.
    words: Vec<String>,
    /// None: there is none.
    default: Option<Value>,
    required: bool,
    /// Its placeholder in an expansion without values.
    example: Option<Value>,
    pub(super) doc: String,
    /// For people; empty: must be given.
    pub(super) shown_default: String,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Value {
    Text(String),
    List(Vec<String>),
    Flag(bool),
}

/// The values of the parameters that are given or have defaults.
pub(in super::super) type Values = BTreeMap<String, Value>;

impl Parameter {
    pub(super) fn parse(name: &str, node: &Node) -> Result<Self, String> {
        let text = |key: &str| node.get(key).and_then(Node::text);
        let sort = match text("kind") {
            Some("name") => Sort::Name,
            Some("text") => Sort::Text,
            Some("texts") => Sort::Texts,
            Some("word") => Sort::Word,
            Some("words") => Sort::Words,
            Some("flag") => Sort::Flag,
            other => return Err(format!("{name} has the kind {other:?}")),
        };
        let words = node.get("words").map_or(&[][..], Node::items);
        let default = node.get("default").map(|node| Value::of(sort, node));
        let required = node.get("required").is_some();
        Ok(Self {
            name: name.to_owned(),
            sort,
            words: words.iter().filter_map(Node::text).map(str::to_owned).collect(),
            shown_default: match &default {
                _ if required => String::new(),
                Some(value) => value.shown(),
                None => "none".to_owned(),
            },
            default,
            required,
            example: node.get("example").map(|node| Value::of(sort, node)),
            doc: text("doc").ok_or_else(|| format!("{name} has no doc"))?.to_owned(),
        })
    }

    fn kind(&self) -> &'static str {
        match self.sort {
            Sort::Name | Sort::Text => "text",
            Sort::Texts => "list of texts",
            Sort::Word => "word",
            Sort::Words => "list of words",
            Sort::Flag => "`true` or `false`",
        }
    }

    fn range(&self) -> String {
        let quoted: Vec<String> = self.words.iter().map(|word| format!("`{word}`")).collect();
        match self.sort {
            Sort::Name => "letters, digits, `-`, `_`, `.`; at most 100".to_owned(),
            Sort::Texts => format!("at most {MOST}"),
            Sort::Word | Sort::Words => quoted.join(", "),
            Sort::Text | Sort::Flag => String::new(),
        }
    }

    /// What is wrong with a text, or the text.
    fn judge(&self, text: &str) -> Result<String, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        match self.sort {
            Sort::Name if text.is_empty() || text.len() > 100 || !text.chars().all(plain) => {
                Err("must be 1 to 100 letters, digits, `-`, `_` or `.`".to_owned())
            }
            Sort::Name if text.chars().all(|c| c == '.') => Err("must not be dots alone".to_owned()),
            Sort::Text | Sort::Texts if text.trim().is_empty() => Err("must not be empty".to_owned()),
            Sort::Text | Sort::Texts if text.chars().count() > LONGEST => {
                Err(format!("must have at most {LONGEST} characters"))
            }
            Sort::Word | Sort::Words if !self.words.iter().any(|word| word == text) => {
                Err(format!("must be one of {}", self.words.join(", ")))
            }
            _ => Ok(text.to_owned()),
        }
    }

    fn read(&'static self, section: &Section<'_>) -> Option<Value> {
        let spec = Spec {
            key: &self.name,
            kind: self.kind().to_owned(),
            default: self.shown_default.clone(),
            range: self.range(),
            doc: &self.doc,
        };
        let judge = |text: &str| self.judge(text);
        let given = match self.sort {
            Sort::Texts | Sort::Words => section.list(&spec, MOST, &judge).map(Value::List),
            Sort::Flag => {
                let default = self.default == Some(Value::Flag(true));
                return Some(Value::Flag(section.flag(&self.name, default, &self.doc)));
            }
            Sort::Name | Sort::Text | Sort::Word => section.read(&spec, &judge).map(Value::Text),
        };
        if self.required && !section.has(&self.name) {
            section.missing(&spec);
        }
        given.or_else(|| self.default.clone())
    }
}

impl Value {
    fn of(sort: Sort, node: &Node) -> Self {
        let text = |node: &Node| node.text().unwrap_or_default().to_owned();
        match (&node.kind, sort) {
            (Kind::List(items), _) => Self::List(items.iter().map(text).collect()),
            (_, Sort::Flag) => Self::Flag(text(node) == "true"),
            _ => Self::Text(text(node)),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::List(texts) => format!("[{}]", texts.join(", ")),
            Self::Flag(flag) => flag.to_string(),
        }
    }

    /// As JSON text.
    pub(super) fn json(&self) -> String {
        match self {
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Self::List(texts) => serde_json::Value::from(texts.clone()).to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

impl Preset {
    /// Reads the parameters of a source.
    pub(in super::super) fn read(&'static self, section: &Section<'_>) -> Values {
        let values = self.parameters.iter().filter_map(|parameter| {
            let value = parameter.read(section)?;
            Some((parameter.name.clone(), value))
        });
        let values: Values = values.collect();
        let given = self.one_of.iter().filter(|name| section.has(name)).count();
        if !self.one_of.is_empty() && given != 1 && !section.is_describing() {
            let names = self.one_of.join(", ");
            section.fail_here(format!("needs exactly one of {names}, but has {given}"));
        }
        values
    }

    /// Values that show what the preset stands for.
    pub(super) fn examples(&self) -> Values {
        let values = self.parameters.iter().filter_map(|parameter| {
            let value = parameter.default.clone().or_else(|| parameter.example.clone())?;
            Some((parameter.name.clone(), value))
        });
        values.collect()
    }

    /// What a user's source gives, as it is written there: variables are not filled in and nothing is judged.
    pub(super) fn written(&self, user: &Node) -> Values {
        let values = self.parameters.iter().filter_map(|parameter| {
            let given = user.get(&parameter.name).filter(|node| !node.is_null());
            let value = given.map(|node| Value::of(parameter.sort, node));
            Some((parameter.name.clone(), value.or_else(|| parameter.default.clone())?))
        });
        values.collect()
    }
}
