//! Limits on the fields of a subscription. The OpenAPI document shows the same numbers.

/// Maximum lease and delay, in seconds.
pub(crate) const MAX_SECONDS: u64 = 43_200;
/// Maximum number of `ack_id`s of one request.
pub(crate) const MAX_ACK_IDS: usize = 1_000;
/// Maximum number of events that may be outstanding.
pub(crate) const MAX_OUTSTANDING: u32 = 10_000;
/// Maximum number of topics of a subscription, and of sources and kinds of one that follows changes.
pub(crate) const MAX_TOPICS: usize = 100;
/// Maximum number of events that may be sent at a time.
pub(crate) const MAX_IN_FLIGHT: u32 = 256;
/// Maximum number of headers of a push.
pub(crate) const MAX_HEADERS: usize = 20;
/// Maximum size of the headers in total, in bytes.
pub(crate) const MAX_HEADER_BYTES: usize = 8_192;
/// Maximum length of a filter, in bytes.
pub(crate) const MAX_FILTER_BYTES: usize = 10_000;
