//! Maintains the stream: creates it if it is missing, and recreates it if it stores or delivers nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{Info as ConsumerInfo, pull};
use async_nats::jetstream::context::{CreateStreamErrorKind, DeleteStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Info as StreamInfo, RetentionPolicy};
use tokio::time::Instant;

use super::super::QueueError;
use super::failure::{full_text, of_jetstream};
use super::names::{MAX_ACK_PENDING, consumer_name};
use super::options::refuse;
use super::status::Part;
use super::{Inner, RETRY};

/// A stream that is gone is made again after this time, not at once: nats-server forgets a stream's name before it
/// deletes its folder, and would delete the files of a new stream of that name as well (seen with 2.9.10). Such a
/// stream takes no message, or takes them and delivers none.
const FOLDER_IS_GONE: Duration = Duration::from_secs(1);

/// How often a sender looks at the stream although nothing failed.
const STREAM_CHECK: Duration = Duration::from_secs(30);

/// How often a receiver does, and whether the stream delivers.
const DELIVERY_CHECK: Duration = Duration::from_secs(2);

/// Hints and pulls that coexist for this long will never meet: a healthy server matches them within milliseconds.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// Keeps the stream there and delivering: after every connection, after every failure, and now and then.
pub(super) async fn keep_stream(inner: Arc<Inner>) {
    let mut connections = inner.status.connections();
    let mut suspicions = Suspicions::default();
    let mut wait = RETRY.0;
    loop {
        if inner.is_connected() {
            match look_after(&inner, &mut suspicions).await {
                Ok(()) => {
                    inner.status.healed(Part::Stream);
                    // Whether sending works again shows when something is sent; do not stay degraded until then.
                    inner.status.healed(Part::Publish);
                }
                Err(error) => inner.status.failed(Part::Stream, full_text(&error)),
            }
        }
        if !inner.status.is_well(Part::Stream) {
            inner.pause(&mut wait).await;
            continue;
        }
        wait = RETRY.0;
        let receives = !inner.received_kinds.lock().is_empty();
        let check = if receives { DELIVERY_CHECK } else { STREAM_CHECK };
        tokio::select! {
            _ = connections.changed() => {}
            () = inner.status.repair.notified() => tokio::time::sleep(RETRY.0).await,
            () = tokio::time::sleep(check) => {}
        }
    }
}

/// One look. An error says what is wrong now; the next look may find it mended.
async fn look_after(inner: &Inner, suspicions: &mut Suspicions) -> Result<(), QueueError> {
    let Some(stream) = inner.find_stream().await? else {
        inner.status.failed(Part::Stream, "the stream is not there".into());
        return inner.make_stream_again().await;
    };
    inner.check_config(&stream).await?;
    let broken = if inner.store_failed.swap(false, Ordering::Relaxed) {
        Some("stores no hints")
    } else if inner.is_stuck(&stream, suspicions).await {
        Some("accepts hints but delivers none")
    } else {
        None
    };
    let Some(why) = broken else { return Ok(()) };
    tracing::warn!(stream = inner.names.stream, why, "the stream is broken; recreating it");
    inner.give_up(&stream).await?;
    inner.make_stream_again().await
}

/// Consumers in which hints and pulls were seen to wait at the same time, and what had been delivered then.
#[derive(Default)]
struct Suspicions(BTreeMap<String, Suspicion>);

#[derive(Clone, Copy)]
struct Suspicion {
    created: i128,
    delivered: u64,
    since: Instant,
}

impl Suspicions {
    /// Records one observation of a consumer; returns true if it is certainly stuck.
    fn confirmed(&mut self, kind: String, consumer: &ConsumerInfo, now: Instant) -> bool {
        let all_out = consumer.num_ack_pending >= usize::try_from(MAX_ACK_PENDING).unwrap_or(usize::MAX);
        if consumer.num_pending == 0 || consumer.num_waiting == 0 || all_out {
            self.0.remove(&kind);
            return false;
        }
        let seen = Suspicion {
            created: consumer.created.unix_timestamp_nanos(),
            delivered: consumer.delivered.consumer_sequence,
            since: now,
        };
        let first = *self
            .0
            .entry(kind.clone())
            .and_modify(|first| {
                if (first.created, first.delivered) != (seen.created, seen.delivered) {
                    *first = seen;
                }
            })
            .or_insert(seen);
        let confirmed = now.duration_since(first.since) >= STUCK_AFTER;
        if confirmed {
            self.0.remove(&kind);
        }
        confirmed
    }
}

