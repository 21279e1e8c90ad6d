//! Credentials: bearer, basic (RFC 7617), a header of the API's own; and tokens that are fetched, only once for all
//! waiting requests: OAuth 2.0 client credentials (RFC 6749, section 4.4), a GitHub App's installation, a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tideline_config::settings::{Auth, TokenEndpoint};
use tideline_core::words::Secret;
use tideline_core::words::Timestamp;
use tokio::sync::Mutex;
use url::Url;

use super::super::redact::Redactor;
use super::github_app::GithubApp;

/// How long before its expiry a token is renewed (but not before half its lifetime).
pub(super) const MARGIN: Duration = Duration::from_secs(30);

/// Default lifetime of a token, if the response does not tell (RFC 6749, section 5.1, leaves it open).
const DEFAULT_LIFE: Duration = Duration::from_secs(300);

/// How long a token from a file is used before the file is read again.
const FILE_LIFE: Duration = Duration::from_secs(30);

/// Authenticates requests.
pub(super) enum Credential {
    None,
    Fixed(HeaderName, HeaderValue),
    /// A token that is fetched, kept and renewed.
    Fetched(Box<Tokens>),
}

/// The source of tokens, and the current one.
pub(super) struct Tokens {
    pub(super) origin: Origin,
    /// Locked while a token is fetched: concurrent requests wait for that token.
    pub(super) token: Mutex<Slot>,
}

/// Where tokens come from.
pub(super) enum Origin {
    Client(ClientCredentials),
    App(GithubApp),
    File(PathBuf),
}

/// OAuth 2.0 client credentials.
pub(super) struct ClientCredentials {
    tokens: TokenEndpoint,
    client_id: String,
    client_secret: Secret,
    scope: Option<String>,
    audience: Option<String>,
}

/// The current token.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) token: Option<Token>,
    /// The token endpoint, once discovered.
    pub(super) endpoint: Option<Url>,
    /// The server takes the client's credentials in the body only.
    pub(super) in_body: bool,
}

/// An access token.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: Secret,
    pub(super) renew_at: Timestamp,
}

/// RFC 6749, section 5.1.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
}

impl Credential {
    /// From the settings.
    ///
    /// # Errors
    /// Names the key whose value is not allowed in a header; never the value.
    pub(super) fn new(auth: &Auth, redactor: &Redactor) -> Result<Self, (String, String)> {
        let header =
            |key: &str, text: String| sensitive(&text).ok_or_else(|| (key.to_owned(), NOT_A_HEADER.to_owned()));
        Ok(match auth {
            Auth::None => Self::None,
            Auth::Bearer(token) => {
                redactor.add(token.reveal());
                Self::Fixed(
                    AUTHORIZATION,
                    header("auth.token", format!("Bearer {}", token.reveal()))?,
                )
            }
            Auth::Basic { username, password } => {
                let pair = STANDARD.encode(format!("{username}:{}", password.reveal()));
                redactor.add(password.reveal());
                redactor.add(&pair);
                Self::Fixed(AUTHORIZATION, header("auth", format!("Basic {pair}"))?)
            }
            Auth::Header { name, value } => {
                redactor.add(value.reveal());
                let name = HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| ("auth.name".to_owned(), "is not a header's name".to_owned()))?;
                Self::Fixed(name, header("auth.value", value.reveal().to_owned())?)
            }
            Auth::ClientCredentials {
                tokens,
                client_id,
                client_secret,
                scope,
                audience,
            } => {
                redactor.add(client_secret.reveal());
                Self::fetched(Origin::Client(ClientCredentials {
                    tokens: tokens.clone(),
                    client_id: client_id.clone(),
                    client_secret: client_secret.clone(),
                    scope: scope.clone(),
                    audience: audience.clone(),
                }))
            }
            Auth::File(path) => Self::fetched(Origin::File(path.clone())),
            Auth::GithubApp(app) => Self::fetched(Origin::App(GithubApp::new(app)?)),
        })
    }

    fn fetched(origin: Origin) -> Self {
        Self::Fetched(Box::new(Tokens {
            origin,
            token: Mutex::new(Slot::default()),
        }))
    }
}

