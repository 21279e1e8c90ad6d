use super::{Snapshot, View};
use crate::output::Out;

/// One JSON record per ended cycle.
pub(super) struct Records;

impl View for Records {
    fn show(&mut self, snapshot: &Snapshot, out: &mut Out) -> anyhow::Result<()> {
        for ended in &snapshot.ended {
            out.record(ended)?;
        }
        Ok(())
    }

    fn close(&mut self) {}
}
