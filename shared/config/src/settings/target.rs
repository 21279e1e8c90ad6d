//! Targets, and the handlers of other programs.

use std::collections::BTreeMap;
use std::time::Duration;

use tideline_core::rules::Ladder;
use tideline_core::words::{EntityRef, HTTP_TARGET_KIND, MICROCKS_KIND, Secret, TargetSpec};
use url::Url;

use super::Auth;

/// An external system that is kept in step with the catalog.
#[derive(Clone, Debug)]
pub struct TargetSettings {
    /// Unique name.
    pub name: String,
    /// `follow`: which entities it concerns.
    pub follow: Follow,
    /// `auth`.
    pub auth: Auth,
    /// `concurrency`: calls of each worker process at a time, whose jobs run besides `worker.concurrency`; 1 to 64, default 4.
    pub concurrency: u32,
    /// `timeout` of one request, default 10 s.
    pub timeout: Duration,
    /// `backoff`: the waits between failed attempts of one job.
    pub backoff: Ladder,
    /// What the type needs.
    pub kind: TargetKind,
}

impl TargetSettings {
    /// What the store needs to know of it.
    #[must_use]
    pub fn spec(&self) -> TargetSpec {
        TargetSpec {
            name: self.name.clone(),
            target_type: self.kind.word().to_owned(),
        }
    }
}

/// Which entities a target concerns. An empty list allows all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Follow {
    /// Names of sources; if several own one entity, the first one counts.
    pub sources: Vec<String>,
    /// Kinds, in lower case.
    pub kinds: Vec<String>,
    /// Namespaces, in lower case.
    pub namespaces: Vec<String>,
}

impl Follow {
    /// Whether entities of this source count.
    #[must_use]
    pub fn allows_source(&self, source: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|allowed| allowed == source)
    }

    /// Whether the entity is one that the target concerns, whosever it is.
    #[must_use]
    pub fn allows(&self, entity: &EntityRef) -> bool {
        let has = |list: &[String], word: &str| list.is_empty() || list.iter().any(|allowed| allowed == word);
        has(&self.kinds, entity.kind()) && has(&self.namespaces, entity.namespace())
    }

    /// Which of several sources that own one entity counts: the first one of the list, or by name.
    #[must_use]
    pub fn rank<'s>(&self, source: &'s str) -> (usize, &'s str) {
        let place = self.sources.iter().position(|allowed| allowed == source);
        (place.unwrap_or(usize::MAX), source)
    }
}

/// What a type of target needs.
#[derive(Clone, Debug)]
pub enum TargetKind {
    /// Microcks.
    Microcks(MicrocksSettings),
    /// Any HTTP endpoint.
    Http(HttpTargetSettings),
}

impl TargetKind {
    /// `type`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Microcks(_) => "microcks",
            Self::Http(_) => "http",
        }
    }

    /// Kind of its jobs.
    #[must_use]
    pub fn job_kind(&self) -> &'static str {
        match self {
            Self::Microcks(_) => MICROCKS_KIND,
            Self::Http(_) => HTTP_TARGET_KIND,
        }
    }
}

/// A Microcks server.
#[derive(Clone, Debug)]
pub struct MicrocksSettings {
    /// `base_url`, without `/api`.
    pub base_url: Url,
    /// `annotation` of an entity that names its `microcks.yaml`.
    pub annotation: String,
    /// `document_hosts`: hosts (`name` or `name:port`), besides those of the sources, from which documents may be read.
    pub document_hosts: Vec<String>,
    /// `adopt`: take over mocks of the same name and version that Tideline did not make.
    pub adopt: bool,
    /// `on_invalid`.
    pub on_invalid: OnInvalid,
    /// `drift`.
    pub drift: DriftAction,
    /// `drift_interval`: how often files are read again and Microcks is compared with them, default 1 h; none: never.
    pub drift_interval: Option<Duration>,
    /// `enrich.servers`: mocks become servers of the API's definition in the catalog; none: they do not.
    pub enrich: Option<Box<EnrichSettings>>,
    /// `max_artifact_bytes`, default 2 MiB, as Microcks'.
    pub max_artifact_bytes: u64,
}

impl MicrocksSettings {
    /// Which Microcks it is: `base_url` without credentials.
    #[must_use]
    pub fn server(&self) -> String {
        let base = &self.base_url;
        let origin = base.origin().ascii_serialization();
        format!("{origin}{}", base.path().trim_end_matches('/'))
    }
}

/// Where users reach mocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrichSettings {
    /// `enrich.mocks_url`: below it those that answer requests; default `base_url`.
    pub mocks: Url,
    /// `enrich.events_url`: below it those that send messages, by WebSocket; none: they are not named.
    pub events: Option<Url>,
}

/// What becomes of the mocks of a file that is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnInvalid {
    /// They stay as they are.
    #[default]
    Keep,
    /// They are deleted.
    Delete,
}

/// What is done about mocks that were changed or removed by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriftAction {
    /// They are put back.
    #[default]
    Reconcile,
    /// It is reported.
    Report,
}

/// An HTTP endpoint that is told of each change.
#[derive(Clone, Debug)]
pub struct HttpTargetSettings {
    /// `url`, with `{kind}`, `{namespace}` and `{name}`.
    pub url: String,
    /// `method` for an entity that is there: POST, or PUT (default).
    pub post: bool,
    /// `headers`, sent with every request.
    pub headers: BTreeMap<String, Secret>,
    /// `body`: jq expression over the change.
    pub body: Option<String>,
    /// `removal`.
    pub removal: Removal,
    /// `snapshot`: send everything again after the feed started over.
    pub snapshot: bool,
}

impl HttpTargetSettings {
    /// How often everything is to be sent again, if the feed started over so often.
    #[must_use]
    pub fn repeats(&self, starts: u32) -> u32 {
        if self.snapshot { starts } else { 0 }
    }
}

/// How an endpoint is told that an entity is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Removal {
    /// By DELETE.
    #[default]
    Delete,
    /// By `method` with a body that says so.
    Tombstone,
    /// Not at all.
    Ignore,
}

/// A program elsewhere that works on one kind of job.
#[derive(Clone, Debug)]
pub struct HandlerSettings {
    /// Unique kind of job.
    pub kind: String,
    /// `url` that each attempt is posted to.
    pub url: Url,
    /// `secret` that requests are signed with (Standard Webhooks).
    pub secret: Secret,
    /// `concurrency`: jobs of each worker process at a time, besides `worker.concurrency`, 1 to 64, default 4.
    pub concurrency: u32,
    /// `timeout` of one attempt, default 30 s.
    pub timeout: Duration,
    /// `backoff`: the waits between failed attempts.
    pub backoff: Ladder,
}
