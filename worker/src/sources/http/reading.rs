//! From an answer's body to items, child partitions and the values that decide the next page.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use tideline_core::full_text;
use tideline_core::words::{ChildPartition, EntityRef, KeyHash, MalformedItem, item_hash};
use tideline_expression::{Batch, Call, EvaluateError, Evaluator, Input, Outcome};
use tokio::time::Instant;

use super::super::backstage;
use super::super::files::yaml::documents;
use super::super::redact::Redactor;
use super::checks::advice;
use super::children::children_of;
use super::ending::digest;
use super::extract::{Found, List, extract};
use super::lines::Form;
use super::lookup::Looked;
use super::partition::Place;
use super::plan::{ItemsAt, Plan, Pull, Shape};
use super::records::count_records;
use super::surrogates;
use super::template::scalar_text;
use super::view::{Pulled, View};
use crate::source::Item;

/// Sample of a malformed item, in bytes.
pub(super) const SAMPLE_BYTES: usize = 500;

/// Outputs of one expression that are read at most.
const MAX_OUTPUTS: u32 = 100_000;

/// Why a body could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    /// It ends too early, or its expressions took too long: another time it may be read.
    Cut(String),
    /// It is not what the configuration says.
    Wrong(String),
    /// It says that the request failed; it may work later.
    Failed(String),
}

/// What a body holds.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) items: Vec<Item>,
    pub(super) children: Vec<ChildPartition>,
    /// Of a lookup: keys and their values.
    pub(super) entries: Vec<(String, Value)>,
    /// Items in the response, before jq left out any; none if they cannot be counted.
    pub(super) count: Option<u64>,
    /// Items picked.
    pub(super) picked: u64,
    pub(super) next: Option<Value>,
    pub(super) total: Option<Value>,
    pub(super) total_pages: Option<Value>,
    /// The answer says that this is the last page.
    pub(super) said_last: bool,
    /// Of the items, where pages are counted; none if there are none.
    pub(super) digest: Option<String>,
}

/// One item: as it stands in the answer, or as jq made it.
enum Picked<'a> {
    Slice(&'a str),
    Made(String),
}

impl Picked<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Slice(text) => text,
            Self::Made(text) => text,
        }
    }
}

/// Reads bodies of one partition.
pub(super) struct Reader<'p> {
    pub(super) plan: &'p Plan,
    pub(super) place: &'p Place,
    /// What its expressions look up.
    pub(super) looked: &'p Looked,
    pub(super) redactor: &'p Redactor,
    /// Runs the expressions.
    pub(super) evaluator: &'p Evaluator,
    /// When they must be done.
    pub(super) deadline: Instant,
    /// All bodies that jq shaped together, in bytes.
    pub(super) max_bytes: u64,
    /// How the body is written.
    pub(super) form: Form,
}

