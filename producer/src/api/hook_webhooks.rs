//! `/v1/hooks/NAME/verify` and `/v1/hooks/NAME/register`: what `tideline hooks` does, for hooks whose webhooks the
//! configuration knows: a GitHub hook with `repair`, a Terraform hook beside the only source of that type. Requests go
//! to the configured address, with the configured token; the response has the outcome for each webhook.

use std::sync::Arc;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tideline_config::hooks::HookSettings;
use tideline_core::words::Secret;
use tideline_store::Deed;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Path};
use super::hook_secrets::{hook_of, secret_of};
use super::problem::{Code, Problem};
use super::role::{Admin, By, Operate};
use super::{ApiRouter, ApiState};
use crate::registration::{self, Endpoint, Registered, RegistrationError, Site};

/// Time limit for all requests to the provider, which is below the limit of our own request. What was done by then
/// stays done.
const PATIENCE: Duration = Duration::from_secs(35);

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(verify)).routes(routes!(register))
}

/// How webhooks are registered.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterWebhooks {
    /// Generate a new secret first; webhooks signed with the previous one are still accepted.
    #[serde(default)]
    pub rotate: bool,
}

/// The result of an act on a hook's webhooks at their provider.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct HookWebhooks {
    /// Those that have the hook's address.
    pub webhooks: Vec<Webhook>,
    /// What failed, one sentence for each webhook or for all of them.
    pub errors: Vec<String>,
}

/// A webhook at a provider.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Webhook {
    /// Whose: `workspace prod-net`.
    pub place: String,
    /// The provider's id.
    pub id: String,
    /// Whether it is sent.
    pub enabled: bool,
    /// What it tells of.
    pub events: Vec<String>,
    /// The status of the latest delivery, if the provider reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// What was done: `verified`, `created`, `updated`.
    pub outcome: String,
}

impl From<Registered> for Webhook {
    fn from(registered: Registered) -> Self {
        Self {
            place: registered.place,
            id: registered.id,
            enabled: registered.enabled,
            events: registered.events,
            last: registered.last,
            outcome: registered.outcome.to_owned(),
        }
    }
}

/// Makes the provider send a test delivery to each webhook with the hook's address.
#[utoipa::path(
    post, path = "/hooks/{name}/verify", tag = "events", security(("token" = ["operate"])),
    params(("name" = String, Path, description = "Name of the hook")),
    responses((status = 200, body = HookWebhooks)),
)]
async fn verify(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
) -> Result<Answer<HookWebhooks>, Problem> {
    by.principal.require_all_sources()?;
    let hook = hook_of(&api, &name)?;
    let (site, endpoint) = target(&api, hook, Secret::new(String::new()))?;
    api.perform(&by, Deed::VerifyHook { hook: name }).await?;
    let provider = site.provider().map_err(invalid)?;
    let verified = patiently(registration::verify(provider.as_ref(), &endpoint)).await?;
    let complaints = verified.iter().flatten().filter_map(Registered::complaint);
    let complaints: Vec<String> = complaints.collect();
    let mut answer = webhooks(verified.map(|all| all.into_iter().map(Ok).collect()));
    answer.errors.extend(complaints);
    Ok(Answer(answer))
}

/// Creates or updates the webhooks of a hook. With `rotate`, they get a new secret, which is stored before it is sent to the
/// provider. To repair webhooks that failed, send another request without `rotate`.
#[utoipa::path(
    post, path = "/hooks/{name}/register", tag = "events", security(("token" = ["admin"])), request_body = RegisterWebhooks,
    params(("name" = String, Path, description = "Name of the hook")),
    responses((status = 200, body = HookWebhooks)),
)]
async fn register(
    State(api): State<Arc<ApiState>>,
    by: By<Admin>,
    Path(name): Path<String>,
    Json(wanted): Json<RegisterWebhooks>,
) -> Result<Answer<HookWebhooks>, Problem> {
    by.principal.require_all_sources()?;
    let hook = hook_of(&api, &name)?;
    // Before a secret is made: for an unknown provider it would be lost.
    let (site, _) = target(&api, hook, Secret::new(String::new()))?;
    let provider = site.provider().map_err(invalid)?;
    let secret = match hook.secrets.first() {
        Some(secret) if !hook.stored_secret && !wanted.rotate => {
            api.perform(&by, Deed::RegisterHook { hook: name }).await?;
            secret.clone()
        }
        _ => {
            let (secret, made) = secret_of(&api, &by, hook, wanted.rotate).await?;
            if !made {
                api.perform(&by, Deed::RegisterHook { hook: name }).await?;
            }
            secret
        }
    };
    let (_, endpoint) = target(&api, hook, secret)?;
    let registered = patiently(registration::register(provider.as_ref(), &endpoint)).await?;
    Ok(Answer(webhooks(registered)))
}

/// Where the webhooks of a hook are registered, and their destination.
fn target<'s>(api: &'s ApiState, hook: &HookSettings, secret: Secret) -> Result<(Site<'s>, Endpoint), Problem> {
    let settings = api.settings.as_deref();
    let settings = settings.ok_or_else(|| Problem::new(Code::Unavailable, "this process has no configuration"))?;
    let site = Site::of(settings, &hook.name).map_err(invalid)?;
    let url = settings.public_url.as_ref();
    let url = url.ok_or_else(|| invalid("public_url is not configured, so the hook has no address".to_owned()))?;
    let url = registration::address(hook, url).map_err(invalid)?;
    Ok((site, Endpoint { url, secret }))
}

fn invalid(why: String) -> Problem {
    Problem::new(Code::InvalidRequest, why)
}

async fn patiently<T>(work: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::time::timeout(PATIENCE, work).await.map_err(|_| {
        let seconds = PATIENCE.as_secs();
        let detail = format!(
            "the provider took more than {seconds} s; what it has done so far remains. `tideline hooks` in a terminal waits longer"
        );
        Problem::new(Code::Unavailable, detail)
    })
}

fn webhooks(done: Result<Vec<Result<Registered, RegistrationError>>, RegistrationError>) -> HookWebhooks {
    let mut answer = HookWebhooks {
        webhooks: Vec::new(),
        errors: Vec::new(),
    };
    for one in done.unwrap_or_else(|error| vec![Err(error)]) {
        match one {
            Ok(registered) => answer.webhooks.push(registered.into()),
            Err(error) => answer.errors.push(error.to_string()),
        }
    }
    answer
}
