//! Receiving: for every call of `receive` one set of pulls, kept for the next call. A pull asks for one hint, so a worker
//! never holds hints that it has no hands for; a hint that arrives after its call was cancelled is returned by the next one.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::Stream;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::super::QueueError;
use super::Inner;
use super::failure::{full_text, of_consumer, unavailable};

/// How long a pull waits on the server.
const PULL_EXPIRES: Duration = Duration::from_secs(20);

/// A pull that hears nothing for twice this time is made anew.
const IDLE_HEARTBEAT: Duration = Duration::from_secs(1);

/// Sets kept for later calls: more calls at once than this make new ones.
const MAX_IDLE_SETS: usize = 32;

/// The sets that no call uses now.
#[derive(Default)]
pub(super) struct IdlePulls(Mutex<Vec<PullSet>>);

type Opening = AbortOnDropHandle<Result<Vec<Stream>, QueueError>>;

/// The pulls of one call: one per kind.
pub(super) struct PullSet {
    kinds: Vec<String>,
    /// The connection they were made on; none: not made yet, or broken.
    connection: Option<u64>,
    /// Pulls that are being made, and on which connection. They are made by a task, since whoever waits for them may give up
    /// sooner: a pull made half would take hints that nobody reads.
    opening: Option<(u64, Opening)>,
    streams: Vec<Stream>,
    first: usize,
}

/// A set in use; goes back when it is dropped.
pub(super) struct CheckedOut<'a> {
    idle: &'a IdlePulls,
    set: Option<PullSet>,
}

impl IdlePulls {
    pub(super) fn check_out(&self, kinds: &[String]) -> CheckedOut<'_> {
        let mut idle = self.0.lock();
        let found = idle.iter().position(|set| set.kinds == kinds);
        let set = found.map_or_else(
            || PullSet {
                kinds: kinds.to_vec(),
                connection: None,
                opening: None,
                streams: Vec::new(),
                first: 0,
            },
            |index| idle.swap_remove(index),
        );
        CheckedOut {
            idle: self,
            set: Some(set),
        }
    }
}

impl CheckedOut<'_> {
    pub(super) fn set(&mut self) -> Option<&mut PullSet> {
        self.set.as_mut()
    }
}

impl Drop for CheckedOut<'_> {
    fn drop(&mut self) {
        let mut idle = self.idle.0.lock();
        if let Some(set) = self.set.take().filter(|_| idle.len() < MAX_IDLE_SETS) {
            idle.push(set);
        }
    }
}

impl PullSet {
    /// Makes the pulls, if they are not there or were made on an older connection. Cancel-safe: the next call goes on.
    pub(super) async fn prepare(&mut self, inner: &Arc<Inner>, connection: u64) -> Result<(), QueueError> {
        if self.connection == Some(connection) {
            return Ok(());
        }
        if self.opening.as_ref().is_none_or(|(on, _)| *on != connection) {
            self.discard();
            let task = tokio::spawn(open_all(Arc::clone(inner), self.kinds.clone()));
            self.opening = Some((connection, AbortOnDropHandle::new(task)));
        }
        if let Some((_, opening)) = &mut self.opening {
            let opened = opening.await;
            self.opening = None;
            self.streams = opened.map_err(|error| unavailable("receive hints", error))??;
            self.connection = Some(connection);
        }
        Ok(())
    }

    /// The pulls are broken: they are made anew next time.
    pub(super) fn discard(&mut self) {
        self.streams.clear();
        self.connection = None;
        self.opening = None;
    }

    /// At least one message, at most one of each kind. Cancel-safe.
    pub(super) async fn next(&mut self, max: usize) -> Result<Vec<Message>, QueueError> {
        poll_fn(|context| self.poll(context, max)).await
    }

    fn poll(&mut self, context: &mut Context<'_>, max: usize) -> Poll<Result<Vec<Message>, QueueError>> {
        let mut messages = Vec::new();
        let mut broken = None;
        let count = self.streams.len();
        for step in 0..count {
            if messages.len() >= max.max(1) {
                break;
            }
            // Polling a stream whose message was just taken would pull again, ahead of need: each once only.
            let index = (self.first + step) % count;
            match self.streams[index].poll_next_unpin(context) {
                Poll::Ready(Some(Ok(message))) => messages.push(message),
                Poll::Ready(Some(Err(error))) => broken = Some(unavailable("receive hints", full_text(&error))),
                Poll::Ready(None) => broken = Some(unavailable("receive hints", "the pull ended")),
                Poll::Pending => {}
            }
        }
        self.first = self.first.wrapping_add(1) % count.max(1);
        if broken.is_some() {
            self.discard();
        }
        match broken {
            _ if !messages.is_empty() => Poll::Ready(Ok(messages)),
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Pending,
        }
    }
}

async fn open_all(inner: Arc<Inner>, kinds: Vec<String>) -> Result<Vec<Stream>, QueueError> {
    let mut streams = Vec::with_capacity(kinds.len());
    for kind in &kinds {
        streams.push(open(&inner, kind).await?);
    }
    Ok(streams)
}

async fn open(inner: &Arc<Inner>, kind: &str) -> Result<Stream, QueueError> {
    if inner.received_kinds.lock().insert(kind.to_owned()) {
        // From now on it matters whether the stream delivers.
        inner.status.repair.notify_one();
    }
    let make = || {
        inner
            .context
            .create_consumer_on_stream(inner.names.consumer_config(kind), &inner.names.stream)
    };
    let consumer = match make().await {
        Ok(consumer) => consumer,
        Err(error) => {
            let (error, stream_is_missing) = of_consumer(error, &inner.address);
            if !stream_is_missing {
                return Err(error);
            }
            inner.make_stream_again().await?;
            make().await.map_err(|error| of_consumer(error, &inner.address).0)?
        }
    };
    consumer
        .stream()
        .max_messages_per_batch(1)
        .expires(PULL_EXPIRES)
        .heartbeat(IDLE_HEARTBEAT)
        .messages()
        .await
        .map_err(|error| unavailable("receive hints", error))
}
