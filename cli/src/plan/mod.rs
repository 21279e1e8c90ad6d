//! What the next cycle of a source would do. [`read_apart`](rehearsal::read_apart) reads the whole source into a
//! temporary store file, with the roles of a real cycle; [`compare`](compare::Comparison) walks through that store and
//! the catalog side by side. Neither holds more than a page of each in memory, and the real store is only read.
//! [`SourcePlanner`] combines both for the API, [`PlanChecker`] for the scheduler; [`follow()`] waits for a plan,
//! [`print`] shows the result.

mod checker;
mod compare;
mod follow;
mod planner;
mod print;
mod rehearsal;
mod scratch;
mod unseen;

pub(crate) use checker::PlanChecker;
pub(crate) use follow::follow;
pub(crate) use planner::{SourcePlanner, configured};
pub(crate) use print::{Printer, line as difference_line};
