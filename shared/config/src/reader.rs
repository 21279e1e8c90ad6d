//! The declarative reader: one declaration of a key (name, default, range, meaning) both reads it and documents it. Reading
//! never stops at an error; it goes on with the default, so that all errors are found at once. The typed keys are in
//! `fields.rs`; how documentation comes out of it is in `reference.rs`.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;

use super::effective::Effective;
use super::error::Location;
use super::expand::expand;
use super::{Examine, Examined};
use tideline_core::words::Secret;

use super::place::{exists, is_inside, locate};
use super::presets::Preset;
use super::reference::KeyDoc;
use super::yaml::{Kind, Node, Problem, join_key};

/// What all sections of one reading share.
pub(super) struct Context<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    examine: &'a Examine<'a>,
    root: Option<&'a Node>,
    /// Folder of the file, for relative paths.
    pub(super) folder: PathBuf,
    /// Nothing is read; each declaration is noted, those of all variants too.
    describing: bool,
    problems: RefCell<Vec<Problem>>,
    keys: RefCell<Vec<KeyDoc>>,
    /// Sections that may be just a word: their places and the words.
    words: RefCell<Vec<(String, String)>>,
    /// What variables stood for, and the paths of the values they are in.
    filled: RefCell<Vec<(String, Secret)>>,
    /// Paths of the sources that presets were expanded to.
    expanded: RefCell<Vec<(String, &'static Preset)>>,
    /// Problems at keys that only a preset gave, and the paths of their sources.
    of_presets: RefCell<Vec<(String, Problem)>>,
    /// Every key that was read.
    pub(super) effective: RefCell<Effective>,
}

/// A declaration.
pub(super) struct Spec {
    pub(super) key: &'static str,
    /// What it is, for people: `duration`.
    pub(super) kind: String,
    pub(super) default: String,
    /// What is allowed, for people; may be empty.
    pub(super) range: String,
    pub(super) doc: &'static str,
}

/// A single value with its variables filled in.
pub(super) struct Scalar {
    pub(super) text: String,
    variables: Vec<String>,
}

impl Scalar {
    /// What was found, for an error; never a value of the environment.
    pub(super) fn shown(&self) -> String {
        match self.variables.first() {
            None => format!("\"{}\"", self.text.chars().take(80).collect::<String>().escape_debug()),
            Some(name) => format!("the value with ${{{name}}}"),
        }
    }
}

impl<'a> Context<'a> {
    pub(super) fn new(
        root: Option<&'a Node>,
        folder: PathBuf,
        env: &'a dyn Fn(&str) -> Option<String>,
        examine: &'a Examine<'a>,
    ) -> Self {
        Self {
            env,
            examine,
            root,
            folder,
            describing: false,
            problems: RefCell::default(),
            keys: RefCell::default(),
            words: RefCell::default(),
            filled: RefCell::default(),
            expanded: RefCell::default(),
            of_presets: RefCell::default(),
            effective: RefCell::default(),
        }
    }

