use crate::words::{EventSequence, Timestamp};

/// How long events are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRetention {
    /// Maximum age (`events.retention`).
    pub before: Timestamp,
    /// Maximum size of the log in bytes; beyond it the oldest are dropped (`events.max_bytes`).
    pub max_bytes: u64,
    /// Maximum age of events that a live subscription has not seen (`events.unseen_retention`)…
    pub unseen_before: Timestamp,
    /// … and in no more bytes than these (`events.unseen_max_bytes`).
    pub unseen_max_bytes: u64,
}

/// One of the oldest events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldEvent {
    /// Its place.
    pub sequence: EventSequence,
    /// When it was stored.
    pub created_at: Timestamp,
    /// Its size in the store, in bytes.
    pub bytes: u64,
}

impl EventRetention {
    /// The position up to which the log is dropped, given its oldest events in order. `total`: size of the whole log in
    /// bytes. `seen`: the position that every live subscription has passed.
    #[must_use]
    pub fn prune_to(&self, oldest: &[OldEvent], total: u64, seen: EventSequence) -> Option<EventSequence> {
        let mut left = total;
        let mut cut = None;
        for event in oldest {
            let (before, max_bytes) = if event.sequence <= seen {
                (self.before, self.max_bytes)
            } else {
                (
                    self.before.min(self.unseen_before),
                    self.max_bytes.max(self.unseen_max_bytes),
                )
            };
            if event.created_at >= before && left <= max_bytes {
                break;
            }
            left = left.saturating_sub(event.bytes);
            cut = Some(event.sequence);
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<OldEvent> {
        (1..=5)
            .map(|number| OldEvent {
                sequence: EventSequence(number),
                created_at: Timestamp(number * 10),
                bytes: 100,
            })
            .collect()
    }

    const RETENTION: EventRetention = EventRetention {
        before: Timestamp(0),
        max_bytes: 10_000,
        unseen_before: Timestamp(0),
        unseen_max_bytes: 10_000,
    };

    fn cut(retention: EventRetention, seen: i64) -> Option<i64> {
        retention
            .prune_to(&events(), 500, EventSequence(seen))
            .map(|sequence| sequence.0)
    }

    #[test]
    fn events_go_by_age_and_by_bytes_oldest_first() {
        assert_eq!(cut(RETENTION, 5), None);
        let aged = EventRetention {
            before: Timestamp(30),
            unseen_before: Timestamp(30),
            ..RETENTION
        };
        assert_eq!(cut(aged, 5), Some(2));
        let full = EventRetention {
            max_bytes: 250,
            unseen_max_bytes: 250,
            ..RETENTION
        };
        assert_eq!(cut(full, 5), Some(3));
    }

    #[test]
    fn what_a_live_subscription_has_not_seen_stays_up_to_a_limit() {
        let aged = EventRetention {
            before: Timestamp(100),
            ..RETENTION
        };
        assert_eq!(cut(aged, 2), Some(2));
        let limited = EventRetention {
            unseen_before: Timestamp(35),
            ..aged
        };
        assert_eq!(cut(limited, 2), Some(3));
        let full = EventRetention {
            unseen_max_bytes: 100,
            max_bytes: 50,
            ..RETENTION
        };
        assert_eq!(cut(full, 0), Some(4));
    }
}
