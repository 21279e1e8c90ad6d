//! Walks through the entities of a source and its catalog entries side by side, in the order of references.

use std::cmp::Ordering;
use std::collections::VecDeque;

use tideline_core::words::EntityRef;
use tideline_store::{CatalogStore, EntityFilter, EntityRecord, StoreError};

/// Number of entities read at a time, per side, unless they are large.
const PAGE: u32 = 500;

/// Entities read first, while their size is unknown.
const FIRST_PAGE: u32 = 8;

/// Target size of a page, in bytes. This bounds memory.
const PAGE_BYTES: usize = 1024 * 1024;

/// One thing that the next cycle would do.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Only the source has it.
    Added(EntityRecord),
    /// Both have it, with different content.
    Modified {
        /// In the catalog.
        before: EntityRecord,
        /// At the source.
        after: EntityRecord,
    },
    /// Only the catalog has it.
    Missing(EntityRecord),
}

/// The walk.
pub(crate) struct Comparison<'a> {
    catalog: Reader<'a>,
    source: Reader<'a>,
}

impl<'a> Comparison<'a> {
    /// Of the source of this name. Without a catalog everything is new.
    pub(crate) fn new(catalog: Option<&'a dyn CatalogStore>, source: &'a dyn CatalogStore, name: &str) -> Self {
        Self {
            catalog: Reader::new(catalog, name),
            source: Reader::new(Some(source), name),
        }
    }

    /// The next difference.
    ///
    /// # Errors
    /// A store's.
    pub(crate) async fn next(&mut self) -> Result<Option<Step>, StoreError> {
        loop {
            let order = match (self.catalog.peek().await?, self.source.peek().await?) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(before), Some(after)) => before.as_str().as_bytes().cmp(after.as_str().as_bytes()),
            };
            match order {
                Ordering::Less => return Ok(self.catalog.take().map(Step::Missing)),
                Ordering::Greater => return Ok(self.source.take().map(Step::Added)),
                Ordering::Equal => {
                    if let (Some(before), Some(after)) = (self.catalog.take(), self.source.take())
                        && before.fingerprint != after.fingerprint
                    {
                        return Ok(Some(Step::Modified { before, after }));
                    }
                }
            }
        }
    }
}

/// Reads the entities of a source page by page.
struct Reader<'a> {
    store: Option<&'a dyn CatalogStore>,
    filter: EntityFilter,
    page: VecDeque<EntityRecord>,
}

impl<'a> Reader<'a> {
    fn new(store: Option<&'a dyn CatalogStore>, name: &str) -> Self {
        Self {
            store,
            filter: EntityFilter {
                source: Some(name.to_owned()),
                limit: FIRST_PAGE,
                ..EntityFilter::default()
            },
            page: VecDeque::new(),
        }
    }

    async fn peek(&mut self) -> Result<Option<&EntityRef>, StoreError> {
        if self.page.is_empty()
            && let Some(store) = self.store
        {
            self.page = store.list_entities(&self.filter).await?.into();
            let largest = self.page.iter().map(|record| record.body.len()).max().unwrap_or(0);
            let fitting = u32::try_from(PAGE_BYTES / largest.max(1)).unwrap_or(u32::MAX);
            self.filter.limit = fitting.clamp(1, PAGE.min(self.filter.limit.saturating_mul(2)));
            match self.page.back() {
                Some(last) => self.filter.after = Some((last.source.clone(), last.reference.clone())),
                None => self.store = None,
            }
        }
        Ok(self.page.front().map(|record| &record.reference))
    }

    fn take(&mut self) -> Option<EntityRecord> {
        self.page.pop_front()
    }
}
