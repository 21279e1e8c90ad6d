//! How a webhook proves who sent it: one table, by provider. Everything is compared in constant time, over the bytes
//! received.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};
use tideline_config::hooks::{HeaderValueOf, HookAlgorithm, HookEncoding, HookProvider, HookSettings, SignedPart};
use tideline_config::secrets::signing_key;
use tideline_core::words::{Secret, Timestamp};

use crate::secrets::is_same;

/// Signatures of one webhook that are looked at: several, while its sender rotates its secret.
const MAX_SIGNATURES: usize = 20;

/// Why a webhook is not taken. Its sender learns nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No signature, or an empty one.
    Missing,
    /// It does not fit.
    Wrong,
    /// It fits, and is too old or too new.
    Late,
}

impl Refusal {
    /// For people.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Missing => "the signature is missing",
            Self::Wrong => "the signature is wrong: does the secret match the sender's?",
            Self::Late => "the timestamp is too far from the current time: are the clocks correct?",
        }
    }
}

/// What proves who sent a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Proof {
    /// An HMAC over the body, and over more if its sender wants it.
    Signature(Signature),
    /// The secret itself, in this header.
    Token(String),
    /// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
    Standard { tolerance_ms: i64 },
}

/// An HMAC in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    header: String,
    prefix: String,
    encoding: HookEncoding,
    algorithm: HookAlgorithm,
    /// What it is made over.
    signed: Vec<SignedPart>,
    /// Where the time is, and how far that may be off.
    timestamp: Option<(HeaderValueOf, i64)>,
}

/// The table. Sources: docs.github.com "Validating webhook deliveries"; docs.gitlab.com "Webhooks";
/// support.atlassian.com "Manage webhooks" (secrets); developer.hashicorp.com "Notification configurations API".
fn proof_of(hook: &HookSettings) -> Proof {
    let hex = |header: &str, prefix: &str, algorithm| {
        Proof::Signature(Signature {
            header: header.to_owned(),
            prefix: prefix.to_owned(),
            encoding: HookEncoding::Hex,
            algorithm,
            signed: vec![SignedPart::Body],
            timestamp: None,
        })
    };
    let tolerance_ms = i64::try_from(hook.tolerance.as_millis()).unwrap_or(i64::MAX);
    match hook.provider {
        HookProvider::Github => hex("x-hub-signature-256", "sha256=", HookAlgorithm::Sha256),
        HookProvider::Bitbucket => hex("x-hub-signature", "sha256=", HookAlgorithm::Sha256),
        HookProvider::Terraform => hex("x-tfe-notification-signature", "", HookAlgorithm::Sha512),
        HookProvider::Gitlab => Proof::Token("x-gitlab-token".to_owned()),
        HookProvider::AzureDevops | HookProvider::Gerrit | HookProvider::Openchoreo => {
            Proof::Token(AUTHORIZATION.as_str().to_owned())
        }
        HookProvider::Standard => Proof::Standard { tolerance_ms },
        HookProvider::Hmac => Proof::Signature(Signature {
            header: hook.header.clone().unwrap_or_default(),
            prefix: hook.prefix.clone(),
            encoding: hook.encoding,
            algorithm: hook.algorithm,
            signed: hook.signed.clone(),
            timestamp: hook.timestamp.clone().map(|at| (at, tolerance_ms)),
        }),
        HookProvider::Token => Proof::Token(hook.header.clone().unwrap_or_else(|| AUTHORIZATION.as_str().to_owned())),
    }
}

/// Verifies the webhooks of one hook.
#[derive(Clone, Debug)]
pub(super) struct Verifier {
    proof: Proof,
    secrets: Vec<Secret>,
    /// The secrets are in the store: none is known at first.
    stored: bool,
}

impl Verifier {
    pub(super) fn new(hook: &HookSettings) -> Self {
        Self {
            proof: proof_of(hook),
            secrets: hook.secrets.clone(),
            stored: hook.stored_secret,
        }
    }

    /// Replaces the secrets.
    pub(super) fn set(&mut self, secrets: Vec<Secret>) {
        self.secrets = secrets;
    }

    /// Whether it has anything to verify with; without a secret the hook is `insecure`.
    pub(super) fn verifies(&self) -> bool {
        self.stored || !self.secrets.is_empty()
    }

    /// Whether one of the secrets proves it.
    pub(super) fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Refusal> {
        if !self.verifies() {
            return Ok(());
        }
        match &self.proof {
            Proof::Signature(scheme) => self.verify_signature(scheme, headers, body, now),
            Proof::Token(name) => {
                let given = header(headers, name).ok_or(Refusal::Missing)?;
                let given = shown(name, given).ok_or(Refusal::Wrong)?;
                self.any(|secret| is_same(secret.reveal().as_bytes(), given.as_bytes()))
            }
            Proof::Standard { tolerance_ms } => self.verify_standard(headers, body, *tolerance_ms, now),
        }
    }

