//! Names and shapes of what Tideline keeps in NATS.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use sha2::{Digest, Sha256};

use tideline_core::words::NatsAddress;
use tideline_core::words::{JobId, Token};

/// Maximum age of a hint that no worker took: a scheduler has resent it by then (`scheduler.resend_after`).
const MAX_AGE: Duration = Duration::from_secs(60);

/// A hint that is published again within this time, since its ack was lost, is stored once. Much shorter than
/// `scheduler.resend_after`, or the window would swallow hints that are sent again on purpose.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(2);

/// A hint that is not acked within this time is redelivered. The ack follows the claim, so this is ample.
const ACK_WAIT: Duration = Duration::from_secs(3);

/// Hints in the hands of the whole fleet (per kind).
pub(super) const MAX_ACK_PENDING: i64 = 50_000;

/// Pulls that may wait (per kind): an idle worker has one or a few.
const MAX_WAITING: i64 = 8_192;

/// Subjects, stream and consumers of one Tideline.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: String,
    pub(super) stream: String,
    pub(super) wake: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            stream: format!("{}_HINTS", prefix.to_uppercase()),
            wake: format!("{prefix}.wake"),
        }
    }

    pub(super) fn subject(&self, kind: &str) -> String {
        format!("{}.hints.{}", self.prefix, token(kind))
    }

    pub(super) fn stream_config(&self, address: &NatsAddress) -> Config {
        Config {
            name: self.stream.clone(),
            description: Some("Hints that jobs are due; never the truth, may be deleted at any time".into()),
            subjects: vec![format!("{}.hints.*", self.prefix)],
            retention: RetentionPolicy::WorkQueue,
            storage: StorageType::File,
            discard: DiscardPolicy::Old,
            max_bytes: address.max_bytes,
            max_messages: -1,
            max_messages_per_subject: -1,
            max_consumers: -1,
            max_age: MAX_AGE,
            duplicate_window: DUPLICATE_WINDOW,
            num_replicas: address.replicas,
            ..Config::default()
        }
    }

    /// One durable consumer per kind: nats-server 2.9 knows one filter per consumer, and the consumers of a work queue
    /// must not overlap.
    pub(super) fn consumer_config(&self, kind: &str) -> pull::Config {
        pull::Config {
            durable_name: Some(consumer_name(kind)),
            name: Some(consumer_name(kind)),
            filter_subject: self.subject(kind),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            max_ack_pending: MAX_ACK_PENDING,
            max_waiting: MAX_WAITING,
            ..pull::Config::default()
        }
    }
}

/// The name of the consumer of a kind.
pub(super) fn consumer_name(kind: &str) -> String {
    token(kind)
}

/// A kind as one token of a subject, and as a consumer's name: other bytes than letters, digits, `-` and `_` as `=` and
/// two hex digits; a long one as its hash.
pub(super) fn token(kind: &str) -> String {
    let mut token = String::with_capacity(kind.len());
    for byte in kind.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => token.push(char::from(byte)),
            other => token.push_str(&format!("={other:02X}")),
        }
    }
    match token.len() {
        0 => "=".into(),
        1..=128 => token,
        _ => format!("=h{}", hex::encode(Sha256::digest(kind.as_bytes()))),
    }
}

/// `Nats-Msg-Id`: what it carries, hashed. A job that was claimed since has another token, and so the hint another id.
pub(super) fn message_id(kind: &str, jobs: &[(JobId, Token)]) -> String {
    let mut hash = Sha256::new();
    hash.update((kind.len() as u64).to_be_bytes());
    hash.update(kind.as_bytes());
    for (job, token) in jobs {
        hash.update(job.0.to_be_bytes());
        hash.update(token.0.to_be_bytes());
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_kinds_stay_readable() {
        assert_eq!(Names::new("tideline").subject("ingest"), "tideline.hints.ingest");
    }

    #[test]
    fn other_kinds_are_one_token_each_and_all_different() {
        let long = "é".repeat(300);
        let kinds = ["", ".", "*", ">", " ", "a.b", "a=2Eb", "=", "=3D", "é", long.as_str()];
        let tokens: BTreeSet<_> = kinds.iter().map(|kind| token(kind)).collect();
        assert_eq!(tokens.len(), kinds.len());
    }

    proptest! {
        #[test]
        fn any_kind_is_a_token_that_nats_takes(kind in ".{0,300}") {
            let token = token(&kind);
            prop_assert!((1..=128).contains(&token.len()));
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'=')));
        }
    }

    #[test]
    fn another_token_makes_another_message_id() {
        let id = |job, token| message_id("k", &[(JobId(job), Token(token))]);
        assert_eq!(id(1, 1), id(1, 1));
        assert_ne!(id(1, 1), id(1, 2));
        assert_ne!(id(1, 1), message_id("l", &[(JobId(1), Token(1))]));
    }
}
