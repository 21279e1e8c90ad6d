//! The store on Postgres (13 or newer): the same acts as on SQLite, for a fleet of processes.
//!
//! Nothing here needs a session: no session locks, no `SET` without `LOCAL`, no `LISTEN`, so PgBouncer may pool
//! transactions: 1.21 or newer with `max_prepared_statements`, or `statement-cache-capacity=0` in the URL. A hot act is
//! one statement and so one round trip; where sessions do not start with our settings, it is a transaction of three or
//! four round trips that sets them (`connect.rs`). Statements live in `sql/`, one per file. Locks are taken in the
//! order lock of the source's deltas → job row → source row → row `sequence` of counters. Look first at `ingest.rs`
//! (the page commit), then at `act.rs` (connections and errors).

mod act;
mod acts;
mod catalog;
mod change_subscriptions;
mod changes;
mod checks;
mod clock;
mod commands;
mod commit;
mod conflicts;
mod connect;
mod cycles;
mod delta;
mod delta_groups;
mod drift;
mod enrichments;
mod error;
mod events;
mod followers;
mod hook_secrets;
mod ingest;
mod jobs;
mod manifests;
mod migrate;
mod observations;
mod operators;
mod places;
mod rows;
mod search;
mod sessions;
mod siblings;
mod sources;
mod subscription_acts;
mod subscriptions;
mod sweep;
mod targets;
mod tokens;
mod totals;
mod unseen;
mod upkeep;
mod versions;
mod workers;

use std::time::Duration;

use sqlx::PgPool;

pub use clock::StoreClock;

/// How the program uses its connections.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Maximum number of connections, per process.
    pub pool_size: u32,
    /// How long an act waits for a free connection, and connecting may take.
    pub acquire_timeout: Duration,
    /// How long one statement may take before the server cancels it and its connection is closed. Migrations have no
    /// limit.
    pub statement_timeout: Duration,
    /// The server ends a transaction that is idle for this long: a stopped process must not hold locks.
    pub idle_in_transaction: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            pool_size: 10,
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(60),
            idle_in_transaction: Duration::from_secs(5),
        }
    }
}

/// The store on Postgres. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
    /// Only for heartbeats: a worker whose connections are all busy is not dead.
    pulse: PgPool,
    options: PostgresOptions,
    begin: String,
    /// Whether statements are prepared once and kept by their connection.
    prepares: bool,
    /// Whether even a single statement gets its own transaction: because it must be prepared and run on one connection,
    /// or because its plan depends on the settings that begin the transaction.
    always_begins: bool,
    delta_groups: delta_groups::DeltaGroups,
}
