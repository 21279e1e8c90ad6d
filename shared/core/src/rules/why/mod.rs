//! Why a source or a job does what it does, or does nothing: one sentence from a closed list, the same in the API, the
//! dashboard and the command. Pure: facts and now come in. Not here: reading the facts from the store.

mod job;
mod sentence;
mod source;
#[cfg(test)]
mod tests;

use crate::words::{CycleRecord, JobRecord, SourceRecord, Timestamp};

pub use sentence::Why;

/// The known facts about the subject.
#[derive(Clone, Copy, Debug)]
pub enum Facts<'a> {
    /// A source.
    Source {
        /// Its row.
        source: &'a SourceRecord,
        /// Its newest cycle.
        cycle: Option<&'a CycleRecord>,
        /// Some partitions of the cycle that are not finished (running and waiting ones first).
        partitions: &'a [JobRecord],
    },
    /// A job.
    Job {
        /// Its row.
        job: &'a JobRecord,
        /// The source whose partition it reads.
        source: Option<&'a SourceRecord>,
    },
}

/// The sentence that applies now.
pub fn why(facts: Facts<'_>, now: Timestamp) -> Why {
    match facts {
        Facts::Source {
            source,
            cycle,
            partitions,
        } => source::why_source(source, cycle, partitions, now),
        Facts::Job { job, source } => job::why_job(job, source, now),
    }
}
