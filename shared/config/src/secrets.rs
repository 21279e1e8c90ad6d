//! The forms of secrets that are keys, so that a mistyped one is an error in the configuration and not a key that nobody meant.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tideline_core::words::Secret;

use super::reader::Section;

/// The environment variable that `secret_key` defaults to.
pub const KEY_VARIABLE: &str = "TIDELINE_SECRET_KEY";
/// What a sealing key must be.
pub const SEALING_KEY_FORM: &str =
    "must be 32 bytes in base64 or in 64 hexadecimal digits; separate several keys with commas";
/// What a secret of Standard Webhooks must be.
pub const WEBHOOK_SECRET_FORM: &str = "must be whsec_ and 24 to 64 bytes in base64";

/// What a secret of Standard Webhooks begins with.
pub const WEBHOOK_PREFIX: &str = "whsec_";
/// Bytes of a secret, as Standard Webhooks says.
const WEBHOOK_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Bytes of a sealing key.
pub const SEALING_KEY_BYTES: usize = 32;

/// The keys of `secret_key`, in their order; none: one of them is malformed.
#[must_use]
pub fn sealing_keys(text: &str) -> Option<Vec<[u8; SEALING_KEY_BYTES]>> {
    text.trim().split(',').map(|key| sealing_key(key.trim())).collect()
}

fn sealing_key(text: &str) -> Option<[u8; SEALING_KEY_BYTES]> {
    let bytes = hex::decode(text).ok().or_else(|| STANDARD.decode(text).ok());
    bytes?.try_into().ok()
}

/// The bytes of a secret of Standard Webhooks, `whsec_…`; none: it is no such secret.
#[must_use]
pub fn standard_webhook_key(secret: &Secret) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(secret.reveal().strip_prefix(WEBHOOK_PREFIX)?).ok()?;
    WEBHOOK_BYTES.contains(&bytes.len()).then_some(bytes)
}

/// The bytes that a signing secret stands for: those of `whsec_…`, or any other text itself; none: it begins with `whsec_` and is
/// malformed.
#[must_use]
pub fn signing_key(secret: &Secret) -> Option<Vec<u8>> {
    if secret.reveal().starts_with(WEBHOOK_PREFIX) {
        return standard_webhook_key(secret);
    }
    Some(secret.reveal().as_bytes().to_vec())
}

/// Notes a malformed secret of Standard Webhooks at a key: taken as a text, it would fit no signature.
pub(super) fn check_signing_secret(section: &Section<'_>, key: &str, secret: Option<&Secret>) {
    if secret.is_some_and(|secret| signing_key(secret).is_none()) {
        section.fail(
            key,
            format!("{WEBHOOK_SECRET_FORM}, or a text that does not begin with {WEBHOOK_PREFIX}"),
        );
    }
}
