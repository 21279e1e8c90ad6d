use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::catalog::{change, entity_record, reference};
use super::error::broken;
use super::operators::job_record;
use super::rows::column;
use crate::search_seam::{Walk, stepped, walked};
use crate::{ChangeSearch, EntityRecord, FoundChanges, FoundNames, NameSearch, SearchStore, StoreError};
use tideline_core::words::{ChangeKind, EntityRef, JobRecord, SourceId};

#[async_trait]
impl SearchStore for PostgresStore {
    async fn find_names(&self, source: SourceId, search: &NameSearch<'_>) -> Result<FoundNames, StoreError> {
        let mut act = self.reading("find names of entities").await?;
        let (from, to) = search.bounds();
        let limit = i64::try_from(search.limit()).unwrap_or(i64::MAX);
        match search.walk() {
            Walk::Names { like } => {
                let statement = sqlx::query(include_str!("sql/list_names.sql"))
                    .bind(source.0)
                    .bind(from)
                    .bind(to)
                    .bind(like)
                    .bind(search.look())
                    .bind(limit);
                let rows = act.rows(statement).await?;
                let first = rows.first().ok_or_else(|| broken("find names of entities", "no row"))?;
                let (looked, last) = (column(first, "looked")?, column(first, "last")?);
                let named = |row: &&PgRow| !matches!(column::<Option<&str>>(row, "ref"), Ok(None));
                let names = rows.iter().filter(named).map(reference).collect::<Result<_, _>>()?;
                Ok(walked(search, names, looked, last))
            }
            Walk::Groups {
                from: first,
                to: last,
                end,
                following,
                groups,
            } => {
                let statement = sqlx::query(include_str!("sql/list_names_by_group.sql"))
                    .bind(source.0)
                    .bind(from)
                    .bind(to)
                    .bind(first)
                    .bind(last)
                    .bind(end)
                    .bind(following)
                    .bind(i32::try_from(groups).unwrap_or(i32::MAX))
                    .bind(limit);
                let rows = act.rows(statement).await?;
                let groups = rows.iter().map(group).collect::<Result<_, _>>()?;
                Ok(stepped(search, following, groups))
            }
        }
    }

    async fn read_entities(
        &self,
        source: SourceId,
        names: &[EntityRef],
        texts: &[String],
        limit: u32,
    ) -> Result<Vec<EntityRecord>, StoreError> {
        let names: Vec<&str> = names.iter().map(EntityRef::as_str).collect();
        let mut act = self.reading("read entities").await?;
        let statement = sqlx::query(include_str!("sql/read_entities.sql"))
            .bind(source.0)
            .bind(names)
            .bind(texts)
            .bind(i64::from(limit.clamp(1, 1_000)));
        act.rows(statement).await?.iter().map(entity_record).collect()
    }

    async fn find_jobs(&self, kind: &str, text: &str, limit: u32) -> Result<Vec<JobRecord>, StoreError> {
        let mut act = self.reading("find jobs").await?;
        let statement = sqlx::query(include_str!("sql/find_jobs_by_args.sql"))
            .bind(kind)
            .bind(text)
            .bind(i64::from(limit.clamp(1, 1_000)));
        act.rows(statement).await?.iter().map(job_record).collect()
    }

    async fn find_changes(&self, search: &ChangeSearch<'_>) -> Result<FoundChanges, StoreError> {
        let mut act = self.reading("find changes").await?;
        let statement = sqlx::query(include_str!("sql/find_changes.sql"))
            .bind(search.before.map_or(i64::MAX, |before| before.0))
            .bind(search.source)
            .bind(search.change.map(ChangeKind::as_str))
            .bind(search.text)
            .bind(search.look())
            .bind(i64::from(search.limit()));
        let rows = act.rows(statement).await?;
        let first = rows.first().ok_or_else(|| broken("find changes", "no row"))?;
        let (looked, last) = (column(first, "looked")?, column(first, "last")?);
        let found = |row: &&PgRow| !matches!(column::<Option<i64>>(row, "sequence"), Ok(None));
        let changes = rows.iter().filter(found).map(change).collect::<Result<_, _>>()?;
        Ok(search.found(changes, looked, last))
    }
}

fn group(row: &PgRow) -> Result<(Option<String>, Vec<EntityRef>), StoreError> {
    let names: Vec<String> = column::<Option<_>>(row, "refs")?.unwrap_or_default();
    let parsed = names.into_iter().map(|name| {
        name.parse()
            .map_err(|error: tideline_core::words::EntityRefError| broken("read a reference", error.to_string()))
    });
    Ok((column(row, "name")?, parsed.collect::<Result<_, _>>()?))
}
