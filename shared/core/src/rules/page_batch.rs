//! Rules for batches of pages, shared by all stores.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::keep_cursor;
use crate::words::{Entity, KeyHash, PageBatch, PageWrite, Progress, Timestamp};

/// When the readings behind deltas began, by key.
pub type DeltaReadings = HashMap<KeyHash, Timestamp>;

impl PageBatch {
    /// The number of the page that comes after these.
    #[must_use]
    pub fn pages_after(&self) -> u32 {
        let pages = u32::try_from(self.pages.len()).unwrap_or(u32::MAX);
        self.progress.next_page.saturating_add(pages)
    }

    /// Whether a partition with this progress already has these pages: they were committed, but the response was lost.
    #[must_use]
    pub fn is_committed(&self, progress: &Progress, cursor: Option<&str>) -> bool {
        !self.pages.is_empty()
            && progress.next_page == self.pages_after()
            && progress.restarts == self.progress.restarts
            && cursor == self.next.as_deref()
    }

    /// Progress after these pages, given how many entities they added and modified.
    #[must_use]
    pub fn progress_after(&self, added: u64, modified: u64) -> Progress {
        let mut progress = Progress {
            next_page: self.pages_after(),
            finished: self.next.is_none(),
            ..self.progress
        };
        progress.pages += self.pages.len() as u64;
        let mut marked = 0;
        for (number, page) in (self.progress.next_page.saturating_add(1)..).zip(&self.pages) {
            let memory = page.memory();
            if let Some(next) = &memory.next {
                progress.kept_cursor = keep_cursor(progress.kept_cursor, number, next);
            }
            marked += u64::from(memory.entities.saturating_sub(memory.named_malformed()));
            progress.unidentified += u64::from(memory.unidentified);
            match page {
                PageWrite::Touched { .. } => {
                    progress.pages_unchanged += 1;
                    progress.malformed += u64::from(memory.unidentified) + u64::from(memory.named_malformed());
                }
                PageWrite::Written { malformed, .. } => progress.malformed += malformed.len() as u64,
            }
        }
        progress.entities += marked;
        progress.added += added;
        progress.modified += modified;
        progress.unchanged += marked.saturating_sub(added + modified);
        progress
    }

    /// Keys that several of the written pages show, in order.
    #[must_use]
    pub fn repeated_keys(&self) -> Vec<i64> {
        let written = self.pages.iter().filter_map(|page| match page {
            PageWrite::Written { entities, .. } => Some(entities),
            PageWrite::Touched { .. } => None,
        });
        let (mut seen, mut repeated) = (HashSet::new(), BTreeSet::new());
        if self.pages.len() > 1 {
            for entity in written.flatten() {
                if !seen.insert(entity.key_hash.0) {
                    repeated.insert(entity.key_hash.0);
                }
            }
        }
        repeated.into_iter().collect()
    }

    /// When the newest reading of these pages began.
    #[must_use]
    pub fn read_to(&self) -> Timestamp {
        let moments = self.pages.iter().map(|page| page.memory().read_at);
        moments.max().unwrap_or_default()
    }

    /// The entities of the written pages, each reference once, as on the last page that has it: intermediate states are
    /// not changes. Entities of a delta whose reading did not begin before that of the page are left out.
    #[must_use]
    pub fn newest_entities(&self, deltas: &DeltaReadings) -> Vec<&Entity> {
        let mut pages = self.pages.iter().filter_map(|page| match page {
            PageWrite::Written { entities, memory, .. } => Some(entities.iter().filter(|entity| {
                let delta = deltas.get(&entity.key_hash);
                delta.is_none_or(|began| *began < memory.read_at)
            })),
            PageWrite::Touched { .. } => None,
        });
        let mut newest: Vec<&Entity> = pages.next().into_iter().flatten().collect();
        let mut places: Option<HashMap<&str, usize>> = None;
        for entities in pages {
            let places = places.get_or_insert_with(|| {
                let placed = newest.iter().copied().enumerate();
                placed
                    .map(|(place, entity)| (entity.reference.as_str(), place))
                    .collect()
            });
            for entity in entities {
                match places.get(entity.reference.as_str()) {
                    Some(&place) => newest[place] = entity,
                    None => {
                        places.insert(entity.reference.as_str(), newest.len());
                        newest.push(entity);
                    }
                }
            }
        }
        newest
    }
}
