//! A nats-server in operator mode: who may connect is said by signed tokens, not by its configuration.
//! <https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt>

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// An operator with an account that may use JetStream.
pub struct Operator {
    operator: KeyPair,
    system: KeyPair,
    account: KeyPair,
}

impl Operator {
    /// A new one.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "each one has other keys")]
    pub fn new() -> Self {
        Self {
            operator: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            account: KeyPair::new_account(),
        }
    }

    /// What a nats-server of this operator is configured with.
    ///
    /// # Errors
    /// A token cannot be signed.
    pub fn config(&self) -> Result<String> {
        let system = self.system.public_key();
        let operator = json!({ "type": "operator", "version": 2, "system_account": system });
        let operator = token(&self.operator, &self.operator.public_key(), operator)?;
        let tokens = [(&self.system, 0), (&self.account, -1)].map(|(account, storage)| {
            let key = account.public_key();
            Ok(format!(
                "{key}: {}",
                token(&self.operator, &key, account_claims(storage))?
            ))
        });
        let tokens = tokens.into_iter().collect::<Result<Vec<_>>>()?.join("\n");
        Ok(format!(
            "operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload: {{\n{tokens}\n}}\n"
        ))
    }

    /// The text of a credentials file for a new user of the account.
    ///
    /// # Errors
    /// A token cannot be signed.
    pub fn credentials(&self) -> Result<String> {
        let user = KeyPair::new_user();
        let none = json!({});
        let claims = json!({
            "type": "user", "version": 2, "pub": none, "sub": none, "subs": -1, "data": -1, "payload": -1,
        });
        let token = token(&self.account, &user.public_key(), claims)?;
        let seed = user.seed()?;
        Ok(format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        ))
    }
}

/// `storage`: bytes of JetStream; -1 for as many as there are.
fn account_claims(storage: i64) -> Value {
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": storage, "disk_storage": storage, "streams": -1, "consumer": -1,
    });
    json!({ "type": "account", "version": 2, "limits": limits, "default_permissions": { "pub": {}, "sub": {} } })
}

fn token(issuer: &KeyPair, subject: &str, claims: Value) -> Result<String> {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(&json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
    let body = encode(&json!({
        "jti": subject, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": subject, "sub": subject, "nats": claims,
    }));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(format!("{header}.{body}").as_bytes())?);
    Ok(format!("{header}.{body}.{signature}"))
}
