//! The `http` source: any JSON API, described by configuration alone.
//!
//! [`plan`] compiles the settings once; [`paging`] makes a request of a cursor and a cursor of an answer, [`ending`]
//! says when counted pages end; [`transport`] sends it with its credentials; [`verdict`] says what the status means;
//! [`reading`] makes items and child partitions of the body, without jq where plain paths do ([`extract`]). A page
//! whose answer is byte for byte the remembered one is not read at all.

mod auth;
mod bodies;
mod checks;
mod children;
mod choice;
pub(crate) mod client;
mod collector;
mod derived;
mod document;
pub(super) mod download;
mod ending;
mod event;
mod exchange;
mod extract;
mod failure;
mod github_app;
mod hidden;
mod item;
pub(super) mod limits;
mod lines;
mod link;
mod lookup;
mod memory;
mod pace;
pub(super) mod paging;
mod partition;
mod plan;
mod reading;
mod records;
mod surrogates;
mod template;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tokens;
pub(super) mod transport;
mod validators;
pub(super) mod verdict;
mod version;
mod view;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use serde_json::{Map, Value};
use tideline_config::settings::{Alternative, HttpSettings, Resource, SourceSettings};
use tideline_core::clock::Clock;
use tideline_core::words::{ChildPartition, Fingerprint, KeyHash, PageMemory, Validators};
use tideline_expression::Evaluator;

pub use self::exchange::{Exchange, Observer};
pub use self::link::next_link;
pub(crate) use self::partition::is_same_value;

use self::bodies::NoPage;
use self::children::{roots, siblings};
use self::derived::compile_event;
use self::ending::Failure;
use self::lookup::{Looked, Lookups};
use self::memory::{absent_print, believable, not_requested};
use self::paging::{HttpRequest, PageFacts};
use self::partition::Place;
use self::plan::{Plan, Problem};
use self::reading::Read;
use self::transport::{Answer, Transport, address};
use self::validators::{content_print, telling_header, validators};
use self::verdict::Rules;
use self::version::is_current;
use crate::source::{
    Document, DocumentPlace, ErrorClass, Item, ItemContent, ItemRequest, Page, PageContent, PageRequest, Source,
    SourceError,
};

/// Problems of the settings that only compiling shows, each with its place within the source, such as
/// `resources[0].items`.
#[must_use]
pub fn check(settings: &HttpSettings) -> Vec<(String, String)> {
    let mut problems = plan::compile(settings, "").err().unwrap_or_default();
    problems.extend(auth::check(&settings.auth));
    problems
}

/// The `http` source.
pub struct HttpSource {
    inner: Arc<Inner>,
    transport: Transport,
    rules: Rules,
    identity: String,
    conditional: bool,
    page_timeout: Duration,
    alternatives: Vec<Alternative>,
    download_hosts: Vec<String>,
    lookups: Lookups,
}

struct Inner {
    base: url::Url,
    plans: Vec<Plan>,
    resources: Vec<Resource>,
    max_body_bytes: u64,
    /// The root partition is the choice among them.
    has_alternatives: bool,
    evaluator: Arc<Evaluator>,
}

impl HttpSource {
    /// Compiles the settings; sends no requests.
    ///
    /// # Errors
    /// All problems of the settings at once.
    pub fn new(
        source: &SourceSettings,
        settings: &HttpSettings,
        clock: Arc<dyn Clock>,
        evaluator: Arc<Evaluator>,
    ) -> Result<Self, Vec<Problem>> {
        let salt = format!("{:?}", source.volatile);
        let plans = plan::compile(settings, &salt);
        let transport = Transport::new(settings, source.page_timeout, clock);
        let (mut plans, transport) = match (plans, transport) {
            (Ok(plans), Ok(transport)) => (plans, transport),
            (plans, transport) => {
                let mut problems = plans.err().unwrap_or_default();
                problems.extend(transport.err().unwrap_or_default());
                return Err(problems);
            }
        };
        let rules = source.on.iter().enumerate();
        plans.extend(rules.filter_map(|(place, rule)| compile_event(settings, place, rule)));
        Ok(Self {
            inner: Arc::new(Inner {
                base: settings.base_url.clone(),
                plans,
                resources: settings.resources.clone(),
                max_body_bytes: settings.max_body_bytes,
                has_alternatives: !settings.alternatives.is_empty(),
                evaluator,
            }),
            transport,
            rules: Rules {
                cursor_expired: settings.cursor_expired.clone(),
                rate_limit: settings.rate_limit.clone(),
                max_body_bytes: settings.max_body_bytes,
            },
            identity: auth::identity(&settings.auth, &settings.headers),
            conditional: settings.conditional,
            page_timeout: source.page_timeout,
            alternatives: settings.alternatives.clone(),
            download_hosts: settings.download_hosts.clone(),
            lookups: Lookups::default(),
        })
    }

