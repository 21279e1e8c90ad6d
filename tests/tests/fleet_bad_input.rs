//! What a person sees who misconfigures a fleet: one clear error, which names the setting and never a password.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::Executor;
use tideline_tests::process::binary;
use tideline_tests::servers::{Nats, Postgres, own_nats, own_postgres};

/// Wrong arguments, configuration, URL or schema: nothing was touched.
const WRONG_SETTINGS: i32 = 2;
const PASSWORD: &str = "hunter2";

struct Case {
    what: &'static str,
    store: String,
    queue: String,
    /// All of these must be in the error.
    told: &'static [&'static str],
}

/// Runs a worker; answers its exit code and what it said.
async fn run(folder: &Path, store: &str, queue: &str) -> Result<(Option<i32>, String)> {
    std::fs::write(
        folder.join("tideline.yaml"),
        "store: ${STORE}\nqueue: ${QUEUE}\nlisten: none\n",
    )?;
    let mut command = tokio::process::Command::new(binary()?);
    command
        .current_dir(folder)
        .args(["worker", "--config", "tideline.yaml"]);
    command.env("STORE", store).env("QUEUE", queue).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    let output = output.context("it runs although its settings are wrong")??;
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    Ok((output.status.code(), said.concat()))
}

async fn check(case: &Case) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (code, said) = run(folder.path(), &case.store, &case.queue).await?;
    ensure!(code == Some(WRONG_SETTINGS), "exit code {code:?}: {said}");
    ensure!(!said.contains(PASSWORD), "the password is shown: {said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.contains("error: ")).collect();
    ensure!(errors.len() == 1, "not one error: {said}");
    for text in case.told {
        ensure!(errors[0].contains(text), "{text:?} is not told: {said}");
    }
    Ok(())
}

fn store_cases(postgres: &Postgres, queue: &str) -> Vec<Case> {
    let address = postgres.address();
    let case = |what, store: String, told| Case {
        what,
        store,
        queue: queue.to_owned(),
        told,
    };
    vec![
        case(
            "no such scheme",
            format!("postgress://u:{PASSWORD}@{address}/x"),
            &["store"],
        ),
        case(
            "no URL",
            format!("postgres://u:{PASSWORD}@:x/y"),
            &["store", "postgres://"],
        ),
        case(
            "no such user",
            format!("postgres://nobody_here:{PASSWORD}@{address}/postgres"),
            &["store", "nobody_here", "user and password"],
        ),
        case(
            "no such database",
            format!("postgres://tideline:{PASSWORD}@{address}/nowhere"),
            &["store", "nowhere", "create the database"],
        ),
        case(
            "no TLS at the server",
            format!("postgres://tideline:{PASSWORD}@{address}/postgres?sslmode=require"),
            &["store", "TLS"],
        ),
        case(
            "no right to create tables",
            format!("postgres://reader:{PASSWORD}@{address}/postgres"),
            &["store", "right"],
        ),
    ]
}

fn queue_cases(nats: [&Nats; 3], store: &str) -> Vec<Case> {
    let case = |what, queue: String, told| Case {
        what,
        store: store.to_owned(),
        queue,
        told,
    };
    let [plain, with_users, small] = nats.map(Nats::address);
    vec![
        case("no such scheme", format!("natz://u:{PASSWORD}@{plain}"), &["queue"]),
        case(
            "an unknown option",
            format!("nats://u:{PASSWORD}@{plain}?colour=red"),
            &["queue", "colour"],
        ),
        case(
            "a wrong password",
            format!("nats://right:{PASSWORD}@{with_users}"),
            &["queue", "credentials", "password"],
        ),
        case(
            "an account without JetStream",
            format!("nats://without:right@{with_users}"),
            &["queue", "without JetStream", "-js"],
        ),
        case(
            "too little storage",
            format!("nats://{small}"),
            &["queue", "storage", "max_file_store", "max_bytes"],
        ),
        case(
            "a missing credentials file",
            format!("nats://{plain}?creds=nowhere.creds"),
            &["queue", "creds", "nowhere"],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mistake_in_the_addresses_of_a_fleet_gives_one_error_that_names_the_setting_and_no_password() {
    let test = "each_mistake_in_the_addresses_of_a_fleet_gives_one_error_that_names_the_setting_and_no_password";
    let (Some(postgres), Some(nats)) = (own_postgres(test).await.unwrap(), own_nats(test).await.unwrap()) else {
        return;
    };
    let users = "accounts {
        A: { jetstream: enabled, users: [ { user: right, password: right } ] }
        B: { users: [ { user: without, password: right } ] } }";
    let with_users = Nats::start_with(Some(users)).await.unwrap();
    let small = Nats::start_with(Some("jetstream { max_file_store: 2MB }"))
        .await
        .unwrap();
    let pool = sqlx::PgPool::connect(&postgres.url()).await.unwrap();
    pool.execute("CREATE ROLE reader LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        .await
        .unwrap();

    let mut cases = store_cases(&postgres, &nats.url());
    cases.extend(queue_cases([&nats, &with_users, &small], &postgres.url()));
    let mut wrong = Vec::new();
    for case in &cases {
        if let Err(error) = check(case).await {
            wrong.push(format!("{}: {error:#}", case.what));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
