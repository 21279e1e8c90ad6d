//! Sessions of the dashboard.

use async_trait::async_trait;
use sqlx::{Row, query};

use super::failure::failed;
use super::rows::{fingerprint, json, moment, to_json};
use super::{SqliteStore, begin, commit, sql};
use crate::{Session, SessionStore, StoreError};
use tideline_core::words::{Fingerprint, Timestamp};

#[async_trait]
impl SessionStore for SqliteStore {
    async fn open_session(&self, session: &Session) -> Result<(), StoreError> {
        const ACT: &str = "open a session";
        let person = session.person.as_ref().map(to_json).transpose().map_err(failed(ACT))?;
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        query(sql!("insert_session"))
            .bind(&session.hash.0[..])
            .bind(session.token_id.as_deref())
            .bind(&session.token_hash.0[..])
            .bind(session.opened_at.0)
            .bind(session.expires_at.0)
            .bind(person)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        query(sql!("delete_old_sessions"))
            .bind(session.opened_at.0)
            .bind(&session.token_hash.0[..])
            .bind(Session::MAX_PER_TOKEN)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        commit(tx, ACT).await
    }

    async fn find_session(&self, hash: Fingerprint, now: Timestamp) -> Result<Option<Session>, StoreError> {
        const ACT: &str = "find a session";
        let row = query(sql!("find_session"))
            .bind(&hash.0[..])
            .bind(now.0)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed(ACT))?;
        let session = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Session {
                hash,
                token_id: row.try_get(0)?,
                token_hash: fingerprint(row, 1)?,
                opened_at: moment(row, 2)?,
                expires_at: moment(row, 3)?,
                person: json(row, 4)?,
            })
        };
        row.as_ref().map(session).transpose().map_err(failed(ACT))
    }

    async fn end_session(&self, hash: Fingerprint) -> Result<(), StoreError> {
        let mut writer = self.writer().await;
        query(sql!("delete_session"))
            .bind(&hash.0[..])
            .execute(&mut *writer)
            .await
            .map_err(failed("end a session"))?;
        Ok(())
    }
}
