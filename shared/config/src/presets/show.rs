//! `tideline presets show`: what a preset, or a user's source of such a type, stands for, as YAML to copy.

use std::fmt::Write as _;

use super::super::yaml::{self, Entry, Kind, Node};
use super::parameters::{Value, Values};
use super::{Preset, find_preset};

/// Stands for `${` of a variable that a person is to see as it is; no YAML text has this character.
pub(super) const VARIABLE: &str = "\u{fdd0}";

/// Keys of `auth` whose values are secrets.
const SECRETS: [&str; 5] = ["bearer", "password", "value", "client_secret", "private_key"];

/// What a line of this type stands for, with its defaults: an entry of `sources`.
#[must_use]
pub fn show_preset(preset: &Preset) -> String {
    let mut text = format!("# What `type: {}` stands for. {}\n", preset.name, preset.about);
    text.push_str("# Copy it to change it: `type: http` reads it as it stands. Parameters of the preset:\n");
    for (name, default, doc) in preset.parameters() {
        let default = if default.is_empty() { "required" } else { default };
        let _ = writeln!(text, "#   {name} (default: {default}): {doc}");
    }
    let user = Node {
        at: preset.source.at,
        kind: Kind::Map(vec![entry("name", preset.name)]),
    };
    let expanded = preset.expand(&user, &preset.examples());
    text.push_str(&write_source(&expanded, preset.name));
    text
}

/// What a source of a configuration stands for. Variables stay as they are, secrets that stand in the file are not shown.
///
/// # Errors
/// The text is not YAML, or has no such source; says so.
pub fn show_source(configuration: &str, name: &str) -> Result<String, String> {
    let (document, problems) = yaml::parse(configuration);
    if let Some(problem) = problems.first() {
        return Err(format!("line {}: {}", problem.at.line, problem.message));
    }
    let sources = document.as_ref().and_then(|document| document.get("sources"));
    let sources = sources.map_or(&[][..], Node::items);
    let named = |source: &&Node| source.get("name").and_then(Node::text) == Some(name);
    let source = sources.iter().find(named);
    let source = source.ok_or_else(|| format!("the configuration has no source named {name:?}"))?;
    let hidden = hide(source);
    let Some(preset) = source.get("type").and_then(Node::text).and_then(find_preset) else {
        return Ok(write_source(&hidden, name));
    };
    let mut values: Values = preset.written(&hidden);
    for value in values.values_mut() {
        let mark = |text: &mut String| *text = text.replace("${", VARIABLE);
        match value {
            Value::Text(text) => mark(text),
            Value::List(texts) => texts.iter_mut().for_each(mark),
            Value::Flag(_) => {}
        }
    }
    Ok(write_source(&preset.expand(&hidden, &values), name))
}

/// Takes away secrets that stand in the file itself.
fn hide(source: &Node) -> Node {
    fn secret(node: &mut Node) {
        if let Kind::Scalar { text, plain } = &mut node.kind
            && !text.contains("${")
        {
            (*text, *plain) = ("[redacted]".to_owned(), false);
        }
    }
    fn in_auth(node: &mut Node) {
        let Kind::Map(entries) = &mut node.kind else { return };
        for entry in entries {
            if SECRETS.contains(&entry.key.as_str()) {
                secret(&mut entry.value);
            }
            in_auth(&mut entry.value);
        }
    }
    let mut hidden = source.clone();
    if let Kind::Map(entries) = &mut hidden.kind {
        for entry in entries {
            match (entry.key.as_str(), &mut entry.value.kind) {
                ("auth", _) => in_auth(&mut entry.value),
                ("headers", Kind::Map(headers)) => headers.iter_mut().for_each(|entry| secret(&mut entry.value)),
                _ => {}
            }
        }
    }
    hidden
}

fn entry(key: &str, text: &str) -> Entry {
    let at = super::super::error::Location::START;
    let kind = Kind::Scalar {
        text: text.to_owned(),
        plain: true,
    };
    Entry {
        key: key.to_owned(),
        key_at: at,
        value: Node { at, kind },
    }
}

/// The source as a list of one, with `name` and `type` first.
fn write_source(source: &Node, name: &str) -> String {
    let is_preset = source
        .get("type")
        .and_then(Node::text)
        .is_none_or(|kind| find_preset(kind).is_some());
    let mut entries = vec![entry("name", name)];
    if is_preset {
        entries.push(entry("type", "http"));
    }
    let others = source.entries().iter();
    entries.extend(
        others
            .filter(|entry| entry.key != "name" && !(is_preset && entry.key == "type"))
            .cloned(),
    );
    let list = Node {
        at: source.at,
        kind: Kind::List(vec![Node {
            at: source.at,
            kind: Kind::Map(entries),
        }]),
    };
    write(&list)
}

/// A node as YAML, which reads as the same again.
pub(super) fn write(node: &Node) -> String {
    let mut out = String::new();
    write_node(node, 0, &mut out);
    out
}

fn write_node(node: &Node, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match &node.kind {
        Kind::List(items) => {
            for item in items {
                let _ = write!(out, "{pad}- ");
                match &item.kind {
                    Kind::Map(entries) if !entries.is_empty() => {
                        let mut inner = String::new();
                        write_node(item, indent + 2, &mut inner);
                        out.push_str(inner.trim_start());
                    }
                    _ => write_value(item, indent + 2, out),
                }
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                let _ = write!(out, "{pad}{}: ", scalar(&entry.key, true));
                write_value(&entry.value, indent + 2, out);
            }
        }
        Kind::Scalar { .. } => write_value(node, indent, out),
    }
}

/// What stands after a key or a dash.
fn write_value(node: &Node, indent: usize, out: &mut String) {
    match &node.kind {
        Kind::List(items) if items.is_empty() => out.push_str("[]\n"),
        Kind::Map(entries) if entries.is_empty() => out.push_str("{}\n"),
        Kind::List(_) | Kind::Map(_) => {
            while out.ends_with(' ') {
                out.pop();
            }
            out.push('\n');
            write_node(node, indent, out);
        }
        Kind::Scalar { text, plain } if !plain && is_block(text) => {
            let chomp = if text.ends_with('\n') { "" } else { "-" };
            let _ = writeln!(out, "|{chomp}");
            for line in text.lines() {
                let pad = if line.is_empty() { 0 } else { indent };
                let _ = writeln!(out, "{:pad$}{line}", "");
            }
        }
        Kind::Scalar { text, plain } => {
            let _ = writeln!(out, "{}", scalar(text, *plain));
        }
    }
}

/// Whether a text may stand as a literal block.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && !text.ends_with("\n\n")
        && !text.contains(|c: char| c.is_control() && c != '\n')
}

fn scalar(text: &str, plain: bool) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+');
    let number = text.parse::<f64>().is_ok();
    let stays = text == "~" || number || text.chars().all(safe) && !text.starts_with('-');
    if plain && stays {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}
