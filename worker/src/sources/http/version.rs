//! Partitions whose parent item tells that they have not changed (`version`): they are not requested.
//!
//! What is remembered of a page's request has three parts for them: 16 bytes over what was asked, 12 over the version,
//! and the hour of the request, so that nothing goes unasked for longer than a day, whatever its parent says.

use serde_json::Value;
use sha2::{Digest, Sha256};
use tideline_core::words::{Fingerprint, Timestamp};

/// Bytes over what is asked.
const REQUEST: usize = 16;
/// Bytes over that and the version.
const VERSION: usize = 28;
const HOUR_MS: i64 = 3_600_000;
/// Hours for which a version is believed.
const BELIEVED: u32 = 24;

/// What is remembered of a request with this version at this time.
pub(super) fn print_with_version(request: Fingerprint, version: Option<&Value>, now: Timestamp) -> Fingerprint {
    let mut print = request.0;
    let version = match version {
        Some(version) => Sha256::digest(version.to_string().as_bytes()).into(),
        None => [0_u8; 32],
    };
    print[REQUEST..VERSION].copy_from_slice(&version[..VERSION - REQUEST]);
    let hour = u32::try_from(now.0 / HOUR_MS).unwrap_or_default();
    print[VERSION..].copy_from_slice(&hour.to_be_bytes());
    Fingerprint(print)
}

/// What is remembered of a request whose version is not to be believed.
pub(super) fn without_version(mut print: Fingerprint) -> Fingerprint {
    print.0[REQUEST..VERSION].fill(0);
    print
}

/// Whether the same was asked, whatever the versions.
pub(super) fn is_same_request(a: Fingerprint, b: Fingerprint) -> bool {
    a.0[..REQUEST] == b.0[..REQUEST]
}

/// Whether the remembered page is the one of today's version, and was asked for lately.
pub(super) fn is_current(remembered: Fingerprint, now: Fingerprint) -> bool {
    let hour = |print: Fingerprint| {
        let mut hour = [0; 4];
        hour.copy_from_slice(&print.0[VERSION..]);
        u32::from_be_bytes(hour)
    };
    let has_version = now.0[REQUEST..VERSION].iter().any(|byte| *byte != 0);
    let age = hour(now).checked_sub(hour(remembered));
    has_version && remembered.0[..VERSION] == now.0[..VERSION] && age.is_some_and(|age| age < BELIEVED)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_version_is_believed_for_the_same_request_and_for_a_day() {
        let print = |request: u8, version: Option<&str>, hours: i64| {
            let version = version.map(|version| json!(version));
            print_with_version(Fingerprint([request; 32]), version.as_ref(), Timestamp(hours * HOUR_MS))
        };
        let remembered = print(1, Some("a"), 100);
        assert!(is_current(remembered, print(1, Some("a"), 100)));
        assert!(is_current(remembered, print(1, Some("a"), 123)));
        for other in [
            print(1, Some("a"), 124),
            print(1, Some("a"), 99),
            print(1, Some("b"), 100),
            print(2, Some("a"), 100),
            print(1, None, 100),
        ] {
            assert!(!is_current(remembered, other));
        }
        assert!(!is_current(print(1, None, 100), print(1, None, 100)));
        assert!(is_same_request(remembered, print(1, Some("b"), 200)));
        assert!(!is_same_request(remembered, print(2, Some("a"), 100)));
        let unbelieved = without_version(remembered);
        assert!(is_same_request(unbelieved, remembered) && !is_current(unbelieved, remembered));
    }
}
