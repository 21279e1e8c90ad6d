#![allow(clippy::unwrap_used, reason = "this is test code")]

use proptest::prelude::*;

use super::*;
use crate::words::{DeliveryId, Verdict};

fn head(sequence: i64, key: &str) -> EventHead {
    EventHead {
        sequence: EventSequence(sequence),
        topic: "t".to_owned(),
        key: key.to_owned(),
        created_at: Timestamp(0),
        delivery: None::<DeliveryId>,
        verdict: Verdict::Own,
        malformed: false,
        body_bytes: 0,
        trace: None,
    }
}

struct Follower {
    book: Book,
    position: EventSequence,
    log: Vec<EventHead>,
}

impl Follower {
    fn new(keys: &[&str]) -> Self {
        Self {
            book: Book::default(),
            position: EventSequence(0),
            log: (1..).zip(keys).map(|(sequence, key)| head(sequence, key)).collect(),
        }
    }

    fn take(&mut self, max: usize, token: i64, now: i64) -> Vec<i64> {
        let after = self.position;
        let heads: Vec<EventHead> = self.log.iter().filter(|head| head.sequence > after).cloned().collect();
        let lease = BookLease {
            token,
            until: Timestamp(now + 10),
        };
        let taken = self
            .book
            .take(&heads, &mut self.position, (max, 5), lease, Timestamp(now));
        // What is stored reads back.
        let text = serde_json::to_string(&self.book).unwrap();
        assert_eq!(serde_json::from_str::<Book>(&text).unwrap(), self.book);
        taken.into_iter().map(|(sequence, _)| sequence.0).collect()
    }

    fn settle(&mut self, sequence: i64, token: i64, end: BookEnd) -> Option<u32> {
        self.book.settle(EventSequence(sequence), token, end)
    }
}

#[test]
fn events_of_one_key_wait_for_each_other_and_hold_up_no_other() {
    let mut follower = Follower::new(&["a", "a", "b", "", "a"]);
    assert_eq!(follower.take(1, 1, 0), [1]);
    assert_eq!(follower.take(10, 2, 0), [3, 4]);
    assert_eq!(follower.settle(1, 1, BookEnd::Again(Timestamp(5))), Some(1));
    // Its time has not come, and what is behind it waits.
    assert_eq!(follower.take(10, 3, 4), Vec::<i64>::new());
    assert_eq!(follower.book.next_due(Timestamp(4)), Some(Timestamp(5)));
    assert_eq!(follower.take(10, 4, 5), [1, 2, 5]);
    assert_eq!(follower.settle(1, 4, BookEnd::Gone), Some(2));
}

#[test]
fn what_is_not_settled_in_time_comes_again_and_the_old_token_settles_nothing() {
    let mut follower = Follower::new(&["a"]);
    assert_eq!(follower.take(10, 1, 0), [1]);
    assert_eq!(follower.take(10, 2, 9), Vec::<i64>::new());
    assert_eq!(follower.take(10, 2, 10), [1]);
    assert_eq!(follower.settle(1, 1, BookEnd::Gone), None);
    assert_eq!(follower.settle(1, 2, BookEnd::Gone), Some(2));
    assert_eq!(follower.settle(1, 2, BookEnd::Gone), None);
    assert_eq!(follower.book.seen(follower.position), EventSequence(1));
}

#[test]
fn no_more_is_handed_out_than_may_be_outstanding() {
    let mut follower = Follower::new(&[""; 9]);
    assert_eq!(follower.take(10, 1, 0), [1, 2, 3, 4, 5]);
    assert_eq!(follower.take(10, 2, 0), Vec::<i64>::new());
    assert_eq!(follower.book.seen(follower.position), EventSequence(0));
    follower.settle(2, 1, BookEnd::Gone);
    assert_eq!(follower.take(10, 2, 0), [6]);
}