impl Reader<'_> {
    /// Reads a body.
    ///
    /// # Errors
    /// It was cut, is not JSON, has no items where they should be, or an expression failed on it.
    pub(super) async fn read(&self, body: &[u8]) -> Result<Read, ReadError> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        if self.form != Form::Json
            && let Some(key) = self.plan.paging.keys().next()
        {
            let why = format!("the answer is not one JSON text, which {key} needs: {}", advice(key));
            return Err(ReadError::Wrong(why));
        }
        if self.form == Form::Yaml {
            return self.read_documents(body).await;
        }
        let text = std::str::from_utf8(body).map_err(|error| match error.error_len() {
            None => ReadError::Cut("the answer ends within a character".to_owned()),
            Some(_) => ReadError::Wrong("the answer is not UTF-8".to_owned()),
        })?;
        let text = &*surrogates::replaced(text);
        if self.form == Form::Lines {
            return self.read_lines(text).await;
        }
        let is_array = text.trim_start().starts_with('[');
        let wants = if is_array {
            &self.plan.array_wants
        } else {
            &self.plan.object_wants
        };
        let found = extract(text, wants).map_err(json_error)?;
        let outcomes = self.evaluate(&self.plan.answer_calls, [text]).await?;
        let mut read = Read::default();
        let answer = View {
            text,
            found: &found,
            outcomes: outcomes.first().map_or(&[], Vec::as_slice),
        };
        let paging = &self.plan.paging;
        answer.check_failure(paging.fail_if.as_ref())?;
        let last = answer.optional(paging.last.as_ref(), "pagination.end.when")?;
        read.said_last = last == Some(Value::Bool(true));
        read.next = answer.optional(paging.next.as_ref(), "pagination.next")?;
        read.total = answer.optional(paging.total.as_ref(), "pagination.total")?;
        read.total_pages = answer.optional(paging.total_pages.as_ref(), "pagination.total_pages")?;
        let picked = self.pick(&answer, is_array, &mut read)?;
        self.finish(picked, read).await
    }

    /// Reads one item per line. A line that is not JSON is a malformed item; only a last one may have been cut.
    async fn read_lines(&self, text: &str) -> Result<Read, ReadError> {
        let lines: Vec<&str> = text
            .split('\n')
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        if let Some(last) = lines.last()
            && !text.ends_with('\n')
            && let Err(error) = serde_json::from_str::<IgnoredAny>(last)
            && error.is_eof()
        {
            return Err(json_error(error));
        }
        let read = Read {
            count: Some(lines.len() as u64),
            ..Read::default()
        };
        self.finish(lines.into_iter().map(Picked::Slice).collect(), read).await
    }

    /// Reads YAML documents. A broken one is malformed, without a name.
    async fn read_documents(&self, body: &[u8]) -> Result<Read, ReadError> {
        let mut picked = Vec::new();
        let mut read = Read::default();
        for document in documents(body, self.max_bytes) {
            match document {
                Ok(text) => picked.push(Picked::Made(text)),
                Err(why) => {
                    let sample = String::from_utf8_lossy(&body[..body.len().min(SAMPLE_BYTES)]).into_owned();
                    read.items
                        .push(self.malformed(None, &format!("the YAML {why}"), &sample));
                }
            }
        }
        read.count = Some((picked.len() + read.items.len()) as u64);
        self.finish(picked, read).await
    }

    async fn finish(&self, picked: Vec<Picked<'_>>, mut read: Read) -> Result<Read, ReadError> {
        read.picked = picked.len() as u64;
        if self.plan.pagination.counts() && read.digest.is_none() {
            read.digest = digest(picked.iter().map(Picked::text));
        }
        self.convert(picked, &mut read).await?;
        Ok(read)
    }

    /// Runs programs on texts: one round trip for all of them, none if there are no programs.
    async fn evaluate(
        &self,
        calls: &[Call],
        texts: impl IntoIterator<Item = &str>,
    ) -> Result<Vec<Vec<Outcome>>, ReadError> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<u32> = (0..).take(calls.len()).collect();
        let inputs = texts.into_iter().map(|text| Input {
            text: text.to_owned(),
            calls: numbers.clone(),
        });
        let batch = Batch {
            calls: calls.to_vec(),
            parent: Value::Object(self.place.values.clone()).to_string(),
            lookup: self.looked.json.clone(),
            inputs: inputs.collect(),
            max_outputs: MAX_OUTPUTS,
            max_bytes: self.max_bytes,
        };
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.evaluator.batch(batch, left).await.map_err(|error| match error {
            EvaluateError::TimedOut(_) => {
                ReadError::Cut("its expressions took longer than page_timeout: do they terminate?".to_owned())
            }
            EvaluateError::Unavailable(_) => ReadError::Cut(full_text(&error)),
            EvaluateError::TooLarge(most) => ReadError::Wrong(format!(
                "what the expressions make of one page has more than {most} bytes (max_body_bytes)"
            )),
            error => ReadError::Wrong(full_text(&error)),
        })
    }

    fn pick<'a>(&self, answer: &View<'a, '_>, is_array: bool, read: &mut Read) -> Result<Vec<Picked<'a>>, ReadError> {
        let place = match &self.plan.items {
            ItemsAt::Jq { program, records } => {
                let list = records.and_then(|at| Some((answer.slice(at.slot)?.get(), at.each)));
                read.count = list.and_then(|(list, each)| count_records(list, each));
                if self.plan.pagination.counts() && read.count > Some(0) {
                    read.digest = digest(list.iter().map(|(list, _)| list));
                }
                return match answer.outcome(*program) {
                    Outcome::Values(outputs) => picked_by_jq(outputs),
                    Outcome::Elements(items) => Ok(items.iter().cloned().map(Picked::Made).collect()),
                    Outcome::Failed(why) => Err(ReadError::Wrong(format!("items: {why}"))),
                };
            }
            ItemsAt::Default if is_array => ".".to_owned(),
            ItemsAt::Default => ".items".to_owned(),
            ItemsAt::Path { path, .. } => format!(".{}", path.join(".")),
        };
        let picked: Vec<Picked<'a>> = match &answer.found.items {
            List::Elements(elements) => elements.iter().map(|element| Picked::Slice(element.get())).collect(),
            // What a list in Go is that nothing was added to.
            List::Null => Vec::new(),
            List::Other if !matches!(self.plan.items, ItemsAt::Default) => self.object(answer.text)?,
            List::Other | List::Absent => {
                return Err(ReadError::Wrong(format!("the answer has no list of items at {place}")));
            }
        };
        read.count = Some(picked.len() as u64);
        Ok(picked)
    }

    /// The object that a path to items leads to: one item, or (with `[]`) an item per member.
    fn object<'a>(&self, text: &'a str) -> Result<Vec<Picked<'a>>, ReadError> {
        let ItemsAt::Path { path, each } = &self.plan.items else {
            return Err(ReadError::Wrong("the answer has no list of items".to_owned()));
        };
        let wants = super::extract::Wants::new(None, std::slice::from_ref(path));
        let found = extract(text, &wants).map_err(json_error)?;
        match found.slices.first().copied().flatten().map(RawValue::get) {
            Some(slice) if slice.starts_with('{') && *each => {
                let members: BTreeMap<String, &'a RawValue> = serde_json::from_str(slice).map_err(json_error)?;
                Ok(members.values().map(|member| Picked::Slice(member.get())).collect())
            }
            Some(slice) if slice.starts_with('{') => Ok(vec![Picked::Slice(slice)]),
            _ => Err(ReadError::Wrong(format!(
                "what is at .{} is neither a list nor an object",
                path.join(".")
            ))),
        }
    }

    async fn convert(&self, picked: Vec<Picked<'_>>, read: &mut Read) -> Result<(), ReadError> {
        let mut made_bytes: u64 = 0;
        read.items.reserve(picked.len());
        let outcomes = self
            .evaluate(&self.plan.item_calls, picked.iter().map(Picked::text))
            .await?;
        for (index, item) in picked.iter().enumerate() {
            let outcomes = outcomes.get(index).map_or(&[] as &[Outcome], Vec::as_slice);
            self.item(item.text(), outcomes, read, &mut made_bytes);
            if made_bytes > self.max_bytes {
                return Err(ReadError::Wrong(format!(
                    "the shaped entities of one page have more than {} bytes (max_body_bytes)",
                    self.max_bytes
                )));
            }
        }
        let mut seen = std::collections::HashSet::new();
        read.children.retain(|child| seen.insert(child.key.clone()));
        Ok(())
    }

    fn item(&self, text: &str, outcomes: &[Outcome], read: &mut Read, made_bytes: &mut u64) {
        let found = if self.plan.item_wants.is_empty() {
            Ok(Found::default())
        } else {
            extract(text, &self.plan.item_wants)
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                read.items.push(self.malformed(None, &error.to_string(), text));
                return;
            }
        };
        let view = View {
            text,
            found: &found,
            outcomes,
        };
        if let Some(values) = &self.plan.maker {
            let resource = self.plan.name.split('\0').next().unwrap_or_default();
            read.items.push(Item::MadeBy(maker_of(resource, values, &view)));
        }
        match &self.plan.shape {
            Shape::None => {}
            Shape::AsIs => read.items.push(self.as_is(text.into())),
            Shape::Named {
                kind,
                namespace,
                name,
                body,
            } => {
                let item = self.named(&view, [kind, namespace, name], body.as_ref(), made_bytes);
                read.items.push(item);
            }
            Shape::Shaped(pull) => self.shaped(&view, pull, read, made_bytes),
            Shape::Entries(pull) => match entries_of(&view, pull) {
                Ok(entries) => read.entries.extend(entries),
                Err(why) => read.items.push(self.malformed(None, &why, text)),
            },
        }
        for child in &self.plan.children {
            match children_of(&view, child) {
                Ok(partitions) => {
                    let children = partitions.iter().map(|one| {
                        let mut partition = self.place.child(&child.resource, &one.values);
                        if let Some(version) = &one.version {
                            partition.args["version"] = Value::from(version.as_str());
                        }
                        partition
                    });
                    read.children.extend(children);
                }
                Err(why) => {
                    let why = format!("no partition of {} can be made of it: {why}", child.resource);
                    read.items.push(self.malformed(None, &why, text));
                }
            }
        }
    }

    fn as_is(&self, text: Cow<'_, str>) -> Item {
        match backstage::reference(&text) {
            Ok(reference) => Item::Entity {
                reference,
                body: text.into_owned(),
            },
            Err(why) => self.malformed(None, &why, &text),
        }
    }

    fn named(&self, view: &View<'_, '_>, parts: [&Pull; 3], body: Option<&Pull>, made_bytes: &mut u64) -> Item {
        let reference = match self.reference(view, parts) {
            Ok(reference) => reference,
            Err(why) => return self.malformed(None, &why, view.text),
        };
        let body = match body {
            None => view.text.to_owned(),
            Some(pull) => match view.json(pull) {
                Ok(Some(body)) => {
                    *made_bytes += body.len() as u64;
                    body
                }
                Ok(None) => return self.malformed(Some(reference), "entity.body returns nothing for it", view.text),
                Err(why) => return self.malformed(Some(reference), &format!("entity.body: {why}"), view.text),
            },
        };
        Item::Entity { reference, body }
    }

    fn reference(&self, view: &View<'_, '_>, parts: [&Pull; 3]) -> Result<EntityRef, String> {
        let text = |key: &str, pull: &'_ Pull| match view.pull(pull).map_err(|why| format!("entity.{key}: {why}"))? {
            Pulled::Text(text) => Ok(text.into_owned()),
            Pulled::Value(Value::Number(number)) => Ok(number.to_string()),
            Pulled::Empty | Pulled::Null => Err(format!("entity.{key} is absent or null")),
            Pulled::Value(_) => Err(format!("entity.{key} is not a text")),
        };
        let [kind, namespace, name] = parts;
        let (kind, namespace, name) = (text("kind", kind)?, text("namespace", namespace)?, text("name", name)?);
        EntityRef::encode(&kind, &namespace, &name).map_err(|error| error.to_string())
    }

    fn shaped(&self, view: &View<'_, '_>, pull: &Pull, read: &mut Read, made_bytes: &mut u64) {
        match view.outputs(pull) {
            Ok(texts) => {
                for text in texts {
                    *made_bytes += text.len() as u64;
                    read.items.push(self.as_is(text.into()));
                }
            }
            Err(why) => read
                .items
                .push(self.malformed(None, &format!("entity.shape: {why}"), view.text)),
        }
    }

    fn malformed(&self, reference: Option<EntityRef>, why: &str, text: &str) -> Item {
        Item::Malformed(MalformedItem {
            reference,
            error: self.redactor.sample(why.as_bytes(), SAMPLE_BYTES),
            sample: self.redactor.sample(text.as_bytes(), SAMPLE_BYTES),
        })
    }
}

