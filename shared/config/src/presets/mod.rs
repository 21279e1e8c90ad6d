//! Named source types: each is a YAML file of the `http` source in this folder, with parameters. A source of such a type is
//! expanded before it is read: the preset's keys are defaults, the user's own keys win (mappings key by key, anything else as a
//! whole). Problems are reported at keys that the user wrote. The language of the files is in `template.rs`; what users see
//! of it is `tideline presets`.

mod parameters;
mod show;
mod template;

use std::sync::LazyLock;

use super::yaml::{self, Entry, Kind, Node};

use self::parameters::Parameter;
pub(super) use self::parameters::Values;
pub use self::show::{show_preset, show_source};

/// File names are the names of the types.
const FILES: [(&str, &str); 2] = [
    ("github", include_str!("github.yaml")),
    ("openchoreo", include_str!("openchoreo.yaml")),
];

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let presets = FILES.iter().map(|(name, text)| Preset::parse(name, text));
    presets.filter_map(Result::ok).collect()
});

/// A named source type.
#[derive(Debug)]
pub struct Preset {
    name: &'static str,
    about: String,
    parameters: Vec<Parameter>,
    /// Parameters of which exactly one must be given.
    one_of: Vec<String>,
    /// The source's keys, with places for parameters.
    source: Node,
}

/// All presets, by name.
#[must_use]
pub fn presets() -> &'static [Preset] {
    &PRESETS
}

/// The preset with this name.
#[must_use]
pub fn find_preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

impl Preset {
    /// The type's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it reads, in one sentence.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Its parameters: name, default (empty: must be given) and meaning.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let parameters = self.parameters.iter();
        parameters.map(|one| (one.name.as_str(), one.shown_default.as_str(), one.doc.as_str()))
    }

    fn parse(name: &'static str, text: &str) -> Result<Self, String> {
        let (document, problems) = yaml::parse(text);
        if let Some(problem) = problems.first() {
            return Err(format!("{name}.yaml:{}: {}", problem.at.line, problem.message));
        }
        let document = document.ok_or("is empty")?;
        let parameters = document.get("parameters").map_or(&[][..], Node::entries);
        let one_of = document.get("one_of").map_or(&[][..], Node::items);
        Ok(Self {
            name,
            about: document
                .get("about")
                .and_then(Node::text)
                .ok_or("has no about")?
                .to_owned(),
            parameters: parameters
                .iter()
                .map(|entry| Parameter::parse(&entry.key, &entry.value))
                .collect::<Result<_, _>>()?,
            one_of: one_of.iter().filter_map(Node::text).map(str::to_owned).collect(),
            source: document.get("source").cloned().ok_or("has no source")?,
        })
    }

    /// What the user's source stands for.
    pub(super) fn expand(&self, user: &Node, values: &Values) -> Node {
        let source = template::fill(&self.source, values).unwrap_or_else(|| Node {
            kind: Kind::Map(Vec::new()),
            ..self.source.clone()
        });
        let mut merged = merge(&source, user);
        if let Kind::Map(entries) = &mut merged.kind {
            entries.retain(|entry| !self.parameters.iter().any(|parameter| parameter.name == entry.key));
        }
        merged
    }

    /// Whether a key of a source comes from the preset.
    pub(super) fn has_key(&self, key: &str) -> bool {
        self.source.get(key).is_some()
    }
}

/// The user's keys over those of the preset. A key that is `null` takes the preset's away.
fn merge(preset: &Node, user: &Node) -> Node {
    let (Kind::Map(ours), Kind::Map(theirs)) = (&preset.kind, &user.kind) else {
        return user.clone();
    };
    let mut entries: Vec<Entry> = ours
        .iter()
        .map(|entry| match theirs.iter().find(|other| other.key == entry.key) {
            None => entry.clone(),
            Some(other) => Entry {
                value: merge(&entry.value, &other.value),
                ..other.clone()
            },
        })
        .collect();
    let more = theirs
        .iter()
        .filter(|entry| !ours.iter().any(|own| own.key == entry.key));
    entries.extend(more.cloned());
    Node {
        at: user.at,
        kind: Kind::Map(entries),
    }
}

#[cfg(test)]
mod tests;
