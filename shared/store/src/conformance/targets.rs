//! Cases: positions of targets, what they know and what they own.

use std::sync::Arc;

use super::*;
use crate::{
    Deed, OperatorAct, Store, StoreError, TargetCommand, TargetEntityFilter, TargetNote, TargetObjectFilter,
    TargetSettled,
};
use tideline_core::rules::fingerprint;
use tideline_core::words::{
    Actor, ActorKind, EntityRef, FeedPosition, JobState, MICROCKS_KIND, NewJob, Sequence, Settlement, TargetEntity,
    TargetHold, TargetObject, TargetPlace, TargetRecord, TargetSpec, TargetState,
};

fn a_target(name: &str) -> TargetSpec {
    TargetSpec {
        name: name.to_owned(),
        target_type: "microcks".to_owned(),
    }
}

fn api(name: &str) -> EntityRef {
    EntityRef::new("api", "default", name).unwrap()
}

async fn target(store: &Arc<dyn Store>, name: &str) -> TargetRecord {
    store.find_target(name).await.unwrap().unwrap()
}

async fn command(store: &Arc<dyn Store>, target: &str, command: TargetCommand, ms: i64) -> Result<(), StoreError> {
    let actor = Actor {
        kind: ActorKind::Token,
        name: "ci".to_owned(),
        address: None,
        request: None,
    };
    let deed = Deed::CommandTarget {
        target: target.to_owned(),
        command,
    };
    store.perform(&OperatorAct::new(deed, actor), t(ms)).await.map(drop)
}

fn object(name: &str, of: &str) -> TargetObject {
    TargetObject {
        object: name.to_owned(),
        reference: api(of),
        part: "a".to_owned(),
        remote_id: None,
        fingerprint: None,
        detail: "{}".to_owned(),
        error: None,
        updated_at: T0,
    }
}

async fn objects(store: &Arc<dyn Store>, of: Option<&str>) -> Vec<TargetObject> {
    let filter = TargetObjectFilter {
        target: "m".to_owned(),
        reference: of.map(api),
        after: None,
        limit: 100,
    };
    store.list_target_objects(&filter).await.unwrap()
}

async fn put(store: &Arc<dyn Store>, object: TargetObject) -> bool {
    store.put_target_objects("m", &[object]).await.unwrap() == [true]
}

async fn known(store: &Arc<dyn Store>, failing: bool) -> Vec<TargetEntity> {
    let filter = TargetEntityFilter {
        target: "m".to_owned(),
        failing,
        limit: 100,
        ..TargetEntityFilter::default()
    };
    store.list_target_entities(&filter).await.unwrap()
}

pub async fn a_target_that_is_no_longer_configured_keeps_what_it_owns(store: Arc<dyn Store>) {
    store.sync_targets(&[a_target("m"), a_target("n")], T0).await.unwrap();
    assert!(put(&store, object("x", "one")).await);
    store.sync_targets(&[a_target("n")], t(1)).await.unwrap();
    let all = store.list_targets().await.unwrap();
    let configured: Vec<(&str, bool)> = all
        .iter()
        .map(|target| (target.name.as_str(), target.configured))
        .collect();
    assert_eq!(configured, [("m", false), ("n", true)]);
    assert_eq!(objects(&store, None).await.len(), 1);
    assert!(matches!(
        command(&store, "m", TargetCommand::Resync, 2).await,
        Err(StoreError::Refused(_))
    ));
    store.sync_targets(&[a_target("m")], t(3)).await.unwrap();
    assert_eq!(
        (
            target(&store, "m").await.configured,
            target(&store, "m").await.created_at
        ),
        (true, T0)
    );
    assert_eq!(store.count_targets().await.unwrap()[0].objects, 1);
}

pub async fn a_target_moves_only_from_where_it_stands(store: Arc<dyn Store>) {
    store.sync_targets(&[a_target("m")], T0).await.unwrap();
    let start = TargetPlace::default();
    let place = |number: i64| TargetPlace {
        position: FeedPosition::after(Sequence(number)),
        ..TargetPlace::default()
    };
    assert_eq!(target(&store, "m").await.place, start);
    assert!(store.move_target("m", &start, &place(5)).await.unwrap());
    assert!(
        !store.move_target("m", &start, &place(6)).await.unwrap(),
        "another one was faster"
    );
    assert_eq!(target(&store, "m").await.place, place(5));
    command(&store, "m", TargetCommand::Pause, 1).await.unwrap();
    assert!(
        !store.move_target("m", &place(5), &place(6)).await.unwrap(),
        "it is paused"
    );
    assert_eq!(target(&store, "m").await.state, TargetState::Paused);
    command(&store, "m", TargetCommand::Resume, 2).await.unwrap();
    let again = command(&store, "m", TargetCommand::Resume, 3).await;
    assert!(matches!(again, Err(StoreError::Refused(_))), "{again:?}");
    command(&store, "m", TargetCommand::Resync, 4).await.unwrap();
    let place = target(&store, "m").await.place;
    assert_eq!((place.position, place.starts), (FeedPosition::START, 1));
    assert!(
        place
            .look
            .is_some_and(|look| look.began_at == t(4) && look.after.is_none())
    );
    let nowhere = command(&store, "nowhere", TargetCommand::Pause, 5).await;
    assert!(matches!(nowhere, Err(StoreError::NotFound { .. })), "{nowhere:?}");
}

