//! A large state of Terraform: how long the first cycle takes from the download to the commit, and how much memory.

use std::sync::Arc;

use anyhow::Result;
use tideline_tests::fake::FakeServer;
use tideline_tests::fake::terraform::{FakeState, FakeTerraform, Model};
use tideline_tests::hostile::FaultRates;

use crate::figure::{Figure, Goal};
use crate::stage::{Place, SOURCE};

/// Members of a nested block, so that a resource has about 3,000 bytes.
const BLOCK: u32 = 32;

pub(crate) async fn measure(resources: u32, rounds: u32) -> Result<Vec<Figure>> {
    let names: Vec<String> = (0..resources).map(|number| format!("r{number:06}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let state = FakeState {
        block: BLOCK,
        ..FakeState::new(1, &names)
    }
    .rendered();
    let bytes = state.text().len();
    let model = Model::new().with("large", Some(state));
    let token = model.token.clone();
    let server = FakeServer::start(Arc::new(FakeTerraform::new(model)), None, 1, FaultRates::default()).await?;
    let yaml = format!(
        "sources:\n- name: {SOURCE}\n  type: terraform\n  organization: acme\n  base_url: {}\n  auth: {{ bearer: {token} }}\n  \
         page_timeout: 60s\n  rest: 1h\n",
        server.url()
    );
    let (mut seconds, mut peaks) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let place = Place::new("sqlite://tideline.db", "in-process", &yaml).await?;
        let run = place.cycle().await?;
        seconds.push(run.seconds);
        peaks.push(run.peak_mib);
    }
    let versions = concat!("tideline ", env!("CARGO_PKG_VERSION"));
    let settings = format!("{} MB, SQLite", bytes / 1_000_000);
    let n = u64::from(resources);
    Ok(vec![
        Figure::new(
            "terraform: a state of so many resources, first cycle",
            n,
            "s",
            &seconds,
            versions,
        )
        .with(&settings)
        .wanted(Goal::AtMost(10.0)),
        Figure::new(
            "terraform: a state of so many resources, memory at the most",
            n,
            "MiB",
            &peaks,
            versions,
        )
        .with(&settings)
        .wanted(Goal::AtMost(256.0)),
    ])
}
