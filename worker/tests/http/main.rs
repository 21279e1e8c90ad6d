//! The `http` source against small HTTP servers in this process.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod answers;
mod api;
mod auth;
mod children;
mod conditional;
mod connections;
mod downloads;
mod encodings;
mod errors;
mod hygiene;
mod items;
mod lookups;
mod paging;
mod paging_ends;
mod paging_next;
mod presets;
mod recipes;
mod shapes;
