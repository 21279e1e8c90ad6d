//! Cursor pagination: how many records, of how many bytes, and where the list goes on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::{Code, Problem};

/// Most records of one answer.
pub const MAX_LIMIT: u32 = 1_000;

/// Records of one answer unless asked otherwise.
pub const DEFAULT_LIMIT: u32 = 100;

/// Bodies of one answer together, in bytes. One record is always answered, however large it is.
pub const MAX_PAGE_BYTES: u64 = 4 * 1024 * 1024;

/// The `limit` of a request.
///
/// # Errors
/// It is out of range.
pub fn limit_of(limit: Option<u32>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("limit must be a number from 1 to {MAX_LIMIT}");
    Err(Problem::new(Code::InvalidRequest, detail))
}

/// A `next_page_token`: opaque for the caller.
#[must_use]
pub fn token_of(key: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

/// What a `page_token` means.
///
/// # Errors
/// `invalid_page_token`.
pub fn key_of<T: DeserializeOwned>(token: Option<&str>) -> Result<Option<T>, Problem> {
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let key = URL_SAFE_NO_PAD.decode(token).ok();
    match key.and_then(|key| serde_json::from_slice(&key).ok()) {
        Some(key) => Ok(Some(key)),
        None => Err(Problem::new(
            Code::InvalidPageToken,
            "page_token must be the next_page_token of a response of the same list",
        )),
    }
}
