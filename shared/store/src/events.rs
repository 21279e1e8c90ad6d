//! Rules for the log of events, shared by all stores.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

use super::StoreError;
use tideline_core::rules::{TopicGlob, check_topic};
use tideline_core::words::{EventGap, EventHead, EventRecord, EventSequence, NewEvent, Timestamp};

/// Number of heads that one reading examines.
pub(super) const SCAN: u32 = 5_000;
/// Maximum size of the bodies that one reading returns, in bytes, unless its first event alone is larger.
pub(super) const MAX_READING_BYTES: u64 = 8 << 20;
/// Approximate size of a row besides its body and headers.
const ROW_BYTES: usize = 200;
/// Shorter bodies are not worth compressing.
const PACK_BYTES: usize = 256;
/// Fastest; the bodies are JSON and shrink to a fifth anyhow.
const LEVEL: i32 = 1;

/// Which events a reader wants. All parts hold together.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Covered by one of these; empty: every topic.
    pub topics: Vec<TopicGlob>,
    /// Deliveries of this hook.
    pub hook: Option<String>,
    /// About this.
    pub key: Option<String>,
}

impl EventFilter {
    /// Whether an event is one of them.
    #[must_use]
    pub fn wants(&self, head: &EventHead) -> bool {
        TopicGlob::any_matches(&self.topics, &head.topic)
            && self.key.as_ref().is_none_or(|key| *key == head.key)
            && (self.hook.as_ref()).is_none_or(|hook| head.delivery.as_ref().is_some_and(|of| of.hook == *hook))
    }
}

/// What one reading of the log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventReading {
    /// In commit order. May be none although there are more: go on from `next` until `more` is false.
    pub events: Vec<EventRecord>,
    /// From where the reader goes on.
    pub next: EventSequence,
    /// There may be more now.
    pub more: bool,
    /// Events that were dropped before the reader reached them.
    pub missed: Option<EventGap>,
}

/// Heads of events, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// Newest first.
    pub events: Vec<EventHead>,
    /// `before` of the next page; none: that was the last one.
    pub next: Option<EventSequence>,
}

impl EventPage {
    /// The first heads that the reader wants. `last_looked`: where the scan ended, if it may not have reached the
    /// beginning.
    pub(super) fn of(
        heads: Vec<EventHead>,
        filter: &EventFilter,
        limit: u32,
        last_looked: Option<EventSequence>,
    ) -> Self {
        let mut wanted = heads.into_iter().filter(|head| filter.wants(head)).peekable();
        let events: Vec<EventHead> = wanted.by_ref().take(limit as usize).collect();
        let next = match wanted.peek() {
            Some(_) => events.last().map(|head| head.sequence),
            None => last_looked,
        };
        Self { events, next }
    }
}

/// Where the log begins and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBounds {
    /// The last number given to an event.
    pub last: EventSequence,
    /// The position up to which events were dropped.
    pub pruned_to: EventSequence,
    /// Approximate size of the log, in bytes.
    pub bytes: u64,
}

/// Events to take of the heads that one look found.
pub(super) struct Chosen {
    pub(super) heads: Vec<EventHead>,
    pub(super) next: EventSequence,
    pub(super) more: bool,
}

/// Takes what the reader wants, up to its limits. `looked`: how many heads were requested.
pub(super) fn choose(
    heads: Vec<EventHead>,
    filter: &EventFilter,
    limit: u32,
    looked: u32,
    after: EventSequence,
) -> Chosen {
    let mut chosen = Chosen {
        more: heads.len() >= looked as usize,
        heads: vec![],
        next: after,
    };
    let mut bytes = 0_u64;
    for head in heads {
        if !filter.wants(&head) {
            chosen.next = head.sequence;
            continue;
        }
        bytes = bytes.saturating_add(head.body_bytes);
        let full = bytes > MAX_READING_BYTES && !chosen.heads.is_empty();
        if full || chosen.heads.len() >= limit as usize {
            chosen.more = true;
            break;
        }
        chosen.next = head.sequence;
        chosen.heads.push(head);
    }
    chosen
}

