//! Named values out of JSON that nobody has vouched for yet.
//!
//! For the few things that are read of a body before, or right after, it is proven. The whole text is walked and checked,
//! but nothing of it is kept except the values asked for.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

const MAX_DEPTH: usize = 32;

/// Plain values by path: `"ID"`, `"Metadata/key_url"`.
pub type Picked = BTreeMap<&'static str, Value>;

/// Reads the values at `wanted` (path segments joined by `/`, compared without case).
///
/// # Errors
/// A short reason: not JSON or not UTF-8, no object, nested deeper than 32, or an object that names a key twice
/// (compared without case, so that no two readers can pick different ones).
pub fn pick(text: &[u8], wanted: &'static [&'static str]) -> Result<Picked, &'static str> {
    let mut found = Picked::new();
    let mut reader = serde_json::Deserializer::from_slice(text);
    let walk = Walk { depth: 0, path: String::new(), wanted, found: &mut found };
    walk.deserialize(&mut reader).map_err(reason)?;
    reader.end().map_err(reason)?;
    match text.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{') => Ok(found),
        _ => Err("not a JSON object"),
    }
}

/// Reads the values at `wanted` out of an object, or out of each element of an array; at most `most` elements.
///
/// # Errors
/// As [`pick`]; and where there are more elements. An element that is no object gives no values.
pub fn pick_each(text: &[u8], wanted: &'static [&'static str], most: usize) -> Result<Vec<Picked>, &'static str> {
    if text.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'[') {
        return pick(text, wanted).map(|found| vec![found]);
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let found = reader.deserialize_seq(Elements { wanted, most }).map_err(reason)?;
    reader.end().map_err(reason)?;
    Ok(found)
}

struct Elements {
    wanted: &'static [&'static str],
    most: usize,
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<Picked>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Picked>, A::Error> {
        let mut all = Vec::new();
        loop {
            let mut found = Picked::new();
            let walk = Walk { depth: 1, path: String::new(), wanted: self.wanted, found: &mut found };
            match list.next_element_seed(walk)? {
                Some(()) if all.len() == self.most => return Err(A::Error::custom(LONG)),
                Some(()) => all.push(found),
                None => return Ok(all),
            }
        }
    }
}

fn reason(error: serde_json::Error) -> &'static str {
    let text = error.to_string();
    [DOUBLED, DEEP, LONG].into_iter().find(|known| text.starts_with(known)).unwrap_or("not JSON")
}

const DOUBLED: &str = "a key is named twice";
const DEEP: &str = "nested too deeply";
const LONG: &str = "too many elements";

struct Walk<'a> {
    depth: usize,
    path: String,
    wanted: &'static [&'static str],
    found: &'a mut Picked,
}

impl Walk<'_> {
    fn keep(self, value: impl Into<Value>) {
        if let Some(name) = self.wanted.iter().find(|name| name.eq_ignore_ascii_case(&self.path)) {
            self.found.insert(name, value.into());
        }
    }

    fn deeper<E: Error>(&self) -> Result<usize, E> {
        if self.depth < MAX_DEPTH { Ok(self.depth + 1) } else { Err(E::custom(DEEP)) }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.keep(value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.keep(value);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.keep(value);
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.keep(value);
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.keep(value);
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.keep(Value::Null);
        Ok(())
    }

    /// What stands in a list has no path of its own.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        while list
            .next_element_seed(Walk { depth, path: String::new(), wanted: &[], found: &mut *self.found })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            // A slash inside a key must not look like a step down.
            let step = key.replace('/', "\\");
            let path = if self.path.is_empty() { step } else { format!("{}/{step}", self.path) };
            if !seen.insert(key.to_lowercase()) {
                return Err(A::Error::custom(DOUBLED));
            }
            map.next_value_seed(Walk { depth, path, wanted: self.wanted, found: &mut *self.found })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: &[&str] = &["ID", "Metadata/key_url"];

    #[test]
    fn only_what_was_asked_for_is_kept() {
        let found = pick(br#"{"id":7,"Other":{"ID":8},"l":[{"ID":9}],"Metadata":{"key_url":"k"}}"#, WANTED).unwrap();
        assert_eq!(found["ID"], 7);
        assert_eq!(found["Metadata/key_url"], "k");
        assert_eq!(found.len(), 2);
        assert!(pick(br#"{"Metadata/key_url":"k"}"#, WANTED).unwrap().is_empty());
    }

    #[test]
    fn text_that_two_readers_could_read_differently_is_refused() {
        for doubled in
            [r#"{"ID":1,"ID":2}"#, r#"{"ID":1,"id":2}"#, r#"{"a":{"x":1,"\u0078":2}}"#, r#"{"a":[{"x":1,"x":1}]}"#]
        {
            assert_eq!(pick(doubled.as_bytes(), WANTED), Err(DOUBLED), "{doubled}");
        }
        for bad in ["", "[]", "7", "null", "{", "{\"a\":1}x", "{\"a\":NaN}", "\"{}\"", "{\"a\":1,}", "{'a':1}"] {
            assert!(pick(bad.as_bytes(), WANTED).is_err(), "{bad:?}");
        }
        assert!(pick(b"{\"a\":\"\xff\"}", WANTED).is_err());
    }

    #[test]
    fn an_array_is_read_element_by_element() {
        let each = |text: &str, most| pick_each(text.as_bytes(), WANTED, most);
        let ids = |text| each(text, 9).unwrap().iter().map(|p| p.get("ID").cloned()).collect::<Vec<_>>();
        assert_eq!(ids(r#" [{"ID":1},{"x":[{"ID":7}]},3,{"id":"2"}]"#), [Some(1.into()), None, None, Some("2".into())]);
        assert_eq!(ids(r#"{"ID":1}"#), [Some(1.into())]);
        assert!(each("[]", 9).unwrap().is_empty());
        assert_eq!(each("[{},{},{}]", 2), Err(LONG));
        assert_eq!(each(r#"[{"ID":1},{"ID":1,"id":1}]"#, 9), Err(DOUBLED));
        assert!(each("[{}]x", 9).is_err() && each("[{}", 9).is_err() && each("7", 9).is_err());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(pick(nested(31).as_bytes(), WANTED).is_ok());
        assert_eq!(pick(nested(32).as_bytes(), WANTED), Err(DEEP));
        assert!(pick(nested(100_000).as_bytes(), WANTED).is_err());
    }
}
