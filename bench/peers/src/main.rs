//! Measures two peer job queues on a Postgres that it is given: see `tideline-peers --help` and the README.

mod awa_peer;
mod command;
mod graphile;
mod latency;
mod observer;
mod report;

use anyhow::Result;
use clap::Parser;

use crate::command::{Command, Figure, Peer};

/// One figure of one peer; the report is one JSON line on standard output.
#[tokio::main]
async fn main() -> Result<()> {
    match Command::parse().peer {
        Peer::GraphileWorker { driver, figure } => match figure {
            Figure::BurnDown(given) => report::print(&graphile::burn_down(driver, &given).await?),
            Figure::Latency(given) => report::print(&graphile::latency(driver, &given).await?),
        },
        Peer::Awa { figure } => match figure {
            Figure::BurnDown(given) => report::print(&awa_peer::burn_down(&given).await?),
            Figure::Latency(given) => report::print(&awa_peer::latency(&given).await?),
        },
    }
}
