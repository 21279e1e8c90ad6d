//! TLS and credentials, on servers that demand them: what is right works from end to end, what is wrong is one error
//! that names the setting.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use nkeys::KeyPair;
use serde_json::Value;
use sqlx::Connection;
use tideline_config::{parse, settings::Settings};
use tideline_core::full_text;
use tideline_queue::{Queue, QueueError, QueueHealth};
use tideline_runtime::backends::{Mode, open_queue, open_store};
use tideline_store::StoreError;
use tideline_tests::embedded::ingest_everything;
use tideline_tests::servers::{Authority, Identity, Nats, Operator, Postgres, own_postgres, serve_tls};

fn settings(name: &str, url: &str) -> Settings {
    let env = |asked: &str| (asked == "URL").then(|| url.to_owned());
    parse(&format!("{name}: ${{URL}}\n"), Path::new("t.yaml"), &env).unwrap()
}

fn postgres_url(postgres: &Postgres, host: &str, options: &str) -> String {
    let port = postgres.address().rsplit_once(':').unwrap().1.to_owned();
    format!("postgres://tideline@{host}:{port}/postgres?{options}")
}

fn nats_url(nats: &Nats, scheme: &str, host: &str, options: &str) -> String {
    let port = nats.address().rsplit_once(':').unwrap().1.to_owned();
    format!("{scheme}://{host}:{port}?{options}")
}

/// What a person is told who starts a role with this store.
async fn store_refusal(url: &str) -> Result<String> {
    let role = Mode::Role {
        command: "tideline worker".to_owned(),
    };
    let error = open_store(&settings("store", url), &role).await.err();
    let error = error.context("it is opened")?;
    let text = full_text(&error);
    ensure!(matches!(error, StoreError::Config(_)), "{error:?}");
    ensure!(text.starts_with("store: ") && text.lines().count() == 1, "{text}");
    Ok(text)
}

/// What a person is told who starts a role with this queue.
async fn queue_refusal(url: &str) -> Result<String> {
    let error = open_queue(&settings("queue", url))
        .await
        .err()
        .context("it is opened")?;
    let text = full_text(&error);
    ensure!(matches!(error, QueueError::Config(_)), "{error:?}");
    ensure!(text.starts_with("queue: ") && text.lines().count() == 1, "{text}");
    Ok(text)
}

async fn healthy_queue(url: &str) -> Result<Arc<dyn Queue>> {
    let queue = open_queue(&settings("queue", url)).await?;
    ensure!(queue.health() == QueueHealth::Healthy, "{:?}", queue.health());
    Ok(queue)
}

/// A nats-server with TLS and one user, who has this key; clients need a certificate too if `mutual`.
async fn nats_with_tls(authority: &Authority, server: &Identity, user: &KeyPair, mutual: bool) -> Result<Nats> {
    let [certificate, key, root] =
        [&server.certificate, &server.key, &authority.root()].map(|path| path.display().to_string());
    let verify = if mutual {
        format!("ca_file: {root:?}, verify: true")
    } else {
        String::new()
    };
    let config = format!(
        "tls {{ cert_file: {certificate:?}, key_file: {key:?}, {verify} }}
        accounts {{ A: {{ jetstream: enabled, users: [ {{ nkey: {} }} ] }} }}",
        user.public_key()
    );
    Nats::start_with(Some(&config)).await
}

/// The file of a seed.
fn seed_file(folder: &Path, key: &KeyPair) -> Result<String> {
    let path = folder.join(format!("{}.nk", key.public_key()));
    // As editors leave it.
    fs::write(&path, format!("{}\n", key.seed()?))?;
    Ok(path.display().to_string())
}

