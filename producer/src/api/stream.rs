//! Lists whose records may be large: streamed to the client while they are read from the store, a chunk at a time. A
//! response is limited in records and in bytes, a chunk by the largest record seen so far, and the number of concurrent
//! responses is limited too.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt as _, stream};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::ApiState;
use super::page::MAX_PAGE_BYTES;
use super::problem::{Code, Problem};

/// Records in the first chunk, while their size is unknown.
const FIRST_CHUNK: u32 = 8;

/// Maximum growth factor from one chunk to the next, in records.
const GROWTH: u32 = 4;

/// Target size of a chunk, in bytes.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Maximum number of records that one response examines, of which a principal may see few.
const MAX_LOOKED: usize = 20_000;

/// Records of one reading.
pub(super) struct Chunk<T> {
    /// Those that pass the filters.
    pub(super) records: Vec<T>,
    /// The size of the largest body read so far, in bytes.
    pub(super) largest: usize,
    /// What comes after them.
    pub(super) rest: Rest,
}

/// What comes after a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// More, perhaps.
    More,
    /// More, perhaps, but this response has examined enough.
    Later,
    /// Nothing: the list is at its end.
    Nothing,
}

/// How many records one response has examined, of a list of which a principal may see only a part.
#[derive(Default)]
pub(super) struct Looked(usize);

impl Looked {
    /// What comes after a reading that found `found` records; `more`: it left some out.
    pub(super) fn rest(&mut self, found: usize, more: bool) -> Rest {
        self.0 += found;
        match more {
            false => Rest::Nothing,
            true if self.0 >= MAX_LOOKED => Rest::Later,
            true => Rest::More,
        }
    }
}

/// A list in the store.
#[async_trait]
pub(super) trait List: Send + 'static {
    /// What it has.
    type Record: Serialize + Send;

    /// The next records, at most `limit`.
    async fn read(&mut self, limit: u32) -> Result<Chunk<Self::Record>, Problem>;

    /// What comes before the records, in JSON.
    fn head(&self) -> &'static str;

    /// What comes after them; `finished`: the list is at its end.
    fn tail(&self, finished: bool) -> String;
}

struct Writing<L> {
    list: L,
    left: u32,
    bytes: u64,
    chunk: u32,
    /// The head is written.
    begun: bool,
    /// A record is written, so that a comma comes before the next one.
    follows: bool,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl<L: List> Writing<L> {
    /// The next piece of the answer.
    async fn piece(&mut self) -> Result<Bytes, Problem> {
        let asked = self.chunk.min(self.left);
        let chunk = self.list.read(asked).await?;
        let mut text = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            text.extend_from_slice(self.list.head().as_bytes());
        }
        for record in &chunk.records {
            if std::mem::replace(&mut self.follows, true) {
                text.push(b',');
            }
            serde_json::to_writer(&mut text, record)
                .map_err(|error| Problem::internal("a record cannot be written", &error))?;
        }
        self.left = self
            .left
            .saturating_sub(u32::try_from(chunk.records.len()).unwrap_or(u32::MAX));
        self.bytes += text.len() as u64;
        let fitting = u32::try_from(CHUNK_BYTES / chunk.largest.max(1)).unwrap_or(u32::MAX);
        self.chunk = fitting.clamp(1, self.chunk.saturating_mul(GROWTH));
        if chunk.rest != Rest::More || self.left == 0 || self.bytes >= MAX_PAGE_BYTES {
            self.ended = true;
            let tail = self.list.tail(chunk.rest == Rest::Nothing);
            text.extend_from_slice(tail.as_bytes());
        }
        Ok(Bytes::from(text))
    }
}

/// Responds with up to `limit` records of the list. A failure before the first record is a problem document; a later
/// one aborts the response, so that it cannot pass for a complete one.
pub(super) async fn respond<L: List>(api: &ApiState, list: L, limit: u32) -> Result<Response, Problem> {
    let permit = Arc::clone(&api.readers)
        .acquire_owned()
        .await
        .map_err(|_| Problem::new(Code::Unavailable, "the gateway is stopping"))?;
    let mut writing = Writing {
        list,
        left: limit,
        bytes: 0,
        chunk: FIRST_CHUNK,
        begun: false,
        follows: false,
        ended: false,
        _permit: permit,
    };
    let first = writing.piece().await?;
    let json = [(CONTENT_TYPE, "application/json")];
    if writing.ended {
        return Ok((json, first).into_response());
    }
    // While one piece is sent, the next is read.
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut next = Ok(first);
        loop {
            let failed = next.is_err();
            if sender.send(next).await.is_err() || failed || writing.ended {
                return;
            }
            next = writing
                .piece()
                .await
                .map_err(|problem| std::io::Error::other(problem.detail));
        }
    });
    let pieces = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    // Compression asks once more after the end.
    Ok((json, Body::from_stream(pieces.fuse())).into_response())
}
