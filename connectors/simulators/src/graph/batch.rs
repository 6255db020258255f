//! `$batch`: up to twenty requests in one, each with its own status.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::answer::{Answer, Refusal, Reply};
use super::ask::Ask;

const MOST: usize = 20;

/// Runs the parts in the order given; `run` answers one of them.
pub(super) fn run(outer: &Ask, mut run: impl FnMut(&Ask) -> Reply) -> Answer {
    let body = outer.object()?;
    let parts = body
        .get("requests")
        .and_then(Value::as_array)
        .ok_or_else(|| bad("The batch must contain an array of requests."))?;
    if parts.len() > MOST {
        return Err(bad(format!("Number of batch request steps exceeds the maximum value of {MOST}.")));
    }
    let ids = ids(parts)?;
    let mut statuses: BTreeMap<&str, u16> = BTreeMap::new();
    let mut responses = Vec::new();
    for (id, part) in ids.into_iter().zip(parts) {
        let reply = if depends_on_failure(part, &statuses) {
            let refusal = json!({"error": {"code": "FailedDependency", "message": "The request was not executed because a request it depends on failed."}});
            Reply::plain(424, Some(refusal))
        } else {
            run(&part_ask(outer, part)?)
        };
        statuses.insert(id, reply.status);
        responses.push(response(id, reply));
    }
    Reply::ok(json!({ "responses": responses }))
}

fn ids(parts: &[Value]) -> Result<Vec<&str>, Refusal> {
    let mut seen = BTreeSet::new();
    parts
        .iter()
        .map(|part| {
            part["id"]
                .as_str()
                .filter(|id| seen.insert(*id))
                .ok_or_else(|| bad("Every request needs an id of its own."))
        })
        .collect()
}

fn depends_on_failure(part: &Value, statuses: &BTreeMap<&str, u16>) -> bool {
    part["dependsOn"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .any(|id| statuses.get(id).is_none_or(|status| *status >= 400))
}

/// A part as a request of its own, under the outer one's version and token.
fn part_ask(outer: &Ask, part: &Value) -> Result<Ask, Refusal> {
    let (Some(method), Some(url)) = (part["method"].as_str(), part["url"].as_str()) else {
        return Err(bad("Every request needs a method and a url."));
    };
    let mut headers: BTreeMap<String, String> = part["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.to_lowercase(), value.as_str()?.to_owned())))
        .collect();
    let body = match &part["body"] {
        Value::Null => Vec::new(),
        _ if !headers.contains_key("content-type") => {
            return Err(bad("A request with a body needs a Content-Type header."));
        }
        body => body.to_string().into_bytes(),
    };
    for name in ["authorization", "client-request-id"] {
        if let Some(value) = outer.headers.get(name) {
            headers.insert(name.to_owned(), value.clone());
        }
    }
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let path = format!("/{}/{}", outer.version, path.trim_start_matches('/'));
    Ok(Ask::new(method, &path, query, headers, body))
}

fn response(id: &str, reply: Reply) -> Value {
    let mut headers: BTreeMap<&str, String> = reply.headers.into_iter().collect();
    let mut response = json!({"id": id, "status": reply.status});
    if let Some(body) = reply.body {
        headers.insert("Content-Type", "application/json".to_owned());
        response["body"] = body;
    }
    response["headers"] = json!(headers);
    response
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadRequest", message)
}
