//! The seam to the sessions of people who are signed in to the dashboard.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tideline_core::words::{Fingerprint, Timestamp};

use super::StoreError;

/// A signed-in person. A session grants nothing by itself: it stands for the token it was opened with, and ends with
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the session's id, which only the browser has.
    pub hash: Fingerprint,
    /// Public part of the API token; none: the token is the one of the process's environment, or there is a person.
    pub token_id: Option<String>,
    /// SHA-256 of the whole token; of a person's issuer and subject.
    pub token_hash: Fingerprint,
    /// Who signed in at an OpenID provider.
    pub person: Option<Person>,
    /// Since when.
    pub opened_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A person who signed in at an OpenID provider, as the provider described them at the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The provider.
    pub issuer: String,
    /// Who they are there: unique and never reassigned.
    pub subject: String,
    /// For people, and for the audit log.
    pub name: String,
    /// Which decide the role.
    pub groups: Vec<String>,
}

/// Sessions of the dashboard.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Somebody signed in. Sessions that are over go, and so do all but the newest [`Session::MAX_PER_TOKEN`] of the
    /// token.
    async fn open_session(&self, session: &Session) -> Result<(), StoreError>;

    /// The session, if it has not expired.
    async fn find_session(&self, hash: Fingerprint, now: Timestamp) -> Result<Option<Session>, StoreError>;

    /// Ends a session on sign-out; does nothing if it does not exist.
    async fn end_session(&self, hash: Fingerprint) -> Result<(), StoreError>;
}

impl Session {
    /// Sessions of one token at a time.
    pub const MAX_PER_TOKEN: u32 = 100;
}
