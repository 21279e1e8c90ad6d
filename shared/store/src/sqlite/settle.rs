//! The ends of attempts: by a worker's settlement, or by its death.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query};

use super::failure::failed;
use super::partitions::open_places;
use super::rows::{count, to_json};
use super::{SqliteStore, begin, commit, sql};
use crate::{Rescue, Rescued, SettleRequest, StoreError};
use tideline_core::rules::RescuePolicy;
use tideline_core::words::{JobId, Lease, Settled, Settlement, Timestamp, WorkerId};

pub(super) async fn settle(
    store: &SqliteStore,
    settlements: &[SettleRequest],
    now: Timestamp,
) -> Result<Vec<Settled>, StoreError> {
    const ACT: &str = "settle";
    let mut answers = vec![Settled::LeaseLost; settlements.len()];
    if settlements.is_empty() {
        return Ok(answers);
    }
    // If a batch settles a lease twice, only the first settlement counts.
    let mut seen: HashSet<Lease> = HashSet::with_capacity(settlements.len());
    let firsts: Vec<usize> = (0..settlements.len())
        .filter(|place| seen.insert(settlements[*place].lease))
        .collect();
    let batch: Vec<Value> = firsts
        .iter()
        .map(|place| settlement_json(&settlements[*place], now))
        .collect();
    let batch = to_json(&batch).map_err(failed(ACT))?;

    let mut writer = store.writer().await;
    let mut tx = begin(&mut writer, ACT).await?;
    let held = query(sql!("find_leases"))
        .bind(&batch)
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(ACT))?;
    let mut left = BTreeSet::new();
    for row in &held {
        let held = Held::read(row).map_err(failed(ACT))?;
        let place = firsts[held.index];
        answers[place] = if held.superseded {
            Settled::RunsAgain
        } else {
            Settled::Settled
        };
        if let (Some(source), Some(cycle)) = (held.source, held.cycle)
            && (held.no_place || leaves_its_place(&settlements[place].settlement))
        {
            left.insert((source, cycle));
        }
    }
    if !held.is_empty() {
        query(sql!("settle_jobs"))
            .bind(&batch)
            .bind(now.0)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
    }
    for (source, cycle) in left {
        open_places(&mut tx, source, cycle, now).await.map_err(failed(ACT))?;
    }
    commit(tx, ACT).await?;
    Ok(answers)
}

/// A valid lease of the batch.
struct Held {
    /// Its position in the batch.
    index: usize,
    superseded: bool,
    source: Option<i64>,
    cycle: Option<i64>,
    /// It was read in another partition's place.
    no_place: bool,
}

impl Held {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            index: count(row, 0)?,
            superseded: row.try_get(1)?,
            source: row.try_get(2)?,
            cycle: row.try_get(3)?,
            no_place: row.try_get(4)?,
        })
    }
}

fn leaves_its_place(settlement: &Settlement) -> bool {
    matches!(
        settlement,
        Settlement::Done | Settlement::Retry { .. } | Settlement::Parked { .. } | Settlement::Cancelled { .. }
    )
}

/// `[id, token, state, due_at, success, unspent, rung, error]`, as `settle_jobs.sql` reads it.
fn settlement_json(request: &SettleRequest, now: Timestamp) -> Value {
    let Lease { job, token } = request.lease;
    match &request.settlement {
        Settlement::Done => json!([job, token, "done", null, 1, 0, null, null]),
        Settlement::Again { due_at } => json!([job, token, "waiting", due_at, 1, 0, null, null]),
        Settlement::Retry { due_at, rung, error } => json!([job, token, "waiting", due_at, 0, 0, rung, error]),
        Settlement::Postponed { due_at, reason } => json!([job, token, "waiting", due_at, 0, 1, null, reason]),
        Settlement::Parked { error } => json!([job, token, "parked", null, 0, 0, null, error]),
        Settlement::Cancelled { error } => json!([job, token, "cancelled", null, 0, 0, null, error]),
        Settlement::HandedBack => json!([job, token, "waiting", now, 0, 1, null, null]),
    }
}

/// A running job without a live worker.
struct Lost {
    job: i64,
    worker: String,
    rescues: u32,
    source: Option<i64>,
    cycle: Option<i64>,
    no_place: bool,
}

impl Lost {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            job: row.try_get(0)?,
            worker: row.try_get(1)?,
            rescues: count(row, 2)?,
            source: row.try_get(3)?,
            cycle: row.try_get(4)?,
            no_place: row.try_get(5)?,
        })
    }
}

pub(super) async fn rescue(
    store: &SqliteStore,
    policy: RescuePolicy,
    limit: u32,
    now: Timestamp,
) -> Result<Rescue, StoreError> {
    const ACT: &str = "rescue";
    let mut writer = store.writer().await;
    let mut tx = begin(&mut writer, ACT).await?;
    let lost = query(sql!("find_lost_jobs"))
        .bind(now.0)
        .bind(limit)
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(ACT))?;
    let mut rescued = Vec::with_capacity(lost.len());
    let mut batch = Vec::with_capacity(lost.len());
    let mut left = BTreeSet::new();
    for row in &lost {
        let Lost {
            job,
            worker,
            rescues,
            source,
            cycle,
            no_place,
        } = Lost::read(row).map_err(failed(ACT))?;
        let rescues = rescues.saturating_add(1);
        let parked = rescues >= policy.park_after;
        batch.push(if parked {
            let error = format!("its worker died {rescues} times in a row while it ran, last {worker}");
            json!([job, "parked", null, error])
        } else {
            let delay = (rescues > policy.free).then_some(policy.delay);
            json!([job, "waiting", now.plus(delay.unwrap_or_default()), null])
        });
        if let (true, Some(source), Some(cycle)) = (parked || no_place, source, cycle) {
            left.insert((source, cycle));
        }
        rescued.push(Rescued {
            job: JobId(job),
            worker: WorkerId(worker),
            parked,
        });
    }
    if !batch.is_empty() {
        query(sql!("rescue_jobs"))
            .bind(to_json(&batch).map_err(failed(ACT))?)
            .bind(now.0)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
    }
    for (source, cycle) in left {
        open_places(&mut tx, source, cycle, now).await.map_err(failed(ACT))?;
    }
    query(sql!("delete_dead_workers"))
        .bind(now.0)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACT))?;
    let next_end: Option<i64> = sqlx::query_scalar(sql!("find_next_lease_end"))
        .bind(now.0)
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(ACT))?;
    commit(tx, ACT).await?;
    Ok(Rescue {
        jobs: rescued,
        next_end: next_end.map(Timestamp),
    })
}
