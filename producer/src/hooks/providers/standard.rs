//! Standard Webhooks: `webhook-id` is the same for each try; `type` of the body is the event by its recommendation.

use super::{Id, Received, Understood};

pub(super) fn read(received: &Received<'_>) -> Understood {
    Understood {
        id: Id::or_content(received.header("webhook-id")),
        event: received.document.text(&["type"]),
        key: received.document.text(&["data", "id"]).unwrap_or_default(),
    }
}
