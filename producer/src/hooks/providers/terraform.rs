//! HCP Terraform: <https://developer.hashicorp.com/terraform/cloud-docs/api-docs/notification-configurations>. The
//! verification that it sends while a configuration is made has no workspace and no run; it is a delivery like any
//! other. Several transitions of a run may be rolled into one: the last one names the topic.

use super::{Id, Received, Understood, key_of};

pub(super) fn read(received: &Received<'_>) -> Understood {
    let document = received.document;
    let workspace = document
        .text(&["workspace_id"])
        .or_else(|| document.text(&["details", "workspace_id"]));
    Understood {
        id: Id::Content,
        event: document
            .text_of_last("notifications", "trigger")
            .or_else(|| document.text(&["trigger"])),
        key: key_of("workspace", workspace),
    }
}
