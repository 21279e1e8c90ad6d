//! External systems that are kept in step with the catalog.

pub mod microcks;
