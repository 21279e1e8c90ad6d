use super::{Show, Snapshot};
use crate::output::Out;

/// One JSON record per ended cycle.
pub(super) struct Records;

impl Show for Records {
    fn show(&mut self, snapshot: &Snapshot, out: &mut Out) -> anyhow::Result<()> {
        for ended in &snapshot.ended {
            out.record(ended)?;
        }
        Ok(())
    }
}
