//! How values go in and out: numbers as numbers or as text, times without a zone.

use serde_json::{Map, Value, json};

use super::errors::Refusal;
use crate::clock::{to_millis_text, to_seconds_text};

/// A record as it was posted.
pub(super) type Row = Map<String, Value>;

/// The whole number under a name, whatever its case. Text with a number in it counts, a fraction does not.
pub(super) fn int(row: &Row, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(value) = get(row, name) else { return Ok(None) };
    let bad = || Refusal::field(name, value);
    match value {
        Value::Null => Ok(None),
        Value::Number(n) => n.as_i64().map(Some).ok_or_else(bad),
        Value::String(text) => text.trim().parse().map(Some).map_err(|_| bad()),
        _ => Err(bad()),
    }
}

pub(super) fn flag(row: &Row, name: &str) -> Option<bool> {
    get(row, name)?.as_bool()
}

pub(super) fn text<'r>(row: &'r Row, name: &str) -> Option<&'r str> {
    get(row, name)?.as_str()
}

/// Names are compared without case.
pub(super) fn get<'r>(row: &'r Row, name: &str) -> Option<&'r Value> {
    row.get(name).or_else(|| row.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// `2026-10-06T19:16:09.363`: UTC, and without saying so.
pub(super) fn time(ms: i64) -> String {
    to_millis_text(ms).trim_end_matches('Z').to_owned()
}

/// `2026-10-06T19:16:09`, as some fields have it.
pub(super) fn short_time(ms: i64) -> String {
    to_seconds_text(ms).trim_end_matches('Z').to_owned()
}

/// `2026-09-25T06:41:08.7895915Z`, as webhooks have it.
pub(super) fn long_time(ms: i64) -> String {
    format!("{}5915Z", to_millis_text(ms).trim_end_matches('Z'))
}

/// What the vendor writes where there is no date.
pub(super) const NO_DATE: &str = "1900-01-01T00:00:00";

/// Every id as text, as some builds answer.
pub(super) fn with_text_ids(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(with_text_ids),
        Value::Object(row) => {
            for (key, inner) in row.iter_mut() {
                match inner {
                    Value::Number(n) if key.to_ascii_lowercase().ends_with("id") => *inner = json!(n.to_string()),
                    other => with_text_ids(other),
                }
            }
        }
        _ => {}
    }
}

/// The text of a piece of HTML, with its line breaks.
pub(super) fn html_to_text(html: &str) -> String {
    let (mut out, mut rest) = (String::new(), html);
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        let Some((tag, after)) = after.split_once('>') else {
            rest = after;
            continue;
        };
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default().to_ascii_lowercase();
        if name == "br" || (tag.starts_with('/') && matches!(name.as_str(), "p" | "div")) {
            out.push('\n');
        }
        rest = after;
    }
    out.push_str(rest);
    let decoded = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")];
    decoded.iter().fold(out, |text, (code, plain)| text.replace(code, plain)).trim_end().to_owned()
}

/// A plain text as HTML, its line breaks kept.
pub(super) fn text_to_html(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<p>{}</p>", escaped.replace("\r\n", "\n").replace('\n', "<br>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_no_id_and_a_text_may_be_one() {
        let row = |value: Value| Row::from_iter([("id".to_owned(), value)]);
        assert_eq!(int(&row(json!(7)), "ID"), Ok(Some(7)));
        assert_eq!(int(&row(json!("7")), "id"), Ok(Some(7)));
        assert!(int(&row(json!(95.0)), "id").is_err());
        assert_eq!(int(&row(json!(null)), "id"), Ok(None));
    }

    #[test]
    fn text_and_html_keep_their_lines() {
        assert_eq!(html_to_text("<p>a <b>b</b> &lt;c&gt;</p><p>d<br/>e</p>"), "a b <c>\nd\ne");
        assert_eq!(html_to_text(&text_to_html("a & <b>\nc")), "a & <b>\nc");
    }

    #[test]
    fn times_look_as_captured() {
        let ms = crate::clock::parse_ms("2026-09-25T06:41:08.789Z").unwrap();
        assert_eq!(long_time(ms), "2026-09-25T06:41:08.7895915Z");
        assert_eq!(time(ms), "2026-09-25T06:41:08.789");
    }
}
