//! The status of the connection: from the client's events and the last operations.

use async_nats::{ClientError, Event, ServerError};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::super::wakeups::Alarm;

/// What may be wrong, each healed by its own success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Reaching a server.
    Connection,
    /// The stream.
    Stream,
    /// Sending.
    Publish,
    /// Receiving.
    Receive,
}

#[derive(Debug)]
pub(super) struct Status {
    problems: Mutex<[Option<String>; 4]>,
    /// The server's last refusal: the reason why an act without a response failed.
    refused: Mutex<Option<String>>,
    /// Incremented with every connection.
    connections: watch::Sender<u64>,
    /// Incremented with every new problem.
    troubles: watch::Sender<u64>,
    /// A failure that recreating the stream may fix.
    pub(super) repair: Notify,
    pub(super) alarm: Alarm,
}

impl Status {
    pub(super) fn new() -> Self {
        Self {
            problems: Mutex::new([const { None }; 4]),
            refused: Mutex::new(None),
            connections: watch::Sender::new(0),
            troubles: watch::Sender::new(0),
            repair: Notify::new(),
            alarm: Alarm::new(),
        }
    }

    /// Takes an event of the client.
    pub(super) fn note(&self, event: Event) {
        match event {
            Event::Connected => {
                self.healed(Part::Connection);
                *self.refused.lock() = None;
                self.connections.send_modify(|count| *count += 1);
                // Wake-ups may have been lost while it was away.
                self.alarm.ring();
            }
            Event::Disconnected => self.in_trouble(),
            Event::ClientError(ClientError::Other(text)) => self.failed(Part::Connection, text),
            Event::ServerError(ServerError::Other(text)) => *self.refused.lock() = Some(text),
            _ => {}
        }
    }

    pub(super) fn failed(&self, part: Part, why: String) {
        let before = self.problems.lock()[part as usize].replace(why.clone());
        if before.is_none() {
            tracing::warn!(?part, why, "the queue is degraded; work continues from the store");
            self.in_trouble();
        }
        if part != Part::Connection {
            self.repair.notify_one();
        }
    }

    /// Subscribers that rely on being notified of work now look for it themselves.
    fn in_trouble(&self) {
        self.troubles.send_modify(|count| *count += 1);
        self.alarm.ring();
    }

    pub(super) fn healed(&self, part: Part) {
        let before = self.problems.lock()[part as usize].take();
        if before.is_some() {
            tracing::info!(?part, "the queue has recovered");
        }
    }

    pub(super) fn is_well(&self, part: Part) -> bool {
        self.problems.lock()[part as usize].is_none()
    }

    /// Everything that is wrong except the connection.
    pub(super) fn problems(&self) -> Option<String> {
        let problems = self.problems.lock();
        let texts: Vec<&str> = problems[1..].iter().flatten().map(String::as_str).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    pub(super) fn connection_problem(&self) -> Option<String> {
        self.problems.lock()[Part::Connection as usize].clone()
    }

    pub(super) fn refused(&self) -> Option<String> {
        self.refused.lock().clone()
    }

    pub(super) fn connections(&self) -> watch::Receiver<u64> {
        self.connections.subscribe()
    }

    pub(super) fn troubles(&self) -> watch::Receiver<u64> {
        self.troubles.subscribe()
    }
}
