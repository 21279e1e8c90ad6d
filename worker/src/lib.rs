//! The hands: the attempt loop, handlers and sources. A worker keeps no state of its own: its jobs are leased, its
//! results are committed. Start reading at [`Worker`], then [`IngestHandler`].

mod attempt;
mod batches;
mod claiming;
mod handler;
mod holding;
mod ingest;
mod leasing;
mod places;
mod push;
mod refresh;
mod remote;
mod seat;
mod settling;
mod sharing;
mod source;
pub mod sources;
mod standard_webhooks;
pub mod targets;
mod worker;

pub use handler::{Attempt, Handler, HandlerError, Outcome};
pub use ingest::{IngestHandler, Sorted, sort_out};
pub use places::{Admission, Place, Places};
pub use push::{Pusher, PusherParts};
pub use refresh::RefreshHandler;
pub use remote::RemoteHandler;
pub use sharing::ShareLimits;
pub use source::{
    Document, DocumentPlace, ErrorClass, Item, ItemContent, ItemRequest, Page, PageContent, PageRequest, Pass, Source,
    SourceError,
};
pub use worker::{Worker, WorkerParts};
