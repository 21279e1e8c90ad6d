//! The words and rules that every part of Tideline speaks of: types without I/O, pure functions, the clock's seam.
//! Everything else depends on this crate and it depends on nothing of ours.

pub mod clock;
mod full_text;
pub mod rules;
mod wakeups;
pub mod words;

pub use full_text::full_text;
pub use wakeups::Wakeups;
