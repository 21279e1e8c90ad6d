//! Rules for deltas, shared by all stores.

use super::StoreError;
use tideline_core::rules::key_hash;
use tideline_core::words::{Delta, DeltaBasis, DeltaChange, KeyHash, SourceId, Timestamp};

/// What a delta leaves behind for the pages, sweeps and deltas to come.
#[derive(Debug)]
pub(super) struct DeltaRow {
    pub(super) key_hash: KeyHash,
    /// When its reading began; none: it was pushed.
    pub(super) read_at: Option<Timestamp>,
    /// Noted as the beginning of its reading.
    pub(super) noted_at: Timestamp,
    pub(super) version: Option<i64>,
}

impl DeltaRow {
    /// A payload without a version cannot be compared.
    pub(super) fn is_kept(&self) -> bool {
        self.read_at.is_some() || self.version.is_some()
    }
}

/// A row for each delta.
pub(super) fn delta_rows(deltas: &[Delta], now: Timestamp) -> Vec<DeltaRow> {
    let row = |delta: &Delta| {
        let (read_at, version) = match delta.basis {
            DeltaBasis::Read(moment) => (Some(moment), None),
            DeltaBasis::Pushed(version) => (None, version),
        };
        DeltaRow {
            key_hash: match &delta.change {
                DeltaChange::Upsert(entity) => entity.key_hash,
                DeltaChange::Remove(reference) => key_hash(reference),
            },
            read_at,
            noted_at: read_at.unwrap_or(now),
            version,
        }
    };
    deltas.iter().map(row).collect()
}

/// What is noted as the origin of a change: nothing makes what is removed.
pub(super) fn origin_of(change: &DeltaChange, origin: Option<KeyHash>) -> Option<KeyHash> {
    origin.filter(|_| matches!(change, DeltaChange::Upsert(_)))
}

pub(super) fn no_such_source(source: SourceId) -> StoreError {
    StoreError::NotFound {
        what: "source",
        name: source.0.to_string(),
    }
}