pub async fn a_target_is_held_back_once_however_many_find_it_unreachable(store: Arc<dyn Store>) {
    store.sync_targets(&[a_target("m"), a_target("m-2")], T0).await.unwrap();
    let hold = |count: u32, ms: i64| TargetHold {
        until: t(ms),
        count,
        reason: "refused".to_owned(),
    };
    assert!(store.hold_target("m", &hold(1, 100)).await.unwrap());
    assert!(!store.hold_target("m", &hold(1, 200)).await.unwrap());
    assert!(store.hold_target("m", &hold(2, 300)).await.unwrap());
    assert_eq!(target(&store, "m").await.hold, Some(hold(2, 300)));
    assert_eq!(target(&store, "m-2").await.hold, None);
    for key in ["m/api:default/one", "m-2/api:default/one"] {
        let job = NewJob {
            kind: MICROCKS_KIND.to_owned(),
            due_at: t(300),
            ..new_job(key, "1")
        };
        enqueue(&store, job, T0).await;
    }
    store.release_target("m", MICROCKS_KIND, t(150)).await.unwrap();
    assert_eq!(target(&store, "m").await.hold, None);
    let due = |key: &'static str| {
        let store = Arc::clone(&store);
        async move { job_of(&store, MICROCKS_KIND, key).await }
    };
    let woken = due("m/api:default/one").await;
    assert_eq!((woken.state, woken.due_at), (JobState::Waiting, Some(t(150))));
    assert_eq!(
        due("m-2/api:default/one").await.due_at,
        Some(t(300)),
        "another target's"
    );
    assert!(store.hold_target("m", &hold(1, 400)).await.unwrap(), "it begins anew");
}

pub async fn some_jobs_of_a_target_that_were_put_off_are_hastened_and_none_that_failed(store: Arc<dyn Store>) {
    let put_off = |key: &str| NewJob {
        kind: MICROCKS_KIND.to_owned(),
        due_at: t(300),
        ..new_job(key, "1")
    };
    for (key, due_at) in [
        ("m/a", 300),
        ("m/b", 200),
        ("m/c", 250),
        ("m-2/a", 200),
        ("m/paused", 900),
    ] {
        let job = NewJob {
            due_at: t(due_at),
            ..put_off(key)
        };
        enqueue(&store, job, T0).await;
    }
    enqueue(
        &store,
        NewJob {
            due_at: T0,
            ..put_off("m/failed")
        },
        T0,
    )
    .await;
    let failed = only(claim_kind(&store, "w", MICROCKS_KIND, 1, t(1)).await);
    let retry = Settlement::Retry {
        due_at: t(300),
        error: "it is down".to_owned(),
        rung: 1,
    };
    settle(&store, failed.lease(), retry, t(2)).await;
    let hasten = async |count: u32| {
        let hasten = store.hasten_target_jobs("m", MICROCKS_KIND, count, t(300), t(10));
        hasten.await.unwrap()
    };
    let due = async || {
        let mut due = Vec::new();
        for key in ["m/a", "m/b", "m/c", "m-2/a", "m/failed", "m/paused"] {
            if job_of(&store, MICROCKS_KIND, key).await.due_at == Some(t(10)) {
                due.push(key);
            }
        }
        due
    };
    assert_eq!(hasten(2).await, 2);
    assert_eq!(due().await, ["m/b", "m/c"], "the next ones");
    assert_eq!(hasten(5).await, 1);
    let of_it = ["m/a", "m/b", "m/c"];
    assert_eq!(
        due().await,
        of_it,
        "no other target's, none that failed or waits for longer"
    );
    assert_eq!(hasten(5).await, 0);
}

