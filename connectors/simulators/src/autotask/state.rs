//! What one tenant remembers. Records are what REST shows of them; the rules live with the endpoints.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// A record by its properties.
pub(super) type Row = Map<String, Value>;
/// The records of one entity, by id.
pub(super) type Table = BTreeMap<i64, Row>;

/// One value of a picklist.
#[derive(Debug, Clone)]
pub(super) struct Pick {
    pub(super) value: i64,
    pub(super) label: String,
    pub(super) is_active: bool,
    pub(super) is_system: bool,
}

/// A user-defined field of tickets.
#[derive(Debug, Clone)]
pub(super) struct Udf {
    pub(super) id: i64,
    pub(super) name: String,
    /// Value and label of a list.
    pub(super) options: Vec<(String, String)>,
    pub(super) is_webhook_field: bool,
}

/// A tenant.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) user: String,
    pub(super) secret: String,
    pub(super) code: String,
    /// The resource of the API user.
    pub(super) api_resource: i64,
    pub(super) resources: Table,
    pub(super) companies: Table,
    pub(super) contacts: Table,
    pub(super) tickets: Table,
    /// Values of user-defined fields, by ticket and name.
    pub(super) values: BTreeMap<i64, BTreeMap<String, String>>,
    pub(super) notes: Table,
    /// By id; outlives the ticket.
    pub(super) history: Table,
    pub(super) picklists: BTreeMap<&'static str, Vec<Pick>>,
    pub(super) udfs: Vec<Udf>,
    pub(super) webhooks: Table,
    /// Keys of webhooks; never read back.
    pub(super) keys: BTreeMap<i64, String>,
    pub(super) hook_fields: Table,
    pub(super) hook_udfs: Table,
    pub(super) excluded: Table,
    pub(super) error_log: Table,
    /// Failed events in a row, by webhook.
    pub(super) failed: BTreeMap<i64, usize>,
    pub(super) sequence: BTreeMap<i64, i64>,
    /// When calls were made, in the last hour.
    pub(super) calls: Vec<i64>,
    /// Calls that other integrations made in this hour.
    pub(super) calls_of_others: u32,
    /// Resources that may be impersonated.
    pub(super) impersonable: BTreeSet<i64>,
    pub(super) next: BTreeMap<&'static str, i64>,
}

impl State {
    /// The next number of a table; tables begin where the vendor's do.
    pub(super) fn take(&mut self, table: &'static str, first: i64) -> i64 {
        let next = self.next.entry(table).or_insert(first);
        *next += 1;
        *next - 1
    }

    pub(super) fn pick(&self, list: &str, value: i64) -> Option<&Pick> {
        self.picklists.get(list)?.iter().find(|pick| pick.value == value)
    }

    pub(super) fn label(&self, list: &str, value: i64) -> String {
        self.pick(list, value).map_or_else(|| value.to_string(), |pick| pick.label.clone())
    }

    pub(super) fn udf(&self, name: &str) -> Option<&Udf> {
        self.udfs.iter().find(|udf| udf.name == name)
    }
}

/// A number of a row.
pub(super) fn int(row: &Row, name: &str) -> Option<i64> {
    row.get(name)?.as_i64()
}

/// A text of a row; empty when there is none.
pub(super) fn text<'r>(row: &'r Row, name: &str) -> &'r str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A flag of a row.
pub(super) fn flag(row: &Row, name: &str) -> bool {
    row.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// A row from a JSON object.
pub(super) fn row(value: Value) -> Row {
    match value {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}
