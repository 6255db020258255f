//! Certificates: the signed assertion that stands in for a client secret, and making the key.
//!
//! Signing is ring's (constant time). The `rsa` crate makes a key and does nothing else here, so its
//! known timing weakness in private-key operations is never reachable from outside.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use latchkey_contract::{Secret, Timestamp};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair as CertificateKey, KeyUsagePurpose, PKCS_RSA_SHA256,
};
use ring::{
    digest,
    rand::SystemRandom,
    signature::{KeyPair as _, RSA_PSS_SHA256, RsaKeyPair},
};
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::json;

use crate::random::OsRandom;

/// How long an assertion is good for; the vendor advises 5 to 10 minutes.
const LIFE: Duration = Duration::from_secs(300);

const KEY_BITS: usize = 3072;

/// Why a key or certificate cannot be used, or not be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No private key in the PEM.
    #[error("no private key was found: expected PEM that begins with BEGIN PRIVATE KEY or BEGIN RSA PRIVATE KEY")]
    NoKey,
    /// The key has a passphrase.
    #[error("the private key is encrypted; decrypt it first: openssl pkcs8 -in KEY.pem -nocrypt -topk8")]
    Encrypted,
    /// Not RSA, or of the wrong size.
    #[error("the private key is not usable: an RSA key of 2048 to 4096 bits is needed ({0})")]
    NotRsa(String),
    /// No certificate in the PEM.
    #[error("no certificate was found: expected PEM that begins with BEGIN CERTIFICATE")]
    NoCertificate,
    /// The two do not belong together.
    #[error("the certificate was made for another private key")]
    OtherKey,
    /// Making a key failed.
    #[error("the key or its certificate could not be made: {0}")]
    Making(String),
}

/// Signs assertions with one key, and names its certificate.
#[derive(Debug)]
pub(crate) struct Signer {
    key: RsaKeyPair,
    thumbprint: String,
    random: SystemRandom,
}

impl Signer {
    pub(crate) fn new(key_pem: &Secret<String>, cert_pem: &str) -> Result<Self, KeyError> {
        let key = read_key(key_pem)?;
        let certificate = CertificateDer::from_pem_slice(cert_pem.as_bytes()).map_err(|_| KeyError::NoCertificate)?;
        // The certificate holds the public key as it is, in the same DER form.
        let public = key.public_key().as_ref();
        if !certificate.windows(public.len()).any(|part| part == public) {
            return Err(KeyError::OtherKey);
        }
        let thumbprint = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &certificate));
        Ok(Self { key, thumbprint, random: SystemRandom::new() })
    }

    /// A JWT that proves to `audience` (the exact token endpoint) that we are `client_id`.
    ///
    /// Source: Microsoft identity platform, "Application authentication certificate credentials".
    pub(crate) fn sign(&self, audience: &str, client_id: &str, id: &str, now: Timestamp) -> Option<Secret<String>> {
        let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint});
        let claims = json!({
            "aud": audience, "iss": client_id, "sub": client_id, "jti": id,
            "nbf": now.seconds(), "iat": now.seconds(), "exp": (now + LIFE).seconds(),
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut text = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PSS_SHA256, &self.random, text.as_bytes(), &mut signature).ok()?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(&signature, &mut text);
        Some(Secret::new(text))
    }
}

/// Makes an RSA key (3072 bits, PKCS#8) and a self-signed certificate for it: `(key_pem, cert_pem)`.
///
/// Valid from one hour before `now`, against clocks that differ, for `days` days. The certificate is what
/// an admin uploads to the app registration; it holds nothing secret.
///
/// # Errors
/// [`KeyError::Making`] when the system gives no randomness, or `days` leads beyond year 9999.
pub fn make_certificate(subject: &str, days: u32, now: Timestamp) -> Result<(Secret<String>, String), KeyError> {
    let making = |e: &dyn std::fmt::Display| KeyError::Making(e.to_string());
    let mut random = OsRandom::new().ok_or_else(|| KeyError::Making("the system gives no randomness".to_owned()))?;
    let key = rsa::RsaPrivateKey::new(&mut random, KEY_BITS).map_err(|e| making(&e))?;
    let key_pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|e| making(&e))?;
    let der = key.to_pkcs8_der().map_err(|e| making(&e))?;
    let signing =
        CertificateKey::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der.as_bytes()), &PKCS_RSA_SHA256)
            .map_err(|e| making(&e))?;

    let at = |at: Timestamp| time::OffsetDateTime::from_unix_timestamp(at.seconds()).map_err(|e| making(&e));
    let mut params = CertificateParams::default();
    params.not_before = at(now - Duration::from_secs(3600))?;
    params.not_after = at(now + Duration::from_secs(u64::from(days) * 86_400))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&signing).map_err(|e| making(&e))?;
    Ok((Secret::new(key_pem.as_str().to_owned()), certificate.pem()))
}

