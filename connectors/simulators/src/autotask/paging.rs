//! Queries: pages of at most 500 by ascending id, and the URL of the next one, which is asked for as the first was.

use serde_json::{Value, json};

use super::{
    errors::Refusal,
    filter::{Filters, prop},
};

const LARGEST: usize = 500;

/// What a query asks for.
#[derive(Debug)]
pub(super) struct Query {
    filters: Filters,
    columns: Option<Vec<String>>,
    size: usize,
}

impl Query {
    pub(super) fn read(body: &Value) -> Result<Self, Refusal> {
        let size = match prop(body, "maxRecords") {
            None | Some(Value::Null) => LARGEST,
            Some(size) => size
                .as_u64()
                .and_then(|size| usize::try_from(size).ok())
                .filter(|size| (1..=LARGEST).contains(size))
                .ok_or_else(|| Refusal::said("MaxRecords must be between 1 and 500."))?,
        };
        let columns = prop(body, "includeFields").and_then(Value::as_array);
        let columns = columns.map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        Ok(Self { filters: Filters::read(body)?, columns, size })
    }

    pub(super) const fn filters(&self) -> &Filters {
        &self.filters
    }

    pub(super) fn count(&self, rows: &[Value]) -> Result<usize, Refusal> {
        Ok(self.select(rows)?.len())
    }

    /// The page after `after`; `here` is the query's own URL.
    pub(super) fn page(&self, rows: &[Value], after: i64, here: &str) -> Result<Value, Refusal> {
        let id = |row: &Value| row["id"].as_i64().unwrap_or_default();
        let all: Vec<Value> = self.select(rows)?.into_iter().filter(|row| id(row) > after).collect();
        let is_last = all.len() <= self.size;
        let page: Vec<&Value> = all.iter().take(self.size).collect();
        let next = page.last().filter(|_| !is_last).map(|row| {
            let token = json!({"pageSize": self.size, "previousIds": [], "nextIds": [id(row)]}).to_string();
            let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
            format!("{here}/next?paging={token}")
        });
        let items: Vec<Value> = page.iter().map(|row| self.columns_of(row)).collect();
        let details =
            json!({"count": items.len(), "requestCount": self.size, "prevPageUrl": null, "nextPageUrl": next});
        Ok(json!({"items": items, "pageDetails": details}))
    }

    fn select(&self, rows: &[Value]) -> Result<Vec<Value>, Refusal> {
        let mut found = Vec::new();
        for row in rows {
            if self.filters.hold(row)? {
                found.push(row.clone());
            }
        }
        Ok(found)
    }

    fn columns_of(&self, row: &Value) -> Value {
        let Some(columns) = &self.columns else { return row.clone() };
        let Some(all) = row.as_object() else { return row.clone() };
        let is_wanted = |name: &String| columns.iter().any(|column| column.eq_ignore_ascii_case(name));
        Value::Object(all.iter().filter(|(name, _)| is_wanted(name)).map(|(n, v)| (n.clone(), v.clone())).collect())
    }
}

/// Where a `paging` value goes on.
pub(super) fn after(paging: &str) -> Result<i64, Refusal> {
    let token: Value = serde_json::from_str(paging).map_err(|_| Refusal::said("The paging value is not valid."))?;
    token["nextIds"][0].as_i64().ok_or_else(|| Refusal::said("The paging value is not valid."))
}
