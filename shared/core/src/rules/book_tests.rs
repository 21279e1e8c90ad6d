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
    limits: (usize, usize),
}

impl Follower {
    fn new(keys: &[&str]) -> Self {
        Self {
            book: Book::default(),
            position: EventSequence(0),
            log: (1..).zip(keys).map(|(sequence, key)| head(sequence, key)).collect(),
            limits: (5, 5),
        }
    }

    fn limits(&self, max: usize) -> BookLimits {
        let (most, room) = self.limits;
        BookLimits { max, most, room }
    }

    fn park(&mut self, now: i64) -> Vec<Parked> {
        self.book.park(self.limits(0), Timestamp(now))
    }

    fn take(&mut self, max: usize, token: i64, now: i64) -> Vec<i64> {
        let after = self.position;
        let heads: Vec<EventHead> = self.log.iter().filter(|head| head.sequence > after).cloned().collect();
        let lease = BookLease {
            token,
            until: Timestamp(now + 10),
        };
        let limits = self.limits(max);
        let taken = self
            .book
            .take(&heads, &mut self.position, limits, lease, Timestamp(now));
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
    // It is not due yet, and the events behind it wait.
    assert_eq!(follower.take(10, 3, 4), Vec::<i64>::new());
    assert_eq!(follower.book.next_due(Timestamp(4)), Some(Timestamp(5)));
    // It failed before, so it comes alone: what is behind it is not to fail with it.
    assert_eq!(follower.take(10, 4, 5), [1]);
    assert_eq!(follower.settle(1, 4, BookEnd::Gone), Some(2));
    assert_eq!(follower.take(10, 5, 5), [2, 5]);
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
            // Minutes, as the waits are.
            now += 60_000;
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
    // Expired leases count as free.
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
    assert_eq!(follower.park(now), []);
    follower.log.extend([head(8, "bad"), head(9, "good")]);
    assert_eq!(follower.take(10, 5, now), Vec::<i64>::new());
    let parked = follower.park(now);
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
    assert_eq!((follower.book.len(), follower.park(now)), (5, vec![]));
}

/// Never settles `is_poison` events and acknowledges the rest. Returns the acknowledged ones.
fn acknowledge_all_but(
    follower: &mut Follower,
    is_poison: fn(i64) -> bool,
    (max, token): (usize, i64),
    now: i64,
) -> Vec<i64> {
    let mut taken = follower.take(max, token, now);
    taken.retain(|sequence| !is_poison(*sequence));
    for sequence in &taken {
        assert!(follower.settle(*sequence, token, BookEnd::Acked).is_some());
    }
    taken
}

#[test]
fn events_whose_leases_end_again_and_again_leave_the_others_their_part() {
    for max in [1, 2, 5] {
        let mut follower = Follower::new(&[""; 40]);
        follower.limits = (100, 100);
        let mut acked = Vec::new();
        // As often as leases expire: the worst case.
        for (token, now) in (1..=200).zip((0..).step_by(20)) {
            acked.extend(acknowledge_all_but(
                &mut follower,
                |sequence| sequence <= 5,
                (max, token),
                now,
            ));
        }
        assert_eq!(acked, (6..=40).collect::<Vec<_>>(), "{max} at a time");
    }
}

#[test]
fn an_event_that_failed_before_gets_its_turn_although_others_keep_coming() {
    let mut follower = Follower::new(&[""; 100]);
    follower.limits = (100, 100);
    assert_eq!(follower.take(1, 1, 0), [1]);
    follower.settle(1, 1, BookEnd::Failed(Timestamp(0)));
    assert_eq!((follower.take(1, 2, 1), follower.take(1, 3, 1)), (vec![1], vec![2]));
    follower.settle(1, 2, BookEnd::Failed(Timestamp(0)));
    assert_eq!(follower.take(4, 4, 1), [1, 3, 4, 5]);
}

#[test]
fn a_key_that_is_left_to_expire_takes_the_place_of_one_event_and_stops_no_other_key() {
    let mut keys = vec!["bad"; 12];
    keys.extend(["a", "b", "c", "d"]);
    let mut follower = Follower::new(&keys);
    follower.limits = (6, 100);
    let is_bad = |sequence| sequence <= 12;
    assert!(acknowledge_all_but(&mut follower, is_bad, (10, 1), 0).is_empty());
    assert_eq!(
        acknowledge_all_but(&mut follower, is_bad, (10, 2), 100),
        [13, 14, 15, 16]
    );
    // In their order, and the one that fails comes alone.
    assert_eq!(follower.take(10, 3, 60_000), [1]);
    follower.settle(1, 3, BookEnd::Acked);
    assert_eq!(follower.take(10, 4, 60_000), [2]);
}

#[test]
fn what_is_handed_out_too_often_is_given_up_and_waits_longer_each_time() {
    let mut follower = Follower::new(&["bad", "bad"]);
    let mut waits = Vec::new();
    let mut now = 0;
    for token in 1..=i64::from(Ladder::PULL_ATTEMPTS) {
        assert_eq!(follower.book.give_up_expired(Timestamp(now)), []);
        assert!(follower.take(1, token, now).contains(&1));
        now += 10;
        let due = follower.book.next_due(Timestamp(now - 1)).unwrap();
        waits.push(due.since(Timestamp(now)).as_secs_f64().round());
        now = due.0;
    }
    assert_eq!(waits[..3], [0.0, 1.0, 2.0]);
    assert!(waits[18] > 500.0, "{waits:?}");
    // The last holder may still settle it, until somebody else takes from the book.
    let given_up = follower.book.give_up_expired(Timestamp(now));
    assert_eq!(given_up.len(), 1);
    assert_eq!(
        (given_up[0].sequence, given_up[0].attempts),
        (EventSequence(1), Ladder::PULL_ATTEMPTS)
    );
    assert_eq!(follower.take(1, 99, now), [2]);
}

#[test]
fn leases_that_ended_count_as_failures_when_there_is_no_room() {
    let mut follower = Follower::new(&["bad", "good", "bad", "bad", "bad", "other"]);
    follower.limits = (4, 4);
    for (token, now) in (1..=3).zip((0..).step_by(60_000)) {
        let acked = acknowledge_all_but(&mut follower, |sequence| sequence != 2, (2, token), now);
        assert_eq!(acked.contains(&2), token == 1);
    }
    assert_eq!((follower.book.len(), follower.take(2, 4, 120_001)), (4, vec![]));
    let parked: Vec<i64> = follower.park(180_000).iter().map(|parked| parked.sequence.0).collect();
    assert_eq!(parked, [1, 3, 4, 5]);
    assert_eq!(follower.take(2, 5, 180_000), [6]);
}

#[test]
fn what_is_put_back_after_a_replay_is_there_once_and_hides_nothing_unseen() {
    let mut follower = Follower::new(&[""; 5]);
    // It died before a replay that has not come to it again.
    follower.book.put_back(EventSequence(4), "", follower.position);
    assert_eq!(follower.book.seen(follower.position), EventSequence(0));
    assert_eq!(follower.take(3, 1, 0), [1, 2, 3]);
    assert_eq!(follower.take(3, 2, 0), [4, 5]);
    for (sequence, token) in [(4, 2), (1, 1), (5, 2), (2, 1), (3, 1)] {
        assert_eq!(follower.settle(sequence, token, BookEnd::Acked), Some(1), "{sequence}");
    }
    follower.book.put_back(EventSequence(4), "", follower.position);
    assert_eq!(follower.take(3, 3, 0), [4]);
}

#[test]
fn a_book_that_a_replay_and_a_retry_left_in_disorder_is_mended_when_it_is_read() {
    let stored = r#"{"entries":[[7,0,1,3,99],[2,0,1,4,99],[7,0,1,4,99]],"acked":0,"stubborn":[]}"#;
    let mut book: Book = serde_json::from_str(stored).unwrap();
    assert_eq!((book.len(), book.seen(EventSequence(1))), (2, EventSequence(1)));
    assert_eq!(book.settle(EventSequence(2), 4, BookEnd::Acked), Some(1));
    // Events that are already in the book are not added again.
    let lease = BookLease {
        token: 9,
        until: Timestamp(10),
    };
    let limits = BookLimits {
        max: 5,
        most: 5,
        room: 5,
    };
    let mut position = EventSequence(5);
    let taken = book.take(&[head(6, ""), head(7, "")], &mut position, limits, lease, Timestamp(0));
    assert_eq!((taken, position), (vec![(EventSequence(6), 1)], EventSequence(7)));
}

#[test]
fn a_book_that_was_stored_before_is_read() {
    let book: Book = serde_json::from_str("[[7,0,1,3,99]]").unwrap();
    assert_eq!((book.len(), book.leased(Timestamp(5))), (1, 1));
    assert_eq!(serde_json::from_str::<Book>("[]").unwrap(), Book::default());
}
