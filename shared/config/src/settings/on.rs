use std::collections::BTreeMap;
use std::time::Duration;

/// A rule of `on`: which events make the source read what again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshRule {
    /// `topic`: topics, or globs of them.
    pub topics: Vec<String>,
    /// `when`: jq expression over the event; none: always.
    pub when: Option<String>,
    /// `refresh`.
    pub refresh: RefreshScope,
    /// `resource`; none: the first one.
    pub resource: Option<String>,
    /// `each`: jq expression over the event; each of its outputs is something to read, and `values` and `removed` are over it.
    pub each: Option<String>,
    /// `values`: name → jq expression over the event.
    pub values: BTreeMap<String, String>,
    /// `removed`: jq expression over the event that tells whether the item is gone.
    pub removed: Option<String>,
    /// `look_again`: so long after the reading it is done once more, 100 ms to 1 h; none: it is not.
    pub look_again: Option<Duration>,
    /// `only_known`: of the partitions that cycles have found, those with these values.
    pub only_known: bool,
    /// `deep`: the partitions that it reveals are read again too.
    pub deep: bool,
    /// `fetch`: what is asked of the API for the event that is published; only with `refresh: event`.
    pub fetch: Option<EventFetch>,
}

/// What a rule asks the source's API for, and the event that is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFetch {
    /// `path`: joined to `base_url`; `{name}` is one of the rule's values, percent-encoded.
    pub path: String,
    /// `query`: name → template with `{name}`.
    pub query: BTreeMap<String, String>,
    /// `absent`: statuses that say that there is no such thing; the response is then null.
    pub absent: Vec<u16>,
    /// `topic` of the event.
    pub topic: String,
    /// `body` of the event: jq expression over `{event, response}`.
    pub body: String,
}

/// What is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshScope {
    /// One item.
    Item,
    /// One partition.
    Partition,
    /// The whole source.
    Source,
    /// Nothing: another event is published, with what the API says besides.
    Event,
}
