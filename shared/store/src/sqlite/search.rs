use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query};

use super::catalog::{change, entity_record};
use super::failure::failed;
use super::operators::job_record;
use super::rows::{json, reference};
use super::{SqliteStore, sql};
use crate::search_seam::{Walk, stepped, walked};
use crate::{ChangeSearch, EntityRecord, FoundChanges, FoundNames, NameSearch, SearchStore, StoreError};
use tideline_core::words::{ChangeKind, EntityRef, JobRecord, SourceId};

#[async_trait]
impl SearchStore for SqliteStore {
    async fn find_names(&self, source: SourceId, search: &NameSearch<'_>) -> Result<FoundNames, StoreError> {
        let (from, to) = search.bounds();
        let limit = i64::try_from(search.limit()).unwrap_or(i64::MAX);
        let find = async {
            match search.walk() {
                Walk::Names { like } => {
                    let rows = query(sql!("list_names"))
                        .bind(source.0)
                        .bind(from)
                        .bind(to)
                        .bind(like)
                        .bind(search.look())
                        .bind(limit)
                        .fetch_all(&self.readers)
                        .await?;
                    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
                    let (looked, last) = (first.try_get(0)?, first.try_get(1)?);
                    let named = |row: &&SqliteRow| !matches!(row.try_get::<Option<&str>, _>(2), Ok(None));
                    let names = rows.iter().filter(named).map(|row| reference(row, 2));
                    Ok(walked(search, names.collect::<Result<_, _>>()?, looked, last))
                }
                Walk::Groups {
                    from: first,
                    to: last,
                    end,
                    following,
                    groups,
                } => {
                    let rows = query(sql!("list_names_by_group"))
                        .bind(source.0)
                        .bind(from)
                        .bind(to)
                        .bind(first)
                        .bind(last)
                        .bind(end)
                        .bind(following)
                        .bind(groups)
                        .bind(limit)
                        .fetch_all(&self.readers)
                        .await?;
                    let group = |row: &SqliteRow| Ok((row.try_get(0)?, json(row, 1)?));
                    let groups = rows.iter().map(group).collect::<Result<_, sqlx::Error>>()?;
                    Ok(stepped(search, following, groups))
                }
            }
        };
        find.await.map_err(failed("find names of entities"))
    }

    async fn read_entities(
        &self,
        source: SourceId,
        names: &[EntityRef],
        texts: &[String],
        limit: u32,
    ) -> Result<Vec<EntityRecord>, StoreError> {
        let names: Vec<&str> = names.iter().map(EntityRef::as_str).collect();
        let list = |list: &[&str]| serde_json::Value::from(list).to_string();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let read = async {
            let rows = query(sql!("read_entities"))
                .bind(source.0)
                .bind(list(&names))
                .bind(list(&texts))
                .bind(limit.clamp(1, 1_000))
                .fetch_all(&self.readers)
                .await?;
            rows.iter()
                .map(|row| entity_record(row, row.try_get(5)?))
                .collect::<Result<_, _>>()
        };
        read.await.map_err(failed("read entities"))
    }

    async fn find_jobs(&self, kind: &str, text: &str, limit: u32) -> Result<Vec<JobRecord>, StoreError> {
        let find = async {
            let rows = query(sql!("find_jobs_by_args"))
                .bind(kind)
                .bind(text)
                .bind(limit.clamp(1, 1_000))
                .fetch_all(&self.readers)
                .await?;
            rows.iter().map(job_record).collect::<Result<_, _>>()
        };
        find.await.map_err(failed("find jobs"))
    }

    async fn find_changes(&self, search: &ChangeSearch<'_>) -> Result<FoundChanges, StoreError> {
        let find = async {
            let rows = query(sql!("find_changes"))
                .bind(search.before.map_or(i64::MAX, |before| before.0))
                .bind(search.source)
                .bind(search.change.map(ChangeKind::as_str))
                .bind(search.text)
                .bind(search.look())
                .bind(search.limit())
                .fetch_all(&self.readers)
                .await?;
            let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
            let (looked, last) = (first.try_get(6)?, first.try_get(7)?);
            let found = |row: &&SqliteRow| !matches!(row.try_get::<Option<i64>, _>(0), Ok(None));
            let changes = rows.iter().filter(found).map(change).collect::<Result<_, _>>()?;
            Ok(search.found(changes, looked, last))
        };
        find.await.map_err(failed("find changes"))
    }
}
