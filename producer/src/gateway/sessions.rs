//! Signing in to the dashboard with an API token, and the session that stands for the token afterwards: a random id in
//! a cookie that no script can read and that no other site sends. The store has its hash. A session grants what its
//! token grants, and ends with it. The cookie is only valid for pages, never for `/v1`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{COOKIE, HeaderValue, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use tideline_core::words::{ActorKind, Fingerprint, Role, Timestamp};
use tideline_store::{Person, Session};
use tokio::time::Instant;

use super::GatewayState;
use super::authentication::{self, Access};
use super::oidc::Oidc;
use super::requests::RequestId;
use crate::api::tokens::{hash_of, id_of};
use crate::api::{Code, Principal, Problem};
use crate::dashboard::{Door, SignedIn, leave_and_return, sign_in_page};
use crate::secrets::is_same;

/// How long a session lasts.
pub(super) const LIFE: Duration = Duration::from_secs(12 * 3_600);

/// How long a session is cached. One that another process ended stays usable for this long at most.
const REMEMBER: Duration = Duration::from_secs(5);

/// Maximum number of cached sessions.
const MAX_SESSIONS: usize = 10_000;

/// The cookie if the browser uses TLS: browsers accept such a name only from secure pages of this host.
const SECURE_COOKIE: &str = "__Host-tideline_session";
/// The cookie elsewhere.
const COOKIE_NAME: &str = "tideline_session";

/// Maximum length of a form.
const MAX_FORM: usize = 16 * 1024;

/// The holder of a session.
pub(super) struct Holder {
    /// Public part of their API token; none: the token of the process's environment, or a person.
    pub(super) token_id: Option<String>,
    /// SHA-256 of their token, or of a person's issuer and subject.
    pub(super) token_hash: Fingerprint,
    /// Who signed in at an OpenID provider.
    pub(super) person: Option<Person>,
}

/// The cache of sessions.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<Fingerprint, (Session, Instant)>>);

impl Sessions {
    fn known(&self, hash: Fingerprint, now: Timestamp) -> Option<Session> {
        let known = self.0.lock();
        let (session, read_at) = known.get(&hash)?;
        (read_at.elapsed() < REMEMBER && session.expires_at > now).then(|| session.clone())
    }

    fn remember(&self, session: Session) {
        let mut known = self.0.lock();
        if known.len() >= MAX_SESSIONS {
            known.clear();
        }
        known.insert(session.hash, (session, Instant::now()));
    }

    fn forget(&self, hash: Fingerprint) {
        self.0.lock().remove(&hash);
    }
}

/// `/sign-in` and `/sign-out`, for everybody.
pub(super) fn router(state: &Arc<GatewayState>) -> Router {
    Router::new()
        .route("/sign-in", get(ask).post(sign_in))
        .route("/sign-out", post(sign_out))
        .with_state(Arc::clone(state))
}

/// Authenticates the viewer of a page, or shows the sign-in page.
pub(super) async fn admit(State(state): State<Arc<GatewayState>>, mut request: Request, next: Next) -> Response {
    match look(&state, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal,
    }
}

/// Puts into a request who looks; else the response that shows the door.
pub(super) async fn look(state: &GatewayState, request: &mut Request) -> Result<(), Response> {
    let address = address_of(request);
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    match viewer(state, request.headers(), address).await {
        Ok((principal, signed_in)) => {
            let principal = principal.in_request(address.map(|address| address.to_string()), id);
            request.extensions_mut().insert(principal);
            request.extensions_mut().insert(SignedIn(signed_in));
            Ok(())
        }
        Err(problem) if problem.status >= 500 || problem.code == Code::TooManyAttempts => Err(problem.into_response()),
        Err(problem) => Err(refuse(request, &problem)),
    }
}

fn refuse(request: &Request, problem: &Problem) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let fetch = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if path.starts_with("/live") {
        return problem.clone().into_response();
    }
    if problem.code == Code::LocalOnly {
        return sign_in_page(&Door::default(), "/", Some(problem));
    }
    if fetch("sec-fetch-site") == Some("cross-site") && fetch("sec-fetch-mode") == Some("navigate") {
        return leave_and_return(path);
    }
    // A form is lost when its session has ended; its page is shown again.
    let page = match *request.method() {
        Method::GET | Method::HEAD => path.to_owned(),
        _ => fetch("referer").map_or_else(|| "/".to_owned(), page_of),
    };
    let next: String = url::form_urlencoded::byte_serialize(page.as_bytes()).collect();
    to(&format!("/sign-in?next={next}"), None)
}

