//! Lists of entities that are chosen by namespace, name or label. The store gives what may be meant, here it is
//! decided. No index knows labels or the middle of names, so an answer looks for them for a moment only and says where
//! the next one goes on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use globset::{Glob, GlobMatcher};
use serde::Deserialize;
use tideline_core::words::{EntityRef, SourceRecord};
use tideline_store::{EntityRecord, NamePattern, NameSearch};
use tokio::time::Instant;

use super::ApiState;
use super::entities::{EntitiesQuery, reference_of};
use super::page::ListId;
use super::problem::{Code, Problem};
use super::role::Principal;
use super::stream::{Chunk, List, Rest};
use super::types::Entity;

/// How long one request searches.
const LOOKS_FOR: Duration = Duration::from_millis(40);
/// Number of names examined in the first step; doubled in each further step.
const FIRST_LOOK: u32 = 1_000;
/// Maximum number of names examined in one step.
const MAX_LOOK: u32 = 10_000;
/// Names that one step finds.
const NAMES: u32 = 1_000;

/// The search criteria.
pub(super) struct Search {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<NamePattern>,
    glob: Option<GlobMatcher>,
    label: Option<Label>,
}

/// A label: its key, and its value if that matters.
struct Label {
    key: String,
    value: Option<String>,
}

impl Search {
    /// None: the filters are those of [`tideline_store::EntityFilter`].
    pub(super) fn of(query: &EntitiesQuery) -> Result<Option<Self>, Problem> {
        if query.namespace.is_none() && query.name.is_none() && query.label.is_none() {
            return Ok(None);
        }
        let name = query.name.as_ref().map(|name| name.to_lowercase());
        let glob = |text: &String| {
            Glob::new(text)
                .map(|glob| glob.compile_matcher())
                .map_err(|error| Problem::new(Code::InvalidRequest, format!("name: {}", error.kind())))
        };
        let mut search = Self {
            kind: query.kind.as_ref().map(|kind| kind.to_lowercase()),
            namespace: query.namespace.as_ref().map(|namespace| namespace.to_lowercase()),
            glob: name.as_ref().map(glob).transpose()?,
            name: name.as_deref().map(NamePattern::of_glob),
            label: query.label.as_deref().map(Label::of),
        };
        if let Some(reference) = query.reference.as_deref() {
            search.limit_to(&reference_of(reference)?);
        }
        Ok(Some(search))
    }

    /// Only this reference, if it matches.
    fn limit_to(&mut self, reference: &EntityRef) {
        let (kind, namespace, name) = parts(reference.as_str());
        let fits = self.kind.as_deref().is_none_or(|wanted| wanted == kind)
            && self.namespace.as_deref().is_none_or(|wanted| wanted == namespace);
        // No name is empty.
        self.name = Some(NamePattern::exact(if fits { name } else { "" }));
        self.kind = Some(kind.to_owned());
        self.namespace = Some(namespace.to_owned());
    }

    fn matches(&self, reference: &EntityRef) -> bool {
        let (_, _, name) = parts(reference.as_str());
        self.glob.as_ref().is_none_or(|glob| glob.is_match(name))
    }

    /// From a place on: the source, and where among its names.
    pub(super) async fn begin(
        self,
        api: &Arc<ApiState>,
        principal: &Principal,
        source: Option<&str>,
        (list, place): (ListId, Option<(String, String)>),
    ) -> Result<impl List<Record = Entity> + use<>, Problem> {
        let (from, after) = place.unwrap_or_default();
        let mut sources = api.store.list_sources().await?;
        sources.retain(|found| {
            found.name >= from && principal.covers(&found.name) && source.is_none_or(|name| name == found.name)
        });
        sources.reverse();
        let same = sources.last().is_some_and(|first| first.name == from);
        Ok(Searching {
            list,
            api: Arc::clone(api),
            texts: self.label.as_ref().map_or_else(Vec::new, Label::texts),
            search: self,
            sources,
            after: if same { after } else { String::new() },
            look: FIRST_LOOK,
            until: Instant::now() + LOOKS_FOR,
        })
    }
}

/// Kind, namespace and name of a reference.
fn parts(reference: &str) -> (&str, &str, &str) {
    let (kind, rest) = reference.split_once(':').unwrap_or(("", reference));
    let (namespace, name) = rest.split_once('/').unwrap_or(("", rest));
    (kind, namespace, name)
}

#[derive(Deserialize)]
struct Labelled {
    metadata: Option<Labels>,
}

