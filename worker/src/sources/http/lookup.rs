//! A second list that is read beside a resource's own (`lookup`): its values, by key, for the resource's expressions.
//!
//! The list is read anew for each pass over a partition, and kept from its first page to its last (another worker that
//! goes on with the pass reads it too). Its values are part of the input of a page: when they change, the page is read
//! again, even if its own response did not change.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};

use http::StatusCode;
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tideline_core::rules::{came_twice, keep_cursor};
use tideline_core::words::Fingerprint;

use super::HttpSource;
use super::derived::lookup_plan;
use super::ending::Failure;
use super::partition::Place;
use super::plan::Plan;
use super::transport::address;
use crate::source::{ErrorClass, Item, PageRequest, Pass, SourceError};

/// Maximum total size of the values of one partition, in bytes.
const MAX_BYTES: usize = 8 << 20;
/// Maximum number of partitions whose values are cached from page to page. Others are read again.
const MAX_KEPT: usize = 16;
/// How often a list is restarted after an expired cursor before the page is retried later.
const MAX_RESTARTS: usize = 3;

/// What was looked up for a partition.
pub(super) struct Looked {
    /// An object with a list of values for each key, as JSON.
    pub(super) json: String,
    pub(super) print: Fingerprint,
}

/// Of resources without a lookup.
pub(super) static NOTHING: LazyLock<Arc<Looked>> = LazyLock::new(|| Arc::new(Looked::new(&BTreeMap::new())));

impl Looked {
    fn new(entries: &BTreeMap<String, Vec<Value>>) -> Self {
        let json = serde_json::to_string(entries).unwrap_or_else(|_| "{}".to_owned());
        let print = Fingerprint(Sha256::digest(json.as_bytes()).into());
        Self { json, print }
    }
}

/// What was looked up for the partitions that are being read.
#[derive(Default)]
pub(super) struct Lookups(Mutex<VecDeque<Kept>>);

/// What was looked up for a pass over a partition. Another worker may have gone on with the pass, and nothing here
/// tells when it ended.
struct Kept {
    partition: String,
    pass: Pass,
    looked: Arc<Looked>,
}

impl Lookups {
    fn find(&self, request: &PageRequest<'_>) -> Option<Arc<Looked>> {
        let kept = self.0.lock();
        let found = (kept.iter()).find(|one| one.partition == request.partition && one.pass == request.pass);
        found.map(|one| Arc::clone(&one.looked))
    }

    fn keep(&self, request: &PageRequest<'_>, looked: &Arc<Looked>) {
        let mut kept = self.0.lock();
        kept.retain(|one| one.partition != request.partition);
        kept.truncate(MAX_KEPT - 1);
        kept.push_front(Kept {
            partition: request.partition.to_owned(),
            pass: request.pass,
            looked: Arc::clone(looked),
        });
    }

    /// The partition was read to its end.
    pub(super) fn forget(&self, partition: &str) {
        self.0.lock().retain(|one| one.partition != partition);
    }
}

impl HttpSource {
    /// What the expressions of a page of this partition look up.
    pub(super) async fn look_up(
        &self,
        plan: &Plan,
        place: &Place,
        request: &PageRequest<'_>,
    ) -> Result<Arc<Looked>, SourceError> {
        if !plan.has_lookup {
            return Ok(Arc::clone(&NOTHING));
        }
        if request.cursor.is_some()
            && let Some(kept) = self.lookups.find(request)
        {
            return Ok(kept);
        }
        let looked = self.read_lookup(plan, place).await?;
        self.lookups.keep(request, &looked);
        Ok(looked)
    }

    /// Reads the list beside a resource: all of it.
    pub(super) async fn read_lookup(&self, plan: &Plan, place: &Place) -> Result<Arc<Looked>, SourceError> {
        let name = lookup_plan(&plan.name);
        let index = self.inner.plans.iter().position(|plan| plan.name == name);
        let Some(index) = index else {
            return Ok(Arc::clone(&NOTHING));
        };
        let mut expired = None;
        for _ in 0..=MAX_RESTARTS {
            match self.read_entries(index, place).await {
                Ok(entries) => return Ok(Arc::new(Looked::new(&entries))),
                Err(error) if error.class == ErrorClass::CursorExpired => expired = Some(error),
                Err(error) => return Err(error),
            }
        }
        // The cursor of the page itself is a good one.
        let why = expired.map_or_else(String::new, |error| error.message);
        Err(SourceError::new(ErrorClass::Transient { retry_after: None }, why))
    }

    async fn read_entries(&self, index: usize, place: &Place) -> Result<BTreeMap<String, Vec<Value>>, SourceError> {
        let permanent = |why: String| SourceError::new(ErrorClass::Permanent, format!("lookup: {why}"));
        let plan = &self.inner.plans[index];
        let mut entries: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let (mut bytes, mut page, mut cursor, mut kept) = (0, 0_u32, None::<Value>, None);
        loop {
            let request = plan
                .request(&self.inner.base, place, cursor.as_ref())
                .map_err(permanent)?;
            let answer = self.fetch(plan, &request, None, (place, cursor.as_ref())).await?;
            let told = |why: String| permanent(format!("{}: {why}", address(&request.url)));
            if answer.status == StatusCode::NOT_MODIFIED {
                return Err(told("answered 304 to a request without conditions".to_owned()));
            }
            if answer.status == StatusCode::NO_CONTENT {
                return Err(told("answered 204 No Content, which is no list".to_owned()));
            }
            let failed = |failure: Failure| SourceError::new(failure.class, format!("lookup: {}", failure.why));
            if self.says_nothing(plan, &answer, cursor.as_ref()) {
                let next = cursor
                    .as_ref()
                    .map(|cursor| plan.next_after_refusal(cursor))
                    .transpose();
                next.map_err(failed)?;
                break;
            }
            let read = self.read(index, place, &answer, &NOTHING).await;
            let mut read = read.map_err(|error| self.unreadable(error, &request, &answer))?;
            let malformed = read.items.iter().find_map(|item| match item {
                Item::Malformed(item) => Some(format!("{}; it begins: {}", item.error, item.sample)),
                _ => None,
            });
            if let Some(why) = malformed {
                return Err(told(why));
            }
            for (key, value) in std::mem::take(&mut read.entries) {
                bytes += key.len() + value.to_string().len() + 4;
                entries.entry(key).or_default().push(value);
            }
            if bytes > MAX_BYTES {
                return Err(told(format!(
                    "its values have more than {MAX_BYTES} bytes; extract less from each item"
                )));
            }
            let next = self.next_of(plan, place, cursor.as_ref(), (&answer, &mut read));
            let Some(next) = next.map_err(failed)? else {
                break;
            };
            let text = next.to_string();
            if came_twice(kept, &text) {
                return Err(told("the cursor does not advance".to_owned()));
            }
            page = page.saturating_add(1);
            kept = keep_cursor(kept, page, &text);
            cursor = Some(next);
        }
        // The order of the list must not make the same values look like others.
        for values in entries.values_mut() {
            values.sort_by_cached_key(Value::to_string);
        }
        Ok(entries)
    }
}
