//! The rows of written pages, as columns of arrays.

use super::act::Statement;
use super::commit::signed;
use super::error::broken;
use crate::StoreError;
use tideline_core::words::{PageBatch, PageMemory, PageWrite};

/// The stored form of written pages: one row per page, and one list of keys for all of them.
#[derive(Default)]
pub(super) struct Manifests<'b> {
    /// Partition and memory of each page.
    pages: Vec<(i64, &'b PageMemory)>,
    /// The page's keys are `hashes[first ..= last]`, counted from 1 as the database's subscripts are.
    first: Vec<i32>,
    last: Vec<i32>,
    kept: Vec<i32>,
    has_makers: Vec<bool>,
    hashes: Vec<i64>,
    /// The item that made each key; 0 if the page does not record makers.
    makers: Vec<i64>,
}

impl<'b> Manifests<'b> {
    /// Adds the written pages of a batch; unchanged ones have no rows.
    pub(super) fn add(&mut self, batch: &'b PageBatch) {
        for page in &batch.pages {
            if let PageWrite::Written {
                memory,
                entities,
                kept,
                makers,
                ..
            } = page
            {
                self.first.push(subscript(self.hashes.len() + 1));
                self.hashes.extend(entities.iter().map(|entity| entity.key_hash.0));
                self.hashes.extend(kept.iter().map(|hash| hash.0));
                self.makers.extend(makers.iter().map(|hash| hash.0));
                self.makers.resize(self.hashes.len(), 0);
                self.has_makers.push(!makers.is_empty());
                self.last.push(subscript(self.hashes.len()));
                self.kept.push(subscript(kept.len()));
                self.pages.push((batch.lease.job.0, memory));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Partition of each page.
    pub(super) fn partitions(&self) -> Vec<i64> {
        self.pages.iter().map(|(partition, _)| *partition).collect()
    }

    /// Binds sixteen parameters: page, fingerprint, entities, unidentified, next, children, request, etag, last
    /// modified, content, first, last, kept, has_makers, and for all pages together hashes and makers.
    pub(super) fn bind(self, statement: Statement<'b>) -> Result<Statement<'b>, StoreError> {
        let children = (self.pages.iter())
            .map(|(_, memory)| children_text(memory))
            .collect::<Result<Vec<_>, _>>()?;
        let statement = statement
            .bind(self.of(|memory| signed(memory.page)))
            .bind(self.of(|memory| &memory.fingerprint.0[..]))
            .bind(self.of(|memory| signed(memory.entities)))
            .bind(self.of(|memory| signed(memory.unidentified)))
            .bind(self.of(|memory| memory.next.as_deref()))
            .bind(children)
            .bind(self.of(|memory| memory.validators.request.as_ref().map(|digest| &digest.0[..])))
            .bind(self.of(|memory| memory.validators.etag.as_deref()))
            .bind(self.of(|memory| memory.validators.last_modified.as_deref()))
            .bind(self.of(|memory| memory.validators.content.as_ref().map(|digest| &digest.0[..])));
        let statement = statement
            .bind(self.first)
            .bind(self.last)
            .bind(self.kept)
            .bind(self.has_makers);
        Ok(statement.bind(self.hashes).bind(self.makers))
    }

    fn of<T>(&self, field: impl Fn(&'b PageMemory) -> T) -> Vec<T> {
        self.pages.iter().map(|(_, memory)| field(memory)).collect()
    }
}

fn subscript(place: usize) -> i32 {
    i32::try_from(place).unwrap_or(i32::MAX)
}

fn children_text(memory: &PageMemory) -> Result<Option<String>, StoreError> {
    if memory.children.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(&memory.children)
        .map(Some)
        .map_err(|error| broken("write the children of a page", error.to_string()))
}