impl Inner {
    /// Creates the stream if it is missing when this process starts. At that time it has usually not just been deleted.
    pub(super) async fn open_stream(&self) -> Result<(), QueueError> {
        if let Some(found) = self.find_stream().await? {
            return self.check_config(&found).await;
        }
        let Err(refusal) = self.create_stream().await else {
            return Ok(());
        };
        // Another process may have made it meanwhile: the server counts streams before it looks for one of this name.
        match self.find_stream().await {
            Ok(Some(found)) => self.check_config(&found).await,
            Ok(None) | Err(_) => Err(refusal),
        }
    }

    /// Makes the stream, which was there and is gone. Takes [`FOLDER_IS_GONE`].
    pub(super) async fn make_stream_again(&self) -> Result<(), QueueError> {
        tokio::time::sleep(FOLDER_IS_GONE).await;
        self.create_stream().await
    }

    async fn find_stream(&self) -> Result<Option<StreamInfo>, QueueError> {
        const ACT: &str = "look at the stream";
        match self.context.get_stream(&self.names.stream).await {
            Ok(stream) => Ok(Some(stream.cached_info().clone())),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
                GetStreamErrorKind::JetStream(answer) => Err(of_jetstream(ACT, answer, &self.address)),
                _ => Err(self.no_answer(ACT, full_text(&error))),
            },
        }
    }

    /// Whether the stream is ours; its limits are set to what they should be.
    async fn check_config(&self, found: &StreamInfo) -> Result<(), QueueError> {
        let (wanted, found) = (self.names.stream_config(&self.address), &found.config);
        if found.retention != RetentionPolicy::WorkQueue || found.subjects != wanted.subjects {
            return Err(refuse(format_args!(
                "stream {} exists but is not Tideline's; choose another prefix option",
                self.names.stream
            )));
        }
        let same = found.max_bytes == wanted.max_bytes
            && found.max_age == wanted.max_age
            && found.duplicate_window == wanted.duplicate_window
            && found.num_replicas == wanted.num_replicas;
        if !same && let Err(error) = self.context.update_stream(&wanted).await {
            // It works as it is; another program version or an operator may have made it so.
            tracing::warn!(error = full_text(&error), "the stream keeps its existing limits");
        }
        Ok(())
    }

    async fn create_stream(&self) -> Result<(), QueueError> {
        const ACT: &str = "make the stream";
        let wanted = self.names.stream_config(&self.address);
        match self.context.create_stream(wanted).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                CreateStreamErrorKind::JetStream(answer) => Err(of_jetstream(ACT, answer, &self.address)),
                _ => Err(self.no_answer(ACT, full_text(&error))),
            },
        }
    }

    /// Whether hints in it and those who ask for them do not meet.
    async fn is_stuck(&self, stream: &StreamInfo, suspicions: &mut Suspicions) -> bool {
        let mut kinds = self.received_kinds.lock().clone();
        if stream.state.messages == 0 {
            kinds.clear();
        }
        suspicions.0.retain(|kind, _| kinds.contains(kind));
        let mut stuck = false;
        for kind in kinds {
            let name = consumer_name(&kind);
            let looking = self
                .context
                .get_consumer_from_stream::<pull::Config, _, _>(name, &self.names.stream);
            // Receivers create a missing consumer themselves.
            if let Ok(consumer) = looking.await {
                stuck |= suspicions.confirmed(kind, consumer.cached_info(), Instant::now());
            }
        }
        stuck
    }

    /// Deletes a broken stream, unless another process has done so. Nothing is lost that the store does not know.
    async fn give_up(&self, broken: &StreamInfo) -> Result<(), QueueError> {
        const ACT: &str = "delete the broken stream";
        let now = self.find_stream().await?;
        if now.is_none_or(|now| now.created != broken.created) {
            return Ok(());
        }
        match self.context.delete_stream(&self.names.stream).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                DeleteStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    Ok(())
                }
                DeleteStreamErrorKind::JetStream(answer) => Err(of_jetstream(ACT, answer, &self.address)),
                _ => Err(self.no_answer(ACT, full_text(&error))),
            },
        }
    }
}