fn read_key(pem: &Secret<String>) -> Result<RsaKeyPair, KeyError> {
    let text = pem.expose();
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(KeyError::Encrypted);
    }
    let key = match PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| KeyError::NoKey)? {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err(KeyError::NotRsa("this is an elliptic-curve key".to_owned())),
    };
    key.map_err(|e| KeyError::NotRsa(e.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
    use rsa::{pkcs1::EncodeRsaPrivateKey as _, pkcs8::DecodePrivateKey as _};
    use serde_json::Value;

    use super::*;

    fn made() -> &'static (Secret<String>, String) {
        static MADE: OnceLock<(Secret<String>, String)> = OnceLock::new();
        MADE.get_or_init(|| make_certificate("latchkey contoso", 365, now()).unwrap())
    }

    fn now() -> Timestamp {
        Timestamp::parse("2026-09-01T10:00:00Z").unwrap()
    }

    fn decode(part: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(part).unwrap()
    }

    #[test]
    fn an_assertion_verifies_with_the_key_of_the_certificate_and_names_it() {
        let (key, certificate) = made();
        let signer = Signer::new(key, certificate).unwrap();
        let audience = "https://login.microsoftonline.com/t/oauth2/v2.0/token";
        let jwt = signer.sign(audience, "client", "jti-1", now()).unwrap();
        let parts: Vec<&str> = jwt.expose().split('.').collect();

        let signed = format!("{}.{}", parts[0], parts[1]);
        let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, signer.key.public_key().as_ref().to_vec());
        public.verify(signed.as_bytes(), &decode(parts[2])).unwrap();
        assert!(public.verify(b"another text", &decode(parts[2])).is_err());

        let header: Value = serde_json::from_slice(&decode(parts[0])).unwrap();
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        assert_eq!(header["alg"], "PS256");
        assert_eq!(decode(header["x5t#S256"].as_str().unwrap()), digest::digest(&digest::SHA256, &der).as_ref());
        let claims: Value = serde_json::from_slice(&decode(parts[1])).unwrap();
        assert_eq!(
            (&claims["aud"], &claims["iss"], &claims["sub"]),
            (&json!(audience), &json!("client"), &json!("client"))
        );
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap(), 300);
    }

    #[test]
    fn a_brought_key_may_be_pkcs8_or_pkcs1() {
        let (key, certificate) = made();
        let old_form = rsa::RsaPrivateKey::from_pkcs8_pem(key.expose()).unwrap().to_pkcs1_pem(LineEnding::LF).unwrap();
        assert!(old_form.contains("BEGIN RSA PRIVATE KEY"));
        assert!(Signer::new(&Secret::new(old_form.as_str().to_owned()), certificate).is_ok());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let (key, certificate) = made();
        let elliptic = CertificateKey::generate().unwrap().serialize_pem();
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let other = CertificateParams::new(vec![]).unwrap().self_signed(&CertificateKey::generate().unwrap()).unwrap();
        let said = |key: &str, certificate: &str| {
            Signer::new(&Secret::new(key.to_owned()), certificate).unwrap_err().to_string()
        };
        assert!(said("nothing", certificate).contains("BEGIN PRIVATE KEY"));
        assert!(said(certificate, certificate).contains("no private key"));
        assert!(said(&elliptic, certificate).contains("RSA"));
        assert!(said(encrypted, certificate).contains("encrypted"));
        assert!(said(key.expose(), "nothing").contains("BEGIN CERTIFICATE"));
        assert!(said(key.expose(), &other.pem()).contains("another private key"));
    }
}
