//! The view for people.

use std::sync::Arc;

use sqlx::Row;

use super::open_file;
use crate::Store;
use crate::conformance::{begin, entity, t};

#[tokio::test]
async fn people_find_live_entities_with_json_bodies_in_the_view_catalog() {
    let (folder, store) = open_file().await;
    let store: Arc<dyn Store> = Arc::new(store);
    let mut root = begin(&store, "a", 1).await;
    let web = entity("component:shop/web", r#"{"owner":"team-a"}"#);
    root.write(&store, vec![web], None, t(1_500)).await;

    let url = format!("sqlite://{}", folder.path().join("tideline.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    let rows = sqlx::query("SELECT source, kind, namespace, name, body ->> 'owner', changed_at FROM catalog")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    let texts: Vec<String> = (0..6).map(|i| rows[0].get(i)).collect();
    assert_eq!(texts[..5], ["a", "component", "shop", "web", "team-a"]);
    assert_eq!(texts[5], "2023-11-14T22:13:21.500Z");
}
