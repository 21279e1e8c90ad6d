//! A fleet of real processes on a real Postgres and a real nats-server, each with a proxy in front of it: what each
//! fault does, one test per row of the table in docs/operations.md. The chaos test throws all of them together.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod deploys;
mod nats;
mod poison;
mod postgres;
mod stage;
