//! Reads response bodies: small ones in place, large ones on a thread for blocking work.

use std::sync::Arc;

use http::StatusCode;
use tokio::time::Instant;

use super::lookup::Looked;
use super::partition::Place;
use super::reading::{Read, ReadError, Reader};
use super::transport::Answer;
use super::{HttpSource, Inner, lines};
use crate::sources::redact::Redactor;

/// Bodies up to this size are parsed in place, larger ones on a thread for blocking work. Expressions run in processes
/// of their own.
const INLINE_BYTES: usize = 64 * 1024;

impl HttpSource {
    /// The content of a response body.
    pub(super) async fn read(
        &self,
        index: usize,
        place: &Place,
        answer: &Answer,
        looked: &Arc<Looked>,
    ) -> Result<Read, NoPage> {
        if answer.status == StatusCode::NO_CONTENT {
            return Ok(Read {
                count: Some(0),
                ..Read::default()
            });
        }
        let form = lines::form_of(self.inner.plans[index].format, &answer.headers);
        let deadline = Instant::now() + self.page_timeout;
        let redactor = &self.transport.redactor;
        if answer.body.len() <= INLINE_BYTES {
            let body = (answer.body.as_ref(), form);
            let read = self.inner.read(index, (place, looked), redactor, body, deadline);
            return read.await.map_err(NoPage::from);
        }
        let (inner, place, body) = (Arc::clone(&self.inner), place.clone(), answer.body.clone());
        let (redactor, looked) = (Arc::clone(redactor), Arc::clone(looked));
        let runtime = tokio::runtime::Handle::current();
        let work = move || runtime.block_on(inner.read(index, (&place, &looked), &redactor, (&body, form), deadline));
        match tokio::task::spawn_blocking(work).await {
            Ok(read) => read.map_err(NoPage::from),
            Err(_) => Err(NoPage::Cut("reading it was stopped".to_owned())),
        }
    }
}

impl Inner {
    pub(super) async fn read(
        &self,
        index: usize,
        (place, looked): (&Place, &Looked),
        redactor: &Redactor,
        (body, form): (&[u8], lines::Form),
        deadline: Instant,
    ) -> Result<Read, ReadError> {
        Reader {
            plan: &self.plans[index],
            place,
            looked,
            redactor,
            evaluator: &self.evaluator,
            deadline,
            max_bytes: self.max_body_bytes,
            form,
        }
        .read(body)
        .await
    }
}

/// Why a body is not a page.
pub(super) enum NoPage {
    Cut(String),
    Permanent(String),
}

impl From<ReadError> for NoPage {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Cut(why) | ReadError::Failed(why) => Self::Cut(why),
            ReadError::Wrong(why) => Self::Permanent(why),
        }
    }
}
