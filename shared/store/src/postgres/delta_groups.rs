//! Group commit of deltas: those of one source are serialized anyway, so deltas that arrive while one transaction runs
//! share the next.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::PostgresStore;
use super::conflicts::tried;
use super::delta::write_once;
use crate::StoreError;
use crate::deltas::{DeltaRow, delta_rows};
use tideline_core::words::{Delta, DeltaChange, DeltaOutcome, KeyHash, SourceId, Timestamp};

/// Maximum number of deltas in one transaction, unless the first caller has more.
const MOST: usize = 500;
/// Maximum size of their bodies in bytes, unless the first caller has more.
const MOST_BYTES: usize = 4 << 20;

/// Deltas of one caller, which are written all together or not at all.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) deltas: Vec<Delta>,
    pub(super) rows: Vec<DeltaRow>,
    pub(super) origin: Option<KeyHash>,
    pub(super) now: Timestamp,
}

/// One of them.
pub(super) struct Noted<'w> {
    pub(super) change: &'w DeltaChange,
    pub(super) row: &'w DeltaRow,
    pub(super) origin: Option<KeyHash>,
}

impl Written {
    pub(super) fn each(&self) -> impl Iterator<Item = Noted<'_>> {
        self.deltas.iter().zip(&self.rows).map(|(delta, row)| Noted {
            change: &delta.change,
            row,
            origin: self.origin,
        })
    }

    fn bytes(&self) -> usize {
        self.deltas.iter().map(bytes_of).sum()
    }
}

fn bytes_of(delta: &Delta) -> usize {
    match &delta.change {
        DeltaChange::Upsert(entity) => entity.body.len(),
        DeltaChange::Remove(_) => 0,
    }
}

type Answer = Result<Vec<DeltaOutcome>, StoreError>;
type Waiting = (Written, oneshot::Sender<Answer>);

/// Waiting deltas, by source. A source with a queue has a writer.
#[derive(Clone, Debug, Default)]
pub(super) struct DeltaGroups(Arc<Mutex<HashMap<SourceId, VecDeque<Waiting>>>>);

/// Held by the writer: if it is dropped early, the waiting callers are notified.
struct Writer {
    groups: DeltaGroups,
    source: SourceId,
    is_done: bool,
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.is_done {
            self.groups.0.lock().remove(&self.source);
        }
    }
}

impl DeltaGroups {
    /// Queues deltas; returns true if no other caller is writing for this source.
    fn queue(&self, source: SourceId, waiting: Waiting) -> bool {
        let mut lines = self.0.lock();
        let is_first = !lines.contains_key(&source);
        lines.entry(source).or_default().push_back(waiting);
        is_first
    }

    /// The next deltas to be written together, in order, with no key twice. `None`: the queue is empty, and the writer
    /// has stepped down.
    fn next(&self, source: SourceId) -> Option<Vec<Waiting>> {
        let mut lines = self.0.lock();
        let line = lines.get_mut(&source)?;
        let (mut group, mut keys, mut bytes) = (Vec::new(), HashSet::new(), 0);
        while let Some((next, _)) = line.front() {
            bytes += next.bytes();
            let is_full = keys.len() + next.rows.len() > MOST || bytes > MOST_BYTES;
            let is_twice = next.rows.iter().any(|row| keys.contains(&row.key_hash));
            if !group.is_empty() && (is_full || is_twice) {
                break;
            }
            keys.extend(next.rows.iter().map(|row| row.key_hash));
            group.extend(line.pop_front());
        }
        if group.is_empty() {
            lines.remove(&source);
            return None;
        }
        Some(group)
    }
}

impl PostgresStore {
    /// Writes deltas together with those of other callers, and returns to each the outcomes of its own. A caller that
    /// stops waiting takes nothing back.
    pub(super) async fn write_grouped(
        &self,
        source: SourceId,
        origin: Option<KeyHash>,
        deltas: &[Delta],
        now: Timestamp,
    ) -> Answer {
        let written = Written {
            deltas: deltas.to_vec(),
            rows: delta_rows(deltas, now),
            origin,
            now,
        };
        let (answer, answered) = oneshot::channel();
        if self.delta_groups.queue(source, (written, answer)) {
            let store = self.clone();
            // In a separate task: the caller may stop waiting, while the others do not.
            tokio::spawn(async move {
                let mut writer = Writer {
                    groups: store.delta_groups.clone(),
                    source,
                    is_done: false,
                };
                while let Some(group) = writer.groups.next(source) {
                    store.write_group(source, group).await;
                    // Callers that got their response may send more, which joins the deltas that are already waiting.
                    tokio::task::yield_now().await;
                }
                writer.is_done = true;
            });
        }
        answered.await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable {
                act: "write deltas",
                maybe_done: true,
                source: "their writer ended".into(),
            })
        })
    }

    async fn write_group(&self, source: SourceId, group: Vec<Waiting>) {
        let (written, answers): (Vec<Written>, Vec<_>) = group.into_iter().unzip();
        match self.write_tried(source, &written).await {
            Ok(mut outcomes) => {
                for (written, answer) in written.iter().zip(answers) {
                    let others = outcomes.split_off(written.deltas.len().min(outcomes.len()));
                    let own = std::mem::replace(&mut outcomes, others);
                    let _ = answer.send(Ok(own));
                }
            }
            Err(error @ StoreError::Unavailable { .. }) => {
                for answer in answers {
                    let _ = answer.send(Err(error.shared()));
                }
            }
            Err(error) => {
                // One of them may be at fault, and it is unknown which.
                let mut error = Some(error).filter(|_| written.len() == 1);
                for (written, answer) in written.into_iter().zip(answers) {
                    let own = match error.take() {
                        Some(error) => Err(error),
                        None => self.write_tried(source, &[written]).await,
                    };
                    let _ = answer.send(own);
                }
            }
        }
    }

    async fn write_tried(&self, source: SourceId, written: &[Written]) -> Answer {
        tried(|| write_once(self, source, written)).await
    }
}
