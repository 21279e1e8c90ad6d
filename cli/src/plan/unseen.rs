//! Entities of a source that complete cycles have missed, for a walk in the order of references.

use std::collections::VecDeque;

use tideline_core::words::{EntityRef, SourceId, UnseenEntity};
use tideline_store::{OperatorStore, StoreError};

/// Read at a time. This bounds memory.
const PAGE: u32 = 10_000;

/// What cycles have missed, read as the walk goes on.
pub(crate) struct Unseen<'a> {
    /// None: there are no more.
    store: Option<(&'a dyn OperatorStore, SourceId)>,
    /// The walk is past it.
    after: Option<EntityRef>,
    page: VecDeque<UnseenEntity>,
}

impl<'a> Unseen<'a> {
    /// At the beginning. Without a store, cycles have missed nothing.
    pub(crate) fn new(store: Option<(&'a dyn OperatorStore, SourceId)>) -> Self {
        Self {
            store,
            after: None,
            page: VecDeque::new(),
        }
    }

    /// What is known of an entity that cycles have missed. Each call is about a later reference.
    ///
    /// # Errors
    /// A store's.
    pub(crate) async fn find(&mut self, reference: &EntityRef) -> Result<Option<&UnseenEntity>, StoreError> {
        loop {
            while self.page.front().is_some_and(|first| first.reference < *reference) {
                self.after = self.page.pop_front().map(|before| before.reference);
            }
            let Some((store, source)) = self.store.filter(|_| self.page.is_empty()) else {
                return Ok(self.page.front().filter(|first| first.reference == *reference));
            };
            self.page = store
                .list_unseen_entities(source, self.after.as_ref(), PAGE)
                .await?
                .into();
            if self.page.is_empty() {
                self.store = None;
            }
        }
    }
}
