//! The target of a push subscription: its validation, and its sealed form in the store.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
pub use tideline_config::secrets::standard_webhook_key as signing_key;
use tideline_config::secrets::{WEBHOOK_PREFIX, WEBHOOK_SECRET_FORM};
use tideline_config::subscriptions::SubscriptionSettings;
use tideline_core::words::Secret;
use url::{Host, Url};

use super::sealing::{Sealer, SealingError};

/// Maximum length of a URL.
const MAX_URL_BYTES: usize = 2_000;

/// A URL, with the secrets of requests to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushTarget {
    /// Where events are sent.
    pub url: Url,
    /// Signs them, `whsec_…`; none: they are not signed.
    pub secret: Option<Secret>,
    /// Sent with every request.
    pub headers: BTreeMap<String, Secret>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    url: Url,
    secret: Option<String>,
    headers: BTreeMap<String, String>,
}

impl PushTarget {
    /// Says what is wrong with it: a URL that is not `https`, carries a password or leads to an address that is not
    /// allowed, or a secret that is none. Names are looked up only when a request is sent.
    ///
    /// # Errors
    /// The reason.
    pub fn check(&self, settings: &SubscriptionSettings) -> Result<(), String> {
        check_url(&self.url, settings)?;
        match &self.secret {
            Some(secret) if signing_key(secret).is_none() => {
                Err(format!("secret {WEBHOOK_SECRET_FORM}; omit it to have one generated"))
            }
            _ => Ok(()),
        }
    }

    /// The URL without what could be a secret of it: user, query, and, of URLs that are secrets themselves, the path.
    #[must_use]
    pub fn shown_url(&self, path_is_secret: bool) -> String {
        let mut shown = self.url.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        if path_is_secret {
            shown.set_path("/…");
            return shown.to_string().replace("%E2%80%A6", "…");
        }
        shown.to_string()
    }

    /// For the store.
    ///
    /// # Errors
    /// There is no key.
    pub fn seal(&self, sealer: &Sealer, subscription: &str) -> Result<String, SealingError> {
        let headers = self.headers.iter();
        let content = Content {
            url: self.url.clone(),
            secret: self.secret.as_ref().map(|secret| secret.reveal().to_owned()),
            headers: headers
                .map(|(name, value)| (name.clone(), value.reveal().to_owned()))
                .collect(),
        };
        let text = serde_json::to_string(&content).unwrap_or_default();
        sealer.seal(&purpose(subscription), &Secret::new(text))
    }

    /// From the store.
    ///
    /// # Errors
    /// There is no key, or another one.
    pub fn open(sealer: &Sealer, subscription: &str, sealed: &str) -> Result<Self, SealingError> {
        let text = sealer.open(&purpose(subscription), sealed)?;
        let content: Content = serde_json::from_str(text.reveal()).map_err(|_| SealingError::WrongKey)?;
        let headers = content.headers.into_iter();
        Ok(Self {
            url: content.url,
            secret: content.secret.map(Secret::new),
            headers: headers.map(|(name, value)| (name, Secret::new(value))).collect(),
        })
    }
}

fn purpose(subscription: &str) -> String {
    format!("subscription {subscription}")
}

fn check_url(url: &Url, settings: &SubscriptionSettings) -> Result<(), String> {
    match url.scheme() {
        "https" => {}
        "http" if settings.allow_http => {}
        "http" => return Err("url must start with https://; subscriptions.allow_http would allow http://".to_owned()),
        _ => return Err("url must start with https://".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("url must not contain a user or a password; use headers".to_owned());
    }
    if url.as_str().len() > MAX_URL_BYTES {
        return Err(format!("url takes at most {MAX_URL_BYTES} bytes"));
    }
    match literal_address(url) {
        Some(address) if !settings.addresses.allows(address) => Err(format!("url: {}", forbidden(address))),
        _ => Ok(()),
    }
}

/// The address of a URL that has one instead of a name.
#[must_use]
pub fn literal_address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// The error for an address that requests may not go to.
#[must_use]
pub fn forbidden(address: IpAddr) -> String {
    format!("{address} is a private or special address, which subscriptions.allow_networks does not allow")
}

/// A secret of Standard Webhooks of these random bytes.
#[must_use]
pub fn secret_of(bytes: [u8; 32]) -> Secret {
    Secret::new(format!("{WEBHOOK_PREFIX}{}", STANDARD.encode(bytes)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    fn target(url: &str) -> PushTarget {
        PushTarget {
            url: url.parse().unwrap(),
            secret: Some(secret_of([7; 32])),
            headers: BTreeMap::from([("x-team".to_owned(), Secret::new("a"))]),
        }
    }

    #[test]
    fn a_url_that_is_not_https_or_leads_inside_is_refused() {
        let settings = SubscriptionSettings::default();
        assert_eq!(target("https://example.com/hook").check(&settings), Ok(()));
        for (url, why) in [
            ("http://example.com", "https://"),
            ("ftp://example.com", "https://"),
            ("https://me@example.com", "user"),
            ("https://me:pass@example.com", "password"),
            ("https://127.0.0.1/", "127.0.0.1 is a private"),
            ("https://2130706433/", "127.0.0.1 is a private"),
            ("https://0x7f.1/", "127.0.0.1 is a private"),
            ("https://[::ffff:10.0.0.1]/", "private"),
            ("https://169.254.169.254/latest", "private"),
        ] {
            let error = target(url).check(&settings).unwrap_err();
            assert!(error.contains(why), "{url}: {error}");
        }
        let weak = PushTarget {
            secret: Some(Secret::new("whsec_c2hvcnQ=")),
            ..target("https://example.com")
        };
        assert!(weak.check(&settings).unwrap_err().contains("24 to 64 bytes"));
    }

    #[test]
    fn what_is_stored_and_shown_of_a_target_tells_no_secret() {
        let key = Secret::new("00".repeat(32));
        let sealer = Sealer::new(Some(&key)).unwrap();
        let target = target("https://hooks.example.com/T0/B0/secret?token=abc");
        let sealed = target.seal(&sealer, "s").unwrap();
        assert!(!sealed.contains("secret"));
        assert_eq!(PushTarget::open(&sealer, "s", &sealed).unwrap(), target);
        assert!(PushTarget::open(&sealer, "t", &sealed).is_err());
        assert_eq!(target.shown_url(true), "https://hooks.example.com/…");
        assert_eq!(target.shown_url(false), "https://hooks.example.com/T0/B0/secret");
    }
}
