//! An answer that comes line by line (`application/x-ndjson`).

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::MAX_ANSWER;
use super::error::ClientError;

/// Longest silence: the gateway says something every few seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// The lines of a response over HTTP.
pub(crate) struct Lines {
    server: String,
    response: reqwest::Response,
    /// What has arrived and was not handed out.
    arrived: Vec<u8>,
}

impl Lines {
    pub(super) fn new(server: String, response: reqwest::Response) -> Self {
        Self {
            server,
            response,
            arrived: Vec::new(),
        }
    }

    /// The next line; none: that was the last one.
    ///
    /// # Errors
    /// The connection broke, or the line is not what this version of the program expects.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.arrived[searched..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.arrived.drain(..=searched + end).collect();
                let line = serde_json::from_slice(&line).map_err(|source| ClientError::Unreadable { source })?;
                return Ok(Some(line));
            }
            searched = self.arrived.len();
            if searched > MAX_ANSWER {
                return Err(self.broken(format!("a line is longer than {MAX_ANSWER} bytes").into()));
            }
            let chunk = match tokio::time::timeout(SILENCE, self.response.chunk()).await {
                Ok(chunk) => chunk.map_err(|error| self.broken(error.without_url().into()))?,
                Err(_) => return Err(self.broken(format!("nothing came for {} s", SILENCE.as_secs()).into())),
            };
            match chunk {
                Some(chunk) => self.arrived.extend_from_slice(&chunk),
                None if self.arrived.is_empty() => return Ok(None),
                None => return Err(self.broken("it ended in the middle of a line".into())),
            }
        }
    }

    fn broken(&self, source: Box<dyn std::error::Error + Send + Sync>) -> ClientError {
        ClientError::Broken {
            server: self.server.clone(),
            acts: false,
            source,
        }
    }
}
