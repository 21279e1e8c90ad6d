//! `/v1/tokens`: who may use the API.

use std::sync::Arc;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tideline_core::rules::fingerprint;
use tideline_core::words::Fingerprint;
use tideline_store::{Deed, NewToken as StoredToken};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Path};
use super::forms::text::TOKEN_NAME;
use super::problem::{Code, Problem};
use super::role::{Admin, By, SourceScope};
use super::types::{CreatedToken, NewToken, Page, Token};
use super::{ApiRouter, ApiState};

/// What every token begins with, so that scanners of repositories know it.
const PREFIX: &str = "tdl_";

/// Longest life of a token that expires: ten years.
pub(super) const MAX_LIFE: Duration = Duration::from_secs(3_650 * 86_400);

/// Most globs of one token.
pub(super) const MAX_GLOBS: usize = 100;

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
}

/// The public part of a token, if the text looks like one.
pub(crate) fn id_of(token: &str) -> Option<&str> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_id && !secret.is_empty()).then_some(id)
}

/// The stored form of a token.
pub(crate) fn hash_of(token: &str) -> Fingerprint {
    fingerprint(token.as_bytes())
}

/// A token with 256 random bits, and its public part.
fn generate() -> (String, String) {
    let id = format!("{:012x}", rand::random::<u64>() >> 16);
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    (format!("{PREFIX}{id}_{secret}"), id)
}

/// All tokens, including revoked ones, without their secrets.
#[utoipa::path(
    get, path = "/tokens", tag = "access", security(("token" = ["admin"])),
    responses((status = 200, body = Page<Token>)),
)]
async fn list(State(api): State<Arc<ApiState>>, by: By<Admin>) -> Result<Answer<Page<Token>>, Problem> {
    by.principal.require_all_sources()?;
    let tokens = api.store.list_tokens().await?;
    Ok(Answer(Page::whole(tokens.into_iter().map(Token::from).collect())))
}

/// Creates a token. It is shown only in this response.
#[utoipa::path(
    post, path = "/tokens", tag = "access", security(("token" = ["admin"])), request_body = NewToken,
    responses((status = 201, body = CreatedToken)),
)]
async fn create(
    State(api): State<Arc<ApiState>>,
    by: By<Admin>,
    Json(new): Json<NewToken>,
) -> Result<(StatusCode, Answer<CreatedToken>), Problem> {
    by.principal.require_all_sources()?;
    check(&new)?;
    let (secret, id) = generate();
    let token = StoredToken {
        hash: hash_of(&secret),
        id: id.clone(),
        name: new.name.clone(),
        role: new.role,
        sources: new.sources.clone(),
        expires_at: new.expires_in().map(|life| api.clock.now().plus(life)),
    };
    let deed = Deed::CreateToken(token);
    // The expiry differs each time that the same lifetime is requested.
    let asked = format!("{} {:?}", deed.fingerprint(), new.expires_in());
    let performed = api.perform_once(&by, deed, fingerprint(asked.as_bytes())).await?;
    let tokens = api.store.list_tokens().await?;
    // A repeated request made no new token: the one of that name is shown again, without its secret.
    let mut found = tokens.into_iter().filter(|token| match performed.repeated {
        true => token.name == new.name && token.revoked_at.is_none(),
        false => token.id == id,
    });
    let token = found
        .next()
        .ok_or_else(|| Problem::new(Code::NotFound, "the token was revoked in the meantime"))?;
    let created = CreatedToken {
        token: token.into(),
        secret: (!performed.repeated).then_some(secret),
    };
    Ok((StatusCode::CREATED, Answer(created)))
}

fn check(new: &NewToken) -> Result<(), Problem> {
    let invalid = |detail: String| Err(Problem::new(Code::InvalidRequest, detail));
    TOKEN_NAME.check("name", &new.name)?;
    if let Some(life) = new.expires_in()
        && (life.is_zero() || life > MAX_LIFE)
    {
        return invalid(format!("expires_in_seconds takes 1 to {}", MAX_LIFE.as_secs()));
    }
    if new.sources.len() > MAX_GLOBS {
        return invalid(format!("sources takes at most {MAX_GLOBS} globs"));
    }
    if new.sources.iter().any(|glob| glob.trim().is_empty()) {
        return invalid("sources: a glob must not be empty; * covers every source".to_owned());
    }
    match SourceScope::new(&new.sources) {
        Ok(_) => Ok(()),
        Err(detail) => invalid(format!("sources: {detail}")),
    }
}

/// Revokes a token: it no longer grants access.
#[utoipa::path(
    delete, path = "/tokens/{id}", tag = "access", security(("token" = ["admin"])),
    params(("id" = String, Path, description = "The part of the token after `tdl_`, up to the next `_`")),
    responses((status = 204)),
)]
async fn revoke(
    State(api): State<Arc<ApiState>>,
    by: By<Admin>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    by.principal.require_all_sources()?;
    api.perform(&by, Deed::RevokeToken(id.clone())).await?;
    api.revoked.send_replace(id);
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_256_random_bits_and_a_public_id() {
        let (token, id) = generate();
        assert_eq!(id_of(&token), Some(id.as_str()));
        assert_eq!(token.len(), PREFIX.len() + 12 + 1 + 43);
        assert_ne!(generate().0, token);
        for text in ["", "tdl_", "tdl__x", "tdl_x_", "ghp_x_y"] {
            assert_eq!(id_of(text), None, "{text}");
        }
    }
}