/// The page of ours at a URL.
fn page_of(url: &str) -> String {
    let url = url::Url::parse(url).ok();
    url.map_or_else(
        || "/".to_owned(),
        |url| inside(&url[url::Position::BeforePath..url::Position::AfterQuery]),
    )
}

async fn viewer(
    state: &GatewayState,
    headers: &HeaderMap,
    address: Option<IpAddr>,
) -> Result<(Principal, bool), Problem> {
    if let Some(hash) = session_of(headers)
        && let Some(principal) = holder(state, hash).await?
    {
        return Ok((principal, true));
    }
    match authentication::principal(state, headers, address).await {
        // Everybody can sign in, so anonymous local access is refused.
        Ok(principal) if state.oidc.is_some() && principal.actor.kind == ActorKind::Local => {
            Err(Problem::new(Code::Unauthenticated, "sign in first"))
        }
        Err(problem) if state.oidc.is_some() && problem.code == Code::LocalOnly => {
            Err(Problem::new(Code::Unauthenticated, "sign in first"))
        }
        Ok(principal) => Ok((principal, false)),
        Err(problem) => Err(problem),
    }
}

/// The holder of this session; none: it or its token has expired.
async fn holder(state: &GatewayState, hash: Fingerprint) -> Result<Option<Principal>, Problem> {
    let now = state.clock.now();
    let session = match state.sessions.known(hash, now) {
        Some(session) => session,
        None => match state.api.state.store.find_session(hash, now).await? {
            Some(session) => {
                state.sessions.remember(session.clone());
                session
            }
            None => return Ok(None),
        },
    };
    if let Some(person) = &session.person {
        return Ok(state.oidc.as_ref().and_then(|oidc| oidc.principal(person)));
    }
    match &session.token_id {
        Some(id) => state.tokens.holder(id, session.token_hash).await,
        None => Ok(state.access.holder(session.token_hash)),
    }
}

async fn ask(State(state): State<Arc<GatewayState>>, request: Request) -> Response {
    let next = next_of(request.uri().query().unwrap_or_default().as_bytes());
    let tokens = state.tokens.exist().await.unwrap_or(true);
    let closed = !tokens && !matches!(state.access, Access::Token(_)) && state.oidc.is_none();
    let door = state.door();
    match viewer(&state, request.headers(), address_of(&request)).await {
        Ok(_) => to(&next, None),
        Err(problem) if closed => sign_in_page(&door, &next, Some(&problem)),
        Err(_) => sign_in_page(&door, &next, None),
    }
}

async fn sign_in(State(state): State<Arc<GatewayState>>, request: Request) -> Response {
    let address = address_of(&request);
    let secure = request.headers().get(ORIGIN);
    let secure = secure.is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let Ok(form) = axum::body::to_bytes(request.into_body(), MAX_FORM).await else {
        let problem = Problem::new(Code::BodyTooLarge, "that is no token");
        return sign_in_page(&state.door(), "/", Some(&problem));
    };
    let (next, door) = (next_of(&form), state.door());
    let token = field(&form, "token");
    match open(&state, token.trim(), address).await {
        Ok(id) => to(&next, Some(&cookie(&id, secure, LIFE))),
        Err(problem) => sign_in_page(&door, &next, Some(&problem)),
    }
}

/// Opens a session for the bearer of this token; returns its id.
async fn open(state: &GatewayState, token: &str, address: Option<IpAddr>) -> Result<String, Problem> {
    let token_hash = hash_of(token);
    let token_id = match state.access.holder(token_hash) {
        Some(_) => None,
        None => {
            let principal = state.tokens.check(token, address).await?;
            if principal.role == Role::Push {
                let detail =
                    "this token can only push entities; the dashboard requires the role read, operate or admin";
                return Err(Problem::new(Code::Forbidden, detail));
            }
            id_of(token).map(str::to_owned)
        }
    };
    let holder = Holder {
        token_id,
        token_hash,
        person: None,
    };
    begin(state, holder).await
}