/// The gap that a reader at `after` will never see. A reader positioned before the first event has seen nothing, so it
/// misses nothing.
pub(super) fn gap(after: EventSequence, pruned_to: EventSequence) -> Option<EventGap> {
    (after > EventSequence(0) && after < pruned_to).then_some(EventGap {
        after,
        up_to: pruned_to,
    })
}

/// Refuses events that cannot be appended together.
pub(super) fn check_events(events: &[NewEvent]) -> Result<(), StoreError> {
    if events.len() > NewEvent::MAX_BATCH {
        return Err(StoreError::Refused(format!(
            "a batch has at most {} events, not {}",
            NewEvent::MAX_BATCH,
            events.len()
        )));
    }
    for event in events {
        let refused = |why: String| Err(StoreError::Refused(format!("an event cannot be appended: {why}")));
        if let Err(error) = check_topic(&event.topic) {
            return refused(error.to_string());
        }
        if event.key.len() > NewEvent::MAX_KEY_BYTES {
            return refused(format!("its key is longer than {} bytes", NewEvent::MAX_KEY_BYTES));
        }
        if (event.delivery.as_ref()).is_some_and(|of| of.id.is_empty() || of.id.len() > NewEvent::MAX_ID_BYTES) {
            return refused(format!(
                "the id of its delivery has 1 to {} bytes",
                NewEvent::MAX_ID_BYTES
            ));
        }
    }
    Ok(())
}

/// Bodies of at least this size, in bytes, are compressed in chunks.
const LARGE_BYTES: usize = 1 << 20;

/// A body as it is stored.
pub(super) struct Packed {
    pub(super) packed: bool,
    pub(super) bytes: Vec<u8>,
}

thread_local! {
    // Creating one for each body would cost more than compressing it.
    static PACKER: RefCell<Option<zstd::bulk::Compressor<'static>>> = RefCell::new(zstd::bulk::Compressor::new(LEVEL).ok());
}

/// Compresses a body, if that makes it shorter.
pub(super) fn pack(body: &[u8]) -> Packed {
    if body.len() >= PACK_BYTES
        && let Some(bytes) = compress(body)
        && bytes.len() < body.len()
    {
        return Packed { packed: true, bytes };
    }
    Packed {
        packed: false,
        bytes: body.to_vec(),
    }
}

fn compress(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() >= LARGE_BYTES {
        // Compressing it at once would take a buffer as long as the body.
        return zstd::encode_all(body, LEVEL).ok();
    }
    PACKER.with_borrow_mut(|packer| packer.as_mut()?.compress(body).ok())
}

/// The body as it came. `length` is what it must have.
pub(super) fn unpack(bytes: Vec<u8>, packed: bool, length: u64) -> Result<Vec<u8>, std::io::Error> {
    if !packed {
        return Ok(bytes);
    }
    zstd::bulk::decompress(&bytes, usize::try_from(length).unwrap_or(usize::MAX))
}

/// The approximate size of an event in the store.
pub(super) fn stored_bytes(packed: &Packed, headers: &str) -> i64 {
    i64::try_from(packed.bytes.len() + headers.len() + ROW_BYTES).unwrap_or(i64::MAX)
}

/// The first event at or after a moment, when the log is asked for what happened since then.
pub(super) fn start_of(first: Option<EventSequence>, last: EventSequence) -> EventSequence {
    first.map_or(last, |first| EventSequence(first.0 - 1))
}

/// From where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventStart {
    /// With events from now on.
    Now,
    /// With the oldest event that is kept.
    Beginning,
    /// With what was stored at this moment or later.
    #[serde(untagged)]
    At(Timestamp),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "this is test code")]

    use super::*;

    #[test]
    fn a_body_comes_back_as_it_was_and_json_is_kept_small() {
        let long = r#"{"repository":{"full_name":"a/b"},"action":"created"}"#.repeat(100);
        for body in ["", "x", long.as_str()] {
            let packed = pack(body.as_bytes());
            let length = body.len() as u64;
            assert_eq!(unpack(packed.bytes, packed.packed, length).unwrap(), body.as_bytes());
        }
        assert!(pack(long.as_bytes()).bytes.len() < long.len() / 5);
        let noise: Vec<u8> = (0..1_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        assert_eq!(unpack(pack(&noise).bytes, pack(&noise).packed, 1_000).unwrap(), noise);
    }
}
