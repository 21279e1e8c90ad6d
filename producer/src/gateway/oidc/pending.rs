//! The state of a sign-in, kept by the browser that began it in a cookie that scripts cannot read.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::secrets::is_same;

/// The cookie if the browser uses TLS: browsers accept such a name only from secure pages of this host.
const SECURE_COOKIE: &str = "__Host-tideline_sign_in";
/// The cookie elsewhere.
const COOKIE_NAME: &str = "tideline_sign_in";
/// How long a sign-in may take.
const LIFE: Duration = Duration::from_secs(600);
/// Longest address to go to afterwards: browsers drop cookies of more than 4 KiB.
const MAX_NEXT: usize = 1_500;

/// Binds the provider's response to the browser: `state` against responses to another browser, `nonce` against tokens
/// of another sign-in, `verifier` (RFC 7636) against codes issued to somebody else.
#[derive(Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
    /// Where to go afterwards.
    pub(super) next: String,
}

impl Pending {
    /// Whether the provider's response belongs to this sign-in.
    pub(super) fn is_of(&self, state: &str) -> bool {
        let is_whole = [&self.state, &self.nonce, &self.verifier]
            .iter()
            .all(|part| !part.is_empty());
        is_whole && is_same(self.state.as_bytes(), state.as_bytes())
    }

    /// The cookie to set. Lax, not strict: the browser comes back from another site.
    pub(super) fn to_cookie(&self, secure: bool) -> String {
        let next = if self.next.len() > MAX_NEXT { "/" } else { &self.next };
        let kept = Self {
            state: self.state.clone(),
            nonce: self.nonce.clone(),
            verifier: self.verifier.clone(),
            next: next.to_owned(),
        };
        let value = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&kept).unwrap_or_default());
        cookie(&value, LIFE, secure)
    }

    /// From the value of a cookie.
    pub(super) fn of_cookie(value: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(value).ok()?).ok()
    }
}

/// The name of the cookie. Behind TLS the other name does not count: pages of sibling hosts could set it.
pub(super) fn cookie_name(secure: bool) -> &'static str {
    if secure { SECURE_COOKIE } else { COOKIE_NAME }
}

/// Clears the cookie.
pub(super) fn no_cookie(secure: bool) -> String {
    cookie("", Duration::ZERO, secure)
}

fn cookie(value: &str, life: Duration, secure: bool) -> String {
    let (name, seconds) = (cookie_name(secure), life.as_secs());
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    fn pending(next: &str) -> Pending {
        Pending {
            state: "s".to_owned(),
            nonce: "n".to_owned(),
            verifier: "v".to_owned(),
            next: next.to_owned(),
        }
    }

    fn value(cookie: &str) -> &str {
        cookie.split_once('=').unwrap().1.split_once(';').unwrap().0
    }

    #[test]
    fn a_cookie_of_a_sign_in_reads_back_and_anything_else_is_none() {
        let cookie = pending("/jobs?state=parked").to_cookie(true);
        assert!(cookie.starts_with("__Host-tideline_sign_in="), "{cookie}");
        assert!(
            cookie.ends_with("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"),
            "{cookie}"
        );
        let read = Pending::of_cookie(value(&cookie)).unwrap();
        assert!(read.is_of("s") && !read.is_of("t") && !read.is_of(""));
        assert_eq!(read.next, "/jobs?state=parked");
        for wrong in ["", "e30", "%%%", "bm90IGpzb24"] {
            assert!(Pending::of_cookie(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_cookie_stays_small_enough_for_browsers() {
        let cookie = pending(&"/x".repeat(10_000)).to_cookie(false);
        assert!(cookie.len() < 4_000);
        assert_eq!(Pending::of_cookie(value(&cookie)).unwrap().next, "/");
    }
}
