//! Fetches tokens: of an OAuth client, of a GitHub App's installation, or from a file.

mod refusal;

use base64::Engine as _;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method};
use tideline_core::words::Secret;
use url::Url;

use self::refusal::Applicant;
use super::auth::{self, ClientCredentials, Origin, Slot, Token, Tokens};
use super::github_app::{GithubApp, installation_ids, read_installation_token};
use super::paging::HttpRequest;
use super::transport::{Answer, MAX_SMALL_BODY, Transport, address, no_token};
use crate::source::{ErrorClass, SourceError};

impl Tokens {
    /// Forgets a token that was refused, unless another one has taken its place.
    pub(super) async fn refuse(&self, used: &Secret) {
        let mut slot = self.token.lock().await;
        if slot.token.as_ref().is_some_and(|token| token.text == *used) {
            slot.token = None;
        }
    }
}

impl Transport {
    /// The current token, or a new one. Only one is fetched at a time.
    pub(super) async fn token(&self, tokens: &Tokens) -> Result<Secret, SourceError> {
        let mut slot = tokens.token.lock().await;
        if let Some(token) = &slot.token
            && self.clock.now() < token.renew_at
        {
            return Ok(token.text.clone());
        }
        let now = self.clock.now();
        let token = match &tokens.origin {
            Origin::Client(client) => self.client_token(client, &mut slot).await?,
            Origin::App(app) => self.installation_token(app).await?,
            Origin::File(path) => auth::read_token_file(path, now)
                .map_err(|why| SourceError::new(ErrorClass::Transient { retry_after: None }, why))?,
        };
        if let Some(old) = slot.token.take() {
            self.redactor.forget(old.text.reveal());
        }
        self.redactor.add(token.text.reveal());
        let text = token.text.clone();
        slot.token = Some(token);
        Ok(text)
    }

    async fn client_token(&self, client: &ClientCredentials, slot: &mut Slot) -> Result<Token, SourceError> {
        let endpoint = match client.endpoint(slot.endpoint.as_ref()) {
            Ok(endpoint) => endpoint,
            Err(discovery) => self.discover(&discovery).await?,
        };
        let mut answer = self.ask_token(client, &endpoint, slot.in_body).await?;
        if !slot.in_body && wants_body(&answer) {
            answer = self.ask_token(client, &endpoint, true).await?;
            slot.in_body = answer.status.is_success();
        }
        let shown = address(&endpoint);
        slot.endpoint = answer.status.is_success().then_some(endpoint);
        if !answer.status.is_success() {
            return Err(self.token_refused(&shown, &answer, Applicant::Client));
        }
        auth::read_token(&answer.body, self.clock.now())
            .map_err(|why| SourceError::new(ErrorClass::Permanent, format!("no token from {shown}: {why}")))
    }

    /// The token endpoint that an issuer's discovery document names.
    async fn discover(&self, discovery: &Url) -> Result<Url, SourceError> {
        let asked = HttpRequest {
            method: Method::GET,
            url: discovery.clone(),
            headers: HeaderMap::new(),
            body: None,
            hides_answer: false,
        };
        let request = self.client.get(discovery.clone()).header(ACCEPT, "application/json");
        let answer = self.receive(&asked, request, MAX_SMALL_BODY).await?;
        let shown = address(discovery);
        if !answer.status.is_success() {
            return Err(self.token_refused(&shown, &answer, Applicant::Discovery));
        }
        auth::read_discovery(&answer.body, discovery)
            .map_err(|why| SourceError::new(ErrorClass::Config, format!("no token from {shown}: {why}")))
    }

    /// Replaces the current token by a new one. `false`: tokens cannot be fetched.
    pub(super) async fn renew_token(&self) -> Result<bool, SourceError> {
        let Some(tokens) = self.tokens() else {
            return Ok(false);
        };
        tokens.token.lock().await.token = None;
        self.token(tokens).await.map(|_| true).map_err(no_token)
    }

