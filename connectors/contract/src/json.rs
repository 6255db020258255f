//! Named values out of JSON that nobody has vouched for yet.
//!
//! For the few things that are read of a body before, or right after, it is proven. The whole text is walked and checked,
//! but nothing of it is kept except the values asked for.

use std::{
    borrow::Cow,
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
    let mut reading = Reading::new(wanted);
    let mut reader = serde_json::Deserializer::from_slice(text);
    Walk::begin(0, &mut reading).deserialize(&mut reader).map_err(reason)?;
    reader.end().map_err(reason)?;
    match text.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{') => Ok(reading.found),
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
        let mut reading = Reading::new(self.wanted);
        loop {
            match list.next_element_seed(Walk::begin(1, &mut reading))? {
                Some(()) if all.len() == self.most => return Err(A::Error::custom(LONG)),
                Some(()) => all.push(std::mem::take(&mut reading.found)),
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

/// What one reading keeps, and what it has to remember meanwhile.
struct Reading<'de> {
    wanted: &'static [&'static str],
    found: Picked,
    /// The keys of all objects that are open, the innermost's last.
    open: Vec<Cow<'de, str>>,
}

/// Which of the wanted paths: a bit for each.
type Paths = u64;

impl Reading<'_> {
    fn new(wanted: &'static [&'static str]) -> Self {
        assert!(wanted.len() <= 64, "a bit for each path");
        Self { wanted, found: Picked::new(), open: Vec::new() }
    }

    /// Those of `paths` whose next step, after so many, is this key.
    fn along(&self, paths: Paths, steps: usize, key: &str) -> Paths {
        let is_next = |path: &str| path.split('/').nth(steps).is_some_and(|step| step.eq_ignore_ascii_case(key));
        self.those(paths).filter(|(_, path)| is_next(path)).fold(0, |along, (bit, _)| along | bit)
    }

    /// The path that ends here.
    fn ending(&self, paths: Paths, steps: usize) -> Option<&'static str> {
        self.those(paths).map(|(_, path)| path).find(|path| path.split('/').count() == steps)
    }

    fn those(&self, paths: Paths) -> impl Iterator<Item = (Paths, &'static str)> {
        // Most values lie beside every path.
        let wanted: &[&'static str] = if paths == 0 { &[] } else { self.wanted };
        let bits = (0..64_u32).map(|n| 1_u64 << n);
        bits.zip(wanted.iter().copied()).filter(move |(bit, _)| paths & bit != 0)
    }
}

/// The keys of one object.
struct Keys {
    /// Where they begin among those of all open ones.
    first: usize,
    many: HashSet<String>,
}

impl Keys {
    /// So many are compared one by one; whoever sends more is not to gain by it.
    const FEW: usize = 64;

    /// False when it was there before, in whatever case.
    fn add<'de>(&mut self, key: Cow<'de, str>, open: &mut Vec<Cow<'de, str>>) -> bool {
        let key = if key.is_ascii() { key } else { Cow::Owned(key.to_lowercase()) };
        let own = &open[self.first..];
        if own.len() < Self::FEW {
            let is_new = !own.iter().any(|other| other.eq_ignore_ascii_case(&key));
            open.push(key);
            return is_new;
        }
        if self.many.is_empty() {
            self.many.extend(own.iter().map(|other| other.to_ascii_lowercase()));
        }
        self.many.insert(key.to_ascii_lowercase())
    }
}

/// A key as it stands in the text; a copy only where it is written with escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Cow<'de, str>, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

/// One value on the way through the text.
struct Walk<'a, 'de> {
    depth: usize,
    /// Those of the wanted paths that lead through here, after so many steps.
    paths: Paths,
    steps: usize,
    reading: &'a mut Reading<'de>,
}

impl<'a, 'de> Walk<'a, 'de> {
    /// At the object that the paths begin in.
    fn begin(depth: usize, reading: &'a mut Reading<'de>) -> Self {
        Self { depth, paths: Paths::MAX, steps: 0, reading }
    }

    fn keep(self, value: impl Into<Value>) {
        if let Some(name) = self.reading.ending(self.paths, self.steps) {
            self.reading.found.insert(name, value.into());
        }
    }

    fn deeper<E: Error>(&self) -> Result<usize, E> {
        if self.depth < MAX_DEPTH { Ok(self.depth + 1) } else { Err(E::custom(DEEP)) }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, 'de> {
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
        while list.next_element_seed(Walk { depth, paths: 0, steps: 0, reading: &mut *self.reading })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        let Self { paths, steps, reading, .. } = self;
        let mut keys = Keys { first: reading.open.len(), many: HashSet::new() };
        while let Some(key) = map.next_key_seed(Key)? {
            let paths = reading.along(paths, steps, &key);
            if !keys.add(key, &mut reading.open) {
                return Err(A::Error::custom(DOUBLED));
            }
            map.next_value_seed(Walk { depth, paths, steps: steps + 1, reading: &mut *reading })?;
        }
        reading.open.truncate(keys.first);
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
        for elsewhere in [
            r#"{"Metadata/key_url":"k"}"#,
            r#"{"":{"ID":1,"Metadata":{"key_url":"k"}}}"#,
            r#"{"key_url":"k","Metadata":{"ID":7,"key_url":{"key_url":"k"}}}"#,
            r#"{"Metadata":[{"key_url":"k"}]}"#,
            r#"{"ID":{"ID":1},"Metadata":"k"}"#,
        ] {
            assert!(pick(elsewhere.as_bytes(), WANTED).unwrap().is_empty(), "{elsewhere}");
        }
        assert_eq!(pick(br#"{"\u0049D":7,"x":{"id":1,"metadata":{"a":1}}}"#, WANTED).unwrap()["ID"], 7, "with escapes");
    }

    #[test]
    fn text_that_two_readers_could_read_differently_is_refused() {
        for doubled in [
            r#"{"ID":1,"ID":2}"#,
            r#"{"ID":1,"id":2}"#,
            r#"{"a":{"x":1,"\u0078":2}}"#,
            r#"{"a":[{"x":1,"x":1}]}"#,
            r#"{"a":{"b":1,"c":{"d":1}},"e":{"a":1},"A":2}"#,
            // A Kelvin sign is a K, and an umlaut has two cases.
            "{\"k\":1,\"\u{212a}\":2}",
            "{\"\u{e4}\":1,\"\u{c4}\":2}",
        ] {
            assert_eq!(pick(doubled.as_bytes(), WANTED), Err(DOUBLED), "{doubled}");
        }
        for bad in ["", "[]", "7", "null", "{", "{\"a\":1}x", "{\"a\":NaN}", "\"{}\"", "{\"a\":1,}", "{'a':1}"] {
            assert!(pick(bad.as_bytes(), WANTED).is_err(), "{bad:?}");
        }
        assert!(pick(b"{\"a\":\"\xff\"}", WANTED).is_err());
        assert!(pick(br#"{"a":{"b":1},"b":{"a":1},"c":[{"a":1},{"a":1}]}"#, WANTED).is_ok(), "each object by itself");
    }

    #[test]
    fn an_object_of_many_keys_has_each_of_them_once() {
        let object = |last: &str| {
            let many: String = (0..200).map(|n| format!("\"k{n}\":{{\"k{n}\":1}},")).collect();
            format!("{{{many}\"{last}\":1}}")
        };
        assert_eq!(pick(object("ID").as_bytes(), WANTED).unwrap()["ID"], 1);
        for twice in ["k0", "K63", "K64", "k65", "K199", "\u{212a}0"] {
            assert_eq!(pick(object(twice).as_bytes(), WANTED), Err(DOUBLED), "{twice}");
        }
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
