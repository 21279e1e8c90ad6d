//! The `http` source: any JSON API, described by configuration alone.
//!
//! [`plan`] compiles the settings once; [`paging`] makes a request of a cursor and a cursor of an answer, [`ending`] says when
//! counted pages end; [`transport`] sends it with its credentials; [`verdict`] says what the status means; [`reading`] makes items and child partitions of the body,
//! without jq where plain paths do ([`extract`]). A page whose answer is byte for byte the remembered one is not read at all.

mod auth;
mod children;
pub(crate) mod client;
mod document;
pub(super) mod download;
mod ending;
mod exchange;
mod extract;
mod failure;
mod github_app;
mod hidden;
mod item;
pub(super) mod limits;
mod lines;
mod link;
mod pace;
pub(super) mod paging;
mod partition;
mod plan;
mod reading;
mod template;
mod tokens;
pub(super) mod transport;
mod validators;
pub(super) mod verdict;
mod view;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tideline_config::settings::{HttpSettings, Resource, SourceSettings};
use tideline_core::clock::Clock;
use tideline_core::words::{ChildPartition, Fingerprint, KeyHash, PageMemory, Validators};
use tideline_expression::Evaluator;
use tokio::time::Instant;

pub use self::exchange::{Exchange, Observer};

use self::ending::Failure;
use self::paging::{HttpRequest, PageFacts};
use self::partition::Place;
use self::plan::{Plan, Problem};
use self::reading::{Read, ReadError, Reader};
use self::transport::{Answer, Transport, address};
use self::validators::{content_print, telling_header, validators};
use self::verdict::Rules;
use crate::source::{
    Document, DocumentPlace, ErrorClass, ItemContent, ItemRequest, Page, PageContent, PageRequest, Source, SourceError,
};

/// Bodies up to this size are read where they arrive, larger ones on a thread for blocking work. Expressions run in processes
/// of their own.
const INLINE_BYTES: usize = 64 * 1024;

/// Problems of the settings that only compiling shows, each with its place within the source, such as `resources[0].items`.
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
}

struct Inner {
    base: url::Url,
    plans: Vec<Plan>,
    resources: Vec<Resource>,
    max_body_bytes: u64,
    evaluator: Arc<Evaluator>,
}

