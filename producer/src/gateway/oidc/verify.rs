//! ID tokens (OpenID Connect Core 1.0, section 3.1.3.7). `jsonwebtoken` checks the claims; the signatures are checked
//! by `ring`, the one crypto provider of this program. HMAC is refused: the client's secret is not a key of the
//! provider.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::signature;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Header, Validation};
use ring::signature::{self as ring_signature, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tideline_core::words::Timestamp;

/// Tolerated clock skew, in seconds.
const LEEWAY: u64 = 60;

/// The issuer and audience that a token must have, and the current time.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) audience: &'a str,
    pub(super) now: Timestamp,
}

#[derive(Deserialize)]
struct Times {
    exp: u64,
    nbf: Option<u64>,
}

/// The header of a token, which names its signing key; or the reason why it is invalid.
pub(super) fn header(token: &str) -> Result<Header, String> {
    let header = jsonwebtoken::decode_header(token).map_err(|error| error.to_string())?;
    let is_public = matches!(
        header.alg,
        Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512
            | Algorithm::ES256
            | Algorithm::ES384
            | Algorithm::EdDSA
    );
    if is_public {
        return Ok(header);
    }
    Err(format!(
        "its algorithm is {:?}, which is not accepted for signatures of the provider",
        header.alg
    ))
}

/// The key that the header names; without a name there must be exactly one candidate (OpenID Connect Core 1.0, section
/// 10.1).
pub(super) fn key<'a>(keys: &'a [Jwk], header: &Header) -> Option<&'a Jwk> {
    let mut fitting = keys.iter().filter(|key| fits(key, header.alg));
    match header.kid.as_deref() {
        Some(kid) => fitting.find(|key| key.common.key_id.as_deref() == Some(kid)),
        None => fitting.next().filter(|_| fitting.next().is_none()),
    }
}

/// Whether the key is for signatures of this algorithm.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let common = &key.common;
    let is_for_signatures = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    let is_for_this = common
        .key_algorithm
        .is_none_or(|given| given == KeyAlgorithm::from(algorithm));
    let is_of_its_kind = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => key.curve == EllipticCurve::P256,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => key.curve == EllipticCurve::P384,
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => key.curve == EllipticCurve::Ed25519,
        (AlgorithmParameters::RSA(_), _) => rsa(algorithm).is_some(),
        _ => false,
    };
    is_for_signatures && is_for_this && is_of_its_kind
}

/// The claims of a token; or the reason why it is invalid.
pub(super) fn claims<C: DeserializeOwned>(
    token: &str,
    header: &Header,
    key: &Jwk,
    expected: &Expected<'_>,
) -> Result<C, String> {
    // Fails only if it is installed already.
    let _ = PROVIDER.install_default();
    let text = |error: Error| error.to_string();
    let key = DecodingKey::from_jwk(key).map_err(text)?;
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[expected.audience]);
    validation.set_issuer(&[expected.issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // By our own clock, below.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let decoded = jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation);
    let claims = decoded.map_err(text)?.claims;
    let times = Times::deserialize(&claims).map_err(|error| error.to_string())?;
    let now = u64::try_from(expected.now.0 / 1_000).unwrap_or(0);
    if times.exp.saturating_add(LEEWAY) <= now {
        return Err("it has expired; are the clocks correct?".to_owned());
    }
    if times.nbf.is_some_and(|nbf| nbf > now.saturating_add(LEEWAY)) {
        return Err("it is not valid yet; are the clocks correct?".to_owned());
    }
    serde_json::from_value(claims).map_err(|error| error.to_string())
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(Error::from(ErrorKind::InvalidAlgorithm)),
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    Ok(Box::new(Ring {
        algorithm: *algorithm,
        key: key.clone(),
    }))
}

/// One algorithm with one key.
struct Ring {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for Ring {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl signature::Verifier<Vec<u8>> for Ring {
    fn verify(&self, message: &[u8], given: &Vec<u8>) -> Result<(), signature::Error> {
        let result = match (self.algorithm, self.key.kind()) {
            (algorithm, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let parameters = rsa(algorithm).ok_or_else(signature::Error::new)?;
                RsaPublicKeyComponents { n, e }.verify(parameters, message, given)
            }
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(&ring_signature::ECDSA_P256_SHA256_FIXED, point).verify(message, given)
            }
            (Algorithm::ES384, DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(&ring_signature::ECDSA_P384_SHA384_FIXED, point).verify(message, given)
            }
            (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(&ring_signature::ED25519, point).verify(message, given)
            }
            _ => return Err(signature::Error::new()),
        };
        result.map_err(|_| signature::Error::new())
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &ring_signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &ring_signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &ring_signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &ring_signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &ring_signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &ring_signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    fn jwk(document: serde_json::Value) -> Jwk {
        serde_json::from_value(document).unwrap()
    }

    fn is_signed(algorithm: Algorithm, key: &Jwk, message: &str, signature: &str) -> bool {
        let verifier = verifier(&algorithm, &DecodingKey::from_jwk(key).unwrap()).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        verifier.verify(message.as_bytes(), &signature).is_ok()
    }

    const RSA_KEY: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

    #[test]
    fn the_vectors_of_the_rfcs_verify_and_nothing_else_does() {
        // RFC 7515, appendices A.2 and A.3; RFC 8037, appendix A.4.
        let rsa = jwk(json!({"kty": "RSA", "n": RSA_KEY, "e": "AQAB"}));
        let rsa_message = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let rsa_signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let ec = jwk(json!({
            "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }));
        let ec_message = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let ec_signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let ed = jwk(json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}));
        let ed_message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let ed_signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        for (algorithm, key, message, given) in [
            (Algorithm::RS256, &rsa, rsa_message, rsa_signature),
            (Algorithm::ES256, &ec, ec_message, ec_signature),
            (Algorithm::EdDSA, &ed, ed_message, ed_signature),
        ] {
            assert!(is_signed(algorithm, key, message, given), "{algorithm:?}");
            assert!(
                !is_signed(algorithm, key, &format!("{message}x"), given),
                "{algorithm:?}"
            );
            assert!(!is_signed(Algorithm::PS256, key, message, given), "{algorithm:?}");
            assert!(!is_signed(Algorithm::HS256, key, message, given), "{algorithm:?}");
        }
    }

    #[test]
    fn a_key_is_used_only_for_what_it_is_for() {
        let rsa = |more: serde_json::Value| {
            let mut key = json!({"kty": "RSA", "n": RSA_KEY, "e": "AQAB", "kid": "a"});
            key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            jwk(key)
        };
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some("a".to_owned());
        for (more, fits) in [
            (json!({}), true),
            (json!({"use": "sig", "alg": "RS256"}), true),
            (json!({"use": "enc"}), false),
            (json!({"alg": "RS512"}), false),
            (json!({"alg": "RSA-OAEP"}), false),
            (json!({"kid": "b"}), false),
        ] {
            assert_eq!(key(&[rsa(more.clone())], &header).is_some(), fits, "{more}");
        }
        let secret = jwk(json!({"kty": "oct", "k": "aHVzaA", "kid": "a"}));
        assert!(key(&[secret], &header).is_none());
        header.kid = None;
        assert!(key(&[rsa(json!({})), rsa(json!({"use": "enc"}))], &header).is_some());
        assert!(
            key(&[rsa(json!({})), rsa(json!({"kid": "b"}))], &header).is_none(),
            "which one?"
        );
    }
}