#[derive(Deserialize)]
struct Labels {
    labels: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Label {
    fn of(text: &str) -> Self {
        let (key, value) = text
            .split_once('=')
            .map_or((text, None), |(key, value)| (key, Some(value)));
        Self {
            key: key.to_owned(),
            value: value.map(str::to_owned),
        }
    }

    /// One of these is in each body that has the label: bodies are canonical JSON.
    fn texts(&self) -> Vec<String> {
        let key = serde_json::Value::from(self.key.as_str());
        let text = |value: &&String| serde_json::from_str::<serde_json::Value>(value).is_err();
        vec![match self.value.as_ref().filter(text) {
            Some(value) => format!("{key}:{}", serde_json::Value::from(value.as_str())),
            // The value may be a number or a text that looks like one.
            None => format!("{key}:"),
        }]
    }

    fn is_on(&self, body: &str) -> bool {
        let labels = serde_json::from_str::<Labelled>(body).ok();
        let labels = labels
            .and_then(|body| body.metadata)
            .and_then(|metadata| metadata.labels);
        match (labels.as_ref().and_then(|labels| labels.get(&self.key)), &self.value) {
            (Some(_), None) => true,
            (Some(serde_json::Value::String(value)), Some(wanted)) => value == wanted,
            (Some(value), Some(wanted)) => format!("{value}") == *wanted,
            (None, _) => false,
        }
    }
}

/// A search in progress.
struct Searching {
    list: ListId,
    api: Arc<ApiState>,
    search: Search,
    texts: Vec<String>,
    /// Those that are left, the last one first.
    sources: Vec<SourceRecord>,
    /// Where among the names of the first source.
    after: String,
    look: u32,
    until: Instant,
}

impl Searching {
    /// Examines the next part of the names of the first remaining source.
    async fn step(&mut self, source: &SourceRecord, limit: u32) -> Result<Vec<EntityRecord>, Problem> {
        let search = NameSearch {
            kind: self.search.kind.as_deref(),
            namespace: self.search.namespace.as_deref(),
            name: self.search.name.as_ref(),
            after: &self.after,
            look: self.look,
            limit: NAMES,
        };
        let found = self.api.store.find_names(source.id, &search).await?;
        self.look = (self.look * 2).min(MAX_LOOK);
        let mut next = found.next;
        let mut names = found.names;
        names.retain(|name| self.search.matches(name));
        if self.texts.is_empty() && names.len() > limit as usize {
            names.truncate(limit as usize);
            next = names.last().map(ToString::to_string);
        }
        let mut records = Vec::new();
        if !names.is_empty() {
            let store = &self.api.store;
            records = store.read_entities(source.id, &names, &self.texts, limit).await?;
        }
        if !self.texts.is_empty() && records.len() >= limit as usize {
            next = records.last().map(|last| last.reference.to_string());
        }
        match next {
            Some(next) => self.after = next,
            None => {
                self.sources.pop();
                self.after.clear();
            }
        }
        Ok(records)
    }
}

#[async_trait]
impl List for Searching {
    type Record = Entity;

    async fn read(&mut self, limit: u32) -> Result<Chunk<Entity>, Problem> {
        loop {
            let Some(source) = self.sources.last().cloned() else {
                return Ok(Chunk {
                    records: Vec::new(),
                    largest: 0,
                    rest: Rest::Nothing,
                });
            };
            let mut found = self.step(&source, limit).await?;
            let largest = found.iter().map(|entity| entity.body.len()).max().unwrap_or(0);
            if let Some(label) = &self.search.label {
                found.retain(|entity| label.is_on(&entity.body));
            }
            let rest = match (self.sources.is_empty(), Instant::now() >= self.until) {
                (true, _) => Rest::Nothing,
                (false, true) => Rest::Later,
                (false, false) => Rest::More,
            };
            if !found.is_empty() || rest != Rest::More {
                let records = found.into_iter().map(Entity::try_from).collect::<Result<_, _>>()?;
                return Ok(Chunk { records, largest, rest });
            }
        }
    }

    fn head(&self) -> &'static str {
        "{\"items\":["
    }

    fn tail(&self, finished: bool) -> String {
        match self.sources.last().filter(|_| !finished) {
            Some(source) => {
                let token = self.list.token_of(&(&source.name, &self.after));
                format!("],\"next_page_token\":\"{token}\"}}")
            }
            None => "]}".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_looked_for_by_a_text_that_each_body_with_it_has() {
        let bodies = [
            r#"{"metadata":{"labels":{"tier":"gold"}}}"#,
            r#"{"metadata":{"labels":{"size":2,"tier":"a \"b\" é"}}}"#,
            r#"{"metadata":{"labels":{"size":"2"}}}"#,
            r#"{"spec":{"tier":"gold"}}"#,
        ];
        let found = |label: &str| {
            let label = Label::of(label);
            let texts = label.texts();
            let mut places = Vec::new();
            for (place, body) in bodies.iter().enumerate() {
                if label.is_on(body) {
                    assert!(texts.iter().any(|text| body.contains(text)), "{texts:?} {body}");
                    places.push(place);
                }
            }
            places
        };
        assert_eq!(found("tier=gold"), [0]);
        assert_eq!(found("tier"), [0, 1]);
        assert_eq!(found("tier=a \"b\" é"), [1]);
        assert_eq!(found("size=2"), [1, 2]);
        assert_eq!(found("none"), [0; 0]);
    }
}
