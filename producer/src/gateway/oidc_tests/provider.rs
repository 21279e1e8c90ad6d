//! A provider of our own with a real key.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use tideline_core::clock::{Clock as _, SystemClock};
use tokio::net::TcpListener;

/// What the metadata are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Metadata {
    Right,
    /// Those of another issuer.
    Foreign,
    /// More than anybody wants to read.
    Huge,
    /// Elsewhere.
    Moved,
}

/// What it says next, and what it was asked.
pub(super) struct Provider {
    pub(super) address: String,
    key: EcdsaKeyPair,
    pub(super) metadata: Mutex<Metadata>,
    /// What the next ID token says.
    pub(super) claims: Mutex<Value>,
    /// Sent instead of what it would sign.
    pub(super) token: Mutex<Option<String>>,
    pub(super) userinfo: Mutex<Option<Value>>,
    /// The form of the last request for tokens.
    pub(super) form: Mutex<Vec<(String, String)>>,
    /// What was asked for.
    pub(super) asked: Mutex<Vec<&'static str>>,
}

impl Provider {
    pub(super) async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let provider = Arc::new(Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            key,
            metadata: Mutex::new(Metadata::Right),
            claims: Mutex::default(),
            token: Mutex::default(),
            userinfo: Mutex::default(),
            form: Mutex::default(),
            asked: Mutex::default(),
        });
        let routes = axum::Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/elsewhere", get(right_metadata))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(Arc::clone(&provider));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        provider
    }

    /// A token with this header and these claims, signed with its key.
    pub(super) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({"alg": "ES256", "kid": "k1"}), claims)
    }

    /// Claims that are all as they must be.
    pub(super) fn good(&self, nonce: &str, groups: &[&str]) -> Value {
        let now = SystemClock.now().0 / 1_000;
        json!({
            "iss": self.address, "aud": "tideline", "sub": "42", "exp": now + 300, "iat": now, "nonce": nonce,
            "preferred_username": "ana", "groups": groups,
        })
    }

    pub(super) fn count(&self, what: &str) -> usize {
        self.asked.lock().iter().filter(|asked| **asked == what).count()
    }
}

pub(super) fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

async fn metadata(State(provider): State<Arc<Provider>>) -> Response {
    provider.asked.lock().push("metadata");
    let kind = *provider.metadata.lock();
    let mut document = right_metadata(State(Arc::clone(&provider))).await.0;
    match kind {
        Metadata::Right => {}
        Metadata::Foreign => document["issuer"] = json!("https://evil.example"),
        Metadata::Huge => document["claims_supported"] = json!("x".repeat(2_000_000)),
        Metadata::Moved => return Redirect::temporary("/elsewhere").into_response(),
    }
    Json(document).into_response()
}

async fn right_metadata(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let at = &provider.address;
    Json(json!({
        "issuer": at, "authorization_endpoint": format!("{at}/authorize"), "token_endpoint": format!("{at}/token"),
        "jwks_uri": format!("{at}/keys"), "userinfo_endpoint": format!("{at}/userinfo"),
    }))
}

async fn keys(State(provider): State<Arc<Provider>>) -> Json<Value> {
    provider.asked.lock().push("keys");
    let point = provider.key.public_key().as_ref();
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let key = json!({
        "kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256", "x": part(&point[1..33]), "y": part(&point[33..]),
    });
    // The others are of unsupported kinds.
    Json(json!({"keys": [{"kty": "EC", "crv": "secp256k1", "kid": "k0"}, {"kty": "odd"}, key]}))
}

async fn token(State(provider): State<Arc<Provider>>, form: String) -> Json<Value> {
    provider.asked.lock().push("token");
    *provider.form.lock() = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let given = provider.token.lock().clone();
    let id_token = given.unwrap_or_else(|| provider.sign(&provider.claims.lock()));
    Json(json!({"access_token": "a", "token_type": "Bearer", "id_token": id_token}))
}

async fn userinfo(State(provider): State<Arc<Provider>>) -> Json<Value> {
    provider.asked.lock().push("userinfo");
    Json(provider.userinfo.lock().clone().unwrap_or_else(|| json!({"sub": "42"})))
}
