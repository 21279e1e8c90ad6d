//! A cached document of the provider. Only one request at a time reads it again, and neither a failure nor a document
//! that lacks the wanted key is retried at once: strangers cannot make Tideline flood the provider.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::issuer::CallError;

/// How long a document is cached.
const KEPT: Duration = Duration::from_secs(3_600);
/// Minimum interval between readings of a document that lacks the wanted key.
const AGAIN: Duration = Duration::from_secs(60);
/// After a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The outcome of the last reading, and when it ended.
type Reading<T> = (Result<Arc<T>, CallError>, Instant);

pub(super) struct Cache<T>(Mutex<Option<Reading<T>>>);

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Cache<T> {
    /// The document, read by `read` if it is old or not what is `wanted`.
    pub(super) async fn get(
        &self,
        wanted: impl Fn(&T) -> bool,
        read: impl Future<Output = Result<T, CallError>>,
    ) -> Result<Arc<T>, CallError> {
        let mut last = self.0.lock().await;
        if let Some((result, at)) = &*last {
            let limit = match result {
                Ok(document) if wanted(document) => KEPT,
                Ok(_) => AGAIN,
                Err(_) => AFTER_FAILURE,
            };
            if at.elapsed() < limit {
                return result.clone();
            }
        }
        let result = read.await.map(Arc::new);
        *last = Some((result.clone(), Instant::now()));
        result
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_document_is_read_again_when_it_is_old_or_lacks_something_and_never_in_a_burst() {
        let (cache, reads) = (Cache::default(), AtomicU32::new(0));
        let get = async |wanted: u32| {
            let read = async { Ok(reads.fetch_add(1, Ordering::Relaxed)) };
            *cache.get(|number| *number >= wanted, read).await.unwrap()
        };
        assert_eq!((get(0).await, get(0).await), (0, 0));
        assert_eq!(get(1).await, 0, "what it lacks is not looked for again at once");
        tokio::time::advance(AGAIN).await;
        assert_eq!((get(1).await, get(0).await), (1, 1));
        tokio::time::advance(KEPT).await;
        assert_eq!(get(0).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_counts_for_some_seconds() {
        let (cache, reads) = (Cache::<u32>::default(), AtomicU32::new(0));
        let get = async || {
            let read = async {
                reads.fetch_add(1, Ordering::Relaxed);
                Err(CallError::new("away"))
            };
            cache.get(|_| true, read).await
        };
        assert!(get().await.is_err() && get().await.is_err());
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        tokio::time::advance(AFTER_FAILURE).await;
        assert!(get().await.is_err());
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }
}
