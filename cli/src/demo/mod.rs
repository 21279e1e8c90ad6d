//! The world that `tideline demo` reads: a deterministic model, an HTTP API over it, and the configuration that reads
//! it.

mod api;
mod config;
mod world;

pub(crate) use api::{ApiSettings, serve};
pub(crate) use config::{is_demo_source, mark, source_name, yaml};
pub(crate) use world::World;
