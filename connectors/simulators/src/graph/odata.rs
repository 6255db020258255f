//! Collections as the directory answers them: `$filter`, `$select`, `$orderby`, `$top`, paging.
//!
//! An option or a property that is not understood is refused, never ignored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::answer::{Answer, BAD_REQUEST, Refusal, Reply, UNSUPPORTED};
use super::ask::Ask;
use super::filter::Filter;

pub(super) type Object = Map<String, Value>;

/// What a collection can be asked.
pub(super) struct Shape {
    /// As error texts name it: `User`.
    pub(super) resource: &'static str,
    /// Returned without `$select`; empty means everything.
    pub(super) defaults: &'static [&'static str],
    pub(super) is_known: fn(&str) -> bool,
    pub(super) is_filterable: fn(&str) -> bool,
    pub(super) largest_page: usize,
    /// Every object has every property, so that a name it lacks is a mistake.
    pub(super) is_uniform: bool,
    /// What `$expand` may say; the module that owns the collection does the expanding.
    pub(super) expands: &'static [&'static str],
}

/// Where a collection stands, for `@odata.context` and `@odata.nextLink`.
pub(super) struct Place<'a> {
    pub(super) base_url: &'a str,
    /// The part after `$metadata#`.
    pub(super) context: String,
    /// Objects on a page when the caller does not say.
    pub(super) page_size: usize,
}

impl Shape {
    /// Answers a list request over `items`, which stand in the collection's order.
    pub(super) fn list(&self, ask: &Ask, place: &Place<'_>, items: Vec<Object>) -> Answer {
        self.check_options(ask)?;
        let filter = self.filter(ask)?;
        if let (true, Some(filter), Some(first)) = (self.is_uniform, &filter, items.first()) {
            // `isPrivileged` exists in beta only: in v1.0 it is not false but unknown.
            if let Some(path) = filter.paths().into_iter().find(|path| !first.contains_key(*path)) {
                return Err(self.unsupported(path));
            }
        }
        let top = self.top(ask)?;
        let mut found: Vec<Object> =
            items.into_iter().filter(|item| filter.as_ref().is_none_or(|f| f.matches(item))).collect();
        self.order(ask, &mut found)?;

        let count = found.len();
        let start = start(ask, &found)?;
        let size = top.unwrap_or(place.page_size).max(1);
        let end = (start + size).min(count);
        let mut body = json!({
            "@odata.context": format!("{}/{}/$metadata#{}", place.base_url, ask.version, place.context),
        });
        if ask.is_advanced() {
            body["@odata.count"] = json!(count);
        }
        if end < count {
            let last = found[end - 1]["id"].as_str().unwrap_or_default();
            body["@odata.nextLink"] = json!(next_link(ask, place.base_url, end, last));
        }
        let page: Result<Vec<Object>, Refusal> = found.drain(start..end).map(|item| self.select(ask, item)).collect();
        body["value"] = json!(page?);
        Reply::ok(body)
    }

    /// Answers a request for one object of the collection.
    pub(super) fn one(&self, ask: &Ask, place: &Place<'_>, item: Object) -> Answer {
        self.check_options(ask)?;
        let mut body = self.select(ask, item)?;
        let context = format!("{}/{}/$metadata#{}/$entity", place.base_url, ask.version, place.context);
        body.insert("@odata.context".into(), json!(context));
        Reply::ok(Value::Object(body))
    }

    /// The properties that the caller asked for, or the default ones.
    fn select(&self, ask: &Ask, item: Object) -> Result<Object, Refusal> {
        let wanted: Vec<&str> = match ask.option("$select") {
            Some(text) => text.split(',').map(str::trim).collect(),
            None if self.defaults.is_empty() => return Ok(item),
            None => self.defaults.to_vec(),
        };
        let mut out = Object::new();
        for name in wanted {
            let value = item.get(name);
            if !(self.is_known)(name) || (self.is_uniform && value.is_none()) {
                let resource = lower_first(self.resource);
                let message = format!("Could not find a property named '{name}' on type 'microsoft.graph.{resource}'.");
                return Err(Refusal::new(400, BAD_REQUEST, message));
            }
            // An extension without a value is left out; a property without one is null.
            if value.is_some() || !name.starts_with("extension_") {
                out.insert(name.to_owned(), value.cloned().unwrap_or_default());
            }
        }
        for (name, value) in item {
            let is_expanded = self.expands.iter().any(|e| e.split('(').next() == Some(name.as_str()))
                && ask.option("$expand").is_some();
            if name.starts_with("@odata.") || is_expanded {
                out.insert(name, value);
            }
        }
        Ok(out)
    }