/// What of the credentials cannot be used: the key of the settings, and why.
pub(super) fn check(auth: &Auth) -> Option<(String, String)> {
    match auth {
        Auth::GithubApp(app) => GithubApp::new(app).err(),
        _ => None,
    }
}

/// The token in a file.
///
/// # Errors
/// It has no valid token; shows nothing of the file.
pub(super) fn read_token_file(path: &Path, now: Timestamp) -> Result<Token, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("auth.file {shown} cannot be read: {error}"))?;
    let text = text.trim();
    if text.is_empty() || sensitive(text).is_none() {
        return Err(format!("auth.file {shown} is empty or {NOT_A_HEADER}"));
    }
    Ok(Token {
        text: Secret::new(text),
        renew_at: now.plus(FILE_LIFE),
    })
}

/// Identifies the credentials and headers without revealing secrets: their purpose, and 32 bits of a hash of each.
pub(super) fn identity(auth: &Auth, headers: &BTreeMap<String, Secret>) -> String {
    let headers = headers.iter().map(|(name, value)| format!("\n{name} {}", short(value)));
    credential(auth) + &headers.collect::<String>()
}

fn short(secret: &Secret) -> String {
    let digest = Sha256::digest(format!("tideline credential {}", secret.reveal()).as_bytes());
    hex::encode(&digest[..4])
}

fn credential(auth: &Auth) -> String {
    match auth {
        Auth::None => "none".to_owned(),
        Auth::Bearer(token) => format!("bearer {}", short(token)),
        Auth::Basic { username, password } => format!("basic {username} {}", short(password)),
        Auth::Header { name, value } => format!("header {name} {}", short(value)),
        Auth::ClientCredentials {
            client_id,
            scope,
            audience,
            ..
        } => format!("client {client_id} {scope:?} {audience:?}"),
        Auth::File(path) => format!("file {}", path.display()),
        Auth::GithubApp(app) => format!("github app {} {:?}", app.id, app.installation),
    }
}

pub(super) const NOT_A_HEADER: &str = "has characters that cannot stand in a header";

/// A sensitive header value, which no log prints.
pub(super) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl ClientCredentials {
    /// The token endpoint, or else the discovery document that names it.
    pub(super) fn endpoint(&self, known: Option<&Url>) -> Result<Url, Url> {
        match (&self.tokens, known) {
            (TokenEndpoint::Url(url), _) => Ok(url.clone()),
            (TokenEndpoint::Issuer(_), Some(known)) => Ok(known.clone()),
            (TokenEndpoint::Issuer(issuer), None) => {
                let mut url = issuer.clone();
                let path = format!(
                    "{}/.well-known/openid-configuration",
                    issuer.path().trim_end_matches('/')
                );
                url.set_path(&path);
                Err(url)
            }
        }
    }

    /// The body of a token request, and its `Authorization` (section 2.3.1), if it goes there.
    pub(super) fn request(&self, in_body: bool) -> (String, Option<HeaderValue>) {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = &self.scope {
            form.append_pair("scope", scope);
        }
        if let Some(audience) = &self.audience {
            form.append_pair("audience", audience);
        }
        if in_body {
            form.append_pair("client_id", &self.client_id);
            form.append_pair("client_secret", self.client_secret.reveal());
            return (form.finish(), None);
        }
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(&self.client_id), encode(self.client_secret.reveal()));
        let value = sensitive(&format!("Basic {}", STANDARD.encode(pair)));
        (form.finish(), value)
    }
}

