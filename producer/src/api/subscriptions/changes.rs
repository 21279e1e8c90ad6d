//! Pulling changes of the catalog: one batch at a time.

use std::sync::Arc;
use std::time::Duration;

use tideline_core::words::{EventOutcome, FeedPosition, SubscriptionRecord, TakeEvents, TakenChanges};

use super::pull::{PullAnswer, Settled};
use crate::api::ApiState;
use crate::api::feed_bell::FeedBell;
use crate::api::place::Place;
use crate::api::problem::{Code, Problem};
use crate::api::types::Change;
use crate::api::waiting::{Look, Waiting};

/// Begins the `ack_id` of a batch.
pub(super) const ACK_PREFIX: &str = "changes.";

/// The next batch, or nothing after `wait`.
pub(super) async fn pull(
    api: &Arc<ApiState>,
    subscription: &SubscriptionRecord,
    (max, lease): (u32, Duration),
    wait: Duration,
    place: Option<&Place>,
) -> Result<PullAnswer, Problem> {
    let token = rand::random::<i64>() | 1;
    let position = subscription.feed.map_or(FeedPosition::START, |feed| feed.position);
    let (mut woken, mut bell) = (api.queue.wakeups(), FeedBell::listen(api, position));
    let mut waiting = Waiting::new(api, wait, place);
    let mut taken = take(api, &subscription.name, (max, lease, token)).await?;
    let mut ring = async || {
        tokio::select! {
            () = woken.next() => {}
            _ = bell.changed() => {}
        }
    };
    while waiting.again(looked(&taken), ring()).await? {
        taken = take(api, &subscription.name, (max, lease, token)).await?;
    }
    let ack_id = (taken.attempt > 0).then(|| format!("{ACK_PREFIX}{token}"));
    let changes = taken.changes.into_iter().map(Change::try_from);
    let told = (taken.starts_over, taken.more);
    Ok(PullAnswer::of_changes(changes.collect::<Result<_, _>>()?, ack_id, told))
}

fn looked(taken: &TakenChanges) -> Look {
    match (taken.attempt, taken.more) {
        (1.., _) => Look::Found,
        (0, true) => Look::More,
        (0, false) => Look::Nothing(taken.next_due),
    }
}

async fn take(api: &ApiState, name: &str, (max, lease, token): (u32, Duration, i64)) -> Result<TakenChanges, Problem> {
    let now = api.clock.now();
    let request = TakeEvents {
        max,
        leased_until: now.plus(lease),
        token,
        in_flight: None,
    };
    Ok(api.store.take_changes(name, &request, now).await?)
}

/// Acknowledges batches, or gives them back.
pub(super) async fn settle(
    api: &ApiState,
    name: &str,
    ack_ids: Vec<String>,
    outcome: &EventOutcome,
) -> Result<Settled, Problem> {
    let mut settled = Settled {
        settled: 0,
        stale: vec![],
    };
    for id in ack_ids {
        let token = id.strip_prefix(ACK_PREFIX).and_then(|token| token.parse().ok());
        let wrong = || Problem::new(Code::InvalidRequest, "ack_ids must contain the ack_id of a response");
        let token = token.ok_or_else(wrong)?;
        if api.store.settle_changes(name, token, outcome, api.clock.now()).await? {
            settled.settled += 1;
        } else {
            settled.stale.push(id);
        }
    }
    Ok(settled)
}
