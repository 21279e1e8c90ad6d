//! An attempt's seat while it runs: one of the worker's slots, or one of its handler's own places.

use std::sync::Arc;

use tideline_core::words::Settlement;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::places::{Place, Placed};

/// Taken, or yet to be waited for.
pub(crate) enum Seat {
    Slot(Slot),
    Place(Place),
}

/// One of `worker.concurrency` slots; dropping it notifies the waiting tasks.
pub(crate) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    freed: Arc<Notify>,
}

/// Kept while the attempt runs.
pub(crate) enum Seated {
    Slot { _slot: Slot },
    Place(Placed),
}

impl Seated {
    /// The job was postponed, so its duration says nothing about how long jobs last.
    pub(crate) fn put_off(&mut self) {
        if let Self::Place(place) = self {
            place.put_off();
        }
    }
}

impl Slot {
    pub(crate) fn new(permit: OwnedSemaphorePermit, freed: Arc<Notify>) -> Self {
        Self {
            permit: Some(permit),
            freed,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.permit = None;
        self.freed.notify_one();
    }
}

impl Seat {
    /// Waits for the seat, or returns the settlement of a job that gets none. None: another worker has the job.
    pub(crate) async fn taken(
        self,
        stop: &CancellationToken,
        lost: &CancellationToken,
    ) -> Result<Seated, Option<Settlement>> {
        let place = match self {
            Self::Slot(slot) => return Ok(Seated::Slot { _slot: slot }),
            Self::Place(place) => place,
        };
        tokio::select! {
            biased;
            () = lost.cancelled() => Err(None),
            placed = place.take() => {
                let placed = placed.ok_or(Some(Settlement::HandedBack))?;
                Ok(Seated::Place(placed))
            }
            () = stop.cancelled() => Err(Some(Settlement::HandedBack)),
        }
    }
}
