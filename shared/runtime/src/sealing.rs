//! Sealing secrets that Tideline has to keep: ChaCha20-Poly1305 (RFC 8439) under a key that is in the environment and
//! never in the store, so that a copy of the database does not reveal the signing secrets of subscribers and providers.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use tideline_config::secrets::{SEALING_KEY_BYTES, SEALING_KEY_FORM, sealing_keys};
use tideline_core::words::Secret;

/// The environment's variable with the key: 32 bytes in base64 or hexadecimal digits. Several keys, divided by commas: the
/// first one seals, all of them open, so that a key can be replaced.
pub use tideline_config::secrets::KEY_VARIABLE;

/// Prefix of every sealed text: the version of the sealing format.
const VERSION: &str = "v1.";

/// Why a secret cannot be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealingError {
    /// There is no key.
    #[error(
        "{KEY_VARIABLE} is not set, but it is needed to store secrets; set it to 32 random bytes, such as the output \
         of `openssl rand -base64 32`, the same for every process of the fleet"
    )]
    NoKey,
    /// The key is none.
    #[error("{KEY_VARIABLE} {SEALING_KEY_FORM}")]
    BadKey,
    /// The stored text was sealed with another key or for another purpose, or was changed since.
    #[error(
        "the stored secret cannot be unsealed with {KEY_VARIABLE}; set the key that sealed it, or set the secret again"
    )]
    WrongKey,
    /// The operating system has no randomness.
    #[error("the operating system provides no random bytes")]
    NoRandomness,
}

/// Seals and opens secrets. Without a key it can do neither, and says so.
#[derive(Default)]
pub struct Sealer {
    keys: Vec<LessSafeKey>,
    /// Derived from the first key.
    digests: Option<hmac::Key>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({} keys)", self.keys.len())
    }
}

impl Sealer {
    /// With the keys of [`KEY_VARIABLE`]'s value; none or an empty text: without a key.
    ///
    /// # Errors
    /// `BadKey`.
    pub fn new(keys: Option<&Secret>) -> Result<Self, SealingError> {
        let text = keys.map_or("", Secret::reveal).trim();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let keys = sealing_keys(text).ok_or(SealingError::BadKey)?;
        let digests = keys.first().map(|key| {
            let own = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), b"tideline digests");
            hmac::Key::new(hmac::HMAC_SHA256, own.as_ref())
        });
        let keys = keys.iter().map(sealing_key).collect::<Result<_, _>>()?;
        Ok(Self { keys, digests })
    }

    /// Whether there is a key.
    #[must_use]
    pub fn has_key(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Seals a secret for one purpose (`subscription NAME`): it opens only for the same.
    ///
    /// # Errors
    /// `NoKey`, `NoRandomness`.
    pub fn seal(&self, purpose: &str, secret: &Secret) -> Result<String, SealingError> {
        let key = self.keys.first().ok_or(SealingError::NoKey)?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| SealingError::NoRandomness)?;
        let mut sealed = secret.reveal().as_bytes().to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(purpose.as_bytes()),
            &mut sealed,
        )
        .map_err(|_| SealingError::BadKey)?;
        Ok(format!("{VERSION}{}", STANDARD.encode([&nonce[..], &sealed].concat())))
    }

    /// A keyed digest that distinguishes texts without revealing them; none: there is no key.
    #[must_use]
    pub fn digest(&self, text: &str) -> Option<String> {
        let digest = hmac::sign(self.digests.as_ref()?, text.as_bytes());
        Some(STANDARD.encode(digest))
    }

    /// Opens what was sealed for this purpose.
    ///
    /// # Errors
    /// `NoKey`, `WrongKey`.
    pub fn open(&self, purpose: &str, sealed: &str) -> Result<Secret, SealingError> {
        if self.keys.is_empty() {
            return Err(SealingError::NoKey);
        }
        let bytes = sealed.strip_prefix(VERSION).and_then(|text| STANDARD.decode(text).ok());
        let bytes = bytes.ok_or(SealingError::WrongKey)?;
        let (nonce, content) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(SealingError::WrongKey)?;
        let opened = self.keys.iter().find_map(|key| {
            let mut content = content.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let plain = key
                .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut content)
                .ok()?;
            String::from_utf8(plain.to_vec()).ok()
        });
        opened.map(Secret::new).ok_or(SealingError::WrongKey)
    }
}

fn sealing_key(bytes: &[u8; SEALING_KEY_BYTES]) -> Result<LessSafeKey, SealingError> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, bytes);
    Ok(LessSafeKey::new(key.map_err(|_| SealingError::BadKey)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const OTHER: &str = "//////////////////////////////////////////8=";

    fn sealer(keys: &str) -> Sealer {
        Sealer::new(Some(&Secret::new(keys))).unwrap()
    }

    #[test]
    fn a_sealed_secret_opens_with_its_key_and_for_its_purpose_only() {
        let secret = Secret::new("whsec_c2VjcmV0");
        let sealed = sealer(HEX).seal("subscription a", &secret).unwrap();
        assert!(!sealed.contains("c2VjcmV0"), "{sealed}");
        assert_eq!(sealer(HEX).open("subscription a", &sealed).unwrap(), secret);
        assert_eq!(sealer(HEX).open("subscription b", &sealed), Err(SealingError::WrongKey));
        assert_eq!(
            sealer(OTHER).open("subscription a", &sealed),
            Err(SealingError::WrongKey)
        );
        assert_eq!(
            sealer(HEX).open("subscription a", "v1.AAAA"),
            Err(SealingError::WrongKey)
        );
        assert_ne!(sealer(HEX).seal("subscription a", &secret).unwrap(), sealed);
    }

    #[test]
    fn a_digest_tells_texts_apart_and_needs_the_key() {
        let digest = |keys: &str, text: &str| sealer(keys).digest(text).unwrap();
        assert_eq!(digest(HEX, "a"), digest(HEX, "a"));
        assert_ne!(digest(HEX, "a"), digest(HEX, "b"));
        assert_ne!(digest(HEX, "a"), digest(OTHER, "a"));
        assert_eq!(Sealer::default().digest("a"), None);
    }

    #[test]
    fn a_replaced_key_still_opens_what_it_sealed() {
        let secret = Secret::new("s");
        let sealed = sealer(HEX).seal("p", &secret).unwrap();
        let both = sealer(&format!("{OTHER}, {HEX}"));
        assert_eq!(both.open("p", &sealed).unwrap(), secret);
        let newer = both.seal("p", &secret).unwrap();
        assert_eq!(sealer(OTHER).open("p", &newer).unwrap(), secret);
    }

    #[test]
    fn without_a_key_or_with_a_bad_one_it_says_what_to_set() {
        let none = Sealer::new(None).unwrap();
        assert!(!none.has_key());
        let error = none.seal("p", &Secret::new("s")).unwrap_err().to_string();
        assert!(error.contains("TIDELINE_SECRET_KEY is not set"), "{error}");
        for bad in ["short", "c2hvcnQ=", &HEX[2..], &format!("{HEX},")] {
            assert_eq!(
                Sealer::new(Some(&Secret::new(bad))).unwrap_err(),
                SealingError::BadKey,
                "{bad}"
            );
        }
    }
}
