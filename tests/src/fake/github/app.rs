use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tideline_core::clock::{Clock, SystemClock};

use super::model::account;

/// The App.
pub const APP_ID: &str = "12345";
/// Its only installation.
pub const INSTALLATION: u64 = 678;
/// Its key, made for these tests.
pub const PRIVATE_KEY: &str = include_str!("app-test-key.pem");

const TIME: &str = "2026-01-02T03:04:05Z";

pub(super) fn installation(base: &str) -> Value {
    // GitHub's document allows a user or an enterprise here; this is both.
    let mut owner = account(base);
    for (key, text) in [
        ("name", "Acme"),
        ("slug", "acme"),
        ("created_at", TIME),
        ("updated_at", TIME),
    ] {
        owner[key] = json!(text);
    }
    json!({
        "id": INSTALLATION,
        "app_id": 12345,
        "app_slug": "tideline-test",
        "client_id": "Iv1.test",
        "target_id": 7,
        "target_type": "Organization",
        "single_file_name": null,
        "repository_selection": "all",
        "access_tokens_url": format!("{base}/app/installations/{INSTALLATION}/access_tokens"),
        "html_url": "https://github.example/organizations/acme/settings/installations/678",
        "repositories_url": format!("{base}/installation/repositories"),
        "events": [],
        "account": owner,
        "permissions": { "contents": "read", "metadata": "read" },
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
        "suspended_by": null,
        "suspended_at": null,
    })
}

/// Verifies the App's JSON Web Token, as GitHub does.
///
/// # Errors
/// What GitHub says.
pub(super) fn verify(authorization: &str) -> Result<(), String> {
    let wrong = || "A JSON web token could not be decoded".to_owned();
    // As RFC 9110 has it, a scheme has no case: Octokit writes `bearer`.
    let (scheme, token) = authorization.split_once(' ').ok_or_else(wrong)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(wrong());
    }
    let (message, signature) = token.rsplit_once('.').ok_or_else(wrong)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| wrong())?;
    let key = PrivatePkcs1KeyDer::from_pem_slice(PRIVATE_KEY.as_bytes()).map_err(|_| wrong())?;
    let key = RsaKeyPair::from_der(key.secret_pkcs1_der()).map_err(|_| wrong())?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public().as_ref())
        .verify(message.as_bytes(), &signature)
        .map_err(|_| wrong())?;
    let claims = message.split('.').nth(1).ok_or_else(wrong)?;
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).map_err(|_| wrong())?).map_err(|_| wrong())?;
    let now = SystemClock.now().0.div_euclid(1_000);
    let (issued, expires) = (
        claims["iat"].as_i64().unwrap_or(i64::MAX),
        claims["exp"].as_i64().unwrap_or(0),
    );
    // GitHub takes the id as a number, too.
    let issuer = claims["iss"]
        .as_str()
        .map_or_else(|| claims["iss"].to_string(), str::to_owned);
    if issuer != APP_ID {
        return Err("Integration not found".to_owned());
    }
    if issued > now {
        return Err(
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
                .to_owned(),
        );
    }
    if expires <= now || expires - issued > 600 {
        return Err("'Expiration time' claim ('exp') is too far in the future".to_owned());
    }
    Ok(())
}
