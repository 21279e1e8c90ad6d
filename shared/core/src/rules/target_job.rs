//! The job of a request to a target, and the digest that shows whether one is needed.

use crate::rules::fingerprint;
use crate::words::{Fingerprint, NewJob, TargetRequest, Timestamp, Trigger};

/// The job for a request, due now.
///
/// # Errors
/// The request cannot be written as JSON.
pub fn target_job(
    kind: &str,
    request: &TargetRequest,
    (trigger, trace): (Trigger, Option<String>),
    now: Timestamp,
) -> Result<NewJob, serde_json::Error> {
    let args = serde_json::to_string(request)?;
    Ok(NewJob {
        kind: kind.to_owned(),
        key: request.key(),
        fingerprint: fingerprint(args.as_bytes()),
        args,
        due_at: now,
        trigger,
        trace,
    })
}

/// Digest of what an endpoint is sent for an entity of this source. `starts`: how often everything was to be resent.
#[must_use]
pub fn sent_fingerprint(source: &str, body: &str, starts: u32) -> Fingerprint {
    fingerprint(format!("{source}\n{starts}\n{body}").as_bytes())
}
