//! Cases: acts of operators, the log of them, API tokens and idempotency keys.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::{
    AuditFilter, AuditRecord, Deed, Idempotency, NewToken, OperatorAct, Outcome, SourceCommand, Store, StoreError,
};
use tideline_core::rules::{SourceVersion, fingerprint};
use tideline_core::words::{Actor, ActorKind, JobState, Role, SourceState, Trigger};

fn actor() -> Actor {
    Actor {
        kind: ActorKind::Token,
        name: "ci".to_owned(),
        address: Some("192.0.2.1".to_owned()),
        request: Some("r-1".to_owned()),
    }
}

fn pause(source: &str) -> Deed {
    Deed::CommandSource {
        source: source.to_owned(),
        command: SourceCommand::Pause,
    }
}

fn under_key(deed: Deed, key: &str) -> OperatorAct {
    OperatorAct {
        idempotency: Some(Idempotency {
            key: key.to_owned(),
            fingerprint: deed.fingerprint(),
        }),
        ..OperatorAct::new(deed, actor())
    }
}

async fn audit(store: &Arc<dyn Store>) -> Vec<AuditRecord> {
    let filter = AuditFilter {
        limit: 100,
        ..AuditFilter::default()
    };
    store.list_audit(&filter).await.unwrap()
}

fn token(id: &str, name: &str) -> NewToken {
    NewToken {
        id: id.to_owned(),
        hash: fingerprint(id.as_bytes()),
        name: name.to_owned(),
        role: Role::Operate,
        sources: vec!["team-*".to_owned()],
        expires_at: Some(later(60)),
    }
}

fn later(seconds: u64) -> tideline_core::words::Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

pub async fn an_act_is_written_down_with_who_did_it(store: Arc<dyn Store>) {
    begin(&store, "s", 1).await;
    let act = OperatorAct::new(pause("s"), actor());
    let performed = store.perform(&act, T0).await.unwrap();
    assert_eq!((performed.outcome, performed.repeated), (Outcome::Done, false));
    let source = store.find_source("s").await.unwrap().unwrap();
    assert_eq!(source.state, SourceState::Paused);
    let records = audit(&store).await;
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!((&record.actor, record.at), (&actor(), T0));
    assert_eq!((record.act.as_str(), record.target.as_str()), ("sources.pause", "s"));
    assert_eq!((record.source.as_deref(), &record.refused), (Some("s"), &None));
}

pub async fn the_reason_of_an_act_is_written_down(store: Arc<dyn Store>) {
    add_source(&store, "s", 1).await;
    let act = OperatorAct {
        reason: Some("a <test>".to_owned()),
        ..OperatorAct::new(pause("s"), actor())
    };
    store.perform(&act, T0).await.unwrap();
    let written: serde_json::Value = serde_json::from_str(&audit(&store).await[0].arguments).unwrap();
    assert_eq!(written, serde_json::json!({"reason": "a <test>"}));
}

pub async fn a_refused_act_is_written_down_and_changes_nothing(store: Arc<dyn Store>) {
    begin(&store, "s", 1).await;
    let resume = Deed::CommandSource {
        source: "s".to_owned(),
        command: SourceCommand::Resume,
    };
    for deed in [resume, pause("nowhere"), Deed::RevokeToken("t".to_owned())] {
        assert!(store.perform(&OperatorAct::new(deed, actor()), T0).await.is_err());
    }
    let records = audit(&store).await;
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record.refused.is_some()), "{records:?}");
    assert_eq!(
        store.find_source("s").await.unwrap().unwrap().state,
        SourceState::Active
    );
}

