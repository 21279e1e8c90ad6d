//! The words of the design as types. One word per idea; the same word in code, SQL, configuration and documents.

mod access;
mod cycle;
mod delta;
mod entity;
mod event;
mod feed;
mod ids;
mod job;
mod nats_address;
mod number;
mod page;
mod postgres_url;
mod refresh;
mod secret;
mod source;
mod subscription;
mod timestamp;
mod trace;

pub use access::*;
pub use cycle::*;
pub use delta::*;
pub use entity::*;
pub use event::*;
pub use feed::*;
pub use ids::*;
pub use job::*;
pub use nats_address::*;
pub use number::*;
pub use page::*;
pub use postgres_url::*;
pub use refresh::*;
pub use secret::*;
pub use source::*;
pub use subscription::*;
pub use timestamp::*;
pub use trace::*;
