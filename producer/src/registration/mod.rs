//! Registers hooks at the providers that send webhooks: makes or mends the webhook there, lists, verifies and removes
//! it. A webhook is Tideline's own if it has the hook's URL, so that registering twice is registering once.
//!
//! The secret must be known to the running gateway before: HCP Terraform sends a signed verification while a
//! configuration is created, and creates it only if that is answered with success.

mod client;
mod github;
mod site;
mod terraform;

use async_trait::async_trait;
use serde::Serialize;
use tideline_core::words::Secret;
use url::Url;

pub use self::client::{Access, RegistrationError};
pub use self::github::{Github, GithubTarget};
pub use self::site::{Site, address};
pub use self::terraform::{Terraform, TerraformTarget};

/// Where webhooks go, and what they are signed with.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The public address of the hook: `https://HOST/hooks/NAME`.
    pub url: Url,
    /// The hook's secret.
    pub secret: Secret,
}

/// Something at a provider that has webhooks of its own: a repository, a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// For people: `workspace prod-net`.
    pub name: String,
    /// Path of its webhooks.
    path: String,
}

/// A webhook at a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// Where it is: `workspace prod-net`.
    pub place: String,
    /// The provider's id.
    pub id: String,
    /// Whether it is sent.
    pub enabled: bool,
    /// What it tells of.
    pub events: Vec<String>,
    /// The status of the latest delivery, if the provider reports it.
    pub last: Option<String>,
    /// What was done to it.
    pub outcome: &'static str,
    /// Why what it sends does not arrive, or not all of it.
    pub problems: Vec<String>,
}

/// A webhook, as its provider has it.
struct Remote {
    id: String,
    url: String,
    enabled: bool,
    events: Vec<String>,
    last: Option<String>,
    /// What a registration would change about it, except whether it is enabled.
    problems: Vec<String>,
}

/// A provider that lets webhooks be registered.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The places that were asked for.
    ///
    /// # Errors
    /// There is none, or the provider does not show it.
    async fn places(&self) -> Result<Vec<Place>, RegistrationError>;
    /// All webhooks of a place.
    #[doc(hidden)]
    async fn list(&self, place: &Place) -> Result<Remotes, RegistrationError>;
    /// Makes one.
    #[doc(hidden)]
    async fn create(&self, place: &Place, endpoint: &Endpoint) -> Result<Remotes, RegistrationError>;
    /// Makes one what [`Provider::create`] would.
    #[doc(hidden)]
    async fn update(&self, place: &Place, id: &str, endpoint: &Endpoint) -> Result<Remotes, RegistrationError>;
    /// Has the provider send a test to it, and returns the outcome.
    #[doc(hidden)]
    async fn verify(&self, place: &Place, id: &str) -> Result<String, RegistrationError>;
    /// Removes one.
    #[doc(hidden)]
    async fn remove(&self, place: &Place, id: &str) -> Result<(), RegistrationError>;
}

/// Webhooks of a place.
pub struct Remotes(Vec<Remote>);

/// Makes or mends the webhook of every place. One place that fails does not keep the others from being done.
///
/// # Errors
/// The places are not found.
pub async fn register(
    provider: &dyn Provider,
    endpoint: &Endpoint,
) -> Result<Vec<Result<Registered, RegistrationError>>, RegistrationError> {
    let mut done = Vec::new();
    for place in provider.places().await? {
        done.push(
            register_at(provider, &place, endpoint)
                .await
                .map_err(|error| error.at(&place.name)),
        );
    }
    Ok(done)
}

async fn register_at(
    provider: &dyn Provider,
    place: &Place,
    endpoint: &Endpoint,
) -> Result<Registered, RegistrationError> {
    let own = own(provider, place, endpoint).await?;
    let (made, outcome) = match own.first() {
        // The secret cannot be read back, so it is always written.
        Some(found) => (provider.update(place, &found.id, endpoint).await?, "updated"),
        None => (provider.create(place, endpoint).await?, "created"),
    };
    let made = made.0.into_iter().next();
    made.map(|remote| remote.into_registered(place, outcome))
        .ok_or_else(|| RegistrationError::wrong("the provider's response does not contain the webhook".to_owned()))
}

/// The webhooks with the hook's URL.
///
/// # Errors
/// The provider's.
pub async fn list(provider: &dyn Provider, endpoint: &Endpoint) -> Result<Vec<Registered>, RegistrationError> {
    let mut all = Vec::new();
    for place in provider.places().await? {
        let own = own(provider, &place, endpoint)
            .await
            .map_err(|error| error.at(&place.name))?;
        all.extend(own.into_iter().map(|remote| remote.into_registered(&place, "found")));
    }
    Ok(all)
}

/// Has the provider send something to each of them. One that is not as [`register`] makes it says so in its problems.
///
/// # Errors
/// The provider's.
pub async fn verify(provider: &dyn Provider, endpoint: &Endpoint) -> Result<Vec<Registered>, RegistrationError> {
    let mut all = Vec::new();
    for place in provider.places().await? {
        for remote in own(provider, &place, endpoint)
            .await
            .map_err(|error| error.at(&place.name))?
        {
            let last = provider
                .verify(&place, &remote.id)
                .await
                .map_err(|error| error.at(&place.name))?;
            let registered = remote.into_registered(&place, "verified");
            all.push(Registered {
                last: Some(last),
                ..registered
            });
        }
    }
    Ok(all)
}

/// Removes each of them.
///
/// # Errors
/// The provider's.
pub async fn remove(provider: &dyn Provider, endpoint: &Endpoint) -> Result<Vec<Registered>, RegistrationError> {
    let mut all = Vec::new();
    for place in provider.places().await? {
        for remote in own(provider, &place, endpoint)
            .await
            .map_err(|error| error.at(&place.name))?
        {
            provider
                .remove(&place, &remote.id)
                .await
                .map_err(|error| error.at(&place.name))?;
            all.push(remote.into_registered(&place, "removed"));
        }
    }
    Ok(all)
}

async fn own(provider: &dyn Provider, place: &Place, endpoint: &Endpoint) -> Result<Vec<Remote>, RegistrationError> {
    let Remotes(mut all) = provider.list(place).await?;
    all.retain(|remote| Url::parse(&remote.url).is_ok_and(|url| url == endpoint.url));
    Ok(all)
}

impl Registered {
    /// What is wrong with it and what to do, in one sentence.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        (!self.problems.is_empty()).then(|| {
            format!(
                "{}: webhook {} does not work: {}; `tideline hooks register` repairs it",
                self.place,
                self.id,
                self.problems.join(", ")
            )
        })
    }
}

impl Remote {
    fn into_registered(self, place: &Place, outcome: &'static str) -> Registered {
        let disabled = (!self.enabled).then(|| "it is disabled".to_owned());
        Registered {
            problems: disabled.into_iter().chain(self.problems).collect(),
            place: place.name.clone(),
            id: self.id,
            enabled: self.enabled,
            events: self.events,
            last: self.last,
            outcome,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
