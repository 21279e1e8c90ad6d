//! The event forwarder of OpenChoreo: `{kind, name, namespace, action}`. Two updates of one thing have the same body,
//! and no id: each one counts, since a second reading costs less than a lost update.

use super::{Id, Received, Understood};

pub(super) fn read(received: &Received<'_>) -> Understood {
    let text = |member| received.document.text(&[member]);
    let (kind, action) = (text("kind").map(|kind| kind.to_lowercase()), text("action"));
    let key = text("name").map(|name| {
        let namespace = text("namespace").unwrap_or_else(|| "-".to_owned());
        format!("{}/{namespace}/{name}", kind.as_deref().unwrap_or("-"))
    });
    Understood {
        id: Id::Each,
        event: kind.zip(action).map(|(kind, action)| format!("{kind}.{action}")),
        key: key.unwrap_or_default(),
    }
}