    /// The parsed `$filter`, every property of it allowed, its engine the right one.
    pub(super) fn filter(&self, ask: &Ask) -> Result<Option<Filter>, Refusal> {
        let Some(text) = ask.option("$filter") else {
            return Ok(None);
        };
        let filter = Filter::parse(text).ok_or_else(|| Refusal::new(400, "BadRequest", "Invalid filter clause"))?;
        let stranger = filter.paths().into_iter().find(|path| !(self.is_filterable)(path));
        if let Some(property) = stranger {
            return Err(self.unsupported(property));
        }
        if filter.is_advanced() && !ask.is_advanced() {
            return Err(self.unsupported(filter.paths().first().copied().unwrap_or_default()));
        }
        Ok(Some(filter))
    }

    fn unsupported(&self, property: &str) -> Refusal {
        let message = format!(
            "Unsupported or invalid query filter clause specified for property '{property}' of resource '{}'.",
            self.resource
        );
        Refusal::new(400, UNSUPPORTED, message)
    }

    fn top(&self, ask: &Ask) -> Result<Option<usize>, Refusal> {
        let Some(text) = ask.option("$top") else {
            return Ok(None);
        };
        match text.parse() {
            Ok(top) if (1..=self.largest_page).contains(&top) => Ok(Some(top)),
            _ => Err(Refusal::bad_request(format!(
                "Invalid page size specified: '{text}'. Must be between 1 and {} inclusive.",
                self.largest_page
            ))),
        }
    }

    fn order(&self, ask: &Ask, items: &mut [Object]) -> Result<(), Refusal> {
        let Some(text) = ask.option("$orderby") else {
            return Ok(());
        };
        let (property, direction) = text.split_once(' ').unwrap_or((text, "asc"));
        let is_sortable =
            ["displayName", "userPrincipalName"].contains(&property) && ["asc", "desc"].contains(&direction);
        let needs_header = ask.option("$filter").is_some() && !ask.is_advanced();
        if !is_sortable || needs_header {
            let message = "Sorting not supported for current query.";
            return Err(Refusal::new(400, UNSUPPORTED, message));
        }
        items.sort_by_key(|item| item[property].as_str().map(str::to_lowercase));
        if direction == "desc" {
            items.reverse();
        }
        Ok(())
    }

    fn check_options(&self, ask: &Ask) -> Result<(), Refusal> {
        const KNOWN: [&str; 7] = ["$filter", "$select", "$top", "$count", "$orderby", "$skiptoken", "$format"];
        for (name, value) in &ask.query {
            let is_fine = !name.starts_with('$')
                || KNOWN.contains(&name.as_str())
                || (name == "$expand" && self.expands.contains(&value.as_str()));
            if !is_fine {
                let message = format!("The query option '{name}' is not supported here.");
                return Err(Refusal::new(400, UNSUPPORTED, message));
            }
        }
        Ok(())
    }
}

/// A page's token names the last object of the page before it, and its place if it is gone.
fn start(ask: &Ask, found: &[Object]) -> Result<usize, Refusal> {
    let Some(text) = ask.option("$skiptoken") else {
        return Ok(0);
    };
    let invalid = || Refusal::bad_request("Invalid skip token.");
    let decoded = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
    let decoded = String::from_utf8(decoded).map_err(|_| invalid())?;
    let (place, last) = decoded.split_once(':').ok_or_else(invalid)?;
    let place: usize = place.parse().map_err(|_| invalid())?;
    let after = found.iter().position(|item| item["id"] == last);
    Ok(after.map_or(place, |at| at + 1).min(found.len()))
}

fn next_link(ask: &Ask, base_url: &str, place: usize, last: &str) -> String {
    let token = URL_SAFE_NO_PAD.encode(format!("{place}:{last}"));
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in &ask.query {
        if name != "$skiptoken" {
            query.append_pair(name, value);
        }
    }
    query.append_pair("$skiptoken", &token);
    format!("{base_url}{}?{}", ask.path, query.finish())
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// The inside of a `json!({…})`.
pub(super) fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}
