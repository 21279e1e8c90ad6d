use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::words::SourceId;
use tideline_store::Store;

use crate::handler::HandlerError;
use crate::source::{ErrorClass, SourceError};

/// Handles a failed read: if the source named a time, it is held back for the whole fleet.
pub(crate) async fn failed(store: &dyn Store, clock: &dyn Clock, source: SourceId, error: SourceError) -> HandlerError {
    let message = full_text(&error);
    match error.class {
        ErrorClass::Transient {
            retry_after: Some(wait),
        } => {
            let until = clock.now().plus(wait);
            match store.hold_back(source, until).await {
                Ok(()) => HandlerError::Transient {
                    message,
                    not_before: Some(until),
                },
                Err(error) => error.into(),
            }
        }
        ErrorClass::Transient { retry_after: None } | ErrorClass::CursorExpired => HandlerError::Transient {
            message,
            not_before: None,
        },
        ErrorClass::Permanent => HandlerError::Permanent(message),
        ErrorClass::Config => match store.block_source(source, &message).await {
            Ok(()) => HandlerError::Permanent(message),
            Err(error) => error.into(),
        },
    }
}
