//! How many complete cycles have missed an entity, for a walk in the order of references.

use std::cmp::Ordering;
use std::collections::VecDeque;

use tideline_core::words::{EntityRef, SourceId, UnseenEntity};
use tideline_store::{OperatorStore, StoreError};

/// Read at a time. This bounds memory.
const PAGE: u32 = 10_000;

/// What cycles have missed of a source, read as the walk goes on.
pub(crate) struct Unseen<'a> {
    /// None: there is no more.
    store: Option<&'a dyn OperatorStore>,
    source: SourceId,
    confirm_cycles: u32,
    /// The walk is past it.
    after: Option<EntityRef>,
    page: VecDeque<UnseenEntity>,
}

impl<'a> Unseen<'a> {
    /// At the beginning. `confirm_cycles`: readings in a row without an entity before it counts as gone.
    pub(crate) fn new(store: &'a dyn OperatorStore, source: SourceId, confirm_cycles: u32) -> Self {
        Self {
            store: Some(store),
            source,
            confirm_cycles,
            after: None,
            page: VecDeque::new(),
        }
    }

    /// Whether an entity that one more reading has missed counts as gone. Each call is about a later reference.
    ///
    /// # Errors
    /// A store's.
    pub(crate) async fn confirms(&mut self, reference: &EntityRef) -> Result<bool, StoreError> {
        if self.confirm_cycles <= 1 {
            return Ok(true);
        }
        Ok(self.missed(reference).await?.saturating_add(1) >= self.confirm_cycles)
    }

    async fn missed(&mut self, reference: &EntityRef) -> Result<u32, StoreError> {
        loop {
            while let Some(first) = self.page.front() {
                match first.reference.cmp(reference) {
                    Ordering::Less => self.after = self.page.pop_front().map(|before| before.reference),
                    Ordering::Equal => return Ok(first.cycles),
                    Ordering::Greater => return Ok(0),
                }
            }
            let Some(store) = self.store else { return Ok(0) };
            let after = self.after.as_ref();
            self.page = store.list_unseen_entities(self.source, after, PAGE).await?.into();
            if self.page.is_empty() {
                self.store = None;
            }
        }
    }
}
