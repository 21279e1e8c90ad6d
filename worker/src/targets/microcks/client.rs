//! Microcks' API, as far as it is needed. Source: WIRE.md section 1; Microcks' OpenAPI document v1.15.

use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tideline_config::settings::{MicrocksSettings, TargetSettings};
use tideline_core::clock::Clock;
use tokio::sync::Semaphore;
use url::Url;

use super::super::meter;
use super::desired::Artifact;
use crate::sources::http::client::{Call, CallError, HttpClient, Reply};

/// Services of one page of the listing.
const PAGE: usize = 100;
/// Maximum number of pages.
const MAX_PAGES: usize = 10_000;
/// Maximum size of a response.
const MAX_ANSWER_BYTES: u64 = 64 << 20;
/// The client whose roles Microcks looks at.
const ROLES_OF: &str = "microcks-app";
/// What a service account needs: `manager` to upload and delete, `user` to read a service.
const ROLES: [&str; 2] = ["manager", "user"];

/// In a path, everything else is escaped.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum MicrocksError {
    /// Nothing can be sent to Microcks now.
    #[error("{0}")]
    Outage(String),
    /// It may work later.
    #[error("{message}")]
    Transient {
        message: String,
        retry_after: Option<Duration>,
    },
    /// Microcks refuses it, permanently.
    #[error("{0}")]
    Refused(String),
}

impl From<CallError> for MicrocksError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Outage(message) => Self::Outage(message),
            CallError::NoReply(message) => Self::Transient {
                message,
                retry_after: None,
            },
        }
    }
}

/// A service, as far as Tideline looks at it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Service {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) metadata: Metadata,
    pub(super) operations: Vec<Operation>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Metadata {
    pub(super) labels: Option<serde_json::Map<String, Value>>,
}

/// One operation of a service.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) dispatcher: Option<String>,
    pub(super) dispatcher_rules: Option<String>,
    pub(super) default_delay: Option<i64>,
    pub(super) default_delay_strategy: Option<String>,
    pub(super) parameter_constraints: Option<Vec<Value>>,
}

/// A service with the examples of its operations.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceView {
    pub(super) service: Service,
    pub(super) messages_map: serde_json::Map<String, Value>,
}

/// Talks to one Microcks.
pub(super) struct Microcks {
    client: HttpClient,
    base: Url,
    /// Which Microcks it is.
    server: String,
    /// For metrics.
    target: String,
    clock: Arc<dyn Clock>,
    /// Calls at a time.
    calls: Semaphore,
}

impl MicrocksError {
    /// In metrics.
    fn class(&self) -> &'static str {
        match self {
            Self::Outage(_) => "outage",
            Self::Transient { .. } => "transient",
            Self::Refused(_) => "refused",
        }
    }
}

