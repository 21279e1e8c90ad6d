//! `/v1/hooks`: the configured hooks, and their webhooks.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use tideline_config::hooks::HookSettings;
use tideline_core::words::Timestamp;
use tideline_store::{EventFilter, HookHour};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Path;
use super::problem::{Code, Problem, nearest};
use super::role::{By, Read};
use super::types::{Hook, HookCounts, HookFigures, Page, Time};
use super::{ApiRouter, ApiState};
use crate::registration::Site;

/// What counts as the last day.
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Hooks in the order of the configuration.
#[utoipa::path(
    get, path = "/hooks", tag = "events", security(("token" = ["read"])),
    responses((status = 200, body = Page<Hook>)),
)]
async fn list(State(api): State<Arc<ApiState>>, by: By<Read>) -> Result<Json<Page<Hook>>, Problem> {
    by.principal.require_all_sources()?;
    Ok(Json(Page::whole(all(&api).await?)))
}

/// One hook.
#[utoipa::path(
    get, path = "/hooks/{name}", tag = "events", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, body = Hook)),
)]
async fn show(State(api): State<Arc<ApiState>>, by: By<Read>, Path(name): Path<String>) -> Result<Json<Hook>, Problem> {
    by.principal.require_all_sources()?;
    let hooks = all(&api).await?;
    let known: Vec<String> = hooks.iter().map(|hook| hook.name.clone()).collect();
    match hooks.into_iter().find(|hook| hook.name == name) {
        Some(hook) => Ok(Json(hook)),
        None => {
            let nearest = nearest(&name, known.iter().map(String::as_str));
            let hint = nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"));
            Err(Problem::new(
                Code::NotFound,
                format!("hook {name} does not exist{hint}"),
            ))
        }
    }
}

async fn all(api: &ApiState) -> Result<Vec<Hook>, Problem> {
    let now = api.clock.now();
    let hours = api.store.list_hook_hours(now.minus(HookHour::KEPT)).await?;
    let silences = EventFilter {
        topics: "hook.silent".parse().into_iter().collect(),
        ..EventFilter::default()
    };
    let silences = api.store.list_events_before(None, &silences, 100).await?.events;
    let Some(settings) = api.settings.as_deref() else {
        return Ok(Vec::new());
    };
    let hooks = settings.hooks.iter().map(|configured| {
        let hours: Vec<&HookHour> = hours.iter().filter(|hour| hour.hook == configured.name).collect();
        let told = silences.iter().find(|event| event.key == configured.name);
        let mut hook = hook(configured, &hours, told.map(|event| event.created_at), now);
        let site = Site::of(settings, &hook.name).ok();
        hook.webhooks_at = site.filter(|_| settings.public_url.is_some()).map(|site| site.name());
        hook
    });
    Ok(hooks.collect())
}

/// `told`: when the log last told of a silence of the hook.
fn hook(settings: &HookSettings, hours: &[&HookHour], told: Option<Timestamp>, now: Timestamp) -> Hook {
    let path = format!("/hooks/{}", settings.name);
    let mut day = HookCounts::default();
    for hour in hours.iter().filter(|hour| hour.hour > now.minus(DAY)) {
        day.add(hour);
    }
    let last_stored_at = hours.iter().filter_map(|hour| hour.last_stored_at).max();
    let failed = hours.iter().filter(|hour| hour.last_error.is_some());
    let failed = failed.max_by_key(|hour| hour.last_error_at);
    Hook {
        name: settings.name.clone(),
        provider: settings.provider.word().to_owned(),
        path: if settings.path_id.is_some() {
            format!("{path}/…")
        } else {
            path
        },
        verifies: !settings.secrets.is_empty() || settings.stored_secret,
        topic: settings.topic.as_ref().map(|topic| topic.as_str().to_owned()),
        max_body_bytes: settings.max_body_bytes,
        repairs: settings.repair.is_some(),
        webhooks_at: None,
        makes_secret: settings.stored_secret,
        last_stored_at: last_stored_at.map(Time),
        last_error_at: failed.and_then(|hour| hour.last_error_at).map(Time),
        last_error: failed.and_then(|hour| hour.last_error.clone()),
        silent_since: told
            .filter(|told| last_stored_at.is_none_or(|stored| stored < *told))
            .map(Time),
        day,
        hours: hours.iter().map(|hour| HookFigures::from(*hour)).collect(),
    }
}
