//! Bitbucket Cloud: <https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/>.

use super::{Id, Received, Understood, key_of};

pub(super) fn read(received: &Received<'_>) -> Understood {
    Understood {
        id: Id::or_content(received.header("x-request-uuid")),
        event: received.header("x-event-key"),
        key: key_of("repository", received.document.text(&["repository", "uuid"])),
    }
}
