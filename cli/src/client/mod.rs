//! The only access of commands to Tideline: requests to the API. They are handled by the API inside this process, on
//! the configured store, or over HTTP by the gateway of a fleet (`--server`). Requests, responses and errors are the
//! same.

pub(crate) mod credentials;
mod error;
mod following;
mod lines;
mod local;
mod pages;
mod remote;
mod request;

use serde::de::DeserializeOwned;

pub(crate) use error::ClientError;
pub(crate) use following::Following;
pub(crate) use lines::Lines;
pub(crate) use pages::{Listing, Pages};
pub(crate) use remote::{Remote, Server};
pub(crate) use request::Request;

use self::local::Local;
use crate::context::Context;

/// Maximum size of a response that is read, in bytes. A page has at most 4 MiB, or one record.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// A client of the API.
pub(crate) struct Client<'c> {
    context: &'c Context,
    transport: Transport,
}

enum Transport {
    Local(Local),
    Remote(Remote),
}

/// A successful response.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Vec<u8>,
}

impl Answer {
    /// Its parsed body.
    ///
    /// # Errors
    /// It is not JSON of this kind: the server is of another version.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|source| ClientError::Unreadable { source })
    }

    /// As it came.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl<'c> Client<'c> {
    /// Of the server that the context names, or of its store.
    ///
    /// # Errors
    /// The configuration or the server's URL is wrong, or the store cannot be opened.
    pub(crate) async fn open(context: &'c Context) -> anyhow::Result<Self> {
        let transport = match context.server()? {
            Some(server) => Transport::Remote(Remote::open(server)?),
            None => Transport::Local(Local::open(context).await?),
        };
        Ok(Self { context, transport })
    }

    /// Sends a request. An act whose answer was lost is sent again with the same key, so that it is done once.
    ///
    /// # Errors
    /// The API's problem, or why there is no answer.
    pub(crate) async fn send(&self, request: &Request) -> anyhow::Result<Answer> {
        if request.is_get() {
            return self.send_as_it_is(request).await;
        }
        let act = request.clone().for_act(self.context.reason());
        let answer = self.send_as_it_is(&act).await?;
        if let Transport::Local(local) = &self.transport {
            self.context.follow_up(local.store()).await?;
        }
        Ok(answer)
    }

    async fn send_as_it_is(&self, request: &Request) -> anyhow::Result<Answer> {
        Ok(match &self.transport {
            Transport::Local(local) => local.send(request).await?,
            Transport::Remote(remote) => remote.send_patiently(request).await?,
        })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub(crate) async fn ask<T: DeserializeOwned>(&self, request: &Request) -> anyhow::Result<T> {
        Ok(self.send(request).await?.read()?)
    }
}