impl Microcks {
    /// Connects to nothing.
    pub(super) fn new(
        target: &TargetSettings,
        settings: &MicrocksSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Vec<(String, String)>> {
        let (base, timeout) = (&settings.base_url, target.timeout);
        Ok(Self {
            client: HttpClient::new(base, &target.auth, [], MAX_ANSWER_BYTES, timeout, Arc::clone(&clock))?,
            base: base.clone(),
            server: settings.server(),
            target: target.name.clone(),
            clock,
            calls: Semaphore::new(target.concurrency as usize),
        })
    }

    pub(super) fn server(&self) -> &str {
        &self.server
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/api/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    async fn send(&self, call: Call) -> Result<Reply, MicrocksError> {
        // The semaphore is never closed.
        let _turn = self.calls.acquire().await;
        meter::request(&*self.clock, &self.target, self.ask(call), MicrocksError::class).await
    }

    async fn ask(&self, call: Call) -> Result<Reply, MicrocksError> {
        let what = format!("{} {}", call.method, call.url.path());
        let mut reply = self.client.send(call.clone()).await?;
        // The roles of an account are those that it had when its token was made.
        if reply.status == StatusCode::FORBIDDEN && self.client.renew_token().await? {
            reply = self.client.send(call).await?;
        }
        if reply.status.is_success() || reply.status == StatusCode::NOT_FOUND {
            return Ok(reply);
        }
        let said = self.client.shown(&reply.body);
        let status = reply.status;
        Err(match status.as_u16() {
            401 => MicrocksError::Outage(format!(
                "Microcks answered {status} to {what}: it does not accept the credentials; check auth"
            )),
            403 => MicrocksError::Outage(match self.missing_of_token().await {
                Some(missing) => missing,
                None => format!(
                    "Microcks answered {status} to {what}: the service account needs the roles {} of client {ROLES_OF}",
                    ROLES.join(" and ")
                ),
            }),
            408 | 425 | 429 | 500..=599 => MicrocksError::Transient {
                message: format!("Microcks answered {status} to {what}: {said}"),
                retry_after: reply.retry_after,
            },
            300..=399 => MicrocksError::Outage(format!(
                "Microcks answered {status} to {what}, which is not followed; check base_url"
            )),
            _ => MicrocksError::Refused(format!("Microcks answered {status} to {what}: {said}")),
        })
    }

    /// The role that the service account lacks, in words. None: it has all of them, or Microcks does not say.
    pub(super) async fn missing_role(&self) -> Option<String> {
        self.missing_of_token().await?;
        // It may have got the role since the token was made.
        self.client.renew_token().await.ok()?;
        self.missing_of_token().await
    }

    async fn missing_of_token(&self) -> Option<String> {
        let claims = self.client.claims().await?;
        let all = claims.get("resource_access")?;
        let has: Vec<&str> = all[ROLES_OF]["roles"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let missing = ROLES
            .into_iter()
            .find(|role| !has.contains(role) && !has.contains(&"admin"))?;
        Some(format!(
            "the service account lacks the role {missing} of client {ROLES_OF}; assign it in Keycloak (Service \
             account roles)"
        ))
    }

    /// All services.
    pub(super) async fn list(&self) -> Result<Vec<Service>, MicrocksError> {
        let mut all = Vec::new();
        for page in 0..MAX_PAGES {
            let mut url = self.url("services");
            url.query_pairs_mut()
                .append_pair("page", &page.to_string())
                .append_pair("size", &PAGE.to_string());
            let reply = self.send(Call::new(Method::GET, url)).await?;
            let services: Vec<Service> = self.json(&reply, "GET /api/services")?;
            let last = services.len() < PAGE;
            all.extend(services);
            if last {
                return Ok(all);
            }
        }
        Err(MicrocksError::Refused(format!(
            "Microcks lists more than {} services",
            MAX_PAGES * PAGE
        )))
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, reply: &Reply, what: &str) -> Result<T, MicrocksError> {
        if reply.endless {
            return Err(MicrocksError::Refused(format!(
                "{what}: the response of Microcks is larger than {MAX_ANSWER_BYTES} bytes"
            )));
        }
        serde_json::from_slice(&reply.body).map_err(|error| {
            let said = self.client.shown(&reply.body);
            MicrocksError::Outage(format!(
                "{what} was not answered as Microcks does ({error}): {said}; check base_url"
            ))
        })
    }

    /// The service with exactly this name and version. None: it does not exist.
    pub(super) async fn find(&self, name: &str, version: &str) -> Result<Option<Service>, MicrocksError> {
        let is_it = |service: &Service| service.name == name && service.version == version;
        // In this path Microcks takes `+` for a blank, however it is written.
        if name.contains('+') || version.contains('+') {
            return Ok(self.list().await?.into_iter().find(is_it));
        }
        let full = format!("{name}:{version}");
        let found = self.view(&full, false).await?;
        Ok(found.map(|view| view.service).filter(is_it))
    }

    /// A service by its technical id, with its examples.
    pub(super) async fn view_by_id(&self, id: &str) -> Result<Option<ServiceView>, MicrocksError> {
        self.view(id, true).await
    }

    async fn view(&self, id: &str, messages: bool) -> Result<Option<ServiceView>, MicrocksError> {
        let mut url = self.url(&format!("services/{}", utf8_percent_encode(id, SEGMENT)));
        url.query_pairs_mut()
            .append_pair("messages", if messages { "true" } else { "false" });
        let reply = self.send(Call::new(Method::GET, url)).await?;
        if reply.status == StatusCode::NOT_FOUND || reply.body.is_empty() {
            return Ok(None);
        }
        if messages {
            return self.json(&reply, "GET /api/services/{id}").map(Some);
        }
        let service = self.json(&reply, "GET /api/services/{id}")?;
        Ok(Some(ServiceView {
            service,
            ..ServiceView::default()
        }))
    }

    /// Uploads an artifact; returns the service that it belongs to. None: Microcks found nothing in it.
    pub(super) async fn upload(&self, artifact: &Artifact, is_main: bool) -> Result<Option<String>, MicrocksError> {
        let mut url = self.url("artifact/upload");
        url.query_pairs_mut()
            .append_pair("mainArtifact", if is_main { "true" } else { "false" });
        let boundary = format!("tideline-{:032x}", rand::random::<u128>());
        let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"));
        let mut call = Call::new(Method::POST, url);
        if let Ok(content_type) = content_type {
            call.headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type)]);
        }
        // RFC 7578. The name of the file has no characters that would have to be escaped.
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\nContent-Type: \
             application/octet-stream\r\n\r\n",
            artifact.file_name
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        call.body = Some([head.as_bytes(), artifact.text.as_bytes(), tail.as_bytes()].concat());
        let reply = self.send(call).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Err(MicrocksError::Outage(
                "there is no /api/artifact/upload; check base_url".to_owned(),
            ));
        }
        let said = String::from_utf8_lossy(&reply.body).trim().trim_matches('"').to_owned();
        Ok((reply.status != StatusCode::NO_CONTENT && !said.is_empty()).then_some(said))
    }

    /// Sets what an operation does; may be repeated.
    pub(super) async fn put_operation(&self, id: &str, operation: &Operation) -> Result<(), MicrocksError> {
        let mut url = self.url(&format!("services/{}/operation", utf8_percent_encode(id, SEGMENT)));
        url.query_pairs_mut().append_pair("operationName", &operation.name);
        let mut call = Call::new(Method::PUT, url);
        call.body = serde_json::to_vec(operation).ok();
        self.send(call).await.map(drop)
    }

    /// Deletes a service with everything that belongs to it. A missing service counts as deleted.
    pub(super) async fn delete(&self, id: &str) -> Result<(), MicrocksError> {
        let url = self.url(&format!("services/{}", utf8_percent_encode(id, SEGMENT)));
        self.send(Call::new(Method::DELETE, url)).await.map(drop)
    }
}