    pub(super) fn describing(env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            describing: true,
            ..Self::new(None, PathBuf::new(), env, &|_| Vec::new())
        }
    }

    /// The top level.
    pub(super) fn root(&'a self) -> Section<'a> {
        let outside = Section {
            context: self,
            node: None,
            path: String::new(),
            place: String::new(),
            variant: String::new(),
            known: Rc::default(),
            broken: Rc::new(Cell::new(self.describing)),
        };
        outside.inner(String::new(), String::new(), self.root)
    }

    /// What a preset has wrong follows from what is wrong with the keys that the user wrote, if anything is.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        let follows = |source: &str| {
            let at = |problem: &Problem| problem.path.strip_prefix(source).is_some_and(is_inside);
            problems.iter().any(at)
        };
        let mut of_presets = self.of_presets.into_inner();
        of_presets.retain(|(source, _)| !follows(source));
        problems.extend(of_presets.into_iter().map(|(_, problem)| problem));
        problems
    }

    /// The declarations, and the sections that may be just a word.
    pub(super) fn into_declarations(self) -> (Vec<KeyDoc>, Vec<(String, String)>) {
        (self.keys.into_inner(), self.words.into_inner())
    }

    /// Notes what is wrong with the value at a path; a missing one is shown at what should hold it.
    pub(super) fn fail(&self, path: &str, message: impl Into<String>) {
        if self.describing {
            return;
        }
        let message = message.into();
        let at = |path: &str| self.root.map_or(Location::START, |root| locate(root, path));
        let Some((source, key)) = self.of_preset(path) else {
            let (at, path) = (at(path), path.to_owned());
            return self.problems.borrow_mut().push(Problem { at, path, message });
        };
        let path = join_key(&source, "type");
        let message = format!("what it stands for has a mistake at {key} (see `tideline presets show`): {message}");
        let at = at(&path);
        let problem = Problem { at, path, message };
        self.of_presets.borrow_mut().push((source, problem));
    }

    /// The source and the key, if only a preset gave the key: users cannot find a key that they did not write, so a
    /// problem there is shown at their `type`.
    fn of_preset<'p>(&self, path: &'p str) -> Option<(String, &'p str)> {
        for (source, preset) in &*self.expanded.borrow() {
            let Some(key) = path
                .strip_prefix(source.as_str())
                .and_then(|rest| rest.strip_prefix('.'))
            else {
                continue;
            };
            let first = key.split(['.', '[']).next().unwrap_or(key);
            let written = self.root.is_some_and(|root| exists(root, &join_key(source, first)));
            if !written && preset.has_key(first) {
                return Some((source.clone(), key));
            }
        }
        None
    }

    /// The single value of a node. None if there is a problem, which is noted.
    pub(super) fn scalar(&self, node: &Node, path: &str, wanted: &str) -> Option<Scalar> {
        let Kind::Scalar { text, .. } = &node.kind else {
            self.fail(path, format!("must be {wanted}, but is {}", node.noun()));
            return None;
        };
        match expand(text, self.env) {
            Ok(expanded) => {
                let values = expanded.variables.iter().filter_map(|name| (self.env)(name));
                let values = values.map(|value| (path.to_owned(), Secret::new(value)));
                self.filled.borrow_mut().extend(values);
                Some(Scalar {
                    text: expanded.text,
                    variables: expanded.variables,
                })
            }
            Err(wrong) => {
                wrong.into_iter().for_each(|message| self.fail(path, message));
                None
            }
        }
    }
}

/// A mapping that is being read.
pub(super) struct Section<'a> {
    pub(super) context: &'a Context<'a>,
    node: Option<&'a Node>,
    /// `sources[0].burst`.
    pub(super) path: String,
    /// `sources[].burst`, for documentation.
    place: String,
    variant: String,
    known: Rc<RefCell<Vec<&'static str>>>,
    /// Its keys cannot be judged: it is no mapping, or its type is unknown.
    broken: Rc<Cell<bool>>,
}

impl<'a> Section<'a> {
    /// Path of a key of it.
    pub(super) fn path_of(&self, key: &str) -> String {
        join_key(&self.path, key)
    }