pub async fn the_audit_log_is_filtered_paged_and_pruned(store: Arc<dyn Store>) {
    begin(&store, "s", 1).await;
    let refresh = Deed::CommandSource {
        source: "s".to_owned(),
        command: SourceCommand::Refresh(Trigger::Manual),
    };
    for (seconds, deed) in [(0, pause("s")), (10, pause("s")), (20, refresh)] {
        let act = OperatorAct::new(deed, actor());
        store.perform(&act, later(seconds)).await.unwrap();
    }
    let ids: Vec<i64> = audit(&store).await.iter().map(|record| record.id).collect();
    assert!(ids.is_sorted_by(|newer, older| newer > older), "{ids:?}");
    let filtered = async |filter: AuditFilter| store.list_audit(&filter).await.unwrap().len();
    let all = AuditFilter {
        limit: 100,
        ..AuditFilter::default()
    };
    let of_act = AuditFilter {
        act: Some("sources.refresh".to_owned()),
        ..all.clone()
    };
    let of_actor = AuditFilter {
        actor: Some("nobody".to_owned()),
        ..all.clone()
    };
    let since = AuditFilter {
        since: Some(later(10)),
        source: Some("s".to_owned()),
        ..all.clone()
    };
    let before = AuditFilter {
        before: Some(ids[1]),
        ..all
    };
    assert_eq!(filtered(of_act).await, 1);
    assert_eq!(filtered(of_actor).await, 0);
    assert_eq!(filtered(since).await, 2);
    assert_eq!(filtered(before).await, 1);
    assert_eq!(store.prune_audit(later(20), T0, 1).await.unwrap(), 1);
    assert_eq!(store.prune_audit(later(20), T0, 10).await.unwrap(), 1);
    assert_eq!(audit(&store).await.len(), 1);
}

pub async fn an_act_is_done_once_for_its_key(store: Arc<dyn Store>) {
    let deed = || Deed::Enqueue(vec![new_job("a", "1")]);
    let first = store.perform(&under_key(deed(), "k"), T0).await.unwrap();
    let again = store.perform(&under_key(deed(), "k"), later(1)).await.unwrap();
    assert!(!first.repeated && again.repeated);
    assert_eq!(first.outcome, again.outcome);
    assert_eq!(audit(&store).await.len(), 1, "a repetition is no act");
    let another = under_key(Deed::Enqueue(vec![new_job("b", "1")]), "k");
    assert!(matches!(store.perform(&another, T0).await, Err(StoreError::KeyReused)));
    assert_eq!(
        audit(&store).await.len(),
        2,
        "a key used for something else is written down"
    );
    let mut of_another = under_key(Deed::Enqueue(vec![new_job("b", "1")]), "k");
    of_another.actor.name = "somebody else".to_owned();
    assert!(!store.perform(&of_another, T0).await.unwrap().repeated);
    assert!(store.prune_audit(T0, later(60), 10).await.unwrap() > 0);
    assert!(
        !store
            .perform(&under_key(deed(), "k"), later(61))
            .await
            .unwrap()
            .repeated
    );
}

pub async fn a_refused_act_leaves_its_key_free(store: Arc<dyn Store>) {
    begin(&store, "s", 1).await;
    let resume = || Deed::CommandSource {
        source: "s".to_owned(),
        command: SourceCommand::Resume,
    };
    assert!(store.perform(&under_key(resume(), "k"), T0).await.is_err());
    store.command_source("s", SourceCommand::Pause, T0).await.unwrap();
    let performed = store.perform(&under_key(resume(), "k"), T0).await.unwrap();
    assert!(!performed.repeated);
}

pub async fn an_act_on_a_record_that_has_changed_is_refused(store: Arc<dyn Store>) {
    begin(&store, "s", 1).await;
    let source = store.find_source("s").await.unwrap().unwrap();
    let version = SourceVersion {
        state: source.state,
        cycle: source.cycle,
        requested: source.requested,
        held: None,
    };
    let expecting = OperatorAct {
        expected: Some(vec!["another".to_owned(), version.tag()]),
        ..OperatorAct::new(pause("s"), actor())
    };
    store.perform(&expecting, T0).await.unwrap();
    let refused = store.perform(&expecting, T0).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Changed { what: "source", .. }),
        "{refused}"
    );
}

pub async fn a_job_is_cancelled_and_whoever_runs_it_writes_nothing_more(store: Arc<dyn Store>) {
    store.enqueue(&[new_job("a", "1")], T0).await.unwrap();
    let claimed = claim(&store, "w", 1, T0).await;
    let job = claimed[0].id;
    let cancel = OperatorAct::new(Deed::CancelJob { job }, actor());
    store.perform(&cancel, T0).await.unwrap();
    let written = store.checkpoint(claimed[0].lease(), "1", T0).await.unwrap();
    assert!(!written);
    let filter = crate::JobFilter {
        key: Some("a".to_owned()),
        limit: 1,
        ..crate::JobFilter::default()
    };
    assert_eq!(store.list_jobs(&filter).await.unwrap()[0].state, JobState::Cancelled);
    assert!(matches!(store.perform(&cancel, T0).await, Err(StoreError::Refused(_))));
    let retry = OperatorAct::new(Deed::RetryJob { job, source: None }, actor());
    store.perform(&retry, T0).await.unwrap();
    assert_eq!(store.list_jobs(&filter).await.unwrap()[0].state, JobState::Waiting);
}