/// The item, named as an event names it.
fn maker_of(resource: &str, values: &[(String, Pull)], view: &View<'_, '_>) -> Option<KeyHash> {
    let texts: Vec<(&str, String)> = (values.iter())
        .map(|(name, pull)| match view.pull(pull) {
            Ok(Pulled::Text(text)) => Some((name.as_str(), text.into_owned())),
            Ok(Pulled::Value(value)) => Some((name.as_str(), scalar_text(&value)?)),
            _ => None,
        })
        .collect::<Option<_>>()?;
    Some(item_hash(
        resource,
        texts.iter().map(|(name, text)| (*name, text.as_str())),
    ))
}

/// The objects of `key` and `value` that a lookup makes of an item.
fn entries_of(view: &View<'_, '_>, pull: &Pull) -> Result<Vec<(String, Value)>, String> {
    let outputs = view.outputs(pull).map_err(|why| format!("entries: {why}"))?;
    let entry = |text: String| {
        let mut entry: Value = serde_json::from_str(&text).map_err(|error| format!("entries: {error}"))?;
        let key = scalar_text(&entry["key"]);
        let value = entry.get_mut("value").map(Value::take);
        key.zip(value)
            .ok_or_else(|| "entries: must make objects of a text `key` and a `value`".to_owned())
    };
    outputs.into_iter().map(entry).collect()
}

/// Null is an error, anything else is a stream of items.
fn picked_by_jq<'a>(outputs: &[String]) -> Result<Vec<Picked<'a>>, ReadError> {
    match outputs {
        [null] if null == "null" => {
            let why = "items: the expression returns null for the response; write `… // []` if that means none";
            Err(ReadError::Wrong(why.to_owned()))
        }
        outputs => Ok(outputs.iter().cloned().map(Picked::Made).collect()),
    }
}

pub(super) fn json_error(error: serde_json::Error) -> ReadError {
    if error.is_eof() {
        ReadError::Cut(format!("the response is truncated: {error}"))
    } else {
        ReadError::Wrong(format!("the response is not JSON: {error}"))
    }
}
