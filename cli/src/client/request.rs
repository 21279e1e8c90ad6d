use std::fmt::Display;

use axum::http::Method;
use serde::Serialize;
use url::form_urlencoded;

/// A request of the API.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(super) method: Method,
    path: String,
    query: String,
    headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Vec<u8>>,
}

impl Request {
    /// A `GET` of `/v1/` and these parts.
    pub(crate) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// Does what is at these parts.
    pub(crate) fn post(path: &[&str]) -> Self {
        Self::new(Method::POST, path)
    }

    /// Makes or changes what is at these parts.
    pub(crate) fn put(path: &[&str]) -> Self {
        Self::new(Method::PUT, path)
    }

    /// Deletes what is at these parts.
    pub(crate) fn delete(path: &[&str]) -> Self {
        Self::new(Method::DELETE, path)
    }

    fn new(method: Method, path: &[&str]) -> Self {
        Self {
            method,
            path: path
                .iter()
                .fold(String::from("v1"), |path, part| path + "/" + &encoded(part)),
            query: String::new(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// With a parameter, if it has a value.
    pub(crate) fn query(mut self, name: &str, value: Option<impl Display>) -> Self {
        if let Some(value) = value {
            if !self.query.is_empty() {
                self.query.push('&');
            }
            let value = form_urlencoded::byte_serialize(value.to_string().as_bytes()).collect::<String>();
            self.query.extend([name, "=", &value]);
        }
        self
    }

    /// Whether no filter was set.
    pub(crate) fn is_whole(&self) -> bool {
        self.query.is_empty()
    }

    /// With a JSON body.
    ///
    /// # Errors
    /// The value cannot be JSON.
    pub(crate) fn body(mut self, value: &impl Serialize) -> serde_json::Result<Self> {
        self.body = Some(serde_json::to_vec(value)?);
        Ok(self)
    }

    /// With an idempotency key, so that a resent act is performed once, and with a reason for the audit log.
    pub(super) fn for_act(mut self, reason: Option<&str>) -> Self {
        self.headers
            .push(("idempotency-key", format!("{:032x}", rand::random::<u128>())));
        if let Some(reason) = reason {
            self.headers.push(("tideline-reason", encoded(reason)));
        }
        self
    }

    /// Beside the usual ones.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.headers.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Whether it is read-only.
    pub(crate) fn is_get(&self) -> bool {
        self.method == Method::GET
    }

    /// Path and query, without the first slash.
    pub(super) fn target(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        format!("{}?{}", self.path, self.query)
    }
}

/// A part of a path: everything but unreserved characters (RFC 3986, section 2.3) is percent-encoded.
fn encoded(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_act_has_a_key_of_its_own_and_a_reason_in_any_language() {
        let act = || Request::post(&["sources", "x", "pause"]).for_act(Some("wegen Überlast"));
        let headers = |request: &Request| request.headers().map(|(_, value)| value.to_owned()).collect::<Vec<_>>();
        let (one, other) = (headers(&act()), headers(&act()));
        assert_ne!(one[0], other[0]);
        assert_eq!(one[1], "wegen%20%C3%9Cberlast");
    }

    #[test]
    fn what_has_a_meaning_in_a_url_has_none_in_a_name() {
        let request = Request::get(&["sources", "a/b?c%d ü", "why"]).query("label", Some("team=a&b"));
        assert_eq!(
            request.target(),
            "v1/sources/a%2Fb%3Fc%25d%20%C3%BC/why?label=team%3Da%26b"
        );
        assert_eq!(Request::get(&["status"]).query("x", None::<u32>).target(), "v1/status");
    }
}
