//! Authentication as a GitHub App: a JSON Web Token signed with the App's private key (RS256, RFC 7518 section 3.3)
//! buys a token of the installation, which lives an hour. GitHub's documentation: "Generating a JSON Web Token (JWT)
//! for a GitHub App".

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;
use tideline_config::settings::{GithubAppSettings, PrivateKey};
use tideline_core::words::{Secret, Timestamp};

use super::auth::{MARGIN, NOT_A_HEADER, Token, sensitive};

/// GitHub's clock may be behind ours: the token is made out for a minute ago.
const SKEW_SECONDS: i64 = 60;
/// Ten minutes are allowed.
const LIFE_SECONDS: i64 = 9 * 60;

/// An App with its key.
pub(super) struct GithubApp {
    id: String,
    /// None: the only one that the App has.
    pub(super) installation: Option<u64>,
    key: RsaKeyPair,
}

/// An installation, of `GET /app/installations`.
#[derive(Deserialize)]
struct Installation {
    id: u64,
}

/// The answer of `POST /app/installations/{id}/access_tokens`.
#[derive(Deserialize)]
struct InstallationToken {
    token: String,
}

impl GithubApp {
    /// Reads the key.
    ///
    /// # Errors
    /// The key of the settings, and why it is of no use; never what it says.
    pub(super) fn new(settings: &GithubAppSettings) -> Result<Self, (String, String)> {
        let (at, pem) = match &settings.private_key {
            PrivateKey::Text(pem) => ("private_key", pem.reveal().as_bytes().to_vec()),
            PrivateKey::File(path) => {
                let pem = std::fs::read(path).map_err(|error| {
                    let why = format!("cannot be read: {}: {error}", path.display());
                    ("auth.github_app.private_key_file".to_owned(), why)
                })?;
                ("private_key_file", pem)
            }
        };
        let key = read_key(&pem).map_err(|why| (format!("auth.github_app.{at}"), why))?;
        Ok(Self {
            id: settings.id.clone(),
            installation: settings.installation,
            key,
        })
    }

    /// A token that says that this is the App, good for some minutes.
    pub(super) fn jwt(&self, now: Timestamp) -> Result<String, String> {
        let seconds = now.0.div_euclid(1_000);
        let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = encode(json!({ "alg": "RS256", "typ": "JWT" }));
        let claims = encode(json!({
            "iat": seconds - SKEW_SECONDS,
            "exp": seconds + LIFE_SECONDS,
            "iss": self.id,
        }));
        let message = format!("{header}.{claims}");
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message.as_bytes(),
                &mut signature,
            )
            .map_err(|_| "the App's token cannot be signed".to_owned())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn read_key(pem: &[u8]) -> Result<RsaKeyPair, String> {
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        "is not a private key in PEM: it must start with -----BEGIN RSA PRIVATE KEY-----, as the file that GitHub \
         generates for the App does"
            .to_owned()
    })?;
    let read = match &key {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        _ => return Err("is a private key of another kind: GitHub Apps use RSA keys".to_owned()),
    };
    read.map_err(|error| format!("is not a usable RSA private key ({error})"))
}

/// The ids in the list of installations. None: it is not such a list.
pub(super) fn installation_ids(body: &[u8]) -> Option<Vec<u64>> {
    let found: Vec<Installation> = serde_json::from_slice(body).ok()?;
    Some(found.into_iter().map(|installation| installation.id).collect())
}

/// The token in an answer.
///
/// # Errors
/// There is none that can be sent; shows nothing of the answer.
pub(super) fn read_installation_token(body: &[u8], now: Timestamp) -> Result<Token, String> {
    let answer: InstallationToken =
        serde_json::from_slice(body).map_err(|_| "its answer is not JSON with a token".to_owned())?;
    if answer.token.is_empty() || sensitive(&answer.token).is_none() {
        return Err(format!("the token it gives {NOT_A_HEADER}"));
    }
    // `expires_at` is by GitHub's clock; its documentation says an hour.
    let life = Duration::from_secs(3_600);
    Ok(Token {
        text: Secret::new(answer.token),
        renew_at: now.plus(life.saturating_sub(MARGIN * 10)),
    })
}
