//! Partitions that cycles have found, and those that a refresh finds before the next cycle does: each is a request of
//! its own.

use serde_json::{Map, Value};
use tideline_core::rules::{canonical_json, fingerprint};
use tideline_core::words::{ChildPartition, NewJob, REFRESH_KIND, RefreshRequest, RefreshTarget, Trigger};
use tideline_queue::announce;

use super::{Ready, RefreshHandler};
use crate::handler::{Attempt, HandlerError, Outcome};
use crate::sources::http::is_same_value;

/// Maximum number of partitions that one request rereads; more wait for the next cycle.
const MOST: u32 = 1_000;

/// Which partitions to reread, and how.
pub(super) struct Wanted<'a> {
    pub(super) resource: Option<&'a str>,
    /// Values that they have.
    pub(super) values: &'a Map<String, Value>,
    pub(super) removed: bool,
    pub(super) deep: bool,
}

impl RefreshHandler {
    /// Requests a reading of every partition that cycles have found and that has these values.
    pub(super) async fn known(
        &self,
        attempt: &Attempt,
        ready: &Ready<'_>,
        wanted: &Wanted<'_>,
    ) -> Result<Outcome, HandlerError> {
        let source = &ready.readable.source;
        let Some(prefix) = source.partition_prefix(wanted.resource, wanted.values) else {
            return Err(HandlerError::Permanent(
                "the source cannot identify partitions by their values".to_owned(),
            ));
        };
        let has = |partition: &ChildPartition| {
            let values = &partition.args["values"];
            wanted
                .values
                .iter()
                .all(|(name, value)| values.get(name).is_some_and(|own| is_same_value(own, value)))
        };
        let (mut requests, mut after) = (Vec::new(), None);
        loop {
            let (store, after_key) = (&self.store, after.as_deref());
            let found = store.list_partitions(ready.source, &prefix, after_key, MOST).await?;
            let last = (found.len() >= MOST as usize).then(|| found.last().map(|one| one.key.clone()));
            let found = found.into_iter().filter(has);
            requests.extend(found.filter_map(|partition| request_of(attempt, ready, partition.args, wanted)));
            after = last.flatten();
            if after.is_none() || requests.len() >= MOST as usize {
                break;
            }
        }
        requests.truncate(MOST as usize);
        self.request(attempt, requests).await?;
        Ok(Outcome::Done)
    }

    /// Requests a reading of the partitions that a page reveals: all of them, or those that no cycle has found yet.
    pub(super) async fn reveal(
        &self,
        attempt: &Attempt,
        ready: &Ready<'_>,
        children: Vec<ChildPartition>,
        deep: bool,
    ) -> Result<(), HandlerError> {
        let mut requests = Vec::new();
        for child in children.into_iter().take(MOST as usize) {
            let known = self.store.list_partitions(ready.source, &child.key, None, 1).await?;
            if !deep && known.first().is_some_and(|known| known.key == child.key) {
                continue;
            }
            let wanted = Wanted {
                resource: None,
                values: &Map::new(),
                removed: false,
                deep,
            };
            requests.extend(request_of(attempt, ready, child.args, &wanted));
        }
        self.request(attempt, requests).await
    }

    async fn request(&self, attempt: &Attempt, requests: Vec<RefreshRequest>) -> Result<(), HandlerError> {
        let now = self.clock.now();
        let mut jobs: Vec<NewJob> = Vec::with_capacity(requests.len());
        for request in requests {
            let text = serde_json::to_string(&request).map_err(|error| HandlerError::Other(Box::new(error)))?;
            let args = canonical_json(&text).map_err(|error| HandlerError::Permanent(error.to_string()))?;
            jobs.push(NewJob {
                kind: REFRESH_KIND.to_owned(),
                key: request.key(),
                fingerprint: fingerprint(args.as_bytes()),
                due_at: now,
                args,
                trigger: Trigger::Webhook,
                trace: attempt.job.trace.clone(),
            });
        }
        jobs.sort_by(|a, b| a.key.cmp(&b.key));
        jobs.dedup_by(|a, b| a.key == b.key);
        for batch in jobs.chunks(MOST as usize) {
            let enqueued = self.store.enqueue(batch, now).await?;
            announce(&*self.queue, batch, &enqueued, attempt.job.trace.as_deref(), now).await;
        }
        Ok(())
    }
}

/// The request that reads a partition with these arguments, for the event of this attempt. None: its source does not
/// name partitions by resource and values.
fn request_of(
    attempt: &Attempt,
    ready: &Ready<'_>,
    args: Value,
    Wanted { removed, deep, .. }: &Wanted<'_>,
) -> Option<RefreshRequest> {
    let from: RefreshRequest = serde_json::from_str(&attempt.job.args).ok()?;
    let Value::Object(mut args) = args else { return None };
    let (Some(Value::String(resource)), Some(Value::Object(values))) = (args.remove("resource"), args.remove("values"))
    else {
        return None;
    };
    Some(RefreshRequest {
        source: ready.readable.settings.name.clone(),
        target: RefreshTarget::Partition {
            resource: Some(resource),
            values,
            removed: *removed,
            only_known: false,
            deep: *deep,
        },
        event: from.event,
        look_again_ms: None,
    })
}
