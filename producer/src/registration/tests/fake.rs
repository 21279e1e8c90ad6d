//! HCP Terraform's notification configurations.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::Sha512;
use url::Url;

use super::serve;

/// HCP Terraform's notification configurations.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) configurations: Mutex<Vec<Value>>,
    /// Triggers that it does not know.
    pub(super) unknown: Vec<&'static str>,
    /// Requests that are answered 429 before others.
    pub(super) busy: Mutex<u32>,
}

impl Fake {
    /// Sends the verification, as the real one does while the request waits.
    async fn accept(&self, attributes: &Value) -> Result<(), Response> {
        let refuse = |detail: &str| {
            let body = json!({ "errors": [{ "status": "422", "title": "invalid attribute", "detail": detail }] });
            (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(body)).into_response()
        };
        let triggers = attributes["triggers"].as_array().unwrap();
        if triggers
            .iter()
            .any(|trigger| self.unknown.contains(&trigger.as_str().unwrap()))
        {
            return Err(refuse("Triggers is invalid"));
        }
        let body = json!({
            "payload_version": 1, "notification_configuration_id": "nc-1", "run_url": null, "run_id": null, "workspace_id": null,
            "workspace_name": null, "organization_name": null,
            "notifications": [{ "message": "Verification of tideline", "trigger": "verification", "run_status": null }],
        })
        .to_string();
        let token = attributes["token"].as_str().unwrap();
        let mut mac = <Hmac<Sha512> as KeyInit>::new_from_slice(token.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let sent = reqwest::Client::new()
            .post(attributes["url"].as_str().unwrap())
            .header("content-type", "application/json")
            .header("x-tfe-notification-signature", hex::encode(mac.finalize().into_bytes()))
            .body(body);
        match sent.send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            // What a careless provider might say.
            _ => Err(refuse(&format!("Verification failed with token {token}"))),
        }
    }
}

pub(super) fn stored(id: String, attributes: &Value) -> Value {
    let mut attributes = attributes.clone();
    attributes.as_object_mut().unwrap().remove("token");
    attributes["delivery-responses"] = json!([{ "code": "202", "successful": "true" }]);
    json!({ "id": id, "type": "notification-configurations", "attributes": attributes })
}

type Api = State<Arc<Fake>>;

async fn answer_list(State(fake): Api, Path(_): Path<String>) -> Response {
    let mut busy = fake.busy.lock();
    if *busy > 0 {
        *busy -= 1;
        return (StatusCode::TOO_MANY_REQUESTS, [("x-ratelimit-reset", "0.01")]).into_response();
    }
    let all = fake.configurations.lock().clone();
    axum::Json(json!({ "data": all, "meta": { "pagination": { "next-page": null } } })).into_response()
}

async fn answer_create(State(fake): Api, Path(_): Path<String>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let attributes = &body["data"]["attributes"];
    if let Err(refused) = fake.accept(attributes).await {
        return refused;
    }
    let mut all = fake.configurations.lock();
    let made = stored(format!("nc-{}", all.len() + 1), attributes);
    all.push(made.clone());
    (StatusCode::CREATED, axum::Json(json!({ "data": made }))).into_response()
}

async fn answer_update(State(fake): Api, Path(id): Path<String>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let attributes = &body["data"]["attributes"];
    if let Err(refused) = fake.accept(attributes).await {
        return refused;
    }
    let made = stored(id.clone(), attributes);
    for one in fake
        .configurations
        .lock()
        .iter_mut()
        .filter(|one| one["id"] == json!(id))
    {
        *one = made.clone();
    }
    axum::Json(json!({ "data": made })).into_response()
}

async fn answer_remove(State(fake): Api, Path(id): Path<String>) -> StatusCode {
    fake.configurations.lock().retain(|one| one["id"] != json!(id));
    StatusCode::NO_CONTENT
}

async fn answer_verify(State(fake): Api, Path(id): Path<String>) -> Response {
    let all = fake.configurations.lock();
    let found = all.iter().find(|one| one["id"] == json!(id)).unwrap();
    axum::Json(json!({ "data": found })).into_response()
}

async fn answer_workspace(Path((_, name)): Path<(String, String)>) -> Response {
    if name == "gone" {
        return (
            StatusCode::NOT_FOUND,
            axum::Json(json!({ "errors": [{ "status": "404", "title": "<b>not found</b>" }] })),
        )
            .into_response();
    }
    axum::Json(json!({ "data": { "id": format!("ws-{name}"), "attributes": { "name": name } } })).into_response()
}

async fn answer_projects() -> Response {
    let data = json!([{ "id": "prj-1", "attributes": { "name": "Nets" } }, { "id": "prj-2", "attributes": { "name": "Apps" } }]);
    axum::Json(json!({ "data": data, "meta": { "pagination": { "next-page": null } } })).into_response()
}

pub(crate) async fn terraform_api(fake: Arc<Fake>) -> Url {
    let app = Router::new()
        .route(
            "/api/v2/workspaces/{id}/notification-configurations",
            get(answer_list).post(answer_create),
        )
        .route(
            "/api/v2/projects/{id}/notification-configurations",
            get(answer_list).post(answer_create),
        )
        .route(
            "/api/v2/notification-configurations/{id}",
            patch(answer_update).delete(answer_remove),
        )
        .route(
            "/api/v2/notification-configurations/{id}/actions/verify",
            post(answer_verify),
        )
        .route(
            "/api/v2/organizations/{organization}/workspaces/{name}",
            get(answer_workspace),
        )
        .route("/api/v2/organizations/{organization}/projects", get(answer_projects))
        .with_state(fake);
    serve(app).await.join("/api/v2").unwrap()
}