pub async fn an_entity_is_known_until_it_is_forgotten_and_never_while_something_of_it_is_owned(store: Arc<dyn Store>) {
    store.sync_targets(&[a_target("m")], T0).await.unwrap();
    let print = fingerprint(b"x");
    let notes = [("one", Some(print)), ("two", None)].map(|(name, fingerprint)| TargetNote {
        reference: api(name),
        fingerprint,
    });
    store.note_target_entities("m", &notes).await.unwrap();
    let found = store
        .find_target_entities("m", &[api("one"), api("three")])
        .await
        .unwrap();
    assert_eq!((found.len(), found[0].fingerprint), (1, Some(print)));
    let settled = |name, error: Option<&str>| TargetSettled {
        reference: api(name),
        error: error.map(str::to_owned),
        sent: None,
    };
    let failed = [settled("one", None), settled("one", Some("no"))];
    store.settle_target_entities("m", &failed, t(1)).await.unwrap();
    assert_eq!(known(&store, true).await.len(), 1, "the last counts");
    let mended = [settled("three", Some("no")), settled("one", None)];
    store.settle_target_entities("m", &mended, t(2)).await.unwrap();
    let all = known(&store, false).await;
    assert_eq!(all.len(), 3);
    assert_eq!(
        (all[0].synced_at, all[0].fingerprint, &all[0].error),
        (Some(t(2)), Some(print), &None)
    );
    assert_eq!(
        (all[1].error.as_deref(), all[1].synced_at),
        (Some("no"), None),
        "in order: three, two"
    );
    let looked_at = [api("one"), api("three"), api("four")];
    store.confirm_target_entities("m", &looked_at, t(3)).await.unwrap();
    let confirmed = known(&store, false).await;
    assert_eq!(confirmed.len(), 3, "an unknown one stays unknown");
    assert_eq!(
        [confirmed[0].synced_at, confirmed[1].synced_at, confirmed[2].synced_at],
        [Some(t(3)), None, None],
        "nothing is known of what was not looked at, and an error stays"
    );
    assert_eq!(confirmed[1].error.as_deref(), Some("no"));
    put(&store, object("x", "one")).await;
    for name in ["one", "two"] {
        store.forget_target_entity("m", &api(name)).await.unwrap();
    }
    let left: Vec<EntityRef> = known(&store, false)
        .await
        .into_iter()
        .map(|one| one.reference)
        .collect();
    assert_eq!(left, [api("one"), api("three")]);
}

pub async fn what_was_sent_is_kept_and_what_it_replaced_is_told(store: Arc<dyn Store>) {
    store.sync_targets(&[a_target("m")], T0).await.unwrap();
    let [old, new] = [b"old", b"new"].map(|text| fingerprint(text));
    let settled = |name, error: Option<&str>, sent| TargetSettled {
        reference: api(name),
        error: error.map(str::to_owned),
        sent,
    };
    let first = ["same", "other", "failing"].map(|name| settled(name, None, Some(new)));
    assert_eq!(store.settle_target_entities("m", &first, t(1)).await.unwrap(), []);
    let attempts = [
        settled("same", None, Some(new)),
        settled("other", None, Some(old)),
        settled("failing", Some("no"), None),
        settled("unknown", None, Some(old)),
    ];
    let replaced = store.settle_target_entities("m", &attempts, t(2)).await.unwrap();
    assert_eq!(replaced, [api("other")]);
    let kept: Vec<_> = (known(&store, false).await.into_iter())
        .map(|entity| (entity.reference, entity.fingerprint))
        .collect();
    let wanted = [("failing", new), ("other", old), ("same", new), ("unknown", old)];
    assert_eq!(kept, wanted.map(|(name, print)| (api(name), Some(print))));
}

pub async fn an_object_belongs_to_one_entity(store: Arc<dyn Store>) {
    store.sync_targets(&[a_target("m")], T0).await.unwrap();
    assert!(put(&store, object("x", "one")).await);
    assert!(!put(&store, object("x", "two")).await);
    let made = TargetObject {
        remote_id: Some("1".to_owned()),
        fingerprint: Some(fingerprint(b"x")),
        error: Some("bad".to_owned()),
        detail: r#"{"a":1}"#.to_owned(),
        updated_at: t(3),
        ..object("x", "one")
    };
    let together = [
        object("x", "two"),
        object("z", "three"),
        object("x", "one"),
        object("y", "two"),
        object("y", "one"),
        made.clone(),
    ];
    assert_eq!(
        store.put_target_objects("m", &together).await.unwrap(),
        [false, true, true, true, false, true]
    );
    assert_eq!(objects(&store, Some("one")).await, std::slice::from_ref(&made));
    assert_eq!(objects(&store, Some("two")).await, [object("y", "two")]);
    assert_eq!(objects(&store, None).await.len(), 3);
    let found = store
        .find_target_objects("m", &[api("two"), api("one"), api("four")])
        .await;
    assert_eq!(found.unwrap(), [made, object("y", "two")]);
    store.forget_target_object("m", "x").await.unwrap();
    assert_eq!(objects(&store, Some("one")).await, []);
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_targets {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open, targets:
            a_target_that_is_no_longer_configured_keeps_what_it_owns,
            a_target_moves_only_from_where_it_stands,
            a_target_is_held_back_once_however_many_find_it_unreachable,
            some_jobs_of_a_target_that_were_put_off_are_hastened_and_none_that_failed,
            an_entity_is_known_until_it_is_forgotten_and_never_while_something_of_it_is_owned,
            what_was_sent_is_kept_and_what_it_replaced_is_told,
            an_object_belongs_to_one_entity,
        );
    };
}
