//! `/v1/whoami`: who a request comes from, as the gateway sees it.

use std::sync::Arc;

use axum::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::role::{Principal, SourceScope};
use super::types::Identity;
use super::{ApiRouter, ApiState};

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::<Arc<ApiState>>::new().routes(routes!(whoami))
}

/// The caller's identity and role. Available to every token.
#[utoipa::path(
    get, path = "/whoami", tag = "access", security(("token" = [])),
    responses((status = 200, body = Identity)),
)]
async fn whoami(principal: Principal) -> Result<Json<Identity>, Problem> {
    Ok(Json(Identity {
        name: principal.actor.name,
        kind: principal.actor.kind,
        role: principal.role,
        sources: match principal.sources {
            SourceScope::All => Vec::new(),
            SourceScope::Only { globs, .. } => globs,
        },
    }))
}
