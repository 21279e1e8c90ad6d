use std::collections::BTreeMap;
use std::time::Duration;

use super::auth::Auth;
use super::lookup::{Alternative, Lookup};
use super::paging::{AnswerFormat, FailIf, NextUrls, PageEnd, Pagination};
use tideline_core::words::Secret;

/// The `http` source.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// `base_url`; paths of resources are joined to it.
    pub base_url: url::Url,
    /// `headers`, sent with every request (values may be secret).
    pub headers: BTreeMap<String, Secret>,
    /// `auth`.
    pub auth: Auth,
    /// `max_body_bytes`, default 32 MiB.
    pub max_body_bytes: u64,
    /// `cursor_expired`: answers that mean the cursor expired, besides 410.
    pub cursor_expired: Vec<AnswerPattern>,
    /// `rate_limit`: names of the headers.
    pub rate_limit: RateLimitHeaders,
    /// `max_requests_per_second`, of the whole fleet; none: as many as it can.
    pub max_requests_per_second: Option<f64>,
    /// `next_urls`.
    pub next_urls: NextUrls,
    /// `conditional`: send If-None-Match / If-Modified-Since, default true.
    pub conditional: bool,
    /// `resources`: the first one is the root partition's; the others are children. Index 0 is never a child.
    pub resources: Vec<Resource>,
    /// `definitions`: jq functions that stand in front of every expression of the resources.
    pub definitions: Option<String>,
    /// What `${NAME}` stands for in `query` and `body` of the resources: not shown, for it may be a key.
    pub variables: Vec<Secret>,
    /// `alternatives`: APIs of which the server has one; none: there is no choice.
    pub alternatives: Vec<Alternative>,
    /// `download_hosts`, in lower case, with a port if it is not the default one; besides the host of `base_url`.
    pub download_hosts: Vec<String>,
}

/// One paginated resource.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Unique name.
    pub name: String,
    /// Name of the resource whose items are the parents; none: read from the root partition.
    pub parent: Option<String>,
    /// `each`: jq expression over the parent item; each of its outputs is a partition, and `values` are over the output.
    pub each: Option<String>,
    /// `values` of each parent item: name → jq expression over the parent item, handed to this resource's partition.
    pub parent_values: BTreeMap<String, String>,
    /// `GET` (default) or `POST`.
    pub post: bool,
    /// `path`: joined to `base_url`; `{name}` is a value of the parent, percent-encoded.
    pub path: String,
    /// `query`: name → templates with `{name}`, each of which the parameter is sent with.
    pub query: BTreeMap<String, Vec<String>>,
    /// `headers` of its requests, besides those of the source; no secrets.
    pub headers: BTreeMap<String, String>,
    /// `body` of a POST: JSON with `{name}` in strings.
    pub body: Option<serde_json::Value>,
    /// `pagination`.
    pub pagination: Pagination,
    /// `pagination.end`: what ends the pages besides what the type of pagination says.
    pub end: PageEnd,
    /// `pagination.stable`: items never move between pages while they are read.
    pub stable: bool,
    /// `absent`: statuses that say that there is nothing to read; default 404 and 410 for children, else none.
    pub absent: Vec<u16>,
    /// `fail_if`: what of a successful answer says that it failed.
    pub fail_if: FailIf,
    /// `format` of the answer.
    pub format: AnswerFormat,
    /// `items`: jq expression over the answer; default `.` for an array, `.items` otherwise.
    pub items: Option<String>,
    /// `entity`: none means that items are not stored (only their children are).
    pub entity: EntityShape,
    /// `item`: path of one item, for reading it again; `{name}` is a value that a rule of `on` gives.
    pub item: Option<String>,
    /// `item_values` (or `values` of a resource without a parent): the values in `item`, as jq expressions over the item.
    pub item_values: BTreeMap<String, String>,
    /// `lookup`: a second list whose values are `$lookup` in its expressions.
    pub lookup: Option<Lookup>,
    /// `alternative`: it is read only if the server has this one of the source's `alternatives`.
    pub alternative: Option<String>,
    /// `version`: jq expression over the parent item (or the output of `each`); while it is the same, nothing is requested.
    pub version: Option<String>,
    /// `download`: jq expression over the answer that makes the address of what is read instead of it.
    pub download: Option<String>,
}

/// How items become entities.
#[derive(Clone, Debug)]
pub enum EntityShape {
    /// `entity: none`: they do not; the resource only reveals children.
    None,
    /// Nothing said: a Backstage-like object (`kind`, `metadata.name`, `metadata.namespace`) is taken as it is.
    AsIs,
    /// `entity: {kind, namespace, name}`: jq expressions (or plain texts) for the reference; the item is the body.
    Named {
        /// jq expression.
        kind: String,
        /// jq expression; default `"default"`.
        namespace: String,
        /// jq expression.
        name: String,
        /// `entity.body`: jq expression that shapes the body; default the item as it is. `$parent` holds the parent's values.
        body: Option<String>,
    },
    /// `entity: {shape: …}`: one jq expression that makes a Backstage-like object (or several).
    Shaped(String),
}

/// An answer that means something special.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerPattern {
    /// HTTP status.
    pub status: u16,
    /// Text that the body contains; none: any body.
    pub contains: Option<String>,
    /// `confirm`: it counts only if it comes again, and the first page can be read meanwhile.
    pub confirm: bool,
}

/// Names of the headers that tell the source's limits; the IETF `RateLimit` fields are understood besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitHeaders {
    /// Default `x-ratelimit-remaining`.
    pub remaining: String,
    /// Default `x-ratelimit-reset`: Unix time, or seconds from now if less than 10^8.
    pub reset: String,
    /// `max_hold`: no answer holds the source for longer; default 1 h.
    pub max_hold: Duration,
}

impl Default for RateLimitHeaders {
    fn default() -> Self {
        Self {
            remaining: "x-ratelimit-remaining".into(),
            reset: "x-ratelimit-reset".into(),
            max_hold: Duration::from_secs(3600),
        }
    }
}
