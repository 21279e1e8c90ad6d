//! Receiving: every call of `receive` uses one set of pulls, kept for the next call. A pull requests one hint, so a
//! worker never holds hints without free slots; a hint that arrives after its call was cancelled is returned by the
//! next one.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::BatchConfig;
use async_nats::{StatusCode, Subject, Subscriber, jetstream};
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::time::Sleep;
use tokio_util::task::AbortOnDropHandle;

use super::super::QueueError;
use super::Inner;
use super::failure::{full_text, of_consumer, unavailable};

/// How long a pull request stays open on the server.
const PULL_EXPIRES: Duration = Duration::from_secs(20);

/// How often the server confirms that a pull is still waiting. A pull that hears nothing for twice this time is
/// reopened.
const IDLE_HEARTBEAT: Duration = Duration::from_secs(1);

const ACT: &str = "receive hints";

/// Maximum number of idle sets kept for reuse; more concurrent calls open new ones.
const MAX_IDLE_SETS: usize = 32;

/// The sets that no call is using.
#[derive(Default)]
pub(super) struct IdlePulls(Mutex<Vec<PullSet>>);

type Opening = AbortOnDropHandle<Result<Vec<Pull>, QueueError>>;

/// The pulls of one call: one per kind.
pub(super) struct PullSet {
    kinds: Vec<String>,
    /// The connection they were made on; none: not made yet, or broken.
    connection: Option<u64>,
    /// Pulls that are being opened, and on which connection. A task opens them, since a caller may give up before they
    /// are open, time after time.
    opening: Option<(u64, Opening)>,
    pulls: Vec<Pull>,
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
                pulls: Vec::new(),
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
    /// Opens the pulls if there are none, or if they belong to an older connection. Cancel-safe: the next call
    /// continues.
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
            self.pulls = opened.map_err(|error| unavailable(ACT, error))??;
            self.connection = Some(connection);
        }
        Ok(())
    }

    /// Marks the pulls as broken, so that the next call reopens them.
    pub(super) fn discard(&mut self) {
        self.pulls.clear();
        self.connection = None;
        self.opening = None;
    }

    /// At least one message, at most one of each kind. Cancel-safe.
    pub(super) async fn next(&mut self, max: usize) -> Result<Vec<Message>, QueueError> {
        loop {
            for pull in &mut self.pulls {
                pull.ask().await?;
            }
            let messages = poll_fn(|context| self.poll(context, max)).await?;
            if !messages.is_empty() {
                return Ok(messages);
            }
        }
    }

    /// No message: a pull has expired.
    fn poll(&mut self, context: &mut Context<'_>, max: usize) -> Poll<Result<Vec<Message>, QueueError>> {
        let (mut messages, mut expired, mut broken) = (Vec::new(), false, None);
        let count = self.pulls.len();
        for step in 0..count {
            if messages.len() >= max.max(1) {
                break;
            }
            match self.pulls[(self.first + step) % count].poll(context) {
                Poll::Ready(Ok(Some(message))) => messages.push(message),
                Poll::Ready(Ok(None)) => expired = true,
                Poll::Ready(Err(error)) => broken = Some(error),
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
            None if expired => Poll::Ready(Ok(messages)),
            None => Poll::Pending,
        }
    }
}

/// Requests hints from one consumer, one at a time. The client's own message stream (async-nats 0.51) counts its
/// requests in a separate task: a hint that overtakes the count leaves the stream waiting for a response that it
/// already had, until it misses the heartbeats.
struct Pull {
    consumer: PullConsumer,
    context: jetstream::Context,
    inbox: Subject,
    answers: Subscriber,
    /// Whether a request is pending.
    asked: bool,
    /// Fires when the server was silent for too long.
    silence: Option<Pin<Box<Sleep>>>,
}

impl Pull {
    /// Requests the next hint, unless a request is pending. Cancel-safe.
    async fn ask(&mut self) -> Result<(), QueueError> {
        if !self.asked {
            let one = BatchConfig {
                batch: 1,
                expires: Some(PULL_EXPIRES),
                idle_heartbeat: IDLE_HEARTBEAT,
                ..BatchConfig::default()
            };
            let asking = self.consumer.request_batch(one, self.inbox.clone());
            asking.await.map_err(|error| unavailable(ACT, full_text(&error)))?;
            self.asked = true;
        }
        Ok(())
    }

    /// The hint, or none if it expired; [`Self::ask`] again after both. An error: it is broken.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Message>, QueueError>> {
        while let Poll::Ready(answer) = self.answers.poll_next_unpin(context) {
            self.silence = None;
            let Some(message) = answer else {
                return Poll::Ready(Err(unavailable(ACT, "the subscription ended")));
            };
            match message.status.unwrap_or(StatusCode::OK) {
                StatusCode::IDLE_HEARTBEAT => continue,
                StatusCode::OK => {
                    self.asked = false;
                    let context = self.context.clone();
                    return Poll::Ready(Ok(Some(Message { message, context })));
                }
                StatusCode::TIMEOUT => {
                    self.asked = false;
                    return Poll::Ready(Ok(None));
                }
                status => {
                    let why = message.description.as_deref().unwrap_or("no reason given");
                    return Poll::Ready(Err(unavailable(ACT, format!("the pull ended: {status} {why}"))));
                }
            }
        }
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(2 * IDLE_HEARTBEAT)));
        ready!(silence.poll_unpin(context));
        Poll::Ready(Err(unavailable(ACT, "no heartbeat of the pull")))
    }
}

async fn open_all(inner: Arc<Inner>, kinds: Vec<String>) -> Result<Vec<Pull>, QueueError> {
    let mut pulls = Vec::with_capacity(kinds.len());
    for kind in &kinds {
        pulls.push(open(&inner, kind).await?);
    }
    Ok(pulls)
}

async fn open(inner: &Arc<Inner>, kind: &str) -> Result<Pull, QueueError> {
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
    let inbox = Subject::from(inner.client.new_inbox());
    let subscribing = inner.client.subscribe(inbox.clone());
    Ok(Pull {
        consumer,
        context: inner.context.clone(),
        inbox,
        answers: subscribing.await.map_err(|error| unavailable(ACT, full_text(&error)))?,
        asked: false,
        silence: None,
    })
}
