//! Sessions of the dashboard.

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::error::broken;
use super::rows::{column, fingerprint, storable};
use crate::{Session, SessionStore, StoreError};
use tideline_core::words::{Fingerprint, Timestamp};

#[async_trait]
impl SessionStore for PostgresStore {
    async fn open_session(&self, session: &Session) -> Result<(), StoreError> {
        let person = session.person.as_ref().map(serde_json::to_string).transpose();
        let person = person.map_err(|error| broken("open a session", error.to_string()))?;
        let mut act = self.writing("open a session").await?;
        act.begin().await?;
        let insert = sqlx::query(include_str!("sql/insert_session.sql"))
            .bind(&session.hash.0[..])
            .bind(session.token_id.as_deref())
            .bind(&session.token_hash.0[..])
            .bind(session.opened_at.0)
            .bind(session.expires_at.0)
            .bind(person.as_deref().map(storable));
        act.run(insert).await?;
        let delete = sqlx::query(include_str!("sql/delete_old_sessions.sql"))
            .bind(session.opened_at.0)
            .bind(&session.token_hash.0[..])
            .bind(i64::from(Session::MAX_PER_TOKEN));
        act.run(delete).await?;
        act.commit().await
    }

    async fn find_session(&self, hash: Fingerprint, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let mut act = self.reading("find a session").await?;
        let statement = sqlx::query(include_str!("sql/find_session.sql"))
            .bind(&hash.0[..])
            .bind(now.0);
        let session = |row: PgRow| {
            Ok(Session {
                hash,
                token_id: column(&row, "token_id")?,
                token_hash: fingerprint(column(&row, "token_hash")?)?,
                opened_at: Timestamp(column(&row, "opened_at")?),
                expires_at: Timestamp(column(&row, "expires_at")?),
                person: column::<Option<&str>>(&row, "person")?
                    .map(serde_json::from_str)
                    .transpose()
                    .map_err(|error| broken("find a session", error.to_string()))?,
            })
        };
        act.row(statement).await?.map(session).transpose()
    }

    async fn end_session(&self, hash: Fingerprint) -> Result<(), StoreError> {
        let mut act = self.writing("end a session").await?;
        let statement = sqlx::query(include_str!("sql/delete_session.sql"));
        act.run(statement.bind(&hash.0[..])).await.map(drop)
    }
}
