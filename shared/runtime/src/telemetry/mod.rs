//! Logs, traces and metrics. [`init`] is called once by each process; without it everything here does nothing, so
//! libraries and tests need no set-up. All names are in [`names`]; look next at [`spans`] and [`metrics`].

pub mod context;
mod logs;
pub mod metrics;
pub mod names;
mod setup;
pub mod spans;

pub use setup::{Guard, MetricsPage, TelemetryError, init, init_with};
