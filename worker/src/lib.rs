//! The hands: the attempt loop, sources and handlers.

mod handler;
mod source;
pub mod sources;

pub use handler::{Attempt, Handler, HandlerError, Outcome};
pub use source::{ErrorClass, Item, Page, PageContent, PageRequest, Source, SourceError};
