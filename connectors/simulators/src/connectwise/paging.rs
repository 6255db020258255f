//! What every list has in common: filters, order, fields, the two kinds of paging, counts.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::conditions;
use super::errors::Refusal;
use crate::server::{Request, Response};

/// The vendor's default and maximum.
const DEFAULT_SIZE: usize = 25;
const MAX_SIZE: usize = 1000;

/// The query of a list, from the URL or from a search body.
#[derive(Debug, Default)]
pub(super) struct Query {
    conditions: Option<String>,
    child_conditions: Option<String>,
    custom_field_conditions: Option<String>,
    order_by: Option<String>,
}

impl Query {
    pub(super) fn of(request: &Request) -> Self {
        let get = |name| request.query(name).filter(|v| !v.trim().is_empty()).map(str::to_owned);
        Self {
            conditions: get("conditions"),
            child_conditions: get("childConditions"),
            custom_field_conditions: get("customFieldConditions"),
            order_by: get("orderBy"),
        }
    }

    /// The body of `…/search`: the same names, in any case.
    pub(super) fn of_search(body: &Value) -> Result<Self, Refusal> {
        let map = body.as_object().ok_or_else(Refusal::unreadable_body)?;
        let get = |name: &str| {
            let value = map.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v)?;
            value.as_str().filter(|v| !v.trim().is_empty()).map(str::to_owned)
        };
        Ok(Self {
            conditions: get("conditions"),
            child_conditions: get("childConditions"),
            custom_field_conditions: get("customFieldConditions"),
            order_by: get("orderBy"),
        })
    }
}

/// The records that satisfy the query, in its order. `known` is as in [`conditions::parse`].
pub(super) fn select(items: Vec<Value>, query: &Query, known: &[&str]) -> Result<Vec<Value>, Refusal> {
    let main = query.conditions.as_deref().map(|c| conditions::parse(c, known)).transpose()?;
    let child = query.child_conditions.as_deref().map(|c| conditions::parse(c, known)).transpose()?;
    let custom = query.custom_field_conditions.as_deref().map(|c| conditions::parse(c, &[])).transpose()?;
    let mut kept = Vec::new();
    for item in items {
        let whole = [&main, &child].into_iter().flatten();
        let mut keep = whole.map(|e| e.holds(&item)).try_fold(true, |all, one| one.map(|o| all && o))?;
        if let Some(custom) = &custom {
            keep &= any_field(custom, &item)?;
        }
        if keep {
            kept.push(item);
        }
    }
    if let Some(order) = &query.order_by {
        sort(&mut kept, order, known)?;
    }
    Ok(kept)
}