    /// What the token says of its bearer, if it is a JSON web token (RFC 7519). It is not verified: whom it is for
    /// verifies it.
    pub(super) async fn claims(&self) -> Option<serde_json::Value> {
        let slot = self.tokens()?.token.lock().await;
        let claims = slot.token.as_ref()?.text.reveal().split('.').nth(1)?;
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).ok()?;
        serde_json::from_slice(&claims).ok()
    }

    async fn ask_token(
        &self,
        client: &ClientCredentials,
        endpoint: &Url,
        in_body: bool,
    ) -> Result<Answer, SourceError> {
        let (form, authorization) = client.request(in_body);
        let asked = HttpRequest {
            method: Method::POST,
            url: endpoint.clone(),
            headers: HeaderMap::new(),
            body: None,
            hides_answer: false,
        };
        let mut request = self
            .client
            .post(asked.url.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.receive(&asked, request, MAX_SMALL_BODY).await
    }

    /// A token of the App's installation.
    async fn installation_token(&self, app: &GithubApp) -> Result<Token, SourceError> {
        let config = |why: String| SourceError::new(ErrorClass::Config, why);
        let jwt = app.jwt(self.clock.now()).map_err(config)?;
        let installation = match app.installation {
            Some(installation) => installation,
            None => {
                let answer = self.as_app(Method::GET, "/app/installations", &jwt).await?;
                self.only_installation(&answer.body)?
            }
        };
        let path = format!("/app/installations/{installation}/access_tokens");
        let answer = self.as_app(Method::POST, &path, &jwt).await?;
        let token = read_installation_token(&answer.body, self.clock.now());
        token.map_err(|why| {
            let why = format!("no token from {}: {why}", address(&self.api(&path)));
            SourceError::new(ErrorClass::Permanent, why)
        })
    }

    /// A request that the App itself makes.
    async fn as_app(&self, method: Method, path: &str, jwt: &str) -> Result<Answer, SourceError> {
        let asked = HttpRequest {
            method,
            url: self.api(path),
            headers: HeaderMap::new(),
            body: None,
            hides_answer: false,
        };
        let mut headers = self.fixed();
        if let Some(value) = auth::sensitive(&format!("Bearer {jwt}")) {
            headers.insert(AUTHORIZATION, value);
        }
        let request = self
            .client
            .request(asked.method.clone(), asked.url.clone())
            .headers(headers);
        let answer = self.receive(&asked, request, MAX_SMALL_BODY).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(self.token_refused(&address(&asked.url), &answer, Applicant::App))
    }

    fn only_installation(&self, body: &[u8]) -> Result<u64, SourceError> {
        match installation_ids(body).as_deref() {
            Some([only]) => Ok(*only),
            Some([_, _, ..]) => {
                let why = "the App has several installations; name one in auth.github_app.installation";
                Err(SourceError::new(ErrorClass::Config, why))
            }
            // It may be installed at any time.
            Some([]) => {
                let why = "the App is not installed anywhere; install it on the organization";
                Err(SourceError::new(refusal::later(&self.rate_limit), why))
            }
            None => {
                let why = "the list of installations is not JSON";
                Err(SourceError::new(refusal::later(&self.rate_limit), why))
            }
        }
    }

    fn token_refused(&self, shown: &str, answer: &Answer, applicant: Applicant) -> SourceError {
        let parts = (answer.status, &answer.headers, &*answer.body);
        let (class, advice) = refusal::judge(parts, applicant, &self.rate_limit, self.clock.now());
        let said = self.shown(&answer.body);
        let said = match said.trim() {
            "" => String::new(),
            said => format!(": {said}"),
        };
        let text = format!("no token from {shown}: it answered {}{advice}{said}", answer.status);
        SourceError::new(class, text)
    }
}

/// The server does not take the client's credentials in the header (RFC 6749, section 5.2: `invalid_client`).
fn wants_body(answer: &Answer) -> bool {
    let says_client = |code: &str| String::from_utf8_lossy(&answer.body).contains(code);
    match answer.status.as_u16() {
        401 => true,
        400 => says_client("invalid_client") || says_client("invalid_request"),
        _ => false,
    }
}
