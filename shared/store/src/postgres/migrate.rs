use super::PostgresStore;
use super::act::Act;
use super::rows::column;
use crate::StoreError;

/// Forward only; the number is the place in the list, from 1.
const MIGRATIONS: &[(&str, &str)] = &[
    ("model", include_str!("../../../../migrations/postgres/0001_model.sql")),
    (
        "readers and wishes",
        include_str!("../../../../migrations/postgres/0002_readers_and_wishes.sql"),
    ),
    (
        "deltas",
        include_str!("../../../../migrations/postgres/0003_deltas.sql"),
    ),
    (
        "ownership",
        include_str!("../../../../migrations/postgres/0004_ownership.sql"),
    ),
    (
        "events",
        include_str!("../../../../migrations/postgres/0005_events.sql"),
    ),
    (
        "operators",
        include_str!("../../../../migrations/postgres/0006_operators.sql"),
    ),
    (
        "subscriptions",
        include_str!("../../../../migrations/postgres/0007_subscriptions.sql"),
    ),
    (
        "followers",
        include_str!("../../../../migrations/postgres/0008_followers.sql"),
    ),
    (
        "catalog",
        include_str!("../../../../migrations/postgres/0009_catalog.sql"),
    ),
    (
        "pushes",
        include_str!("../../../../migrations/postgres/0010_pushes.sql"),
    ),
    (
        "targets",
        include_str!("../../../../migrations/postgres/0011_targets.sql"),
    ),
    (
        "sessions",
        include_str!("../../../../migrations/postgres/0012_sessions.sql"),
    ),
    ("drift", include_str!("../../../../migrations/postgres/0013_drift.sql")),
    (
        "change subscriptions",
        include_str!("../../../../migrations/postgres/0014_change_subscriptions.sql"),
    ),
    (
        "observations",
        include_str!("../../../../migrations/postgres/0015_observations.sql"),
    ),
    (
        "source events",
        include_str!("../../../../migrations/postgres/0016_source_events.sql"),
    ),
    (
        "versions",
        include_str!("../../../../migrations/postgres/0017_versions.sql"),
    ),
    (
        "enrichments",
        include_str!("../../../../migrations/postgres/0018_enrichments.sql"),
    ),
    (
        "origins",
        include_str!("../../../../migrations/postgres/0019_origins.sql"),
    ),
    (
        "hook secrets",
        include_str!("../../../../migrations/postgres/0020_hook_secrets.sql"),
    ),
    (
        "source failures",
        include_str!("../../../../migrations/postgres/0021_source_failures.sql"),
    ),
    (
        "people",
        include_str!("../../../../migrations/postgres/0022_people.sql"),
    ),
    (
        "audit of sources",
        include_str!("../../../../migrations/postgres/0023_audit_of_sources.sql"),
    ),
    (
        "checks",
        include_str!("../../../../migrations/postgres/0024_checks.sql"),
    ),
    ("plans", include_str!("../../../../migrations/postgres/0025_plans.sql")),
    (
        "unconfirmed",
        include_str!("../../../../migrations/postgres/0026_unconfirmed.sql"),
    ),
    (
        "followers",
        include_str!("../../../../migrations/postgres/0027_followers.sql"),
    ),
    (
        "notices",
        include_str!("../../../../migrations/postgres/0028_notices.sql"),
    ),
    (
        "delta_sequences",
        include_str!("../../../../migrations/postgres/0029_delta_sequences.sql"),
    ),
    (
        "nul_in_bodies",
        include_str!("../../../../migrations/postgres/0030_nul_in_bodies.sql"),
    ),
    (
        "gained",
        include_str!("../../../../migrations/postgres/0031_gained.sql"),
    ),
];

/// Names the lock that migrating processes take, among all locks of the database: `tideline` in ASCII.
const MIGRATION_LOCK: i64 = 0x7469_6465_6c69_6e65;

/// The newest schema this program knows.
fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

impl PostgresStore {
    /// Brings the schema to this program's version; returns the versions applied. If several processes start together,
    /// each migration still runs once: they wait for one another (on a lock held until the end of the transaction).
    ///
    /// # Errors
    /// `Schema`: the database is newer than this program. `Config`: the user may not create tables.
    pub async fn migrate(&self) -> Result<Vec<i64>, StoreError> {
        let mut act = self.unlimited("migrate").await?;
        if version(&mut act).await? == Some(newest()) {
            return Ok(vec![]);
        }
        act.begin().await?;
        act.run(sqlx::query(include_str!("sql/lock_migrations.sql")).bind(MIGRATION_LOCK))
            .await?;
        act.run(sqlx::query(include_str!("sql/create_migrations.sql"))).await?;
        let found = version(&mut act).await?.unwrap_or(0);
        if found > newest() {
            return Err(differs(found));
        }
        let mut applied = vec![];
        for (number, &(name, text)) in (1_i64..).zip(MIGRATIONS) {
            if number <= found {
                continue;
            }
            act.script(text).await?;
            act.run(
                sqlx::query(include_str!("sql/insert_migration.sql"))
                    .bind(number)
                    .bind(name),
            )
            .await?;
            applied.push(number);
        }
        act.commit().await?;
        Ok(applied)
    }

    /// Is the schema the one this program was written for?
    ///
    /// # Errors
    /// `Schema` names both versions.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        self.check_version(|found| found == newest()).await
    }

    /// As [`check_schema`](Self::check_schema) for a process that runs: a newer program may have migrated the database since, and
    /// this one goes on until it is replaced.
    pub(super) async fn check_schema_since_start(&self) -> Result<(), StoreError> {
        self.check_version(|found| found >= newest()).await
    }

    async fn check_version(&self, is_right: impl Fn(i64) -> bool + Send) -> Result<(), StoreError> {
        let mut act = self.reading("check the schema").await?;
        match version(&mut act).await? {
            Some(found) if is_right(found) => Ok(()),
            found => Err(differs(found.unwrap_or(0))),
        }
    }
}

/// The tables that the migrations make.
pub(super) fn tables() -> Vec<&'static str> {
    let after = |line: &'static str, words| {
        line.strip_prefix(words)
            .and_then(|rest: &str| rest.split([' ', '(', ';']).next())
    };
    let lines = || MIGRATIONS.iter().flat_map(|(_, text)| text.lines());
    let dropped: Vec<&str> = lines().filter_map(|line| after(line, "DROP TABLE ")).collect();
    let made = lines().filter_map(|line| after(line, "CREATE TABLE "));
    made.filter(|table| !dropped.contains(table)).collect()
}

async fn version(act: &mut Act) -> Result<Option<i64>, StoreError> {
    let there = act
        .row(sqlx::query(include_str!("sql/find_migrations.sql")))
        .await?
        .map(|row| column::<bool>(&row, "there"))
        .transpose()?;
    if there != Some(true) {
        return Ok(None);
    }
    let row = act.row(sqlx::query(include_str!("sql/read_version.sql"))).await?;
    row.map(|row| column(&row, "version")).transpose()
}

fn differs(found: i64) -> StoreError {
    let newest = newest();
    StoreError::Schema(if found > newest {
        format!(
            "the database has schema {found}, newer than schema {newest} of this program; run a newer tideline. \
             Nothing was changed"
        )
    } else {
        format!("the database has schema {found}, older than schema {newest} of this program; run `tideline migrate`")
    })
}

impl Act {
    /// Runs a text of several statements.
    async fn script(&mut self, text: &'static str) -> Result<(), StoreError> {
        self.say(text.to_owned(), false).await
    }
}