/// The connections that a nats-server has now.
async fn connections(nats: &Nats) -> Result<Vec<Value>> {
    let url = format!("{}/connz?auth=1", nats.monitor_url());
    let text = tideline_tests::http_client()?.get(url).send().await?.text().await?;
    let page: Value = serde_json::from_str(&text)?;
    Ok(page["connections"].as_array().context("no connections")?.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_works_over_tls_with_verified_names_and_an_nkey() -> Result<()> {
    let test = "a_fleet_works_over_tls_with_verified_names_and_an_nkey";
    let Some(postgres) = servers_for(test).await? else {
        return Ok(());
    };
    let (authority, folder, user) = (Authority::new("ours")?, tempfile::tempdir()?, KeyPair::new_user());
    let identity = authority.issue("localhost")?;
    let nats = nats_with_tls(&authority, &identity, &user, false).await?;
    serve_tls(&postgres, &identity).await?;
    let root = authority.root().display().to_string();

    let url = postgres_url(
        &postgres,
        "localhost",
        &format!("sslmode=verify-full&sslrootcert={root}"),
    );
    let role = Mode::Role {
        command: "tideline worker".to_owned(),
    };
    let opened = open_store(&settings("store", &url), &role).await?;
    let seed = seed_file(folder.path(), &user)?;
    let queue = healthy_queue(&nats_url(&nats, "tls", "localhost", &format!("ca={root}&nkey={seed}"))).await?;
    ingest_everything(opened.store, queue.clone()).await?;

    let mut look = sqlx::PgConnection::connect(&postgres.url()).await?;
    let (encrypted, plain): (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE s.ssl), count(*) FILTER (WHERE NOT s.ssl)
         FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'tideline'",
    )
    .fetch_one(&mut look)
    .await?;
    assert!(
        encrypted > 0 && plain == 0,
        "{encrypted} connections with TLS, {plain} without"
    );
    let connected = connections(&nats).await?;
    assert!(!connected.is_empty());
    for connection in &connected {
        assert!(connection["tls_version"].is_string(), "{connection}");
        assert_eq!(
            connection["authorized_user"].as_str(),
            Some(user.public_key().as_str()),
            "{connection}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_postgres_for_another_name_or_by_somebody_else_is_one_error() -> Result<()> {
    let test = "a_certificate_of_postgres_for_another_name_or_by_somebody_else_is_one_error";
    let Some(postgres) = own_postgres(test).await? else {
        return Ok(());
    };
    let (ours, theirs) = (Authority::new("ours")?, Authority::new("theirs")?);
    serve_tls(&postgres, &ours.issue("localhost")?).await?;
    let [ours, theirs] = [ours, theirs].map(|authority| (authority.root().display().to_string(), authority));
    for (what, host, root, mode) in [
        ("another name", "127.0.0.1", &ours.0, "verify-full"),
        ("another authority", "localhost", &theirs.0, "verify-full"),
        (
            "another authority, whatever the name",
            "127.0.0.1",
            &theirs.0,
            "verify-ca",
        ),
        (
            "no such file",
            "localhost",
            &"/nowhere/root.pem".to_owned(),
            "verify-full",
        ),
    ] {
        let url = postgres_url(&postgres, host, &format!("sslmode={mode}&sslrootcert={root}"));
        let told = store_refusal(&url).await.context(what)?;
        assert!(told.contains("sslrootcert"), "{what}: {told}");
    }
    // The name does not matter to those who say so.
    let url = postgres_url(
        &postgres,
        "127.0.0.1",
        &format!("sslmode=verify-ca&sslrootcert={}", ours.0),
    );
    let opened = open_store(&settings("store", &url), &Mode::Migrate).await?;
    opened.store.ping().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_nats_for_another_name_or_by_somebody_else_is_one_error() -> Result<()> {
    if !nats_is_here("a_certificate_of_nats_for_another_name_or_by_somebody_else_is_one_error") {
        return Ok(());
    }
    let (ours, theirs, user) = (Authority::new("ours")?, Authority::new("theirs")?, KeyPair::new_user());
    let folder = tempfile::tempdir()?;
    let nats = nats_with_tls(&ours, &ours.issue("localhost")?, &user, false).await?;
    let seed = seed_file(folder.path(), &user)?;
    let [ours, theirs] = [ours, theirs].map(|authority| (authority.root().display().to_string(), authority));
    for (what, host, options) in [
        ("another name", "127.0.0.1", format!("ca={}&nkey={seed}", ours.0)),
        ("another authority", "localhost", format!("ca={}&nkey={seed}", theirs.0)),
        ("no authority", "localhost", format!("nkey={seed}")),
        ("no such file", "localhost", format!("ca=/nowhere/root.pem&nkey={seed}")),
    ] {
        let told = queue_refusal(&nats_url(&nats, "tls", host, &options))
            .await
            .context(what)?;
        assert!(told.contains("option ca"), "{what}: {told}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_that_is_demanded_is_not_given_up_for_a_server_without_it() -> Result<()> {
    if !nats_is_here("tls_that_is_demanded_is_not_given_up_for_a_server_without_it") {
        return Ok(());
    }
    let nats = Nats::start().await?;
    let told = queue_refusal(&nats_url(&nats, "tls", "127.0.0.1", "")).await?;
    assert!(
        told.contains("NATS does not use it") && told.contains("nats:// instead of tls://"),
        "{told}"
    );
    // The client that tried has not introduced itself.
    let introduced = |connection: &Value| connection["lang"].is_string();
    let connected = connections(&nats).await?;
    assert!(!connected.iter().any(introduced), "{connected:?}");
    // One that is plain would be seen.
    let plain = healthy_queue(&nats_url(&nats, "nats", "127.0.0.1", "")).await?;
    let connected = connections(&nats).await?;
    assert!(connected.iter().any(introduced), "{connected:?}");
    drop(plain);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_shown_where_nats_asks_for_one() -> Result<()> {
    if !nats_is_here("a_client_certificate_is_shown_where_nats_asks_for_one") {
        return Ok(());
    }
    let (authority, user, folder) = (Authority::new("ours")?, KeyPair::new_user(), tempfile::tempdir()?);
    let nats = nats_with_tls(&authority, &authority.issue("localhost")?, &user, true).await?;
    let client = authority.issue("worker.test")?;
    let options = format!(
        "ca={}&nkey={}&cert={}&key={}",
        authority.root().display(),
        seed_file(folder.path(), &user)?,
        client.certificate.display(),
        client.key.display()
    );
    healthy_queue(&nats_url(&nats, "tls", "localhost", &options)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_nkey_that_nats_does_not_know_is_one_error_without_the_seed() -> Result<()> {
    if !nats_is_here("an_nkey_that_nats_does_not_know_is_one_error_without_the_seed") {
        return Ok(());
    }
    let (known, unknown, folder) = (KeyPair::new_user(), KeyPair::new_user(), tempfile::tempdir()?);
    let config = format!(
        "accounts {{ A: {{ jetstream: enabled, users: [ {{ nkey: {} }} ] }} }}",
        known.public_key()
    );
    let nats = Nats::start_with(Some(&config)).await?;
    let known = seed_file(folder.path(), &known)?;
    healthy_queue(&nats_url(&nats, "nats", "127.0.0.1", &format!("nkey={known}"))).await?;
    let file = seed_file(folder.path(), &unknown)?;
    let broken = folder.path().join("broken.nk");
    fs::write(&broken, unknown.seed()?.replace('U', "V"))?;
    for (what, file) in [("unknown", file), ("broken", broken.display().to_string())] {
        let told = queue_refusal(&nats_url(&nats, "nats", "127.0.0.1", &format!("nkey={file}")))
            .await
            .context(what)?;
        assert!(
            told.contains("nkey") && !told.contains(&unknown.seed()?),
            "{what}: {told}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credentials_file_opens_a_server_in_operator_mode_and_another_one_does_not() -> Result<()> {
    if !nats_is_here("a_credentials_file_opens_a_server_in_operator_mode_and_another_one_does_not") {
        return Ok(());
    }
    let (ours, theirs, folder) = (Operator::new(), Operator::new(), tempfile::tempdir()?);
    let nats = Nats::start_with(Some(&ours.config()?)).await?;
    let file = |name: &str, text: String| -> Result<String> {
        let path = folder.path().join(name);
        fs::write(&path, text)?;
        Ok(nats_url(
            &nats,
            "nats",
            "127.0.0.1",
            &format!("creds={}", path.display()),
        ))
    };
    healthy_queue(&file("ours.creds", ours.credentials()?)?).await?;
    for (name, text) in [
        ("theirs.creds", theirs.credentials()?),
        ("broken.creds", "no token".to_owned()),
    ] {
        let told = queue_refusal(&file(name, text)?).await.context(name)?;
        assert!(told.contains("creds"), "{name}: {told}");
    }
    Ok(())
}

fn nats_is_here(test: &str) -> bool {
    let here = Nats::is_here();
    if !here {
        println!("{test}: left out, there is no nats-server to start (install nats-server)");
    }
    here
}

/// A Postgres of our own, if there is one and a nats-server too.
async fn servers_for(test: &str) -> Result<Option<Postgres>> {
    if nats_is_here(test) {
        own_postgres(test).await
    } else {
        Ok(None)
    }
}
