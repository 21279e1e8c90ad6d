//! The words, rules, seams and backends that every Tideline role stands on.

pub mod backends;
pub mod clock;
pub mod config;
pub mod queue;
pub mod rules;
pub mod runtime;
pub mod store;
pub mod telemetry;
pub mod words;