    /// Shows every exchange to `observer`, without credentials.
    #[must_use]
    pub fn observed(mut self, observer: Observer) -> Self {
        self.transport.observer = Some(observer);
        self
    }

    /// An answer that can be read, or one whose status the resource names.
    async fn fetch(
        &self,
        plan: &Plan,
        asked: &HttpRequest,
        memory: Option<&PageMemory>,
        (place, cursor): (&Place, Option<&Value>),
    ) -> Result<Answer, SourceError> {
        let condition = memory
            .map(|memory| &memory.validators)
            .filter(|validators| self.conditional && (validators.etag.is_some() || validators.last_modified.is_some()));
        let answer = self.transport.fetch(asked, condition).await?;
        if self.says_nothing(plan, &answer, cursor) {
            return Ok(answer);
        }
        if answer.status == StatusCode::NO_CONTENT {
            let url = address(&asked.url);
            let why = format!("{url} answered 204 No Content, although the page before announced this one");
            return Err(SourceError::new(ErrorClass::Transient { retry_after: None }, why));
        }
        // Gone while it was being read: starts over, since its first page will show that.
        let gone = cursor.is_some() && plan.absent.contains(&answer.status.as_u16());
        let mut with_cursor = cursor.is_some();
        if with_cursor && self.rules.may_be_expired(&answer) {
            with_cursor = self.is_the_cursor(plan, place, asked).await;
        }
        self.rules.judge(asked, &answer, (with_cursor, gone), &self.transport)?;
        Ok(answer)
    }

    /// Whether a general error is about the cursor: the first page can be read, and then it comes again.
    async fn is_the_cursor(&self, plan: &Plan, place: &Place, asked: &HttpRequest) -> bool {
        let Ok(first) = plan.request(&self.inner.base, place, None) else {
            return false;
        };
        let first = self.transport.fetch(&first, None).await;
        if !first.is_ok_and(|answer| answer.status.is_success()) {
            return false;
        }
        let again = self.transport.fetch(asked, None).await;
        again.is_ok_and(|answer| self.rules.may_be_expired(&answer))
    }

    /// Whether the status is one by which the resource says that there is no such page, or nothing to read at all. 204
    /// (RFC 9110, section 15.3.5) is one, unless the page before announced this one.
    fn says_nothing(&self, plan: &Plan, answer: &Answer, cursor: Option<&Value>) -> bool {
        let status = answer.status.as_u16();
        let is_empty = answer.status == StatusCode::NO_CONTENT;
        let named = match cursor {
            Some(_) => plan.end.status.contains(&status) || (is_empty && plan.counts_pages()),
            None => plan.absent.contains(&status) || is_empty,
        };
        named && !self.rules.is_transient(answer, self.transport.clock.now())
    }

    /// The empty page that a status tells of.
    fn nothing(
        &self,
        plan: &Plan,
        request: &PageRequest<'_>,
        (answer, print): (&Answer, Fingerprint),
    ) -> Result<Page, Failure> {
        let next = match request.cursor {
            Some(cursor) => plan.next_after_refusal(cursor)?,
            None => None,
        };
        Ok(Page {
            content: PageContent::Items(Vec::new()),
            next,
            children: siblings(plan, request),
            validators: Validators {
                request: plan.has_version.then(|| absent_print(print, request.memory)),
                ..Validators::default()
            },
            hold: self.hold(answer),
            failure: None,
        })
    }
}

#[async_trait]
impl Source for HttpSource {
    async fn read_page(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        self.request_page(request).await.map_err(|error| self.redacted(error))
    }

    async fn read_item(&self, request: ItemRequest<'_>) -> Result<ItemContent, SourceError> {
        self.read_one(request).await.map_err(|error| self.redacted(error))
    }

    async fn complete_event(
        &self,
        rule: usize,
        values: &Map<String, Value>,
        event: &str,
    ) -> Result<Value, SourceError> {
        let made = self.complete(rule, values, event).await;
        made.map_err(|error| self.redacted(error))
    }

