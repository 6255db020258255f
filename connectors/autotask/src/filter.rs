//! The vendor's filters, as JSON.
//!
//! A misspelt operator is silently ignored by the vendor [facts 3.4], and would list everything: so operators are only
//! written here.

use latchkey_contract::Timestamp;
use serde_json::{Value, json};

/// Ids that one filter names: at most 500 conditions are allowed. [facts 3.4]
pub(crate) const IDS_PER_CALL: usize = 400;

/// One condition. Several in a list must all hold.
#[derive(Debug, Clone)]
pub(crate) struct Filter(Value);

impl Filter {
    pub(crate) fn is(field: &'static str, value: impl Into<Value>) -> Self {
        Self(json!({"op": "eq", "field": field, "value": value.into()}))
    }

    pub(crate) fn begins(field: &'static str, value: &str) -> Self {
        Self(json!({"op": "beginsWith", "field": field, "value": value}))
    }

    pub(crate) fn one_of(field: &'static str, values: &[i64]) -> Self {
        Self(json!({"op": "in", "field": field, "value": values}))
    }

    /// At or after an instant, in whole seconds. Dates are compared in UTC. [facts 3.9]
    pub(crate) fn since(field: &'static str, at: Timestamp) -> Self {
        Self(json!({"op": "gte", "field": field, "value": at.rfc3339()}))
    }

    /// Before an instant, in whole seconds.
    pub(crate) fn before(field: &'static str, at: Timestamp) -> Self {
        Self(json!({"op": "lt", "field": field, "value": at.rfc3339()}))
    }

    /// Every record: the vendor wants at least one condition, and ids are never negative. [facts 3.4]
    pub(crate) fn all() -> Self {
        Self(json!({"op": "gte", "field": "id", "value": 0}))
    }
}

/// The body of a query. `columns` must name `id`, by which the vendor pages. [facts 3.4]
pub(crate) fn query(filters: &[Filter], columns: &[&str], page: usize) -> Value {
    let filters: Vec<&Value> = filters.iter().map(|filter| &filter.0).collect();
    match columns {
        [] => json!({"MaxRecords": page, "Filter": filters}),
        columns => json!({"MaxRecords": page, "IncludeFields": columns, "Filter": filters}),
    }
}
