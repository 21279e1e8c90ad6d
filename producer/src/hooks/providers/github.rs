//! GitHub: <https://docs.github.com/en/webhooks/webhook-events-and-payloads>. A redelivery has the id of the first
//! delivery.

use super::{Id, Received, Understood, key_of};

pub(super) fn read(received: &Received<'_>) -> Understood {
    let document = received.document;
    // Names change, numbers do not.
    let key = [
        ("repository", "repository"),
        ("organization", "organization"),
        ("installation", "installation"),
    ]
    .into_iter()
    .map(|(kind, member)| key_of(kind, document.text(&[member, "id"])))
    .find(|key| !key.is_empty());
    Understood {
        id: Id::or_content(received.header("x-github-delivery")),
        event: received.header("x-github-event"),
        key: key.unwrap_or_default(),
    }
}
