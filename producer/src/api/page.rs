//! Cursor pagination: how many records, of how many bytes, and where the list continues.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tideline_core::rules::fingerprint;

use super::problem::{Code, Problem};

/// Maximum number of records per response.
pub const MAX_LIMIT: u32 = 1_000;

/// Default number of records per response.
pub const DEFAULT_LIMIT: u32 = 100;

/// Maximum total size of the bodies of one response, in bytes. At least one record is always returned, however large it
/// is.
pub const MAX_PAGE_BYTES: u64 = 4 * 1024 * 1024;

/// Size of the digest that distinguishes lists, in bytes.
const DIGEST_BYTES: usize = 9;

/// The `limit` of a request.
///
/// # Errors
/// It is out of range.
pub fn limit_of(limit: Option<u32>) -> Result<u32, Problem> {
    records_of("limit", limit)
}

/// The same, if it has another name.
pub(super) fn records_of(name: &str, limit: Option<u32>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("{name} must be a number from 1 to {MAX_LIMIT}");
    Err(Problem::new(Code::InvalidRequest, detail))
}

/// One list: its name and its filters. A token issued by another list is invalid for this one.
#[derive(Clone, Debug)]
pub(crate) struct ListId(String);

impl ListId {
    /// `filters`: everything that determines the list's content and order; `()`: nothing.
    pub(crate) fn new(name: &str, filters: impl fmt::Debug) -> Self {
        let digest = fingerprint(format!("{name} {filters:?}").as_bytes());
        Self(URL_SAFE_NO_PAD.encode(&digest.0[..DIGEST_BYTES]))
    }

    /// A `next_page_token`: opaque for the caller.
    pub(crate) fn token_of(&self, key: &impl Serialize) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&(&self.0, key)).unwrap_or_default())
    }

    /// The content of a `page_token`.
    ///
    /// # Errors
    /// `invalid_page_token`.
    pub(crate) fn key_of<T: DeserializeOwned>(&self, token: Option<&str>) -> Result<Option<T>, Problem> {
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Ok(None);
        };
        let token = URL_SAFE_NO_PAD.decode(token).ok();
        match token.and_then(|token| serde_json::from_slice::<(String, T)>(&token).ok()) {
            Some((list, key)) if list == self.0 => Ok(Some(key)),
            _ => Err(Problem::new(
                Code::InvalidPageToken,
                "page_token must be the next_page_token of a response of the same list with the same filters",
            )),
        }
    }
}
