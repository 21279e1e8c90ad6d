//! The limit of a first load: one COPY of the same rows into a table of the same key (PostgreSQL manual, "Populating a
//! Database"). Bodies are text, as the catalog stores them.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::Result;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tideline_cli::bench::ENTITY_BYTES;

/// Rows per piece that is sent.
const PIECE: u32 = 2_000;

/// Rows per second.
pub(crate) async fn rate(url: &str, rows: u32) -> Result<f64> {
    let mut connection = PgConnection::connect(url).await?;
    connection
        .execute(
            "CREATE TABLE copied (source_id BIGINT NOT NULL, ref TEXT COLLATE \"C\" NOT NULL, fingerprint BYTEA NOT NULL, \
             body TEXT NOT NULL, PRIMARY KEY (source_id, ref))",
        )
        .await?;
    let body = ".".repeat(ENTITY_BYTES);
    let pieces: Vec<String> = (0..rows)
        .step_by(PIECE as usize)
        .map(|first| piece(first, rows, &body))
        .collect();
    let started = Instant::now();
    let mut copy = connection.copy_in_raw("COPY copied FROM STDIN").await?;
    for piece in &pieces {
        copy.send(piece.as_bytes()).await?;
    }
    copy.finish().await?;
    let seconds = started.elapsed().as_secs_f64();
    connection.execute("DROP TABLE copied").await?;
    connection.close().await?;
    Ok(f64::from(rows) / seconds)
}

fn piece(first: u32, rows: u32, body: &str) -> String {
    let mut text = String::new();
    for number in first..(first + PIECE).min(rows) {
        let _ = writeln!(
            text,
            "1\tcomponent:default/component-{number:08}\t\\\\x{:064x}\t{body}",
            u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        );
    }
    text
}
