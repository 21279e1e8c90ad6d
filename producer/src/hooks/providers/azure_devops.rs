//! Azure DevOps: <https://learn.microsoft.com/azure/devops/service-hooks/events>.

use super::{Id, Received, Understood, key_of};

pub(super) fn read(received: &Received<'_>) -> Understood {
    let document = received.document;
    let repository = key_of("repository", document.text(&["resource", "repository", "id"]));
    let project = || key_of("project", document.text(&["resourceContainers", "project", "id"]));
    Understood {
        id: Id::or_content(document.text(&["id"])),
        event: document.text(&["eventType"]),
        key: if repository.is_empty() { project() } else { repository },
    }
}
