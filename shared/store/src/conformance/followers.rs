//! Cases: positions of followers of the log of events.

use std::sync::Arc;

use crate::Store;
use tideline_core::words::EventSequence;

pub async fn a_follower_moves_only_from_where_it_stands(store: Arc<dyn Store>) {
    let (one, two, three) = (EventSequence(1), EventSequence(2), EventSequence(3));
    assert_eq!(store.find_position("f").await.unwrap(), None);
    assert!(store.move_position("f", None, one).await.unwrap());
    assert!(
        !store.move_position("f", None, two).await.unwrap(),
        "another one was faster"
    );
    assert!(store.move_position("f", Some(one), three).await.unwrap());
    assert!(!store.move_position("f", Some(one), two).await.unwrap());
    assert_eq!(store.find_position("f").await.unwrap(), Some(three));
    assert_eq!(store.find_position("g").await.unwrap(), None, "each has its own");
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_followers {
    ($open:path) => {
        $crate::store_conformance_cases!($open, followers: a_follower_moves_only_from_where_it_stands);
    };
}