/// The token endpoint that a discovery document at this address names.
///
/// # Errors
/// Says what is wrong with it. An endpoint on another host is not used: the configuration has not named that host.
pub(super) fn read_discovery(body: &[u8], at: &Url) -> Result<Url, String> {
    let document: serde_json::Value =
        serde_json::from_slice(body).map_err(|_| "its answer is not a discovery document".to_owned())?;
    let endpoint = document["token_endpoint"]
        .as_str()
        .and_then(|text| Url::parse(text).ok());
    let endpoint = endpoint.ok_or("its discovery document names no token_endpoint")?;
    if endpoint.origin() != at.origin() {
        return Err(format!(
            "its discovery document names a token_endpoint on another host ({}); if that is right, write it as auth.oauth2.token_url",
            endpoint.host_str().unwrap_or_default()
        ));
    }
    Ok(endpoint)
}

/// The token in a response of the token endpoint.
///
/// # Errors
/// Says what is missing; shows nothing of the answer.
pub(super) fn read_token(body: &[u8], now: Timestamp) -> Result<Token, String> {
    let answer: TokenAnswer =
        serde_json::from_slice(body).map_err(|_| "its answer is not JSON with an access_token".to_owned())?;
    if let Some(kind) = answer.token_type
        && !kind.eq_ignore_ascii_case("bearer")
    {
        return Err("the token it gives is not of type Bearer".to_owned());
    }
    if sensitive(&answer.access_token).is_none() || answer.access_token.is_empty() {
        return Err(format!("the token it gives {NOT_A_HEADER}"));
    }
    let seconds = match &answer.expires_in {
        Some(serde_json::Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_u64(),
        None => None,
    };
    let life = seconds.map_or(DEFAULT_LIFE, Duration::from_secs);
    Ok(Token {
        text: Secret::new(answer.access_token),
        renew_at: now.plus(life.saturating_sub(MARGIN).max(life / 2)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_before_it_expires() {
        let renew = |body: &str| read_token(body.as_bytes(), Timestamp(0)).unwrap().renew_at.0;
        assert_eq!(
            renew(r#"{"access_token":"x","token_type":"bearer","expires_in":3600}"#),
            3_570_000
        );
        assert_eq!(renew(r#"{"access_token":"x","expires_in":"20"}"#), 10_000);
        assert_eq!(renew(r#"{"access_token":"x"}"#), 270_000);
        assert_eq!(renew(r#"{"access_token":"x","expires_in":0}"#), 0);
    }

    #[test]
    fn a_discovery_document_names_an_endpoint_on_its_own_host_only() {
        let at: Url = "https://k.example/realms/a/.well-known/openid-configuration"
            .parse()
            .unwrap();
        let read = |endpoint: &str| read_discovery(format!(r#"{{"token_endpoint":"{endpoint}"}}"#).as_bytes(), &at);
        assert_eq!(read("https://k.example/t").unwrap().path(), "/t");
        assert!(read("http://169.254.169.254/t").unwrap_err().contains("token_url"));
        assert!(read_discovery(b"<html>", &at).is_err() && read("").is_err());
    }

    #[test]
    fn an_answer_without_a_usable_token_is_refused_without_showing_it() {
        for body in [
            "",
            "<html>hush",
            r#"{"access_token":"hush","token_type":"mac"}"#,
            r#"{"access_token":"hush\n"}"#,
        ] {
            let Err(error) = read_token(body.as_bytes(), Timestamp(0)) else {
                panic!("{body}")
            };
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn identities_tell_credentials_and_headers_apart_and_tell_no_secret() {
        let identities =
            ["one-token", "another"].map(|token| identity(&Auth::Bearer(Secret::new(token)), &BTreeMap::new()));
        assert_ne!(identities[0], identities[1]);
        assert!(!identities[0].contains("one-token"));
        let tenants = ["red", "blue"].map(|tenant| {
            let headers = BTreeMap::from([("X-Tenant".to_owned(), Secret::new(tenant))]);
            identity(&Auth::None, &headers)
        });
        assert_ne!(tenants[0], tenants[1]);
        assert!(!tenants[0].contains("red"));
    }
}