    /// The mapping itself, if there is one.
    pub(super) fn node(&self) -> Option<&'a Node> {
        self.node
    }

    /// The same section with what a preset made of it instead of what the user wrote.
    pub(super) fn expanded<'b>(&'b self, node: &'b Node, preset: &'static Preset) -> Section<'b> {
        self.context.expanded.borrow_mut().push((self.path.clone(), preset));
        Section {
            context: self.context,
            node: Some(node),
            path: self.path.clone(),
            place: self.place.clone(),
            variant: self.variant.clone(),
            known: Rc::clone(&self.known),
            broken: Rc::clone(&self.broken),
        }
    }

    /// Notes what is wrong with a key of it.
    pub(super) fn fail(&self, key: &str, message: impl Into<String>) {
        self.context.fail(&self.path_of(key), message);
    }

    /// Notes what is wrong with a key of a section of it.
    pub(super) fn fail_in(&self, section: &str, key: &str, message: impl Into<String>) {
        self.context.fail(&join_key(&self.path_of(section), key), message);
    }

    /// Notes what is wrong with it as a whole.
    pub(super) fn fail_here(&self, message: impl Into<String>) {
        self.context.fail(&self.path, message);
    }

    /// Reports what the caller finds wrong with the values that were read. A key whose value is invalid holds a default
    /// instead, which the user did not write.
    pub(super) fn examine(&self, read: Examined<'_>) {
        for (key, problem) in (self.context.examine)(read) {
            let path = format!("{}.{key}", self.path);
            let known = self.context.problems.borrow().iter().any(|known| known.path == path);
            if !known {
                self.context.fail(&path, problem);
            }
        }
    }

    /// A variable of the environment.
    pub(super) fn environment(&self, name: &str) -> Option<String> {
        (self.context.env)(name).filter(|value| !value.trim().is_empty())
    }

    /// Whether a key is given, with whatever value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.node
            .and_then(|node| node.get(key))
            .is_some_and(|node| !node.is_null())
    }

    /// Whether a key that may be a section is just this word.
    pub(super) fn is_the_word(&self, key: &'static str, word: &str) -> bool {
        if self.context.describing {
            let place = (join_key(&self.place, key), word.to_owned());
            self.context.words.borrow_mut().push(place);
        }
        let value = self.node.and_then(|node| node.get(key)).map(|node| &node.kind);
        let found = matches!(value, Some(Kind::Scalar { text, .. }) if text == word);
        if found {
            self.known.borrow_mut().push(key);
        }
        found
    }

    /// What variables stand for in the values at and below a key that was read.
    pub(super) fn variables_in(&self, key: &str) -> Vec<Secret> {
        let at = self.path_of(key);
        let is_in = |path: &str| path.strip_prefix(at.as_str()).is_some_and(is_inside);
        let filled = self.context.filled.borrow();
        let values = filled.iter().filter(|(path, _)| is_in(path));
        values.map(|(_, value)| value.clone()).collect()
    }

    pub(super) fn is_describing(&self) -> bool {
        self.context.describing
    }

    /// Notes the declaration and finds the value; none: not given.
    pub(super) fn declare(&self, spec: &Spec) -> Option<&'a Node> {
        self.known.borrow_mut().push(spec.key);
        if self.context.describing {
            let doc = KeyDoc {
                section: self.place.clone(),
                key: spec.key.to_owned(),
                variant: self.variant.clone(),
                kind: spec.kind.clone(),
                default: spec.default.clone(),
                required: false,
                range: spec.range.clone(),
                doc: spec.doc,
            };
            let mut keys = self.context.keys.borrow_mut();
            let is_known = |known: &KeyDoc| {
                let required = known.required;
                *known
                    == KeyDoc {
                        required,
                        ..doc.clone()
                    }
            };
            if !keys.iter().any(is_known) {
                keys.push(doc);
            }
        }
        let given = self.node.and_then(|node| node.get(spec.key));
        let given = given.filter(|node| !node.is_null());
        if !self.context.describing {
            self.context.note_effective(self.path_of(spec.key), spec, given);
        }
        given
    }

    /// Documents a declared key as required. Whoever refuses a file without it says so, so that the two agree.
    pub(super) fn require(&self, key: &str) {
        let mut keys = self.context.keys.borrow_mut();
        let of_this = |known: &&mut KeyDoc| known.is_at(&self.place, key, &self.variant);
        keys.iter_mut().filter(of_this).for_each(|known| known.required = true);
    }

    /// Notes that a required key is not given.
    pub(super) fn missing(&self, spec: &Spec) {
        self.require(spec.key);
        if !self.broken.get() {
            self.fail(spec.key, format!("is missing; it must be given ({})", spec.kind));
        }
    }

    /// A mapping below a key, read even if it is not given, so that its defaults hold.
    pub(super) fn section<T>(&self, key: &'static str, doc: &'static str, read: impl FnOnce(&Section<'a>) -> T) -> T {
        let node = self.declare(&section_spec(key, "", doc));
        self.read_section(key, node, read)
    }

    /// A mapping below a key that need not be there.
    pub(super) fn optional_section<T>(
        &self,
        key: &'static str,
        doc: &'static str,
        read: impl FnOnce(&Section<'a>) -> T,
    ) -> Option<T> {
        let node = self.declare(&section_spec(key, "not given", doc));
        (node.is_some() || self.context.describing).then(|| self.read_section(key, node, read))
    }

    fn read_section<T>(&self, key: &str, node: Option<&'a Node>, read: impl FnOnce(&Section<'a>) -> T) -> T {
        let section = self.inner(self.path_of(key), join_key(&self.place, key), node);
        let value = read(&section);
        section.finish();
        value
    }

    /// A list of mappings; a missing one is empty.
    pub(super) fn sections<T>(&self, spec: Spec, mut read: impl FnMut(&Section<'a>, usize) -> T) -> Vec<T> {
        let node = self.declare(&spec);
        let place = format!("{}[]", join_key(&self.place, spec.key));
        if self.context.describing {
            return vec![read(&self.inner(place.clone(), place, None), 0)];
        }
        let Some(node) = node else { return Vec::new() };
        let Kind::List(items) = &node.kind else {
            self.fail(spec.key, format!("must be a list, but is {}", node.noun()));
            return Vec::new();
        };
        let items = items.iter().enumerate();
        items
            .map(|(index, item)| {
                let path = format!("{}[{index}]", self.path_of(spec.key));
                let section = self.inner(path, place.clone(), Some(item));
                let value = read(&section, index);
                section.finish();
                value
            })
            .collect()
    }

    fn inner(&self, path: String, place: String, node: Option<&'a Node>) -> Section<'a> {
        let mut broken = self.broken.get() && node.is_none();
        let node = match node.map(|node| (node, &node.kind)) {
            Some((node, Kind::Map(_))) => Some(node),
            Some((node, _)) => {
                self.context
                    .fail(&path, format!("must be a mapping of keys, but is {}", node.noun()));
                broken = true;
                None
            }
            None => None,
        };
        Section {
            context: self.context,
            node,
            path,
            place,
            variant: String::new(),
            known: Rc::default(),
            broken: Rc::new(Cell::new(broken)),
        }
    }

    /// The keys of one variant, read if it was `chosen`.
    pub(super) fn variant<T>(
        &self,
        chosen: Option<&str>,
        name: &'static str,
        read: impl FnOnce(&Section<'a>) -> T,
    ) -> Option<T> {
        if chosen.is_none() {
            self.broken.set(true);
        }
        let variant = Section {
            variant: name.to_owned(),
            path: self.path.clone(),
            place: self.place.clone(),
            known: Rc::clone(&self.known),
            broken: Rc::clone(&self.broken),
            ..*self
        };
        (self.context.describing || chosen == Some(name)).then(|| read(&variant))
    }

    /// Reports keys that no field declares. Call this after all keys were read.
    pub(super) fn finish(&self) {
        let Some(Node {
            kind: Kind::Map(entries),
            ..
        }) = self.node
        else {
            return;
        };
        if self.broken.get() {
            return;
        }
        let known = self.known.borrow();
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            self.context.problems.borrow_mut().push(Problem {
                at: entry.key_at,
                path: self.path_of(&entry.key),
                message: unknown("key", &entry.key, &known),
            });
        }
    }
}

fn section_spec(key: &'static str, default: &str, doc: &'static str) -> Spec {
    Spec {
        key,
        kind: "section".to_owned(),
        default: default.to_owned(),
        range: String::new(),
        doc,
    }
}

/// `unknown key "intervall"; did you mean "interval"?`
pub(super) fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    let given: String = given.chars().take(80).collect();
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&given.to_lowercase(), known), known))
        .min();
    match nearest {
        Some((distance, known)) if distance <= 1.max(known.chars().count() / 3) && distance < given.chars().count() => {
            format!("unknown {what} {given:?}; did you mean \"{known}\"?")
        }
        _ => format!("unknown {what} {given:?}; expected one of: {}", known.join(", ")),
    }
}
