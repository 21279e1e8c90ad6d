//! The JSON lines that the benchmark reads.

use anyhow::Result;
use serde::Serialize;

/// What one burn-down cost.
#[derive(Debug, Serialize)]
pub(crate) struct BurnDown {
    /// The crate's name.
    pub(crate) peer: &'static str,
    /// The crate's version.
    pub(crate) version: &'static str,
    /// Jobs burned down.
    pub(crate) jobs: u32,
    /// Seconds that enqueueing them took.
    pub(crate) enqueue_seconds: f64,
    /// Seconds from the start of the worker's run until the database held the last job as done.
    pub(crate) seconds: f64,
    /// WAL written meanwhile.
    pub(crate) wal_bytes: i64,
    /// Transactions committed meanwhile, in this database.
    pub(crate) commits: i64,
    /// The peer's settings, in words.
    pub(crate) settings: String,
}

/// How soon an idle worker starts a job.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    /// The crate's name.
    pub(crate) peer: &'static str,
    /// The crate's version.
    pub(crate) version: &'static str,
    /// Jobs timed.
    pub(crate) samples: usize,
    /// Milliseconds from before the enqueue call until the handler started, median.
    pub(crate) p50_ms: f64,
    /// The same, 99th percentile.
    pub(crate) p99_ms: f64,
    /// The peer's settings, in words.
    pub(crate) settings: String,
}

/// Prints a report as one JSON line.
pub(crate) fn print(report: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(report)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_versions_in_the_reports_are_the_locked_ones() {
        let lock = include_str!("../Cargo.lock");
        for (name, version) in [
            (crate::graphile::PEER, crate::graphile::VERSION),
            (crate::awa_peer::PEER, crate::awa_peer::VERSION),
        ] {
            assert!(
                lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")),
                "{name} {version}"
            );
        }
    }
}
