//! API tokens.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, query};

use super::failure::failed;
use super::rows::{fingerprint, json, moment, optional_moment, to_json, word, word_of};
use super::{SqliteStore, sql};
use crate::{NewToken, StoreError, TokenRecord, TokenStore};
use tideline_core::words::Timestamp;

/// Maximum number of tokens per response.
const MAX_TOKENS: u32 = 10_000;

#[async_trait]
impl TokenStore for SqliteStore {
    async fn find_token(&self, id: &str) -> Result<Option<TokenRecord>, StoreError> {
        const ACT: &str = "find a token";
        let row = query(sql!("find_token"))
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed(ACT))?;
        row.as_ref().map(token_record).transpose().map_err(failed(ACT))
    }

    async fn list_tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        const ACT: &str = "list tokens";
        let rows = query(sql!("list_tokens"))
            .bind(MAX_TOKENS)
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        (rows.iter().map(token_record))
            .collect::<Result<_, _>>()
            .map_err(failed(ACT))
    }

    async fn note_token_use(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut writer = self.writer().await;
        query(sql!("note_token_use"))
            .bind(id)
            .bind(now.0)
            .execute(&mut *writer)
            .await
            .map_err(failed("note the use of a token"))?;
        Ok(())
    }
}

/// `Refused`: another token has the name.
pub(super) async fn insert(
    tx: &mut SqliteConnection,
    token: &NewToken,
    by: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    const ACT: &str = "create a token";
    let done = query(sql!("insert_token"))
        .bind(&token.id)
        .bind(&token.hash.0[..])
        .bind(&token.name)
        .bind(word_of(token.role).map_err(failed(ACT))?)
        .bind(to_json(&token.sources).map_err(failed(ACT))?)
        .bind(now.0)
        .bind(by)
        .bind(token.expires_at.map(|moment| moment.0))
        .execute(tx)
        .await
        .map_err(failed(ACT))?;
    if done.rows_affected() == 0 {
        return Err(token.name_is_taken());
    }
    Ok(())
}

/// Revoking a token twice changes nothing.
pub(super) async fn revoke(tx: &mut SqliteConnection, id: &str, now: Timestamp) -> Result<(), StoreError> {
    const ACT: &str = "revoke a token";
    let found = query(sql!("find_token")).bind(id).fetch_optional(&mut *tx).await;
    if found.map_err(failed(ACT))?.is_none() {
        return Err(StoreError::NotFound {
            what: "token",
            name: id.to_owned(),
        });
    }
    let revoke = query(sql!("revoke_token")).bind(id).bind(now.0);
    revoke.execute(tx).await.map_err(failed(ACT))?;
    Ok(())
}

fn token_record(row: &SqliteRow) -> Result<TokenRecord, sqlx::Error> {
    Ok(TokenRecord {
        id: row.try_get(0)?,
        hash: fingerprint(row, 1)?,
        name: row.try_get(2)?,
        role: word(row, 3)?,
        sources: json(row, 4)?,
        created_at: moment(row, 5)?,
        created_by: row.try_get(6)?,
        expires_at: optional_moment(row, 7)?,
        last_used_at: optional_moment(row, 8)?,
        revoked_at: optional_moment(row, 9)?,
    })
}
