//! The requests of a `terraform` source, and what their answers mean.

use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use serde::de::DeserializeOwned;
use tideline_config::settings::TerraformSettings;
use tideline_core::clock::Clock;
use url::Url;

use super::catalog::{Catalog, Form};
use super::chunks::{Chunks, chunks};
use super::select::Selection;
use super::state::{Header, StateError, read_state};
use super::workspace::{Listed, StateVersionDocument, Workspace, WorkspaceDocument, WorkspaceList};
use crate::source::{ErrorClass, Item, SourceError};
use crate::sources::http::Observer;
use crate::sources::http::download::{Download, is_allowed};
use crate::sources::http::limits;
use crate::sources::http::paging::HttpRequest;
use crate::sources::http::transport::{Answer, Transport, address};
use crate::sources::http::verdict::Rules;

/// Workspaces per page of their list; the API gives no more.
const PAGE_SIZE: &str = "100";
/// Where HCP Terraform keeps states.
const ARCHIVE: &str = "archivist.terraform.io";
/// How much of a state is read from its stream at a time, in bytes.
const BUFFER: usize = 64 << 10;

/// See the module.
pub(super) struct Requests {
    transport: Transport,
    rules: Rules,
    base: Url,
    organization: String,
    download_hosts: Vec<String>,
    max_state_bytes: u64,
}

/// A state that was read.
pub(super) struct StateRead {
    pub(super) header: Header,
    /// Instances of managed resources.
    pub(super) resources: u64,
    pub(super) items: Vec<Item>,
}

/// Why an attempt at a download made no state.
enum NotRead {
    /// The address has expired.
    Stale(StatusCode),
    Failed(SourceError),
}

