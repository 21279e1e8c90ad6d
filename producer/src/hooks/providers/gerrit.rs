//! Gerrit's webhooks plugin sends stream events:
//! <https://gerrit-review.googlesource.com/Documentation/cmd-stream-events.html>. They have no id, but a moment.

use super::{Id, Received, Understood, key_of};

pub(super) fn read(received: &Received<'_>) -> Understood {
    let document = received.document;
    let project = [
        &["refUpdate", "project"][..],
        &["change", "project"],
        &["project", "name"],
        &["project"],
        &["projectName"],
    ]
    .into_iter()
    .find_map(|path| document.text(path));
    Understood {
        id: Id::Content,
        event: document.text(&["type"]),
        key: key_of("project", project),
    }
}
