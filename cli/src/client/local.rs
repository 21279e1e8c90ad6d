//! The API inside this process, on the configured store.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::header::CONTENT_TYPE;
use tideline_producer::api::{Api, ApiParts, Principal};
use tideline_queue::in_process::InProcessQueue;
use tideline_store::Store;
use tokio_util::sync::CancellationToken;

use super::error::ClientError;
use super::request::Request;
use super::{Answer, MAX_ANSWER};
use crate::context::{Context, environment};

pub(super) struct Local {
    api: Api,
    principal: Principal,
    store: Arc<dyn Store>,
}

impl Local {
    pub(super) async fn open(context: &Context) -> anyhow::Result<Self> {
        let (settings, opened) = context.open_operator().await?;
        let api = Api::new(ApiParts {
            store: Arc::clone(&opened.store),
            // It has no listeners: the roles are woken by the effects of an act.
            queue: Arc::new(InProcessQueue::default()),
            clock: opened.clock,
            settings: Some(Arc::new(settings)),
            // A command plans by itself: that needs no store.
            planner: None,
            stop: CancellationToken::new(),
        });
        Ok(Self {
            api,
            principal: Principal::local(user()),
            store: opened.store,
        })
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    pub(super) async fn send(&self, request: &Request) -> Result<Answer, ClientError> {
        let broken = |source: Box<dyn std::error::Error + Send + Sync>| ClientError::Broken {
            server: "the API in this process".to_owned(),
            acts: !request.is_get(),
            source,
        };
        let mut asked = axum::http::Request::builder()
            .method(request.method.clone())
            .uri(format!("/{}", request.target()));
        for (name, value) in request.headers() {
            asked = asked.header(name, value);
        }
        let body = match &request.body {
            Some(body) => {
                asked = asked.header(CONTENT_TYPE, "application/json");
                Body::from(body.clone())
            }
            None => Body::empty(),
        };
        let asked = asked.body(body).map_err(|error| broken(error.into()))?;
        let response = self.api.call(self.principal.clone(), asked).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), MAX_ANSWER)
            .await
            .map_err(|error| broken(error.into()))?;
        if status.is_success() {
            return Ok(Answer { body: body.to_vec() });
        }
        match ClientError::problem(&body) {
            Some(refusal) => Err(ClientError::Problem(refusal)),
            None => Err(ClientError::NotTideline {
                server: "the API in this process".to_owned(),
                status: status.as_u16(),
                hint: "",
            }),
        }
    }
}

/// The user of this machine, for the audit log.
fn user() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .into_iter()
        .filter_map(environment)
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| "a local user".to_owned())
}