proptest! {
    #[test]
    fn whatever_fails_in_whatever_order_every_event_is_done_once_and_each_key_in_order(
        keys in prop::collection::vec("[ab]?", 1..20),
        choices in prop::collection::vec((0..4_u8, 1..4_usize), 400),
    ) {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let mut follower = Follower::new(&keys);
        let mut done: Vec<i64> = Vec::new();
        let mut choices = choices.into_iter().cycle();
        let mut now = 0;
        for token in 1..2_000 {
            let (_, max) = choices.next().unwrap();
            now += 1;
            for sequence in follower.take(max, token, now) {
                match choices.next().unwrap().0 {
                    // Lost: its lease runs out, and so does that of what follows it in the batch.
                    0 => break,
                    1 => {
                        follower.settle(sequence, token, BookEnd::Again(Timestamp(now + 3)));
                        break;
                    }
                    _ => {
                        prop_assert!(follower.settle(sequence, token, BookEnd::Gone).is_some());
                        done.push(sequence);
                    }
                }
            }
            if done.len() == keys.len() {
                break;
            }
        }
        let mut once = done.clone();
        once.sort_unstable();
        prop_assert_eq!(once, (1..=i64::try_from(keys.len()).unwrap()).collect::<Vec<_>>());
        for key in ["a", "b"] {
            let of_key: Vec<i64> = done.iter().copied().filter(|n| keys[usize::try_from(n - 1).unwrap()] == key).collect();
            prop_assert!(of_key.is_sorted(), "{key}: {of_key:?}");
        }
    }
}

#[test]
fn a_book_knows_what_is_in_flight_and_when_what_failed_is_tried_again() {
    let mut follower = Follower::new(&["a", "b", "c"]);
    assert_eq!(follower.take(2, 7, 0), [1, 2]);
    assert_eq!(
        (follower.book.leased(Timestamp(5)), follower.book.next_try()),
        (2, None)
    );
    follower.settle(1, 7, BookEnd::Again(Timestamp(90)));
    assert_eq!(follower.book.leased(Timestamp(5)), 1);
    assert_eq!(follower.book.next_try(), Some(Timestamp(90)));
    // Leases that are over are nobody's.
    assert_eq!(follower.book.leased(Timestamp(10)), 0);
}

#[test]
fn keys_that_keep_failing_are_parked_when_they_take_all_the_room_and_others_go_on() {
    let mut follower = Follower::new(&["bad", "bad", "", "bad", "good", "good", "good"]);
    let mut now = 0;
    for token in 1..=4 {
        now += 10;
        for sequence in follower.take(10, token, now) {
            let end = match sequence {
                5.. => BookEnd::Acked,
                _ => BookEnd::Failed(Timestamp(now + 1)),
            };
            follower.settle(sequence, token, end);
        }
    }
    // There is room for one: the keys that fail have the rest, and that is left to them.
    assert_eq!(follower.book.len(), 4);
    assert_eq!(follower.book.park(5, Timestamp(now)), []);
    follower.log.extend([head(8, "bad"), head(9, "good")]);
    assert_eq!(follower.take(10, 5, now), Vec::<i64>::new());
    let parked = follower.book.park(5, Timestamp(now));
    let parked: Vec<_> = (parked.iter())
        .map(|parked| (parked.sequence.0, parked.behind.map(|behind| behind.0)))
        .collect();
    assert_eq!(parked, [(1, None), (2, Some(1)), (4, Some(1)), (8, Some(1))]);
    assert_eq!(follower.take(10, 6, now), [9]);
}

#[test]
fn nothing_is_parked_when_everything_fails() {
    let mut follower = Follower::new(&["a", "b", "c", "d", "e", "f"]);
    let mut now = 0;
    for token in 1..=6 {
        now += 10;
        for sequence in follower.take(10, token, now) {
            let end = match sequence {
                1 => BookEnd::Acked,
                _ => BookEnd::Failed(Timestamp(now + 1)),
            };
            follower.settle(sequence, token, end);
        }
    }
    assert_eq!(
        (follower.book.len(), follower.book.park(5, Timestamp(now))),
        (5, vec![])
    );
}

#[test]
fn a_book_that_was_stored_before_is_read() {
    let book: Book = serde_json::from_str("[[7,0,1,3,99]]").unwrap();
    assert_eq!((book.len(), book.leased(Timestamp(5))), (1, 1));
    assert_eq!(serde_json::from_str::<Book>("[]").unwrap(), Book::default());
}
