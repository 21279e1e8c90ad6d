//! A fleet of real processes on a real Postgres and a real nats-server, each with a proxy in front of it: what each fault
//! does, one test per row of the table in docs/operations.md. The chaos test throws all of them together.

mod deploys;
mod nats;
mod poison;
mod postgres;
mod stage;
