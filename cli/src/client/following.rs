//! Requests of commands that run until Ctrl-C: a temporary outage of the server does not end them.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{Answer, Client, ClientError, Request};
use crate::output::{Out, Tone};

/// First wait before a retry; doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// Maximum wait.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// A command that keeps sending requests.
pub(crate) struct Following<'c> {
    client: &'c Client<'c>,
    /// The server is there: one that never answered is probably the wrong one.
    answered: bool,
}

impl<'c> Following<'c> {
    /// Has not asked yet.
    pub(crate) fn new(client: &'c Client<'c>) -> Self {
        Self {
            client,
            answered: false,
        }
    }

    /// Whether there was an answer.
    pub(crate) fn has_answer(&self) -> bool {
        self.answered
    }

    /// Sends a request until it is answered. The person is notified once of the outage, and once of its end.
    ///
    /// # Errors
    /// The API refused, or the first request of all was not answered.
    pub(crate) async fn send(&mut self, request: &Request) -> anyhow::Result<Answer> {
        let (mut wait, mut away) = (FIRST_WAIT, false);
        loop {
            let error = match self.client.send(request).await {
                Ok(answer) => {
                    if away {
                        Out::stderr().toned(Tone::Good, "the server is back")?;
                    }
                    self.answered = true;
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let passes = error.downcast_ref::<ClientError>().is_some_and(ClientError::may_pass);
            if !self.answered || !passes {
                return Err(error);
            }
            if !away {
                away = true;
                Out::stderr().toned(
                    Tone::Warn,
                    format!("lost the server ({error}); trying again until it is back"),
                )?;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(MAX_WAIT);
        }
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// As [`Following::send`].
    pub(crate) async fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> anyhow::Result<T> {
        Ok(self.send(request).await?.read()?)
    }
}
