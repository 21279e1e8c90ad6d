//! How the `http` source proves who asks.

use std::path::PathBuf;

use tideline_core::words::Secret;

/// A GitHub App.
#[derive(Clone, Debug)]
pub struct GithubAppSettings {
    /// Its id, or its client id.
    pub id: String,
    /// The installation; none: the only one that it has.
    pub installation: Option<u64>,
    /// Its private key, in PEM.
    pub private_key: PrivateKey,
}

/// Where a private key is.
#[derive(Clone, Debug)]
pub enum PrivateKey {
    /// Here.
    Text(Secret),
    /// In a file.
    File(PathBuf),
}

/// How requests prove who asks.
#[derive(Clone, Debug)]
pub enum Auth {
    /// They do not.
    None,
    /// `Authorization: Bearer`.
    Bearer(Secret),
    /// RFC 7617.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// A header of the API's own.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: Secret,
    },
    /// A token in a file, sent as `Authorization: Bearer`; read again now and then, since others replace it.
    File(PathBuf),
    /// A GitHub App: a token of one of its installations.
    GithubApp(GithubAppSettings),
    /// OAuth 2.0 client credentials, RFC 6749 section 4.4.
    ClientCredentials {
        /// Where tokens are given out.
        tokens: TokenEndpoint,
        /// Client.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
        /// Asked for, separated by spaces.
        scope: Option<String>,
        /// Sent as `audience`, which some servers want.
        audience: Option<String>,
    },
}

/// Where tokens are given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenEndpoint {
    /// At this URL.
    Url(url::Url),
    /// At the one that this issuer names (OpenID Connect Discovery 1.0, section 4).
    Issuer(url::Url),
}
