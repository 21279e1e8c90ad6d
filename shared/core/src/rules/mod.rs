//! The rules as pure functions: now, randomness and ids come in as arguments; nothing here does I/O.

mod address;
mod book;
mod canonical;
mod cursor_watch;
mod difference;
mod event_retention;
mod event_view;
mod feed;
mod guard;
mod ladder;
mod page_batch;
mod page_fingerprint;
mod rescue;
mod schedule;
mod scrub;
mod topic;
mod version;
mod why;

pub use address::{AddressPolicy, parse_network};
pub use book::{Book, BookEnd, BookLease};
pub use canonical::{CanonicalError, Volatile, canonical_entity, canonical_json, fingerprint, key_hash};
pub use cursor_watch::{came_twice, keep_cursor};
pub use difference::{Difference, differences};
pub use event_retention::{EventRetention, OldEvent};
pub use event_view::event_view;
pub use feed::FeedBounds;
pub use guard::{RemovalGuard, SweepDecision, decide_sweep};
pub use ladder::{Ladder, LadderStep};
pub use page_batch::DeltaReadings;
pub use page_fingerprint::page_fingerprint;
pub use rescue::RescuePolicy;
pub use schedule::{Schedule, ScheduleError, next_cycle_at, resting_until};
pub use scrub::{REDACTED, scrub_tokens, scrub_urls};
pub use topic::{TopicError, TopicGlob, check_topic, topic_word};
pub use version::{JobVersion, SourceVersion};
pub use why::{Facts, Why, why};
