//! Publishing events and changes on subjects that other programs subscribe to. Two streams keep it, in order:
//! `TIDELINE_EVENTS` on `tideline.events.>` and `TIDELINE_CHANGES` on `tideline.changes.>`. A resent message has the
//! same id, and each message of a batch is stored only directly after the previous one.

use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{ContextBuilder, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use bytes::Bytes;
use tideline_core::words::NatsAddress;

use super::failure::{full_text, of_connecting, unavailable};
use super::names::token;
use super::options;
use crate::QueueError;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum number of messages kept for absent consumers.
const MAX_AGE: Duration = Duration::from_secs(7 * 86_400);
/// Deduplication window for resent messages.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
const ACT: &str = "publish for others";

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `tideline.events.<topic>`.
    Event {
        /// The topic, with its dots.
        topic: String,
    },
    /// `tideline.changes.<source>.<kind>`.
    Change {
        /// Name of the source.
        source: String,
        /// Kind of the entity.
        kind: String,
    },
    /// `tideline.changes`: followers of the changes start over.
    StartOver,
}

/// A message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Where it goes.
    pub subject: Subject,
    /// The same whenever it is sent again.
    pub id: String,
    /// JSON.
    pub payload: Bytes,
    /// W3C trace context.
    pub trace: Option<String>,
}

/// Publishes on its own connection.
pub struct Outlet {
    address: NatsAddress,
    client: Client,
    context: Context,
}

impl Outlet {
    /// Connects; if NATS cannot be reached now, it keeps trying.
    ///
    /// # Errors
    /// [`QueueError::Config`]: trying again would not help.
    pub async fn open(address: &NatsAddress) -> Result<Self, QueueError> {
        let options = options::connect_options(address).await?.retry_on_initial_connect();
        let client = options.connect(options::servers(address)?).await;
        let client =
            client.map_err(|error| of_connecting(&error).unwrap_or_else(|| unavailable(ACT, full_text(&error))))?;
        let context = ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .ack_timeout(REQUEST_TIMEOUT)
            .build(client.clone());
        Ok(Self {
            address: address.clone(),
            client,
            context,
        })
    }

    /// Stores messages of one stream in order; returns when all are stored. On an error, a prefix of them may have been
    /// stored.
    ///
    /// # Errors
    /// NATS cannot be reached, or does not store them.
    pub async fn publish(&self, batch: &[Publication]) -> Result<(), QueueError> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.client.connection_state() != State::Connected {
            return Err(unavailable(ACT, "NATS cannot be reached"));
        }
        match self.send(batch).await {
            Err(Failed::NoStream) => {
                self.make_streams().await?;
                self.send(batch).await.map_err(Failed::into_error)
            }
            other => other.map_err(Failed::into_error),
        }
    }

    async fn send(&self, batch: &[Publication]) -> Result<(), Failed> {
        let mut acks = Vec::with_capacity(batch.len());
        let mut before: Option<&str> = None;
        for publication in batch {
            let mut message = PublishMessage::build()
                .payload(publication.payload.clone())
                .message_id(publication.id.as_str());
            if let Some(before) = before {
                message = message.expected_last_message_id(before);
            }
            if let Some(trace) = &publication.trace {
                message = message.header(super::TRACEPARENT, trace.as_str());
            }
            let subject = subject_of(&self.address.prefix, &publication.subject);
            let sent = self.context.send_publish(subject, message).await;
            acks.push(sent.map_err(|error| Failed::Other(full_text(&error)))?);
            before = Some(&publication.id);
        }
        for ack in acks {
            ack.await.map_err(|error| match error.kind() {
                PublishErrorKind::StreamNotFound => Failed::NoStream,
                _ => Failed::Other(full_text(&error)),
            })?;
        }
        Ok(())
    }

    async fn make_streams(&self) -> Result<(), QueueError> {
        let prefix = &self.address.prefix;
        for (name, subjects, description) in [
            ("EVENTS", vec![format!("{prefix}.events.>")], "Events of Tideline"),
            (
                "CHANGES",
                vec![format!("{prefix}.changes"), format!("{prefix}.changes.>")],
                "Changes of Tideline's catalog",
            ),
        ] {
            let config = Config {
                name: format!("{}_{name}", prefix.to_uppercase()),
                description: Some(description.to_owned()),
                subjects,
                retention: RetentionPolicy::Limits,
                storage: StorageType::File,
                discard: DiscardPolicy::Old,
                max_bytes: self.address.max_bytes,
                max_messages: -1,
                max_messages_per_subject: -1,
                max_consumers: -1,
                max_age: MAX_AGE,
                duplicate_window: DUPLICATE_WINDOW,
                num_replicas: self.address.replicas,
                ..Config::default()
            };
            let made = self.context.get_or_create_stream(config).await;
            made.map_err(|error| unavailable(ACT, full_text(&error)))?;
        }
        Ok(())
    }
}

enum Failed {
    NoStream,
    Other(String),
}

impl Failed {
    fn into_error(self) -> QueueError {
        match self {
            Self::NoStream => unavailable(ACT, "the stream is not there"),
            Self::Other(text) => unavailable(ACT, text),
        }
    }
}

fn subject_of(prefix: &str, subject: &Subject) -> String {
    match subject {
        Subject::Event { topic } => {
            let words: Vec<String> = topic.split('.').map(token).collect();
            format!("{prefix}.events.{}", words.join("."))
        }
        Subject::Change { source, kind } => format!("{prefix}.changes.{}.{}", token(source), token(kind)),
        Subject::StartOver => format!("{prefix}.changes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_say_what_happened_and_no_name_adds_a_word_to_them() {
        let event = Subject::Event {
            topic: "github.push".to_owned(),
        };
        assert_eq!(subject_of("tideline", &event), "tideline.events.github.push");
        let change = Subject::Change {
            source: "team.a *".to_owned(),
            kind: "component".to_owned(),
        };
        assert_eq!(
            subject_of("tideline", &change),
            "tideline.changes.team=2Ea=20=2A.component"
        );
    }
}
