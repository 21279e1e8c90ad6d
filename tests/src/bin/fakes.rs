//! Serves one of the fake APIs, for third-party programs (`tests/real`): `fakes github|terraform|openchoreo`. It prints
//! where it listens; when its input ends, it prints whether every exchange conformed to the provider's document.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tideline_tests::fake::github::GitHub;
use tideline_tests::fake::openchoreo::{OpenChoreo, Size};
use tideline_tests::fake::terraform::{API, FakeState, FakeTerraform, Model};
use tideline_tests::fake::{Contract, FakeApi, FakeServer};
use tideline_tests::hostile::FaultRates;
use tokio::io::{AsyncReadExt, stdin};

#[tokio::main]
async fn main() -> Result<()> {
    let name = std::env::args()
        .nth(1)
        .context("which fake? github, terraform or openchoreo")?;
    match name.as_str() {
        "github" => {
            let contract = Contract::find("github/github-rest-cut-octokit-23.0.2.json")?;
            serve(GitHub::new(1, 40), contract).await
        }
        "openchoreo" => {
            let size = Size {
                namespaces: 3,
                components: 12,
                others: 2,
            };
            let contract = Contract::find("openchoreo/openchoreo-api.yaml")?;
            serve(OpenChoreo::new(1, size), contract).await
        }
        "terraform" => {
            let contract = Contract::find("terraform/hcp-terraform-openapi-v2.2.0.json")?;
            let state = |number: u64| (!number.is_multiple_of(5)).then(|| FakeState::new(number, &["web", "database"]));
            let model = (0..25).fold(Model::new(), |model, number| {
                model.with(&format!("prod-{number:02}"), state(number))
            });
            serve(FakeTerraform::new(model), contract.map(|contract| contract.below(API))).await
        }
        other => bail!("there is no fake {other}"),
    }
}

async fn serve<A: FakeApi>(api: A, contract: Option<Contract>) -> Result<()> {
    let is_checked = contract.is_some();
    let server = FakeServer::start(Arc::new(api), contract, 1, FaultRates::default()).await?;
    println!("listening at {}", server.url());
    let mut rest = Vec::new();
    stdin().read_to_end(&mut rest).await?;
    server.check_contract()?;
    if is_checked {
        println!("every exchange was as the document has it");
    }
    Ok(())
}