    fn verify_signature(
        &self,
        scheme: &Signature,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let given = header(headers, &scheme.header).ok_or(Refusal::Missing)?;
        let content = scheme.signed.iter().map(|part| match part {
            SignedPart::Text(text) => Some(text.as_bytes()),
            SignedPart::Header(of) => value(headers, of).map(str::as_bytes),
            SignedPart::Body => Some(body),
        });
        let content: Vec<&[u8]> = content.collect::<Option<_>>().ok_or(Refusal::Missing)?;
        let signatures: Vec<Vec<u8>> = given
            .split(',')
            .filter_map(|one| decode(one.trim().strip_prefix(scheme.prefix.as_str())?, scheme.encoding))
            .take(MAX_SIGNATURES)
            .collect();
        self.any(|secret| {
            let fits = |given: &Vec<u8>| is_signature(scheme.algorithm, secret.reveal().as_bytes(), &content, given);
            signatures.iter().any(fits)
        })?;
        match &scheme.timestamp {
            Some((of, tolerance_ms)) => in_time(value(headers, of).unwrap_or_default(), *tolerance_ms, now),
            None => Ok(()),
        }
    }

    fn verify_standard(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        tolerance_ms: i64,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let given = header(headers, "webhook-signature").ok_or(Refusal::Missing)?;
        let id = header(headers, "webhook-id").ok_or(Refusal::Missing)?;
        let moment = header(headers, "webhook-timestamp").ok_or(Refusal::Missing)?;
        let content: [&[u8]; 5] = [id.as_bytes(), b".", moment.as_bytes(), b".", body];
        // Several, divided by spaces, while the sender rotates its secret.
        let signatures: Vec<Vec<u8>> = given
            .split(' ')
            .filter_map(|one| decode(one.strip_prefix("v1,")?, HookEncoding::Base64))
            .take(MAX_SIGNATURES)
            .collect();
        self.any(|secret| {
            let Some(key) = signing_key(secret) else { return false };
            let fits = |given: &Vec<u8>| is_signature(HookAlgorithm::Sha256, &key, &content, given);
            signatures.iter().any(fits)
        })?;
        in_time(moment, tolerance_ms, now)
    }

    fn any(&self, fits: impl Fn(&Secret) -> bool) -> Result<(), Refusal> {
        // Each of them, so that the time does not tell which one it was.
        let fitting = self.secrets.iter().filter(|secret| fits(secret)).count();
        if fitting > 0 { Ok(()) } else { Err(Refusal::Wrong) }
    }
}

/// Whether a moment, in seconds since 1970, is near enough.
fn in_time(moment: &str, tolerance_ms: i64, now: Timestamp) -> Result<(), Refusal> {
    let seconds: i64 = moment.parse().map_err(|_| Refusal::Late)?;
    let off = now.0.saturating_sub(seconds.saturating_mul(1_000)).saturating_abs();
    if off > tolerance_ms { Err(Refusal::Late) } else { Ok(()) }
}

/// What a header says, or one value of its list.
fn value<'h>(headers: &'h HeaderMap, of: &HeaderValueOf) -> Option<&'h str> {
    let whole = header(headers, &of.header)?;
    let Some(item) = &of.item else { return Some(whole) };
    let mut items = whole.split(',').filter_map(|one| one.trim().split_once('='));
    items.find(|(name, _)| name == item).map(|(_, value)| value)
}

/// A header that is there and not empty.
pub(super) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then_some(value)
}

/// The secret in a header: of `Authorization`, a bearer token or the password of basic authentication.
fn shown(name: &str, value: &str) -> Option<String> {
    if !name.eq_ignore_ascii_case(AUTHORIZATION.as_str()) {
        return Some(value.to_owned());
    }
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    let decoded = String::from_utf8(decode(rest.trim(), HookEncoding::Base64)?).ok()?;
    let (_, password) = decoded.split_once(':')?;
    scheme.eq_ignore_ascii_case("basic").then(|| password.to_owned())
}

fn decode(text: &str, encoding: HookEncoding) -> Option<Vec<u8>> {
    match encoding {
        HookEncoding::Hex => hex::decode(text).ok(),
        HookEncoding::Base64 => STANDARD.decode(text).ok(),
    }
}

fn is_signature(algorithm: HookAlgorithm, key: &[u8], content: &[&[u8]], given: &[u8]) -> bool {
    fn fits<M: Mac + KeyInit>(key: &[u8], content: &[&[u8]], given: &[u8]) -> bool {
        let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
            return false;
        };
        content.iter().for_each(|part| mac.update(part));
        // In constant time; another length is another signature.
        mac.verify_slice(given).is_ok()
    }
    match algorithm {
        HookAlgorithm::Sha256 => fits::<Hmac<Sha256>>(key, content, given),
        HookAlgorithm::Sha512 => fits::<Hmac<Sha512>>(key, content, given),
    }
}

#[cfg(test)]
#[path = "scheme_tests.rs"]
mod tests;
