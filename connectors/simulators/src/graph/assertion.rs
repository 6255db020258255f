//! Client assertions: the JWT with which an application proves that it holds a certificate's key.
//!
//! Lenient where real clients differ (padding of the thumbprint, PS256 or RS256, fractions of
//! seconds, a missing `nbf`), strict about the signature, the audience and the time.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::digest;
use ring::signature::{self, RsaParameters, UnparsedPublicKey};
use serde_json::Value;

use super::time::{MINUTE, Ms};
use super::token::Aadsts;

const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Clocks may differ by this much.
const SKEW: Ms = 5 * MINUTE;

/// Checks an assertion of `client_id` against its certificates (DER).
///
/// `endpoints` are the token endpoint's spellings that `aud` may name.
pub(super) fn verify(
    jwt: &str,
    certificates: &[Vec<u8>],
    client_id: &str,
    endpoints: &[String],
    now: Ms,
) -> Result<(), Aadsts> {
    let malformed = || Aadsts::new(400, "invalid_request", 50027, "JWT token is invalid or malformed.");
    let (signed, signature) = jwt.rsplit_once('.').ok_or_else(malformed)?;
    let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
    let header = json(header).ok_or_else(malformed)?;
    let claims = json(claims).ok_or_else(malformed)?;
    let signature = BASE64URL.decode(signature).map_err(|_| malformed())?;

    check_signature(&header, signed.as_bytes(), &signature, certificates)?;
    check_names(&claims, client_id, endpoints)?;
    check_time(&claims, now)
}

fn check_signature(header: &Value, signed: &[u8], signature: &[u8], certificates: &[Vec<u8>]) -> Result<(), Aadsts> {
    let unknown = |reason: &str| {
        let text = format!(
            "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - {reason}]"
        );
        Aadsts::client(700027, text)
    };
    let algorithm: &'static RsaParameters = match header["alg"].as_str() {
        Some("PS256") => &signature::RSA_PSS_2048_8192_SHA256,
        Some("RS256") => &signature::RSA_PKCS1_2048_8192_SHA256,
        _ => return Err(unknown("The algorithm is not supported.")),
    };
    let certificate =
        certificates.iter().find(|der| is_named_by(header, der)).ok_or_else(|| unknown("The key was not found."))?;
    let key = rsa_public_key(certificate).ok_or_else(|| unknown("The key is not an RSA key."))?;
    UnparsedPublicKey::new(algorithm, key)
        .verify(signed, signature)
        .map_err(|_| unknown("The key used is not the one that made the signature."))
}

/// By SHA-256 (`x5t#S256`) or by the older SHA-1 thumbprint (`x5t`).
fn is_named_by(header: &Value, der: &[u8]) -> bool {
    let names = |field: &str, algorithm| {
        header[field]
            .as_str()
            .and_then(|text| BASE64URL.decode(text).ok())
            .is_some_and(|print| print == digest::digest(algorithm, der).as_ref())
    };
    names("x5t#S256", &digest::SHA256) || names("x5t", &digest::SHA1_FOR_LEGACY_USE_ONLY)
}

fn check_names(claims: &Value, client_id: &str, endpoints: &[String]) -> Result<(), Aadsts> {
    let is = |field: &str| claims[field].as_str().is_some_and(|text| text.eq_ignore_ascii_case(client_id));
    if !is("iss") || !is("sub") {
        let text = "The client assertion's issuer and subject must both be the client id.";
        return Err(Aadsts::client(700021, text));
    }
    let audience = claims["aud"].as_str().unwrap_or_default();
    if endpoints.iter().any(|endpoint| endpoint == audience) {
        return Ok(());
    }
    let text = "Client assertion audience claim does not match Realm issuer. Review the documentation at https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials .";
    Err(Aadsts::client(700023, text))
}

fn check_time(claims: &Value, now: Ms) -> Result<(), Aadsts> {
    let outside = || Aadsts::client(700024, "Client assertion is not within its valid time range.");
    let expires = instant(&claims["exp"]).ok_or_else(outside)?;
    let begins = instant(&claims["nbf"]);
    if expires + SKEW <= now || begins.is_some_and(|begins| now + SKEW < begins) {
        return Err(outside());
    }
    Ok(())
}

/// Whole or fractional seconds, as milliseconds.
#[allow(
    clippy::cast_possible_truncation,
    reason = "an instant beyond i64 saturates, which is far in the future as well"
)]
fn instant(value: &Value) -> Option<Ms> {
    Some((value.as_f64()? * 1000.0) as Ms)
}

fn json(part: &str) -> Option<Value> {
    serde_json::from_slice(&BASE64URL.decode(part).ok()?).ok()
}

/// The `RSAPublicKey` inside a certificate: what stands in the bit string of its
/// `SubjectPublicKeyInfo`. `None` for anything but RSA.
fn rsa_public_key(certificate: &[u8]) -> Option<&[u8]> {
    const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    let (_, outer, _) = element(certificate)?;
    let (_, mut body, _) = element(outer)?;
    let (first, _, after_version) = element(body)?;
    if first == 0xa0 {
        body = after_version;
    }
    // Serial number, signature algorithm, issuer, validity, subject.
    for _ in 0..5 {
        body = element(body)?.2;
    }
    let (_, key_info, _) = element(body)?;
    let (_, algorithm, bits) = element(key_info)?;
    let (_, oid, _) = element(algorithm)?;
    let (tag, bits, _) = element(bits)?;
    let (unused, key) = bits.split_first()?;
    (oid == RSA_ENCRYPTION && tag == 0x03 && *unused == 0).then_some(key)
}

/// One DER element: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(count)?;
        let length = bytes.iter().fold(0, |sum, b| sum << 8 | usize::from(*b));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_der_is_refused_and_never_read_beyond_its_end() {
        for der in [
            &[][..],
            &[0x30],
            &[0x30, 0x85, 1, 1, 1, 1, 1],
            &[0x30, 0x82, 0xff],
            &[0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x00],
        ] {
            assert_eq!(rsa_public_key(der), None);
        }
    }

    #[test]
    fn text_that_is_no_jwt_is_called_malformed() {
        for text in ["", "a", "a.b", "a.b.c", "e30.e30.%%"] {
            let refused = verify(text, &[], "c", &[], 0).expect_err("not a JWT");
            assert_eq!(refused.code, 50027, "{text}");
        }
    }

    #[test]
    fn dates_may_have_fractions_and_nbf_may_be_missing() {
        let claims = serde_json::json!({"exp": 1000.75});
        assert_eq!(check_time(&claims, 1_000_000), Ok(()));
        let late = check_time(&claims, 1_000_750 + SKEW).expect_err("expired");
        assert_eq!(late.code, 700024);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_certificate_reader_panic(der in proptest::collection::vec(0_u8.., 0..80)) {
            let _ = rsa_public_key(&der);
        }
    }
}
