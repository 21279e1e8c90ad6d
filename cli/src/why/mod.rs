//! Why a source or a job does what it does (or nothing): one sentence from a closed list. Pure: facts and now come in.
//! Not here: reading the facts (`commands/why.rs`).

mod job;
mod sentence;
mod source;
#[cfg(test)]
mod tests;

use tideline_core::words::{CycleRecord, JobRecord, SourceRecord, Timestamp};

pub(crate) use sentence::{Why, trigger_word};

/// What is known of the thing that was asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Facts<'a> {
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

/// The sentence that holds now.
pub(crate) fn why(facts: Facts<'_>, now: Timestamp) -> Why {
    match facts {
        Facts::Source {
            source,
            cycle,
            partitions,
        } => source::why_source(source, cycle, partitions, now),
        Facts::Job { job, source } => job::why_job(job, source, now),
    }
}
