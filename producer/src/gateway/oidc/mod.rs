//! Signing in at an OpenID provider (OpenID Connect Core 1.0, authorization code with PKCE, RFC 7636). The state of a
//! sign-in is in a cookie of the browser that began it, so that any producer can complete it; a code issued to another
//! browser is refused. A person's role follows from their groups, according to the current configuration.

mod cache;
mod issuer;
mod pending;
mod routes;
mod verify;

use std::sync::Arc;

use oauth2::basic::{BasicErrorResponse, BasicTokenType};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, ExtraTokenFields, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tideline_config::oidc::OidcSettings;
use tideline_core::clock::Clock;
use tideline_core::words::{Actor, ActorKind};
use tideline_store::Person;
use tokio::sync::Semaphore;
use url::Url;

pub(super) use self::routes::router;

use self::issuer::{CallError, Issuer, Metadata};
use self::pending::Pending;
use crate::api::{Principal, SourceScope};
use crate::secrets::is_same;

/// Maximum length of a name, and of a text of the provider that is shown, in characters.
const MAX_NAME: usize = 100;
const MAX_TEXT: usize = 300;
/// Longest subject (OpenID Connect Core 1.0, section 2), in characters.
const MAX_SUBJECT: usize = 255;
/// Maximum number of sign-ins with concurrent requests to the provider.
const MAX_AT_A_TIME: usize = 16;

/// Why a sign-in failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// The provider does not respond, or not like an OpenID provider.
    #[error("{name} cannot be reached ({reason}); API tokens still work")]
    Unreachable {
        /// The provider.
        name: String,
        /// What went wrong.
        reason: String,
    },
    /// The sign-in was begun in another browser, too long ago, or was already completed.
    #[error("this sign-in was started in another browser, or more than ten minutes ago; sign in again")]
    Foreign,
    /// The provider refused.
    #[error("{name} refused the sign-in: {reason}")]
    Refused {
        /// The provider.
        name: String,
        /// What it said.
        reason: String,
    },
    /// The provider's statement about the person cannot be trusted.
    #[error("the response of {name} cannot be verified: {reason}")]
    Unverified {
        /// The provider.
        name: String,
        /// What does not fit.
        reason: String,
    },
    /// Too many sign-ins at a time.
    #[error("too many people are signing in right now; try again in a few seconds")]
    Busy,
    /// No group of the person has a role.
    #[error(
        "you are signed in at {name} as {person}, but none of your groups has a role here; ask your Tideline \
         administrator for one (dashboard.oidc.roles)"
    )]
    NoRole {
        /// The provider.
        name: String,
        /// Who.
        person: String,
    },
}

/// Claims of an ID token that Tideline reads; the registered ones are checked where it is verified.
#[derive(Clone, Debug, Deserialize)]
struct Claims {
    sub: String,
    nonce: Option<String>,
    azp: Option<String>,
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

/// A person who signed in, and what they may do.
struct SignedIn {
    person: Person,
    principal: Principal,
}

/// The part of a token response that OAuth does not know.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct IdTokenField {
    id_token: Option<String>,
}
impl ExtraTokenFields for IdTokenField {}

type Tokens = StandardTokenResponse<IdTokenField, BasicTokenType>;
type Client<A = oauth2::EndpointNotSet, T = oauth2::EndpointNotSet> = oauth2::Client<
    BasicErrorResponse,
    Tokens,
    oauth2::basic::BasicTokenIntrospectionResponse,
    oauth2::StandardRevocableToken,
    oauth2::basic::BasicRevocationErrorResponse,
    A,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    T,
>;

/// The provider that people sign in at.
pub(crate) struct Oidc {
    settings: OidcSettings,
    /// Where people reach this gateway, without a trailing slash.
    base: String,
    redirect: RedirectUrl,
    issuer: Issuer,
    calls: Semaphore,
}

impl Oidc {
    /// `public_url`: where people reach this gateway.
    pub(crate) fn new(settings: &OidcSettings, public_url: &Url, clock: Arc<dyn Clock>) -> Self {
        let mut base = public_url.clone();
        base.set_query(None);
        base.set_fragment(None);
        let mut redirect = base.clone();
        redirect.set_path(&format!("{}/sign-in/callback", base.path().trim_end_matches('/')));
        Self {
            issuer: Issuer::new(settings, clock),
            settings: settings.clone(),
            base: base.as_str().trim_end_matches('/').to_owned(),
            redirect: RedirectUrl::from_url(redirect),
            calls: Semaphore::new(MAX_AT_A_TIME),
        }
    }

