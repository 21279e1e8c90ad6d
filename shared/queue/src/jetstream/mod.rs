//! The queue of a fleet: NATS JetStream, from nats-server 2.9 on. One work-queue stream `TIDELINE_HINTS` carries hints
//! on subjects `tideline.hints.<kind>`, with one durable pull consumer per kind; wake-ups are core messages on
//! `tideline.wake`. Nothing here needs to survive: with NATS away, or its store wiped, workers claim from the store,
//! and everything is made anew when NATS is back. Look next at [`NatsAddress`] for the setting, at `pull` for
//! receiving, and at `keeping` for how the stream is made again.
//!
//! Rights a role needs, for accounts of least privilege (`P` is the prefix, `S` the stream): publish `P.hints.*` and
//! `P.wake`, subscribe `P.wake` and `_INBOX.>`, publish `$JS.API.INFO`, `$JS.API.STREAM.{INFO,CREATE,UPDATE,DELETE}.S`;
//! to receive, also `$JS.API.CONSUMER.{CREATE,INFO,MSG.NEXT}.S.>` and `$JS.ACK.S.>`.

mod failure;
mod keeping;
mod names;
mod options;
mod outlet;
mod publish;
mod pull;
mod status;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::{Context, Message};
use async_trait::async_trait;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

pub use self::outlet::{Outlet, Publication, Subject};

use self::failure::{full_text, no_jetstream, of_connecting, unavailable};
use self::names::Names;
use self::pull::IdlePulls;
use self::status::{Part, Status};
use tideline_core::Wakeups;
use tideline_core::words::NatsAddress;

use super::codec::{self, CodecError};
use super::{Delivery, Hint, Queue, QueueError, QueueHealth};

/// Header with the W3C trace context.
const TRACEPARENT: &str = "traceparent";

/// How long a request to JetStream, or the ack of a publish, is waited for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// Waits between tries while something is wrong.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How often a task that waits for trouble polls for it.
const RECHECK: Duration = Duration::from_secs(1);

