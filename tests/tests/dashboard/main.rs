//! The dashboard in a real browser, over a real `tideline`.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod acts;
mod every_page;
mod live;
mod pictures;
mod stage;
mod without_scripts;
