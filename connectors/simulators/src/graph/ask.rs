//! A request taken apart: version, path segments, query, headers, body.

use std::collections::BTreeMap;

use serde_json::Value;
use url::form_urlencoded;

use super::answer::Refusal;

/// One Graph request, from the wire or out of a batch.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: String,
    /// `v1.0` or `beta`.
    pub(super) version: String,
    /// The path as it came, version included.
    pub(super) path: String,
    /// Decoded segments after the version; `users('x')` arrives as two.
    pub(super) segments: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    /// Lower-case names.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Ask {
    pub(super) fn new(method: &str, path: &str, query: &str, headers: BTreeMap<String, String>, body: Vec<u8>) -> Self {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty()).flat_map(take_key);
        Self {
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            version: segments.next().unwrap_or_default(),
            segments: segments.collect(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers,
            body,
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `ConsistencyLevel: eventual` together with `$count=true`.
    pub(super) fn is_advanced(&self) -> bool {
        self.header("consistencylevel").is_some_and(|level| level.eq_ignore_ascii_case("eventual"))
            && self.option("$count") == Some("true")
    }

    /// The body as a JSON object; OData annotations that SDKs add are dropped.
    pub(super) fn object(&self) -> Result<serde_json::Map<String, Value>, Refusal> {
        if self.body.is_empty() {
            return Ok(serde_json::Map::new());
        }
        let is_json =
            self.header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/json"));
        if !is_json {
            return Err(Refusal::bad_request(
                "Write requests (excluding DELETE) must contain the Content-Type header declaration.",
            ));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(mut object)) => {
                object.remove("@odata.type");
                object.remove("@odata.context");
                Ok(object)
            }
            _ => Err(Refusal::new(
                400,
                "BadRequest",
                "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.",
            )),
        }
    }
}

/// `users('a@b')` → `users`, `a@b`; `servicePrincipals(appId='x')` → `servicePrincipals`, `appId=x`.
fn take_key(segment: &str) -> Vec<String> {
    let decoded = percent_decode(segment);
    let Some((name, key)) = decoded.strip_suffix(')').and_then(|rest| rest.split_once('(')) else {
        return vec![decoded];
    };
    match key.split_once("='") {
        Some((field, value)) => vec![name.to_owned(), format!("{field}={}", value.trim_end_matches('\''))],
        None => vec![name.to_owned(), key.trim_matches('\'').replace("''", "'")],
    }
}

fn percent_decode(text: &str) -> String {
    // `form_urlencoded` decodes `%XX`; a plus sign in a path is a plus sign.
    let pair = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(pair.as_bytes()).next().map(|(key, _)| key.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(path: &str) -> Vec<String> {
        Ask::new("GET", path, "", BTreeMap::new(), Vec::new()).segments
    }

    #[test]
    fn keys_in_brackets_and_keys_in_segments_mean_the_same() {
        let plain = segments("/v1.0/users/a%40b.test/authentication");
        assert_eq!(plain, segments("/v1.0/users('a@b.test')/authentication"));
        assert_eq!(plain, ["users", "a@b.test", "authentication"]);
        assert_eq!(segments("/v1.0/servicePrincipals(appId='11')"), ["servicePrincipals", "appId=11"]);
        assert_eq!(segments("/v1.0/users/o'neil+x@b"), ["users", "o'neil+x@b"]);
    }
}
