//! Sending: all hints are sent before waiting for the first ack.

use std::error::Error;
use std::sync::atomic::Ordering;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, ErrorCode};

use super::super::{Hint, QueueError};
use super::failure::{full_text, unavailable};
use super::names::message_id;
use super::{Inner, TRACEPARENT, codec};

/// Maximum number of messages in flight.
pub(super) const IN_FLIGHT: usize = 1_024;

const ACT: &str = "send hints";

type Outgoing = (String, PublishMessage);

pub(super) async fn publish(inner: &Inner, hints: &[Hint]) -> Result<(), QueueError> {
    if !inner.is_connected() {
        return Err(unavailable(ACT, "NATS cannot be reached"));
    }
    let mut outgoing = Vec::new();
    for hint in hints {
        for jobs in hint.jobs.chunks(Hint::MAX_JOBS) {
            let payload = codec::encode(&hint.kind, jobs).map_err(|error| unavailable(ACT, error))?;
            let mut message = PublishMessage::build()
                .payload(payload.into())
                .message_id(message_id(&hint.kind, jobs));
            if let Some(trace) = &hint.trace {
                message = message.header(TRACEPARENT, trace.as_str());
            }
            outgoing.push((inner.names.subject(&hint.kind), message));
        }
    }
    for batch in outgoing.chunks(IN_FLIGHT) {
        if send(inner, batch).await? == Sent::NoStream {
            inner.make_stream_again().await?;
            // What the stream had before has the same ids, and is stored once.
            if send(inner, batch).await? == Sent::NoStream {
                return Err(unavailable(ACT, "the stream is not there"));
            }
        }
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Sent {
    All,
    NoStream,
}

async fn send(inner: &Inner, batch: &[Outgoing]) -> Result<Sent, QueueError> {
    let mut acks = Vec::with_capacity(batch.len());
    for (subject, message) in batch {
        let sending = inner.context.send_publish(subject.clone(), message.clone());
        acks.push(sending.await.map_err(|error| unavailable(ACT, full_text(&error)))?);
    }
    let mut outcome = Ok(Sent::All);
    for ack in acks {
        match ack.await {
            Ok(_) => {}
            Err(error) if error.kind() == PublishErrorKind::StreamNotFound => outcome = Ok(Sent::NoStream),
            Err(error) => {
                if store_failed(&error) {
                    inner.store_failed.store(true, Ordering::Relaxed);
                }
                return Err(inner.no_answer(ACT, full_text(&error)));
            }
        }
    }
    outcome
}

/// The stream is there and its files cannot be written.
fn store_failed(error: &PublishError) -> bool {
    let answer = error
        .source()
        .and_then(|source| source.downcast_ref::<jetstream::Error>());
    answer.is_some_and(|answer| answer.error_code() == ErrorCode::STREAM_STORE_FAILED)
}
