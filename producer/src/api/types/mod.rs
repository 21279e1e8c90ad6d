//! Requests and responses of the API as they go over the wire. Each can be read back from what it writes, so that a client in
//! Rust needs nothing else. Times are RFC 3339 in UTC; a list is a [`Page`].

mod access;
mod catalog;
mod drift;
mod event;
mod job;
mod observation;
mod operations;
mod plan;
mod source;
mod target;
mod time;
pub mod words;

pub use access::*;
pub use catalog::*;
pub use drift::*;
pub use event::*;
pub use job::*;
pub use observation::*;
pub use operations::*;
pub use plan::*;
pub use source::*;
pub use target::*;
pub use time::Time;

use serde_json::value::RawValue;

use super::problem::Problem;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A JSON text of the store as JSON in JSON.
fn raw(text: String) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(text).map_err(|error| Problem::internal("a stored value is not JSON", &error))
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The requested records, in the order of the list.
    pub items: Vec<T>,
    /// `page_token` of the request for the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

impl<T> Page<T> {
    /// A list that fits into one answer.
    #[must_use]
    pub fn whole(items: Vec<T>) -> Self {
        Self {
            items,
            next_page_token: None,
        }
    }
}