    async fn read_document(&self, place: &DocumentPlace, max_bytes: u64) -> Result<Document, SourceError> {
        match place {
            DocumentPlace::Url(url) => (self.document(url, max_bytes).await).map_err(|error| self.redacted(error)),
            DocumentPlace::File(_) => Ok(Document::Elsewhere),
        }
    }

    fn has_shared_limit(&self) -> bool {
        self.transport.pace.is_some()
    }

    fn share(&self, workers: u32) {
        if let Some(pace) = &self.transport.pace {
            pace.share(workers);
        }
    }

    fn roots(&self) -> Vec<ChildPartition> {
        self.inner.plans.first().map(roots).unwrap_or_default()
    }

    fn partition_prefix(&self, resource: Option<&str>, values: &Map<String, Value>) -> Option<String> {
        self.inner.partition_prefix(resource, values)
    }

    fn item(&self, request: ItemRequest<'_>) -> Option<KeyHash> {
        self.inner.maker(request)
    }

    fn partition(&self, resource: Option<&str>, values: &Map<String, Value>) -> Option<ChildPartition> {
        self.inner.partition(resource, values)
    }
}

impl Inner {
    /// The plan of a partition's resource.
    fn plan_of(&self, place: &Place) -> Option<usize> {
        match &place.resource {
            None => Some(0),
            Some(name) => self.plans.iter().position(|plan| plan.name == *name),
        }
    }
}

impl HttpSource {
    /// A path may contain a secret, and any error text may contain the path: every error is redacted before it leaves.
    fn redacted(&self, error: SourceError) -> SourceError {
        SourceError {
            message: self.transport.redactor.text(&error.message),
            ..error
        }
    }

    async fn request_page(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        let permanent = |why: String| SourceError::new(ErrorClass::Permanent, self.transport.redactor.text(&why));
        let place = Place::of(request.partition, request.args);
        if place.resource.is_none() && self.inner.has_alternatives {
            return self.choose(&request).await;
        }
        let Some(index) = self.inner.plan_of(&place) else {
            return Err(permanent(format!(
                "partition {} belongs to a resource that the configuration no longer has",
                request.partition
            )));
        };
        let plan = &self.inner.plans[index];
        let asked = plan
            .request(&self.inner.base, &place, request.cursor)
            .map_err(|why| permanent(format!("partition {}: {why}", request.partition)))?;
        let looked = self.look_up(plan, &place, &request).await?;
        let print = self.request_print(plan, &asked, &request, &looked);
        let (print, memory) = self.remembered(plan, &request, print);
        if let Some(memory) = memory
            && plan.has_version
            && memory
                .validators
                .request
                .is_some_and(|remembered| is_current(remembered, print))
        {
            return Ok(not_requested(memory));
        }
        let page = self
            .read_at(&request, (index, &place, &asked), (print, memory), &looked)
            .await?;
        if page.next.is_none() {
            self.lookups.forget(request.partition);
        }
        Ok(page)
    }

    /// Sends the request of a page and reads the answer.
    async fn read_at(
        &self,
        request: &PageRequest<'_>,
        (index, place, asked): (usize, &Place, &HttpRequest),
        (print, memory): (Fingerprint, Option<&PageMemory>),
        looked: &Arc<Looked>,
    ) -> Result<Page, SourceError> {
        let plan = &self.inner.plans[index];
        let failed = |failure: Failure| {
            let text = format!("{}: {}", address(&asked.url), failure.why);
            SourceError::new(failure.class, self.transport.redactor.text(&text))
        };
        let mut answer = self.fetch(plan, asked, memory, (place, request.cursor)).await?;
        if self.says_nothing(plan, &answer, request.cursor) {
            return self.nothing(plan, request, (&answer, print)).map_err(failed);
        }
        if answer.status == StatusCode::NOT_MODIFIED {
            match memory {
                Some(memory) if self.next_is_as_remembered(plan, place, &answer, memory) => {
                    return Ok(self.unchanged(plan, print, memory, &answer));
                }
                _ => answer = self.fetch(plan, asked, None, (place, request.cursor)).await?,
            }
        }
        if answer.status == StatusCode::NOT_MODIFIED {
            let why = format!("{} answered 304 to a request without conditions", address(&asked.url));
            return Err(SourceError::new(ErrorClass::Transient { retry_after: None }, why));
        }
        if let Some(download) = &plan.download {
            answer = self.downloaded(download, asked, &answer).await?;
        }
        let content = content_print(plan, &answer);
        if let Some(memory) = memory
            && memory.validators.content == Some(content)
        {
            return Ok(self.unchanged(plan, print, memory, &answer));
        }
        let read = self.read(index, place, &answer, looked).await;
        let read = read.map_err(|error| self.unreadable(error, asked, &answer))?;
        let (page, failure) = self.page(plan, place, request, (print, content), &answer, read);
        match failure {
            None => Ok(page),
            // Its items are kept: they were read, whatever follows.
            Some(failure) if failure.class == ErrorClass::Permanent => Ok(Page {
                next: None,
                // The cause may be fixed by then: the page is read again next time.
                validators: Validators::default(),
                failure: Some(failed(failure)),
                ..page
            }),
            Some(failure) => Err(failed(failure)),
        }
    }

