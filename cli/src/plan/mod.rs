//! What the next cycle of a source would do. [`rehearse`] reads the whole source into a store of its own, a file that is gone
//! afterwards, with the roles that read it in earnest; [`compare`](compare::Comparison) walks through that store and the
//! catalog side by side. Neither holds more than a page of each, and the real store is only read.

pub(crate) mod compare;
mod rehearse;
mod report;

pub(crate) use rehearse::{Rehearsal, rehearse};
pub(crate) use report::{Report, Summary, line as difference_line};
