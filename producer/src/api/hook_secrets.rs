//! `/v1/hooks`: the secrets of hooks that Tideline makes itself.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tideline_core::words::Secret;
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
    /// Make another one; webhooks that are signed with the one before are still accepted.
    #[serde(default)]
    pub rotate: bool,
}

/// A hook's secret.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct HookSecret {
    /// What the provider is to sign with.
    pub secret: String,
    /// It was made by this request.
    pub created: bool,
}

/// The secret of a hook with `stored_secret`, to be given to the provider. The first request makes it; it is in the store,
/// sealed, before it is answered.
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
    let mut hooks = api.settings.iter().flat_map(|settings| &settings.hooks);
    let hook = hooks.find(|hook| hook.name == name);
    let hook = hook.ok_or_else(|| Problem::new(Code::NotFound, format!("there is no hook {name}")))?;
    if !hook.stored_secret {
        let why =
            format!("hook {name} has its secret in the configuration; say stored_secret: true to have it kept here");
        return Err(Problem::new(Code::InvalidRequest, why));
    }
    let invalid =
        |error: tideline_runtime::sealing::SealingError| Problem::new(Code::InvalidRequest, error.to_string());
    let sealed = api.store.list_hook_secrets(&name).await?;
    if let Some(newest) = sealed.first().filter(|_| !wanted.rotate) {
        let secret = api.sealer.open(&purpose(&name), newest).map_err(invalid)?;
        return Ok(Answer(HookSecret {
            secret: secret.reveal().to_owned(),
            created: false,
        }));
    }
    let secret = Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
    let sealed = api.sealer.seal(&purpose(&name), &secret).map_err(invalid)?;
    api.perform(&by, Deed::SaveHookSecret { hook: name, sealed }).await?;
    Ok(Answer(HookSecret {
        secret: secret.reveal().to_owned(),
        created: true,
    }))
}
