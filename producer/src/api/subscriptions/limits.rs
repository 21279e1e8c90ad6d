//! Limits of what a request says of a subscription. The OpenAPI document shows the same numbers.

/// Longest lease and delay, in seconds.
pub(crate) const MAX_SECONDS: u64 = 43_200;
/// Most `ack_id` of one request.
pub(crate) const MAX_ACK_IDS: usize = 1_000;
/// Most events that may be outstanding.
pub(crate) const MAX_OUTSTANDING: u32 = 10_000;
/// Most topics of a subscription, and most sources and kinds of one that follows changes.
pub(crate) const MAX_TOPICS: usize = 100;
/// Most events that may be sent at a time.
pub(crate) const MAX_IN_FLIGHT: u32 = 256;
/// Most headers of a push.
pub(crate) const MAX_HEADERS: usize = 20;
/// Most bytes of them.
pub(crate) const MAX_HEADER_BYTES: usize = 8_192;
/// Longest filter, in bytes.
pub(crate) const MAX_FILTER_BYTES: usize = 10_000;