impl Requests {
    pub(super) fn new(
        settings: &TerraformSettings,
        page_timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Vec<(String, String)>> {
        let http = &settings.http;
        Ok(Self {
            transport: Transport::new(http, page_timeout, clock)?,
            rules: Rules {
                cursor_expired: Vec::new(),
                rate_limit: http.rate_limit.clone(),
                max_body_bytes: http.max_body_bytes,
            },
            base: http.base_url.clone(),
            organization: settings.organization.clone(),
            download_hosts: settings.download_hosts.clone(),
            max_state_bytes: settings.max_state_bytes,
        })
    }

    pub(super) fn observe(&mut self, observer: Observer) {
        self.transport.observer = Some(observer);
    }

    pub(super) fn share(&self, workers: u32) {
        if let Some(pace) = &self.transport.pace {
            pace.share(workers);
        }
    }

    /// What pages of the organization for people begin with.
    pub(super) fn web(&self, organization: &str) -> String {
        format!("{}/app/{organization}", self.base.origin().ascii_serialization())
    }

    /// An error without any secret that is known.
    pub(super) fn redacted(&self, error: SourceError) -> SourceError {
        SourceError {
            message: self.transport.redactor.text(&error.message),
            ..error
        }
    }

    /// A page of the list of workspaces, and the pause that its answer asks for.
    pub(super) async fn list(
        &self,
        selection: &Selection,
        page: u32,
    ) -> Result<(WorkspaceList, Option<Duration>), SourceError> {
        let mut query = selection.filters();
        query.push(("page[number]", page.to_string()));
        query.push(("page[size]", PAGE_SIZE.to_owned()));
        query.extend(selection.include().map(|names| ("include", names)));
        let (request, answer) = self
            .get(&["organizations", &self.organization, "workspaces"], &query)
            .await?;
        if answer.status == StatusCode::NOT_FOUND {
            let why = format!(
                "{} answered 404: there is no organization {}, or the token of auth may not see it (a team token sees its \
                 organization's workspaces; a token of another organization sees none)",
                address(&request.url),
                self.organization
            );
            return Err(SourceError::new(ErrorClass::Permanent, why));
        }
        self.judge(&request, &answer)?;
        let hold = limits::hold(&answer.headers, &self.rules.rate_limit, self.transport.clock.now());
        Ok((read(&request, &answer)?, hold))
    }

    /// A workspace by its id; none: the API does not show it.
    pub(super) async fn workspace(&self, id: &str, selection: &Selection) -> Result<Option<Listed>, SourceError> {
        let query: Vec<_> = selection
            .include()
            .map(|names| ("include", names))
            .into_iter()
            .collect();
        let (request, answer) = self.get(&["workspaces", id], &query).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.judge(&request, &answer)?;
        read(&request, &answer).map(|document: WorkspaceDocument| Some(document.into_workspace()))
    }

    /// The current state version; none: the API shows none.
    pub(super) async fn state_version(
        &self,
        workspace: &Workspace,
    ) -> Result<Option<StateVersionDocument>, SourceError> {
        let (request, answer) = self
            .get(&["workspaces", &workspace.id, "current-state-version"], &[])
            .await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.judge(&request, &answer)?;
        let document: StateVersionDocument = read(&request, &answer)?;
        if document.is_pending() {
            let why = format!("workspace {}: its latest state is not uploaded yet", workspace.name);
            return Err(SourceError::new(ErrorClass::Transient { retry_after: None }, why));
        }
        Ok(Some(document))
    }

    /// Downloads and reads the state. An expired address is requested again, once.
    pub(super) async fn state(
        &self,
        workspace: &Workspace,
        version: StateVersionDocument,
        form: &Arc<Form>,
    ) -> Result<StateRead, SourceError> {
        match self.download(workspace, &version, form).await {
            Ok(state) => return Ok(state),
            Err(NotRead::Failed(error)) => return Err(error),
            Err(NotRead::Stale(_)) => {}
        }
        let again = self.state_version(workspace).await?;
        let read = match &again {
            Some(version) => self.download(workspace, version, form).await,
            None => Err(NotRead::Stale(StatusCode::NOT_FOUND)),
        };
        read.map_err(|error| match error {
            NotRead::Failed(error) => error,
            NotRead::Stale(status) => {
                let why = format!(
                    "workspace {}: the download of its state was answered {status} twice",
                    workspace.name
                );
                SourceError::new(ErrorClass::Transient { retry_after: None }, why)
            }
        })
    }

    async fn download(
        &self,
        workspace: &Workspace,
        version: &StateVersionDocument,
        form: &Arc<Form>,
    ) -> Result<StateRead, NotRead> {
        let what = format!("the state of workspace {}", workspace.name);
        let permanent = |why: String| NotRead::Failed(SourceError::new(ErrorClass::Permanent, why));
        if version.size().is_some_and(|size| size > self.max_state_bytes) {
            return Err(permanent(self.too_large(&what)));
        }
        let missing = || {
            permanent(format!(
                "{what}: the answer has no hosted-state-download-url; the token needs permission to read state \
                 versions, not only outputs"
            ))
        };
        let address = version
            .address()
            .and_then(|text| Url::parse(text).ok())
            .ok_or_else(missing)?;
        let is_allowed = |url: &Url| self.allows(url);
        let download = self
            .transport
            .download(&what, address, &is_allowed)
            .await
            .map_err(NotRead::Failed)?;
        let body = match download {
            Download::Body(body) => body,
            Download::Refused(status) => return Err(NotRead::Stale(status)),
        };
        let (feeder, chunks) = chunks(self.max_state_bytes);
        let (form, of) = (Arc::clone(form), workspace.clone());
        let reading = tokio::task::spawn_blocking(move || parse(chunks, &form, &of));
        let fed = feeder.feed(body).await;
        let read = reading
            .await
            .map_err(|_| permanent(format!("{what}: reading it was stopped")))?;
        match (read, fed) {
            (_, Err(_)) => {
                let why = format!("{what}: the download was cut");
                Err(NotRead::Failed(SourceError::new(
                    ErrorClass::Transient { retry_after: None },
                    why,
                )))
            }
            ((_, true), _) => Err(permanent(self.too_large(&what))),
            ((Ok(state), _), _) => Ok(state),
            ((Err(error @ StateError::Cut { .. }), _), _) => {
                let class = ErrorClass::Transient { retry_after: None };
                Err(NotRead::Failed(SourceError::new(class, format!("{what}: {error}"))))
            }
            ((Err(error), _), _) => Err(permanent(format!("{what}: {error}"))),
        }
    }

    fn too_large(&self, what: &str) -> String {
        format!("{what} has more than {} bytes (max_state_bytes)", self.max_state_bytes)
    }

    /// The API's own host, HCP Terraform's archive for it, and what the configuration names.
    fn allows(&self, url: &Url) -> bool {
        let is_cloud = self.base.host_str() == Some("app.terraform.io");
        let is_archive = is_cloud && is_allowed(url, &self.base, &[ARCHIVE.to_owned()]);
        is_archive || is_allowed(url, &self.base, &self.download_hosts)
    }

    async fn get(&self, path: &[&str], query: &[(&'static str, String)]) -> Result<(HttpRequest, Answer), SourceError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = HttpRequest {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            // It has the address of the state.
            hides_answer: path.last() == Some(&"current-state-version"),
        };
        let answer = self.transport.fetch(&request, None).await?;
        Ok((request, answer))
    }

    fn judge(&self, request: &HttpRequest, answer: &Answer) -> Result<(), SourceError> {
        if answer.status.is_success() && !answer.endless {
            return Ok(());
        }
        self.rules.judge(request, answer, (false, false), &self.transport)
    }
}

/// Reads a state, in a thread that may block; also returns whether it was too large.
fn parse(mut chunks: Chunks, form: &Form, workspace: &Workspace) -> (Result<StateRead, StateError>, bool) {
    let mut catalog = Catalog::new(form, workspace);
    let read = read_state(
        BufReader::with_capacity(BUFFER, &mut chunks),
        &form.wanted,
        &mut catalog,
    );
    let is_over = chunks.is_over();
    let state = read.map(|header| StateRead {
        resources: catalog.resources(),
        items: catalog.into_items(Some(&header)),
        header,
    });
    (state, is_over)
}

/// What an answer says. It may hold the address of a state, so nothing of it is shown.
fn read<T: DeserializeOwned>(request: &HttpRequest, answer: &Answer) -> Result<T, SourceError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        let (class, what) = if error.is_eof() {
            (ErrorClass::Transient { retry_after: None }, "an answer that was cut")
        } else {
            (
                ErrorClass::Permanent,
                "no JSON:API document of the expected form (is base_url right?)",
            )
        };
        let (line, column) = (error.line(), error.column());
        let text = format!("{} sent {what}, at line {line}, column {column}", address(&request.url));
        SourceError::new(class, text)
    })
}
