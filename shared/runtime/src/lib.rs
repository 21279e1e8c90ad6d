//! The runtime of a process: one driver for every loop ([`Runtime::spawn_loop`]), the status of each loop for `/livez`,
//! and a shutdown that is soft first and hard when the grace is over. A loop's own work is a function that runs once
//! and can be tested alone; waiting, retrying and stopping are done here and nowhere else.

pub mod backends;
mod backoff;
pub mod documents;
mod driver;
pub mod event_filter;
mod panic;
pub mod push_target;
pub mod sealing;
mod shutdown;
mod status;
pub mod telemetry;

pub use backoff::Backoff;
pub use driver::{LoopDriver, LoopError, Pace, Wake, note_progress};
pub use panic::panic_text;
pub use shutdown::{Runtime, ShutdownOutcome, stop_signals};
pub use status::{LoopReport, LoopStatus};