    /// People reach this gateway over TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.redirect.url().scheme() == "https"
    }

    /// Where the browser is sent to sign in, and the cookie that it keeps until it returns.
    async fn begin(&self, next: &str) -> Result<(Url, Pending), SignInError> {
        let _call = self.calls.try_acquire().map_err(|_| SignInError::Busy)?;
        let client = self.client(&*self.issuer.metadata().await?);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let nonce = CsrfToken::new_random().into_secret();
        let scopes = self.settings.scopes.iter().cloned().map(Scope::new);
        let (url, state) = client
            .authorize_url(CsrfToken::new_random)
            .add_scope(Scope::new("openid".to_owned()))
            .add_scopes(scopes)
            .add_extra_param("nonce", nonce.clone())
            .set_pkce_challenge(challenge)
            .url();
        let pending = Pending {
            state: state.into_secret(),
            nonce,
            verifier: verifier.into_secret(),
            next: next.to_owned(),
        };
        Ok((url, pending))
    }

    /// The person who returned from the provider with this query.
    async fn end(&self, pending: Option<&Pending>, query: &[(String, String)]) -> Result<SignedIn, SignInError> {
        let field = |name: &str| {
            let mut fields = query.iter().filter(|(field, _)| field == name);
            fields.next().map(|(_, value)| value.as_str())
        };
        let pending = pending
            .filter(|pending| pending.is_of(field("state").unwrap_or_default()))
            .ok_or(SignInError::Foreign)?;
        if let Some(error) = field("error") {
            return Err(self.refused(field("error_description").unwrap_or(error)));
        }
        let code = field("code").ok_or(SignInError::Foreign)?;
        let _call = self.calls.try_acquire().map_err(|_| SignInError::Busy)?;
        let claims = self.claims(code, pending).await?;
        let person = self.person(&claims);
        match self.principal(&person) {
            Some(principal) => Ok(SignedIn { person, principal }),
            None => Err(SignInError::NoRole {
                name: self.settings.name.clone(),
                person: person.name,
            }),
        }
    }

    /// The provider's claims about the person behind this code.
    async fn claims(&self, code: &str, pending: &Pending) -> Result<Claims, SignInError> {
        let metadata = self.issuer.metadata().await?;
        let tokens: Tokens = self
            .client(&metadata)
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.clone()))
            .request_async(&self.issuer)
            .await
            .map_err(|error| self.exchange_failed(&error))?;
        let id_token = tokens.extra_fields().id_token.as_deref();
        let id_token = id_token.ok_or_else(|| self.unverified("it sent no ID token"))?;
        let claims: Claims = self.issuer.verify(id_token, &metadata).await?;
        let nonce = claims.nonce.as_deref().unwrap_or_default();
        if !is_same(nonce.as_bytes(), pending.nonce.as_bytes()) {
            return Err(self.unverified("the nonce does not match"));
        }
        if claims.azp.as_ref().is_some_and(|azp| *azp != self.settings.client_id) {
            return Err(self.unverified("the token was issued for another client"));
        }
        if claims.sub.is_empty() || claims.sub.chars().count() > MAX_SUBJECT {
            return Err(self.unverified("its subject is empty or too long"));
        }
        if claims.others.contains_key(&self.settings.groups_claim) {
            return Ok(claims);
        }
        self.with_userinfo(claims, &metadata, tokens.access_token().secret())
            .await
    }

    /// The current role of a person; none: they have no role, or signed in at a provider other than the configured one.
    pub(super) fn principal(&self, person: &Person) -> Option<Principal> {
        if person.issuer != self.issuer.id() {
            return None;
        }
        Some(Principal {
            actor: Actor {
                kind: ActorKind::Person,
                name: person.name.clone(),
                address: None,
                request: None,
            },
            role: self.settings.role_of(&person.groups)?,
            sources: SourceScope::All,
        })
    }

    fn client(&self, metadata: &Metadata) -> Client<oauth2::EndpointSet, oauth2::EndpointSet> {
        let client = Client::new(ClientId::new(self.settings.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint.clone()))
            .set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()))
            .set_redirect_uri(self.redirect.clone());
        let client = match metadata.wants_secret_in_body() {
            true => client.set_auth_type(AuthType::RequestBody),
            false => client,
        };
        match &self.settings.client_secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.reveal().to_owned())),
            None => client,
        }
    }

    /// Adds claims that the provider returns only in its userinfo. The ID token takes precedence.
    async fn with_userinfo(&self, mut claims: Claims, metadata: &Metadata, token: &str) -> Result<Claims, SignInError> {
        let Some(userinfo) = &metadata.userinfo_endpoint else {
            return Ok(claims);
        };
        let mut told = self.issuer.userinfo(userinfo, token).await?;
        if told.get("sub").and_then(Value::as_str) != Some(claims.sub.as_str()) {
            return Err(self.unverified("its userinfo is about another person"));
        }
        told.append(&mut claims.others);
        claims.others = told;
        Ok(claims)
    }

    fn person(&self, claims: &Claims) -> Person {
        let text = |name: &str| claims.others.get(name).and_then(Value::as_str);
        let names = ["preferred_username", "email", "name"].into_iter().filter_map(text);
        let name = names.map(str::trim).find(|name| !name.is_empty());
        let name: String = name.unwrap_or(&claims.sub).chars().take(MAX_NAME).collect();
        let groups: Vec<&str> = match claims.others.get(&self.settings.groups_claim) {
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(group)) => vec![group.as_str()],
            _ => Vec::new(),
        };
        Person {
            issuer: self.issuer.id().to_owned(),
            subject: claims.sub.clone(),
            name: name.replace(char::is_control, " "),
            groups: self.settings.named_of(&groups),
        }
    }

    fn refused(&self, reason: &str) -> SignInError {
        SignInError::Refused {
            name: self.settings.name.clone(),
            reason: reason.chars().take(MAX_TEXT).collect(),
        }
    }

    fn unverified(&self, reason: &str) -> SignInError {
        SignInError::Unverified {
            name: self.settings.name.clone(),
            reason: reason.to_owned(),
        }
    }

    fn exchange_failed(&self, error: &oauth2::RequestTokenError<CallError, BasicErrorResponse>) -> SignInError {
        use oauth2::RequestTokenError::{Other, Parse, Request, ServerResponse};
        match error {
            ServerResponse(answer) => {
                let described = answer.error_description().cloned();
                self.refused(&described.unwrap_or_else(|| answer.error().to_string()))
            }
            Request(error) => self.issuer.unreachable(error.clone()),
            Parse(..) => self.issuer.unreachable(CallError::new("its response has no tokens")),
            Other(what) => self.issuer.unreachable(CallError::new(what)),
        }
    }
}
