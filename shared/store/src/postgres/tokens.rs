//! API tokens.

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::act::Act;
use super::error::broken;
use super::rows::{column, fingerprint, moment};
use crate::{NewToken, StoreError, TokenRecord, TokenStore};
use tideline_core::words::Timestamp;

/// Maximum number of tokens per response.
const MAX_TOKENS: i64 = 10_000;

#[async_trait]
impl TokenStore for PostgresStore {
    async fn find_token(&self, id: &str) -> Result<Option<TokenRecord>, StoreError> {
        let mut act = self.reading("find a token").await?;
        let row = act
            .row(sqlx::query(include_str!("sql/find_token.sql")).bind(id))
            .await?;
        row.as_ref().map(token_record).transpose()
    }

    async fn list_tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let mut act = self.reading("list tokens").await?;
        let statement = sqlx::query(include_str!("sql/list_tokens.sql")).bind(MAX_TOKENS);
        act.rows(statement).await?.iter().map(token_record).collect()
    }

    async fn note_token_use(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut act = self.writing("note the use of a token").await?;
        let statement = sqlx::query(include_str!("sql/note_token_use.sql")).bind(id);
        act.run(statement.bind(now.0)).await.map(drop)
    }
}

/// `Refused`: another token has the name.
pub(super) async fn insert(act: &mut Act, token: &NewToken, by: &str, now: Timestamp) -> Result<(), StoreError> {
    let sources = serde_json::to_string(&token.sources).map_err(|error| broken("create a token", error.to_string()))?;
    let statement = sqlx::query(include_str!("sql/insert_token.sql"))
        .bind(&token.id)
        .bind(&token.hash.0[..])
        .bind(&token.name)
        .bind(token.role.as_str())
        .bind(sources)
        .bind(now.0)
        .bind(by)
        .bind(token.expires_at.map(|moment| moment.0));
    if act.run(statement).await? == 0 {
        return Err(token.name_is_taken());
    }
    Ok(())
}

/// Revoking a token twice changes nothing.
pub(super) async fn revoke(act: &mut Act, id: &str, now: Timestamp) -> Result<(), StoreError> {
    let found = act
        .row(sqlx::query(include_str!("sql/find_token.sql")).bind(id))
        .await?;
    if found.is_none() {
        return Err(StoreError::NotFound {
            what: "token",
            name: id.to_owned(),
        });
    }
    let statement = sqlx::query(include_str!("sql/revoke_token.sql")).bind(id);
    act.run(statement.bind(now.0)).await.map(drop)
}

fn token_record(row: &PgRow) -> Result<TokenRecord, StoreError> {
    const ACT: &str = "read a token";
    let sources: &str = column(row, "sources")?;
    let role: &str = column(row, "role")?;
    Ok(TokenRecord {
        id: column(row, "id")?,
        hash: fingerprint(column(row, "hash")?)?,
        name: column(row, "name")?,
        role: role
            .parse()
            .map_err(|error: tideline_core::words::RoleError| broken(ACT, error.to_string()))?,
        sources: serde_json::from_str(sources).map_err(|error| broken(ACT, error.to_string()))?,
        created_at: Timestamp(column(row, "created_at")?),
        created_by: column(row, "created_by")?,
        expires_at: moment(row, "expires_at")?,
        last_used_at: moment(row, "last_used_at")?,
        revoked_at: moment(row, "revoked_at")?,
    })
}