/// Hints over NATS JetStream.
pub struct JetStreamQueue {
    inner: Arc<Inner>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

struct Inner {
    address: NatsAddress,
    names: Names,
    client: Client,
    context: Context,
    status: Arc<Status>,
    idle_pulls: IdlePulls,
    /// Kinds whose hints were asked for here.
    received_kinds: Mutex<BTreeSet<String>>,
    /// The stream could not store a hint lately.
    store_failed: AtomicBool,
}

impl JetStreamQueue {
    /// Connects, and makes the stream. If NATS cannot be reached now (within about two seconds per server), the queue
    /// is there but degraded, and goes on trying.
    ///
    /// # Errors
    /// [`QueueError::Config`]: trying again would not help. The text names the setting and says what to do.
    pub async fn open(address: &NatsAddress) -> Result<Self, QueueError> {
        let status = Arc::new(Status::new());
        let client = connect(address, &status).await?;
        let context = ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .ack_timeout(REQUEST_TIMEOUT)
            .max_ack_inflight(4 * publish::IN_FLIGHT)
            .build(client.clone());
        let inner = Arc::new(Inner {
            address: address.clone(),
            names: Names::new(&address.prefix),
            client,
            context,
            status,
            idle_pulls: IdlePulls::default(),
            received_kinds: Mutex::default(),
            store_failed: AtomicBool::new(false),
        });
        if inner.is_connected() {
            match inner.open_stream().await {
                Err(error @ QueueError::Config(_)) => return Err(error),
                Err(error) => inner.status.failed(Part::Stream, full_text(&error)),
                Ok(()) => {}
            }
        }
        let keeper = tokio::spawn(keeping::keep_stream(Arc::clone(&inner)));
        let listener = tokio::spawn(listen_for_wakeups(Arc::clone(&inner)));
        Ok(Self {
            inner,
            _tasks: [AbortOnDropHandle::new(keeper), AbortOnDropHandle::new(listener)],
        })
    }
}

/// Wakes all waiting processes, for a program that does nothing else with the queue. Needs only the permission to
/// publish wake-ups.
///
/// # Errors
/// The server cannot be reached within about two seconds, or refuses us.
pub async fn wake_once(address: &NatsAddress) -> Result<(), QueueError> {
    const ACT: &str = "wake";
    let options = options::connect_options(address).await?;
    let client = options
        .connect(options::servers(address)?)
        .await
        .map_err(|error| of_connecting(&error).unwrap_or_else(|| unavailable(ACT, full_text(&error))))?;
    client
        .publish(Names::new(&address.prefix).wake, "".into())
        .await
        .map_err(|error| unavailable(ACT, full_text(&error)))?;
    client
        .flush()
        .await
        .map_err(|error| unavailable(ACT, full_text(&error)))
}

async fn connect(address: &NatsAddress, status: &Arc<Status>) -> Result<Client, QueueError> {
    let events = Arc::clone(status);
    let options = options::connect_options(address).await?.event_callback(move |event| {
        events.note(event);
        std::future::ready(())
    });
    let failure = match options.clone().connect(options::servers(address)?).await {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    if let Some(config) = of_connecting(&failure) {
        return Err(config);
    }
    status.failed(Part::Connection, full_text(&failure));
    options
        .retry_on_initial_connect()
        .connect(options::servers(address)?)
        .await
        .map_err(|error| of_connecting(&error).unwrap_or_else(|| unavailable("connect", error)))
}

impl Inner {
    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Which connection this is. Of the client's own count: its events come later than the first messages of a
    /// connection may, and pulls that are thrown away for a late event take hints along.
    fn connection(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// A request that JetStream did not answer: it is disabled, not permitted, or temporarily unavailable.
    fn no_answer(&self, act: &'static str, text: String) -> QueueError {
        if self.client.try_server_info().is_some_and(|info| !info.jetstream) {
            return no_jetstream();
        }
        match self.status.refused() {
            Some(refused) if refused.to_lowercase().contains("permissions violation") => options::refuse(format_args!(
                "NATS refuses ({refused}); grant the user the permissions listed in docs/operations.md"
            )),
            _ => unavailable(act, text),
        }
    }

    /// Waits out a failure, or until there is a new connection.
    async fn pause(&self, wait: &mut Duration) {
        let mut connections = self.status.connections();
        tokio::select! {
            () = tokio::time::sleep(*wait) => *wait = (*wait * 2).min(RETRY.1),
            _ = connections.changed() => *wait = RETRY.0,
        }
    }

    async fn read(&self, message: Message) -> Option<Box<dyn Delivery>> {
        let trace = message
            .headers
            .as_ref()
            .and_then(|headers| headers.get(TRACEPARENT))
            .map(ToString::to_string);
        match codec::decode(&message.payload, trace) {
            Ok(hint) => Some(Box::new(Received { hint, message })),
            Err(error) => {
                let source = match &error {
                    CodecError::Malformed(Some(source)) => source.to_string(),
                    _ => String::new(),
                };
                tracing::warn!(%error, source, "ignoring a hint");
                acknowledge(&message).await;
                None
            }
        }
    }
}

async fn listen_for_wakeups(inner: Arc<Inner>) {
    let mut wait = RETRY.0;
    loop {
        if let Ok(mut messages) = inner.client.subscribe(inner.names.wake.clone()).await {
            wait = RETRY.0;
            while messages.next().await.is_some() {
                inner.status.alarm.ring();
            }
        }
        inner.pause(&mut wait).await;
    }
}

#[async_trait]
impl Queue for JetStreamQueue {
    async fn publish(&self, hints: &[Hint]) -> Result<(), QueueError> {
        let sent = publish::publish(&self.inner, hints).await;
        match &sent {
            Ok(()) => self.inner.status.healed(Part::Publish),
            Err(error) if self.inner.is_connected() => self.inner.status.failed(Part::Publish, full_text(error)),
            Err(_) => {}
        }
        sent
    }

    async fn receive(&self, kinds: &[String], max: usize) -> Result<Vec<Box<dyn Delivery>>, QueueError> {
        let mut pulls = self.inner.idle_pulls.check_out(kinds);
        let mut connections = self.inner.status.connections();
        let mut wait = RETRY.0;
        loop {
            connections.mark_unchanged();
            let connection = self.inner.connection();
            let Some(set) = pulls.set().filter(|_| self.inner.is_connected()) else {
                self.inner.pause(&mut wait).await;
                continue;
            };
            let prepared = set.prepare(&self.inner, connection).await;
            if prepared.is_ok() {
                self.inner.status.healed(Part::Receive);
            }
            let received = match prepared {
                Err(error) => Err(error),
                Ok(()) => tokio::select! {
                    received = set.next(max) => received,
                    _ = connections.changed() => continue,
                },
            };
            match received {
                Ok(messages) => {
                    let mut deliveries = Vec::with_capacity(messages.len());
                    for message in messages {
                        deliveries.extend(self.inner.read(message).await);
                    }
                    if !deliveries.is_empty() {
                        return Ok(deliveries);
                    }
                }
                Err(error) => {
                    set.discard();
                    self.inner.status.failed(Part::Receive, full_text(&error));
                    self.inner.pause(&mut wait).await;
                }
            }
        }
    }

    async fn wake(&self) {
        self.inner.status.alarm.ring();
        if self.inner.is_connected() {
            // Best effort: the waiters have their own slow look at the store.
            let sent = self.inner.client.publish(self.inner.names.wake.clone(), "".into());
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, sent).await;
        }
    }

    fn wakeups(&self) -> Box<dyn Wakeups> {
        self.inner.status.alarm.waiter()
    }

    fn reaches_others(&self) -> bool {
        // Wake-ups are plain messages and need no JetStream, but a server that hangs looks connected for a while.
        self.health() == QueueHealth::Healthy
    }

    async fn degraded(&self) {
        let mut troubles = self.inner.status.troubles();
        loop {
            troubles.mark_unchanged();
            if self.health() != QueueHealth::Healthy {
                return;
            }
            // The client tells of a lost connection a little before its state does.
            let _ = tokio::time::timeout(RECHECK, troubles.changed()).await;
        }
    }

    fn health(&self) -> QueueHealth {
        if !self.inner.is_connected() {
            let why = self.inner.status.connection_problem();
            let why = why.map_or_else(String::new, |why| format!(" ({why})"));
            return QueueHealth::Degraded(format!("NATS cannot be reached{why}"));
        }
        self.inner
            .status
            .problems()
            .map_or(QueueHealth::Healthy, QueueHealth::Degraded)
    }
}

struct Received {
    hint: Hint,
    message: Message,
}

#[async_trait]
impl Delivery for Received {
    fn hint(&self) -> &Hint {
        &self.hint
    }

    async fn ack(&self) {
        acknowledge(&self.message).await;
    }
}

/// Without waiting for an answer: a lost ack makes the hint come again, and it is stale then.
async fn acknowledge(message: &Message) {
    let _ = tokio::time::timeout(REQUEST_TIMEOUT, message.ack()).await;
}