impl HttpSource {
    /// Compiles the settings; asks nothing yet.
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
        let (plans, transport) = match (plans, transport) {
            (Ok(plans), Ok(transport)) => (plans, transport),
            (plans, transport) => {
                let mut problems = plans.err().unwrap_or_default();
                problems.extend(transport.err().unwrap_or_default());
                return Err(problems);
            }
        };
        Ok(Self {
            inner: Arc::new(Inner {
                base: settings.base_url.clone(),
                plans,
                resources: settings.resources.clone(),
                max_body_bytes: settings.max_body_bytes,
                evaluator,
            }),
            transport,
            rules: Rules {
                cursor_expired: settings.cursor_expired.clone(),
                rate_limit: settings.rate_limit.clone(),
                max_body_bytes: settings.max_body_bytes,
            },
            identity: auth::identity(&settings.auth),
            conditional: settings.conditional,
            page_timeout: source.page_timeout,
        })
    }

    /// Shows every exchange to `observer`, without credentials.
    #[must_use]
    pub fn observed(mut self, observer: Observer) -> Self {
        self.transport.observer = Some(observer);
        self
    }

    /// SHA-256 over what is asked, by whom, and what becomes of the answer.
    fn request_print(&self, plan: &Plan, asked: &HttpRequest, request: &PageRequest<'_>) -> Fingerprint {
        let mut hasher = Sha256::new();
        let cursor = request.cursor.map(Value::to_string).unwrap_or_default();
        for part in [
            plan.salt.as_slice(),
            self.identity.as_bytes(),
            asked.method.as_str().as_bytes(),
            asked.url.as_str().as_bytes(),
            asked.body.as_deref().unwrap_or_default(),
            request.partition.as_bytes(),
            request.args.to_string().as_bytes(),
            cursor.as_bytes(),
        ] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Fingerprint(hasher.finalize().into())
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
        // Gone while it was read: its first page will tell, so it starts over.
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

    /// Whether the status is one by which the resource says that there is no such page, or nothing to read at all.
    fn says_nothing(&self, plan: &Plan, answer: &Answer, cursor: Option<&Value>) -> bool {
        let status = answer.status.as_u16();
        let named = match cursor {
            Some(_) => plan.end.status.contains(&status),
            None => plan.absent.contains(&status),
        };
        named && !self.rules.is_transient(answer, self.transport.clock.now())
    }

    /// The empty page that a status tells of.
    fn nothing(&self, plan: &Plan, request: &PageRequest<'_>, answer: &Answer) -> Result<Page, Failure> {
        let next = match request.cursor {
            Some(cursor) => plan.next_after_refusal(cursor)?,
            None => None,
        };
        Ok(Page {
            content: PageContent::Items(Vec::new()),
            next,
            children: siblings(plan, request),
            validators: Validators::default(),
            hold: self.hold(answer),
            failure: None,
        })
    }

    async fn read(&self, index: usize, place: &Place, answer: &Answer) -> Result<Read, NoPage> {
        if answer.status == StatusCode::NO_CONTENT {
            return Ok(Read {
                count: Some(0),
                ..Read::default()
            });
        }
        let form = lines::form_of(self.inner.plans[index].format, &answer.headers);
        let deadline = Instant::now() + self.page_timeout;
        if answer.body.len() <= INLINE_BYTES {
            let read = self
                .inner
                .read(index, place, &self.transport.redactor, (&answer.body, form), deadline);
            return read.await.map_err(NoPage::from);
        }
        let (inner, place, body) = (Arc::clone(&self.inner), place.clone(), answer.body.clone());
        let redactor = Arc::clone(&self.transport.redactor);
        let runtime = tokio::runtime::Handle::current();
        let work = move || runtime.block_on(inner.read(index, &place, &redactor, (&body, form), deadline));
        match tokio::task::spawn_blocking(work).await {
            Ok(read) => read.map_err(NoPage::from),
            Err(_) => Err(NoPage::Cut("reading it was stopped".to_owned())),
        }
    }
}

impl Inner {
    async fn read(
        &self,
        index: usize,
        place: &Place,
        redactor: &super::redact::Redactor,
        (body, form): (&[u8], lines::Form),
        deadline: Instant,
    ) -> Result<Read, ReadError> {
        Reader {
            plan: &self.plans[index],
            place,
            redactor,
            evaluator: &self.evaluator,
            deadline,
            max_bytes: self.max_body_bytes,
            form,
        }
        .read(body)
        .await
    }

    /// The plan of a partition's resource.
    fn plan_of(&self, place: &Place) -> Option<usize> {
        match &place.resource {
            None => Some(0),
            Some(name) => self.plans.iter().position(|plan| plan.name == *name),
        }
    }
}

/// Why a body makes no page.
enum NoPage {
    Cut(String),
    Permanent(String),
}

