//! A sender that Tideline does not know: the id is in a header, the event perhaps in `type` of the body.

use super::{Id, Received, Understood};

pub(super) fn read(received: &Received<'_>) -> Understood {
    Understood {
        id: Id::or_content(received.id_header.and_then(|name| received.header(name))),
        event: received.document.text(&["type"]),
        key: String::new(),
    }
}
