//! GitLab: <https://docs.gitlab.com/user/project/integrations/webhooks/>. `Idempotency-Key` is the same for each try;
//! the UUID of the event is shared by events that one of them caused, so it is not an id.

use super::{Id, Received, Understood, key_of};

pub(super) fn read(received: &Received<'_>) -> Understood {
    let document = received.document;
    let group = || key_of("group", document.text(&["group_id"]));
    let key = key_of(
        "project",
        document
            .text(&["project", "id"])
            .or_else(|| document.text(&["project_id"])),
    );
    Understood {
        id: Id::or_content(received.header("idempotency-key")),
        event: document
            .text(&["object_kind"])
            .or_else(|| document.text(&["event_name"]))
            .or_else(|| received.header("x-gitlab-event")),
        key: if key.is_empty() { group() } else { key },
    }
}