impl From<ReadError> for NoPage {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Cut(why) | ReadError::Failed(why) => Self::Cut(why),
            ReadError::Wrong(why) => Self::Permanent(why),
        }
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

    async fn read_document(&self, place: &DocumentPlace, max_bytes: u64) -> Result<Document, SourceError> {
        match place {
            DocumentPlace::Url(url) => (self.document(url, max_bytes).await).map_err(|error| self.redacted(error)),
            DocumentPlace::File(_) => Ok(Document::Elsewhere),
        }
    }

    fn share(&self, workers: u32) {
        if let Some(pace) = &self.transport.pace {
            pace.share(workers);
        }
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

impl HttpSource {
    /// A path may hold a secret, and any text of an error may hold the path: no error leaves without a look at it.
    fn redacted(&self, error: SourceError) -> SourceError {
        SourceError {
            message: self.transport.redactor.text(&error.message),
            ..error
        }
    }

    async fn request_page(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        let permanent = |why: String| SourceError::new(ErrorClass::Permanent, self.transport.redactor.text(&why));
        let place = Place::of(request.partition, request.args);
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
        let print = self.request_print(plan, &asked, &request);
        let memory = request.memory.filter(|memory| memory.validators.request == Some(print));
        let failed = |failure: Failure| {
            let text = format!("{}: {}", address(&asked.url), failure.why);
            SourceError::new(failure.class, self.transport.redactor.text(&text))
        };

        let mut answer = self.fetch(plan, &asked, memory, (&place, request.cursor)).await?;
        if self.says_nothing(plan, &answer, request.cursor) {
            return self.nothing(plan, &request, &answer).map_err(failed);
        }
        if answer.status == StatusCode::NOT_MODIFIED {
            match memory {
                Some(memory) if self.next_is_as_remembered(plan, &place, &answer, memory) => {
                    return Ok(self.unchanged(print, memory, &answer));
                }
                _ => answer = self.fetch(plan, &asked, None, (&place, request.cursor)).await?,
            }
        }
        if answer.status == StatusCode::NOT_MODIFIED {
            let why = format!("{} answered 304 to a request without conditions", address(&asked.url));
            return Err(SourceError::new(ErrorClass::Transient { retry_after: None }, why));
        }
        let content = content_print(plan, &answer);
        if let Some(memory) = memory
            && memory.validators.content == Some(content)
        {
            return Ok(self.unchanged(print, memory, &answer));
        }
        let read = self.read(index, &place, &answer).await;
        let read = read.map_err(|error| self.unreadable(error, &asked, &answer))?;
        let (page, failure) = self.page(plan, &place, &request, (print, content), &answer, read);
        match failure {
            None => Ok(page),
            // Its items are kept: they were read, whatever follows.
            Some(failure) if failure.class == ErrorClass::Permanent => Ok(Page {
                next: None,
                // Whatever was wrong may be mended: the page is read again next time.
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
        read: Read,
    ) -> (Page, Option<Failure>) {
        let facts = PageFacts {
            cursor: request.cursor,
            count: read.count,
            picked: read.picked,
            digest: read.digest,
            headers: &answer.headers,
            url: &answer.url,
            next: read.next,
            total: read.total,
            total_pages: read.total_pages,
            said_last: read.said_last,
        };
        let next = plan.next(&facts, &self.inner.base, place).and_then(|next| match next {
            Some(next) if self.transport.redactor.touches(&next.to_string()) => Err(Failure::permanent(
                "the next cursor repeats a credential, which may not be stored",
            )),
            next => Ok(next),
        });
        let (next, failure) = match next {
            Ok(next) => (next, None),
            Err(failure) => (None, Some(failure)),
        };
        let mut children = read.children;
        children.extend(siblings(plan, request));
        let page = Page {
            content: PageContent::Items(read.items),
            next,
            children,
            validators: validators(print, Some(content), answer, None),
            hold: self.hold(answer),
            failure: None,
        };
        (page, failure)
    }

    /// What a body that makes no page means.
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

    fn unchanged(&self, print: Fingerprint, memory: &PageMemory, answer: &Answer) -> Page {
        Page {
            content: PageContent::Unchanged,
            next: None,
            children: Vec::new(),
            validators: validators(print, memory.validators.content, answer, Some(&memory.validators)),
            hold: self.hold(answer),
            failure: None,
        }
    }

    fn hold(&self, answer: &Answer) -> Option<Duration> {
        limits::hold(&answer.headers, &self.rules.rate_limit, self.transport.clock.now())
    }

    /// A 304 speaks of the body. Where headers tell the next page, they may tell another one now (the last page got a
    /// successor); then the answer must be read. A 304 may leave such headers out (RFC 9110, section 15.4.5, demands only a
    /// few others), so one without them does not say that the last page still is the last one. With every other pagination
    /// what tells the next page is in the body.
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

/// Other resources without a parent, which the root partition's first page reveals.
fn siblings(plan: &Plan, request: &PageRequest<'_>) -> Vec<ChildPartition> {
    let names = plan.siblings.iter().filter(|_| request.cursor.is_none());
    names
        .map(|name| ChildPartition {
            key: name.clone(),
            args: serde_json::json!({"resource": name, "values": {}}),
        })
        .collect()
}
