use crate::words::{Change, FeedGap, FeedPosition, Sequence};

/// The bounds of the change feed, from the same snapshot as the changes read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedBounds {
    /// The last number given to a change; 0: none.
    pub last: Sequence,
    /// The greatest number of a pruned tombstone; 0: none.
    pub pruned_to: Sequence,
}

impl FeedBounds {
    /// Whether a reader may continue from here. The start is always valid: the feed holds the newest state of each
    /// entity, and a reader that knows none needs no tombstones.
    ///
    /// # Errors
    /// It would miss changes.
    pub fn admit(self, position: FeedPosition) -> Result<(), FeedGap> {
        let Self { last, pruned_to } = self;
        if position == FeedPosition::START {
            Ok(())
        } else if position.complete_to() > last {
            Err(FeedGap::Ahead { after: position, last })
        } else if position.complete_to() < pruned_to {
            Err(FeedGap::Pruned {
                after: position,
                pruned_to,
            })
        } else {
            Ok(())
        }
    }

    /// Where a reader stands that got these changes from there. Unless there are `more` it is at the end, whatever the last of
    /// them is.
    #[must_use]
    pub fn next_position(self, position: FeedPosition, changes: &[Change], more: bool) -> FeedPosition {
        let Some(read) = changes.last().filter(|_| more) else {
            return FeedPosition::after(self.last);
        };
        let began_at = if position == FeedPosition::START {
            self.last
        } else {
            position.complete_to()
        };
        FeedPosition::in_first_reading(read.sequence, began_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{ChangeKind, Timestamp};

    const BOUNDS: FeedBounds = FeedBounds {
        last: Sequence(50),
        pruned_to: Sequence(30),
    };

    fn at(text: &str) -> FeedPosition {
        text.parse().unwrap()
    }

    #[test]
    fn a_reader_goes_on_only_if_it_misses_nothing() {
        for text in ["0", "30", "31", "50", "1-30", "29-40", "10-50"] {
            assert_eq!(BOUNDS.admit(at(text)), Ok(()), "{text}");
        }
        for text in ["1", "29", "1-29"] {
            let gap = FeedGap::Pruned {
                after: at(text),
                pruned_to: Sequence(30),
            };
            assert_eq!(BOUNDS.admit(at(text)), Err(gap), "{text}");
        }
        for text in ["51", "1-51"] {
            let gap = FeedGap::Ahead {
                after: at(text),
                last: Sequence(50),
            };
            assert_eq!(BOUNDS.admit(at(text)), Err(gap), "{text}");
        }
    }

    #[test]
    fn a_first_reading_remembers_where_the_feed_ended_until_it_is_there() {
        let change = |sequence| Change {
            sequence: Sequence(sequence),
            change: ChangeKind::Added,
            source: "s".into(),
            reference: "component:default/a".parse().unwrap(),
            changed_at: Timestamp(0),
            body: Some("{}".into()),
        };
        for (from, read, more, next) in [
            ("0", vec![3, 7], true, "7-50"),
            ("0", vec![3, 7], false, "50"),
            ("0", vec![], false, "50"),
            ("7-40", vec![8, 9], true, "9-40"),
            ("7-40", vec![40], true, "40"),
            ("7-40", vec![44], true, "44"),
            ("41", vec![45, 46], true, "46"),
            ("41", vec![45], false, "50"),
        ] {
            let changes: Vec<_> = read.iter().copied().map(change).collect();
            let found = BOUNDS.next_position(at(from), &changes, more);
            assert_eq!(found.to_string(), next, "{from} {read:?}");
        }
    }

    #[test]
    fn a_position_is_its_text() {
        for text in ["0", "7", "7-9"] {
            assert_eq!(at(text).to_string(), text);
            let json = serde_json::to_string(&at(text)).unwrap();
            assert_eq!(serde_json::from_str::<FeedPosition>(&json).unwrap(), at(text));
        }
        assert_eq!((at("9-7"), at("0-9")), (at("9"), FeedPosition::START));
        for text in ["", "-1", "x", "1-", "1-2-3", "99999999999999999999"] {
            assert!(text.parse::<FeedPosition>().is_err(), "{text}");
        }
    }
}
