//! `/v1/hooks`: the secrets of hooks that Tideline generates itself.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tideline_config::hooks::HookSettings;
use tideline_core::words::Secret;
use tideline_runtime::sealing::SealingError;
use tideline_store::Deed;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Path};
use super::problem::{Code, Problem};
use super::role::{Admin, By};
use super::{ApiRouter, ApiState};
use crate::hooks::purpose;

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(take))
}

/// Which secret is wanted.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeHookSecret {
    /// Generate a new one; webhooks signed with the previous one are still accepted.
    #[serde(default)]
    pub rotate: bool,
    /// Show the existing one, for use in one more place. The audit log records who saw it.
    #[serde(default)]
    pub reveal: bool,
}

/// A hook's secret.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct HookSecret {
    /// The secret for the provider to sign with. Absent if it was created earlier and `reveal` was not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Whether it was created by this request.
    pub created: bool,
}

/// The secret of a hook with `stored_secret`, for use at the provider. It is shown when it is created, by the first request
/// or by one with `rotate`, and later only with `reveal`. It is sealed and stored before it is returned.
#[utoipa::path(
    post, path = "/hooks/{name}/secret", tag = "access", security(("token" = ["admin"])), request_body = TakeHookSecret,
    params(("name" = String, Path, description = "Name of the hook")),
    responses((status = 200, body = HookSecret)),
)]
async fn take(
    State(api): State<Arc<ApiState>>,
    by: By<Admin>,
    Path(name): Path<String>,
    Json(wanted): Json<TakeHookSecret>,
) -> Result<Answer<HookSecret>, Problem> {
    by.principal.require_all_sources()?;
    let (secret, created) = secret_of(&api, &by, hook_of(&api, &name)?, wanted.rotate).await?;
    if !created && wanted.reveal {
        // The request's idempotency key may be that of the act that made the secret.
        let mut keyless = by.clone();
        keyless.idempotency_key = None;
        api.perform(&keyless, Deed::RevealHookSecret { hook: name }).await?;
    }
    let shown = created || wanted.reveal;
    Ok(Answer(HookSecret {
        secret: shown.then(|| secret.reveal().to_owned()),
        created,
    }))
}

/// A hook of the configuration.
pub(super) fn hook_of<'s>(api: &'s ApiState, name: &str) -> Result<&'s HookSettings, Problem> {
    let mut hooks = api.settings.iter().flat_map(|settings| &settings.hooks);
    let hook = hooks.find(|hook| hook.name == name);
    hook.ok_or_else(|| Problem::new(Code::NotFound, format!("there is no hook {name}")))
}

/// The newest secret of a hook with `stored_secret`, and whether this request made it: there was none, or it is to `rotate`.
pub(super) async fn secret_of<R>(
    api: &ApiState,
    by: &By<R>,
    hook: &HookSettings,
    rotate: bool,
) -> Result<(Secret, bool), Problem> {
    let name = &hook.name;
    if !hook.stored_secret {
        let why = format!(
            "the secret of hook {name} is in the configuration; set stored_secret: true to keep it in the store"
        );
        return Err(Problem::new(Code::InvalidRequest, why));
    }
    let invalid = |error: SealingError| Problem::new(Code::InvalidRequest, error.to_string());
    let newest = api.store.list_hook_secrets(name).await?.into_iter().next();
    let newest = match newest.filter(|_| !rotate) {
        Some(newest) => Some(newest),
        None => {
            let secret = Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
            let sealed = api.sealer.seal(&purpose(name), &secret).map_err(invalid)?;
            let hook = name.clone();
            let performed = api.perform(by, Deed::SaveHookSecret { hook, sealed }).await?;
            if !performed.repeated {
                return Ok((secret, true));
            }
            // The act was done before under its key: the secret made then counts.
            api.store.list_hook_secrets(name).await?.into_iter().next()
        }
    };
    let newest = newest.ok_or_else(|| Problem::new(Code::NotFound, format!("hook {name} has no secret")))?;
    let secret = api.sealer.open(&purpose(name), &newest).map_err(invalid)?;
    Ok((secret, false))
}