/// A custom-field condition is about one field at a time.
fn any_field(expr: &conditions::Expr, item: &Value) -> Result<bool, Refusal> {
    for field in item["customFields"].as_array().into_iter().flatten() {
        if expr.holds(field)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn sort(items: &mut [Value], order: &str, known: &[&str]) -> Result<(), Refusal> {
    let mut keys = Vec::new();
    for part in order.split(',') {
        let mut words = part.split_whitespace();
        let path = words.next().ok_or_else(|| Refusal::bad_request("orderBy is malformed."))?;
        let descending = match words.next().map(str::to_ascii_lowercase).as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err(Refusal::bad_request("orderBy takes asc or desc.")),
        };
        let first = path.split('/').next().unwrap_or_default();
        let is_known = known.iter().chain(&["lastUpdated", "_info"]).any(|k| k.eq_ignore_ascii_case(first));
        if !known.is_empty() && !is_known {
            return Err(Refusal::bad_request(format!("orderBy: {first:?} is not a property.")));
        }
        keys.push((path.to_owned(), descending));
    }
    items.sort_by(|a, b| {
        keys.iter()
            .map(|(path, descending)| {
                let order = compare(at(a, path), at(b, path));
                if *descending { order.reverse() } else { order }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    Ok(())
}

fn at<'a>(item: &'a Value, path: &str) -> &'a Value {
    let step = |value: &'a Value, name: &str| match value {
        Value::Object(map) => map.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map_or(&Value::Null, |(_, v)| v),
        _ => &Value::Null,
    };
    let found = path.split('/').fold(item, step);
    if found.is_null() && !path.contains('/') { step(&item["_info"], path) } else { found }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        (Value::String(a), Value::String(b)) => a.to_lowercase().cmp(&b.to_lowercase()),
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}

/// `…/count`.
pub(super) fn count(items: &[Value]) -> Response {
    Response::json(200, &json!({"count": items.len()}))
}

/// One page of `items` with its `Link` header. `here` is the absolute URL without a query.
pub(super) fn page(items: Vec<Value>, request: &Request, here: &str) -> Result<Response, Refusal> {
    let size = number(request, "pageSize")?.unwrap_or(DEFAULT_SIZE);
    if size == 0 || size > MAX_SIZE {
        return Err(Refusal::bad_request(format!("pageSize must be between 1 and {MAX_SIZE}.")));
    }
    let forward = request.header("pagination-type").is_some_and(|kind| kind.eq_ignore_ascii_case("forward-only"));
    let (shown, link) =
        if forward { forward_only(items, request, here, size)? } else { navigable(items, request, here, size)? };
    let shown: Vec<Value> = shown.into_iter().map(|item| only_fields(item, request.query("fields"))).collect();
    let response = Response::json(200, &Value::Array(shown));
    Ok(match link {
        Some(link) => response.with_header("Link", link),
        None => response,
    })
}

fn navigable(
    items: Vec<Value>,
    request: &Request,
    here: &str,
    size: usize,
) -> Result<(Vec<Value>, Option<String>), Refusal> {
    let page = number(request, "page")?.unwrap_or(1);
    if page == 0 {
        return Err(Refusal::bad_request("page must be 1 or more."));
    }
    let last = items.len().div_ceil(size).max(1);
    // One popular client only understands links in which the page is the last parameter.
    let to = |page: usize, rel: &str| format!("<{here}?{}page={page}>; rel=\"{rel}\"", kept_query(request, size));
    let mut links = Vec::new();
    if page > 1 {
        links.push(to(1, "first"));
        links.push(to((page - 1).min(last), "prev"));
    }
    if page < last {
        links.push(to(page + 1, "next"));
        links.push(to(last, "last"));
    }
    let start = (page - 1).saturating_mul(size);
    let shown = items.into_iter().skip(start).take(size).collect();
    Ok((shown, (!links.is_empty()).then(|| links.join(", "))))
}

/// Pages by id: `pageId` is the last id already seen. The last page has an empty `Link`.
fn forward_only(
    mut items: Vec<Value>,
    request: &Request,
    here: &str,
    size: usize,
) -> Result<(Vec<Value>, Option<String>), Refusal> {
    let after = number(request, "pageId")?;
    items.sort_by_key(|item| item["id"].as_u64());
    let mut rest = items.into_iter().filter(|i| after.is_none_or(|a| i["id"].as_u64().is_some_and(|id| id > a as u64)));
    let shown: Vec<Value> = rest.by_ref().take(size).collect();
    let link = match (rest.next(), shown.last()) {
        (Some(_), Some(last)) => {
            let query = kept_query(request, size);
            format!("<{here}?{query}pageId={}>; rel=\"next\"", last["id"])
        }
        _ => String::new(),
    };
    Ok((shown, Some(link)))
}

/// The request's own parameters, without the paging ones, ending in `&`.
fn kept_query(request: &Request, size: usize) -> String {
    let mut kept = form_urlencoded::Serializer::new(String::new());
    for (name, value) in &request.query {
        if !["page", "pageid", "pagesize"].contains(&name.to_ascii_lowercase().as_str()) {
            kept.append_pair(name, value);
        }
    }
    kept.append_pair("pageSize", &size.to_string());
    format!("{}&", kept.finish())
}

fn number(request: &Request, name: &str) -> Result<Option<usize>, Refusal> {
    let parse = |text: &str| text.parse().map_err(|_| Refusal::bad_request(format!("{name} must be a number.")));
    request.query(name).map(parse).transpose()
}

/// `fields=id,_info/lastUpdated`: only what was asked for; names that do not exist are left out.
pub(super) fn only_fields(item: Value, fields: Option<&str>) -> Value {
    let Some(fields) = fields.filter(|f| !f.trim().is_empty()) else { return item };
    let mut kept = Value::Object(Map::new());
    for field in fields.split(',') {
        let path: Vec<&str> = field.trim().split('/').filter(|p| !p.is_empty()).collect();
        keep(&item, &path, &mut kept);
    }
    kept
}

fn keep(from: &Value, path: &[&str], to: &mut Value) {
    let (Some((name, rest)), Value::Object(source)) = (path.split_first(), from) else { return };
    let Some((key, value)) = source.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)) else {
        return;
    };
    let Value::Object(target) = to else { return };
    if rest.is_empty() {
        target.insert(key.clone(), value.clone());
    } else if value.is_object() {
        keep(value, rest, target.entry(key.clone()).or_insert_with(|| json!({})));
    }
}
