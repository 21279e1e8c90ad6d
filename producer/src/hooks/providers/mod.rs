//! Interprets providers' webhooks: id, topic, and subject. One file per provider.

mod azure_devops;
mod bitbucket;
mod gerrit;
mod github;
mod gitlab;
mod openchoreo;
mod own;
mod standard;
mod terraform;

use axum::http::HeaderMap;
use tideline_config::hooks::HookProvider;

use super::document::Document;

/// A webhook as it was received and verified.
pub(super) struct Received<'r> {
    pub(super) headers: &'r HeaderMap,
    pub(super) document: &'r Document<'r>,
    /// `id_header` of the hook.
    pub(super) id_header: Option<&'r str>,
}

impl Received<'_> {
    fn header(&self, name: &str) -> Option<String> {
        super::scheme::header(self.headers, name).map(str::to_owned)
    }
}

/// What it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Understood {
    pub(super) id: Id,
    /// The provider's name for it, with which the topic ends.
    pub(super) event: Option<String>,
    /// Its subject.
    pub(super) key: String,
}

/// How deliveries are distinguished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Id {
    /// The provider's own id.
    Given(String),
    /// The provider gives none: its content.
    #[default]
    Content,
    /// The provider gives none, and sends the same content for another event.
    Each,
}

impl Id {
    fn or_content(given: Option<String>) -> Self {
        given.map_or(Self::Content, Self::Given)
    }
}

/// A key of two words, `repository/42`; empty if there is no second one.
fn key_of(kind: &str, id: Option<String>) -> String {
    id.map_or_else(String::new, |id| format!("{kind}/{id}"))
}

/// Reads a webhook of a provider.
pub(super) fn read(provider: HookProvider, received: &Received<'_>) -> Understood {
    match provider {
        HookProvider::Github => github::read(received),
        HookProvider::Gitlab => gitlab::read(received),
        HookProvider::Bitbucket => bitbucket::read(received),
        HookProvider::AzureDevops => azure_devops::read(received),
        HookProvider::Gerrit => gerrit::read(received),
        HookProvider::Terraform => terraform::read(received),
        HookProvider::Openchoreo => openchoreo::read(received),
        HookProvider::Standard => standard::read(received),
        HookProvider::Hmac | HookProvider::Token => own::read(received),
    }
}

#[cfg(test)]
mod tests;
