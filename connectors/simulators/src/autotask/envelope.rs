//! What a callout is: its body, byte for byte as the vendor writes it, and its signature.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-hook-signature";

/// `sha1=` and the Base64 of the HMAC-SHA1 of the raw body.
pub fn signature(key: &str, body: &[u8]) -> String {
    let mut mac = <Hmac<sha1::Sha1> as KeyInit>::new_from_slice(key.as_bytes()).expect("HMAC takes any key");
    mac.update(body);
    format!("sha1={}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Compact JSON with the keys in this order.
pub(super) fn object(entries: &[(&str, Value)]) -> String {
    let entries: Vec<String> =
        entries.iter().map(|(name, value)| format!("{}:{}", string(name), encode(value))).collect();
    format!("{{{}}}", entries.join(","))
}

/// Compact JSON with the escapes of the vendor's writer.
pub(super) fn encode(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        Value::Array(list) => format!("[{}]", list.iter().map(encode).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            object(&map.iter().map(|(name, value)| (name.as_str(), value.clone())).collect::<Vec<_>>())
        }
        plain => plain.to_string(),
    }
}

/// Punctuation that could end a string or a tag, and everything beyond ASCII, as `\uXXXX` in upper case.
fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for unit in text.encode_utf16() {
        match char::from_u32(u32::from(unit)) {
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some(c) if (' '..='~').contains(&c) && !"\"&'+<>`".contains(c) => out.push(c),
            _ => out.push_str(&format!("\\u{unit:04X}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: &str = "jit-demo-Secret-0123456789";

    #[test]
    fn a_body_is_written_as_the_vendor_writes_it() {
        let title = "JIT admin for O'Neil & Söhne <dc01> \"urgent\" +2h";
        let fields =
            object(&[("TicketNumber", json!("T20260915.0002")), ("Title", json!(title)), ("Status", json!("8"))]);
        let golden = include_str!("../../golden/autotask/v2.body.json");
        let body = format!(
            "{{\"Action\":\"Update\",\"Guid\":\"3f1f6c0e-6d2b-4a53-9c0a-0d6a5f2b7e11\",\"EntityType\":\"Ticket\",\"Id\":351182,\"Fields\":{fields},\"EventTime\":\"2026-09-15T15:10:00Z\",\"SequenceNumber\":18,\"PersonID\":30691780}}"
        );
        assert_eq!(body, golden);
        assert_eq!(string("😀/`"), "\"\\uD83D\\uDE00/\\u0060\"");
    }

    #[test]
    fn the_signature_is_the_vendors() {
        let sign = |body: &str| signature(KEY, body.as_bytes());
        assert_eq!(sign(include_str!("../../golden/autotask/v1.body.json")), "sha1=b1P/K6PtqE2dxuCHIWW+YNRYiSQ=");
        assert_eq!(sign(include_str!("../../golden/autotask/v2.body.json")), "sha1=ItsoSO+YBjKnw0Izg7H5xamfk9s=");
        let deactivated = include_str!("../../golden/autotask/v3-deactivated.body.json");
        assert_eq!(sign(deactivated), "sha1=m5mjJdsHGSCZR724mxglVB/bKJ0=");
    }
}