pub async fn a_partition_is_not_cancelled_alone(store: Arc<dyn Store>) {
    begin(&store, "s", 1).await;
    let filter = crate::JobFilter {
        source: Some("s".to_owned()),
        limit: 1,
        ..crate::JobFilter::default()
    };
    let job = store.list_jobs(&filter).await.unwrap()[0].id;
    let cancel = OperatorAct::new(Deed::CancelJob { job }, actor());
    assert!(matches!(store.perform(&cancel, T0).await, Err(StoreError::Refused(_))));
}

pub async fn a_token_is_found_by_its_id_until_and_after_it_is_revoked(store: Arc<dyn Store>) {
    let create = |id: &str| OperatorAct::new(Deed::CreateToken(token(id, "ci")), actor());
    store.perform(&create("one"), T0).await.unwrap();
    let found = store.find_token("one").await.unwrap().unwrap();
    assert_eq!((found.hash, found.role), (fingerprint(b"one"), Role::Operate));
    assert_eq!(
        (found.sources, found.expires_at),
        (vec!["team-*".to_owned()], Some(later(60)))
    );
    assert_eq!((found.created_by.as_str(), found.last_used_at), ("ci", None));
    assert!(store.find_token("two").await.unwrap().is_none());
    let taken = store.perform(&create("two"), T0).await;
    assert!(matches!(taken, Err(StoreError::Refused(_))), "{taken:?}");
    let revoke = OperatorAct::new(Deed::RevokeToken("one".to_owned()), actor());
    store.perform(&revoke, later(5)).await.unwrap();
    store.perform(&revoke, later(9)).await.unwrap();
    let found = store.find_token("one").await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(later(5)));
    store.perform(&create("two"), later(10)).await.unwrap();
    let listed = store.list_tokens().await.unwrap();
    let ids: Vec<_> = listed.iter().map(|token| token.id.as_str()).collect();
    assert_eq!(ids, ["one", "two"]);
}

pub async fn the_last_use_of_a_token_never_goes_back(store: Arc<dyn Store>) {
    let create = OperatorAct::new(Deed::CreateToken(token("one", "ci")), actor());
    store.perform(&create, T0).await.unwrap();
    for seconds in [5, 3] {
        store.note_token_use("one", later(seconds)).await.unwrap();
    }
    let found = store.find_token("one").await.unwrap().unwrap();
    assert_eq!(found.last_used_at, Some(later(5)));
}

pub async fn a_hook_has_its_newest_two_secrets_and_the_audit_log_shows_none(store: Arc<dyn Store>) {
    for (number, hook) in [(1, "a"), (2, "a"), (3, "b"), (4, "a")] {
        let deed = Deed::SaveHookSecret {
            hook: hook.to_owned(),
            sealed: format!("sealed-{number}"),
        };
        store
            .perform(&OperatorAct::new(deed, actor()), t(number))
            .await
            .unwrap();
    }
    assert_eq!(store.list_hook_secrets("a").await.unwrap(), ["sealed-4", "sealed-2"]);
    assert_eq!(store.list_hook_secrets("b").await.unwrap(), ["sealed-3"]);
    assert_eq!(store.list_hook_secrets("c").await.unwrap(), [""; 0]);
    let filter = AuditFilter {
        limit: 10,
        ..AuditFilter::default()
    };
    let audit = format!("{:?}", store.list_audit(&filter).await.unwrap());
    assert!(
        audit.contains("hooks.save_secret") && !audit.contains("sealed-"),
        "{audit}"
    );
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_acts {
    ($open:path) => {
        $crate::store_conformance_cases!($open, acts:
            a_hook_has_its_newest_two_secrets_and_the_audit_log_shows_none,
            an_act_is_written_down_with_who_did_it,
            the_reason_of_an_act_is_written_down,
            a_refused_act_is_written_down_and_changes_nothing,
            the_audit_log_is_filtered_paged_and_pruned,
            an_act_is_done_once_for_its_key,
            a_refused_act_leaves_its_key_free,
            an_act_on_a_record_that_has_changed_is_refused,
            a_job_is_cancelled_and_whoever_runs_it_writes_nothing_more,
            a_partition_is_not_cancelled_alone,
            a_token_is_found_by_its_id_until_and_after_it_is_revoked,
            the_last_use_of_a_token_never_goes_back,
        );
    };
}
