//! Cases: sessions of people who are signed in.

use std::sync::Arc;

use tideline_core::rules::fingerprint;
use tideline_core::words::Timestamp;

use crate::{Person, Session, Store};

fn session(id: &str, opened_at: i64, expires_at: i64) -> Session {
    Session {
        hash: fingerprint(id.as_bytes()),
        token_id: Some("one".to_owned()),
        token_hash: fingerprint(b"token"),
        opened_at: Timestamp(opened_at),
        expires_at: Timestamp(expires_at),
        person: None,
    }
}

pub async fn a_session_is_found_until_it_is_over_or_ended(store: Arc<dyn Store>) {
    let (one, two) = (session("one", 1_000, 5_000), session("two", 1_000, 9_000));
    let person = Person {
        issuer: "https://login.example.com".to_owned(),
        subject: "42".to_owned(),
        name: "Ana \"<b>\"".to_owned(),
        groups: vec!["sre".to_owned(), "ünit".to_owned()],
    };
    let two = Session {
        token_id: None,
        person: Some(person),
        ..two
    };
    store.open_session(&one).await.unwrap();
    store.open_session(&two).await.unwrap();
    let find = async |session: &Session, now: i64| store.find_session(session.hash, Timestamp(now)).await.unwrap();
    assert_eq!(find(&one, 4_999).await, Some(one.clone()));
    assert_eq!(find(&one, 5_000).await, None, "it is over");
    assert_eq!(find(&two, 5_000).await, Some(two.clone()));
    store.end_session(two.hash).await.unwrap();
    assert_eq!(find(&two, 5_000).await, None, "it was ended");
    store.end_session(two.hash).await.unwrap();
}

pub async fn a_token_has_so_many_sessions_and_the_oldest_go_first(store: Arc<dyn Store>) {
    for number in 0..=i64::from(Session::MAX_PER_TOKEN) {
        let opened = session(&number.to_string(), 1_000 + number, 100_000);
        store.open_session(&opened).await.unwrap();
    }
    let find = async |id: &str| {
        store
            .find_session(fingerprint(id.as_bytes()), Timestamp(2_000))
            .await
            .unwrap()
    };
    assert_eq!(find("0").await, None);
    assert!(find("1").await.is_some() && find("100").await.is_some());
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_sessions {
    ($open:path) => {
        $crate::store_conformance_cases!($open, sessions:
            a_session_is_found_until_it_is_over_or_ended,
            a_token_has_so_many_sessions_and_the_oldest_go_first,
        );
    };
}