/// Opens a session; returns its id, which is always new: an id that the browser had before is never adopted.
pub(super) async fn begin(state: &GatewayState, holder: Holder) -> Result<String, Problem> {
    let id = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let now = state.clock.now();
    let session = Session {
        hash: hash_of(&id),
        token_id: holder.token_id,
        token_hash: holder.token_hash,
        person: holder.person,
        opened_at: now,
        expires_at: now.plus(LIFE),
    };
    state.api.state.store.open_session(&session).await?;
    state.sessions.remember(session);
    Ok(id)
}

impl GatewayState {
    fn door(&self) -> Door {
        self.oidc.as_ref().map(Oidc::door).unwrap_or_default()
    }
}

async fn sign_out(State(state): State<Arc<GatewayState>>, request: Request) -> Response {
    if let Some(hash) = session_of(request.headers()) {
        if let Err(error) = state.api.state.store.end_session(hash).await {
            return Problem::from(error).into_response();
        }
        state.sessions.forget(hash);
    }
    let mut response = to("/sign-in", Some(&cookie("", false, Duration::ZERO)));
    if let Ok(secure) = HeaderValue::from_str(&cookie("", true, Duration::ZERO)) {
        response.headers_mut().append(SET_COOKIE, secure);
    }
    response
}

pub(super) fn cookie(id: &str, secure: bool, life: Duration) -> String {
    let (name, secure) = if secure {
        (SECURE_COOKIE, "; Secure")
    } else {
        (COOKIE_NAME, "")
    };
    format!(
        "{name}={id}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}",
        life.as_secs()
    )
}

/// The session of a request's cookie. The one that only this host can set takes precedence.
fn session_of(headers: &HeaderMap) -> Option<Fingerprint> {
    let id = cookie_of(headers, SECURE_COOKIE).or_else(|| cookie_of(headers, COOKIE_NAME));
    id.map(|id| hash_of(&id))
}

/// The cookie of this name, if it is not empty.
pub(super) fn cookie_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = cookies.flat_map(|cookies| cookies.split(';')).map(str::trim);
    cookies.find_map(|cookie| {
        let (found, value) = cookie.split_once('=')?;
        (found == name && !value.is_empty()).then(|| value.to_owned())
    })
}

pub(super) fn to(path: &str, cookie: Option<&str>) -> Response {
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response();
    if let Some(Ok(cookie)) = cookie.map(HeaderValue::from_str) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// The client's address; none: the request did not come over HTTP.
pub(crate) fn address_of(request: &Request) -> Option<IpAddr> {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    address.map(|ConnectInfo(address)| address.ip().to_canonical())
}

fn field(form: &[u8], name: &str) -> String {
    let mut fields = url::form_urlencoded::parse(form);
    fields
        .find(|(field, _)| field == name)
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

/// Where to go after signing in.
pub(super) fn next_of(form: &[u8]) -> String {
    inside(&field(form, "next"))
}

/// A page of ours, and nothing else.
pub(super) fn inside(next: &str) -> String {
    let inside =
        next.starts_with('/') && !next.starts_with("//") && !next.contains('\\') && !next.chars().any(char::is_control);
    if inside { next } else { "/" }.to_owned()
}

impl Access {
    /// The administrator, if this is the hash of the token that was configured.
    fn holder(&self, token_hash: Fingerprint) -> Option<Principal> {
        match self {
            Self::Token(token) if !token.reveal().is_empty() => {
                let same = is_same(&hash_of(token.reveal()).0, &token_hash.0);
                same.then(authentication::configured_administrator)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_pages_of_ours_only() {
        for (form, next) in [
            ("next=%2Fjobs%3Fstate%3Dparked", "/jobs?state=parked"),
            ("", "/"),
            ("next=%2F%2Fevil.example", "/"),
            ("next=https%3A%2F%2Fevil.example", "/"),
            ("next=%2F%5Cevil.example", "/"),
            ("next=%2Fx%0D%0ASet-Cookie%3A+a", "/"),
        ] {
            assert_eq!(next_of(form.as_bytes()), next, "{form}");
        }
    }

    #[test]
    fn behind_tls_the_cookie_is_secure_and_never_for_scripts_or_other_sites() {
        let plain = cookie("x", false, LIFE);
        assert_eq!(
            plain,
            "tideline_session=x; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"
        );
        let secure = cookie("x", true, LIFE);
        assert!(secure.starts_with("__Host-tideline_session=x; Path=/;") && secure.ends_with("; Secure"));
    }
}
