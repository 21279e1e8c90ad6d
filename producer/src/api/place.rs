//! The place of a request among the concurrent ones. A waiting request gives it back meanwhile.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{Code, Problem};

/// In the extensions of a request that came over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    places: Arc<Semaphore>,
    taken: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Place {
    /// Takes a place, if one is free.
    pub(crate) fn take(places: &Arc<Semaphore>) -> Result<Self, Problem> {
        let permit = Arc::clone(places)
            .try_acquire_owned()
            .map_err(|_| Problem::new(Code::Overloaded, "too many requests at once"))?;
        Ok(Self {
            places: Arc::clone(places),
            taken: Arc::new(Mutex::new(Some(permit))),
        })
    }

    /// Releases it while the request waits.
    pub(crate) fn give_back(&self) {
        self.taken.lock().take();
    }

    /// Takes a place again, waiting for one.
    pub(crate) async fn take_again(&self) {
        if let Ok(permit) = Arc::clone(&self.places).acquire_owned().await {
            *self.taken.lock() = Some(permit);
        }
    }
}
