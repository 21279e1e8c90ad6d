//! The `push` source: nothing to read. Other programs write its entities through the API.

use async_trait::async_trait;

use crate::source::{ErrorClass, Page, PageRequest, Source, SourceError};

/// See the module.
pub(super) struct PushSource;

#[async_trait]
impl Source for PushSource {
    async fn read_page(&self, _: PageRequest<'_>) -> Result<Page, SourceError> {
        let why = "a source of type push is not read; other programs write its entities";
        Err(SourceError::new(ErrorClass::Config, why))
    }
}
