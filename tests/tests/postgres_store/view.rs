//! The view for people.

use std::sync::Arc;

use sqlx::{Connection, Row};
use tideline_store::Store;
use tideline_store::conformance::{begin, entity, t};

use crate::database::Database;

#[tokio::test]
async fn people_find_live_entities_with_json_bodies_in_the_view_catalog() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store: Arc<dyn Store> = Arc::new(database.store().await);
    let mut root = begin(&store, "a", 1).await;
    let web = entity("component:shop/web", r#"{"owner":"team-a"}"#);
    root.write(&store, vec![web], None, t(1_500)).await;

    let mut connection = database.connection().await;
    let rows =
        sqlx::query("SELECT source, kind, namespace, name, body ->> 'owner' AS owner, changed_at::TEXT FROM catalog")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(rows.len(), 1, "rows that belong to no source are not shown");
    let texts = |row: &sqlx::postgres::PgRow| (0..5).map(|i| row.get::<String, _>(i)).collect::<Vec<_>>();
    assert_eq!(texts(&rows[0]), ["a", "component", "shop", "web", "team-a"]);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_nul_in_one_body_does_not_break_the_view_for_all() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store: Arc<dyn Store> = Arc::new(database.store().await);
    let mut root = begin(&store, "a", 1).await;
    let bodies = [
        r#"{"n":"a\u0000\u0000b"}"#,
        r#"{"n":"\\u0000"}"#,
        r#"{"n":"\\\u0000"}"#,
        r#"{"n":"plain"}"#,
    ];
    let entities = bodies.iter().zip(["w", "x", "y", "z"]);
    let entities = entities.map(|(body, name)| entity(&format!("component:default/{name}"), body));
    root.write(&store, entities.collect(), None, t(1)).await;
    let mut connection = database.connection().await;
    let texts: Vec<String> =
        sqlx::query_scalar("SELECT body ->> 'n' FROM catalog WHERE body ->> 'n' <> '' ORDER BY name")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(texts, ["a\u{fffd}\u{fffd}b", r"\u0000", "\\\u{fffd}", "plain"]);
    connection.close().await.unwrap();
}