    fn page(
        &self,
        plan: &Plan,
        place: &Place,
        request: &PageRequest<'_>,
        (print, content): (Fingerprint, Fingerprint),
        answer: &Answer,
        mut read: Read,
    ) -> (Page, Option<Failure>) {
        let (next, failure) = match self.next_of(plan, place, request.cursor, (answer, &mut read)) {
            Ok(next) => (next, None),
            Err(failure) => (None, Some(failure)),
        };
        let mut children = read.children;
        children.extend(siblings(plan, request));
        let nameless = |item: &Item| matches!(item, Item::Malformed(item) if item.reference.is_none());
        let nameless = read.items.iter().any(nameless);
        let page = Page {
            content: PageContent::Items(read.items),
            next,
            children,
            validators: validators(
                believable(plan, print, nameless),
                Some(content),
                (answer, self.transport.clock.now()),
                None,
            ),
            hold: self.hold(answer),
            failure: None,
        };
        (page, failure)
    }

    /// The cursor of the page that follows an answer.
    fn next_of(
        &self,
        plan: &Plan,
        place: &Place,
        cursor: Option<&Value>,
        (answer, read): (&Answer, &mut Read),
    ) -> Result<Option<Value>, Failure> {
        let facts = PageFacts {
            cursor,
            count: read.count,
            picked: read.picked,
            digest: read.digest.take(),
            headers: &answer.headers,
            url: &answer.url,
            next: read.next.take(),
            total: read.total.take(),
            total_pages: read.total_pages.take(),
            said_last: read.said_last,
        };
        match plan.next(&facts, &self.inner.base, place)? {
            Some(next) if self.transport.redactor.touches(&next.to_string()) => Err(Failure::permanent(
                "the next cursor repeats a credential, which may not be stored",
            )),
            next => Ok(next),
        }
    }

    /// The meaning of a body that is not a page.
    fn unreadable(&self, error: NoPage, asked: &HttpRequest, answer: &Answer) -> SourceError {
        let (class, text) = match error {
            NoPage::Cut(why) => (
                ErrorClass::Transient { retry_after: None },
                format!("{}: {why}", address(&asked.url)),
            ),
            NoPage::Permanent(why) => {
                let shown = self.transport.shown(&answer.body);
                let text = format!("{}: {why}; the answer begins: {shown}", address(&asked.url));
                (ErrorClass::Permanent, text)
            }
        };
        SourceError::new(class, self.transport.redactor.text(&text))
    }

    fn hold(&self, answer: &Answer) -> Option<Duration> {
        limits::hold(&answer.headers, &self.rules.rate_limit, self.transport.clock.now())
    }

    /// A 304 speaks of the body. Where headers tell the next page, they may tell another one now (the last page got a
    /// successor); then the answer must be read. A 304 may leave such headers out (RFC 9110, section 15.4.5, demands
    /// only a few others), so one without them does not say that the last page still is the last one. With every other
    /// pagination what tells the next page is in the body.
    fn next_is_as_remembered(&self, plan: &Plan, place: &Place, answer: &Answer, memory: &PageMemory) -> bool {
        let Some(telling) = telling_header(&plan.pagination) else {
            return true;
        };
        if !answer.headers.contains_key(telling) {
            return memory.next.is_some();
        }
        let facts = PageFacts {
            cursor: None,
            count: None,
            picked: 0,
            digest: None,
            headers: &answer.headers,
            url: &answer.url,
            next: None,
            total: None,
            total_pages: None,
            said_last: false,
        };
        let remembered: Option<Value> = memory.next.as_deref().and_then(|next| serde_json::from_str(next).ok());
        plan.next(&facts, &self.inner.base, place)
            .is_ok_and(|next| next == remembered)
    }
}
