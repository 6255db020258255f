//! The file that is read.

use futures::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Column, Kind, Moved, TOGETHER, Table, Tally, Target, TransferError, Value};

/// The one connection that has the file to itself.
pub(super) struct Source<'a>(pub(super) &'a mut SqliteConnection);

fn failed(table: &str) -> impl Fn(sqlx::Error) -> TransferError {
    move |source| TransferError::Read { table: table.to_owned(), source }
}

impl Source<'_> {
    pub(super) async fn tables(&mut self) -> Result<Vec<Table>, TransferError> {
        let sql = "SELECT t.name, c.name, c.type, c.pk FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND t.name NOT LIKE '\\_sqlx%' ESCAPE '\\'
             ORDER BY t.name, c.cid";
        let rows: Vec<(String, String, String, i64)> =
            sqlx::query_as(sql).fetch_all(&mut *self.0).await.map_err(failed("sqlite_schema"))?;
        let mut tables: Vec<Table> = Vec::new();
        for (table, name, kind, key) in rows {
            let kind = match kind.as_str() {
                "TEXT" => Kind::Text,
                "INTEGER" => Kind::Whole,
                "BLOB" => Kind::Bytes,
                other => return Err(TransferError::Unlike(format!("{table}.{name} as {other}"))),
            };
            let column = Column { name, kind, key: (key > 0).then_some(key) };
            match tables.last_mut().filter(|last| last.name == table) {
                Some(last) => last.columns.push(column),
                None => tables.push(Table { name: table, columns: vec![column] }),
            }
        }
        Ok(tables)
    }

    /// Copies a table, in the order in which its rows were written.
    pub(super) async fn copy(&mut self, table: &Table, target: &mut Target) -> Result<(), TransferError> {
        // Names of our own tables and columns alone.
        let sql = format!("SELECT {} FROM {} ORDER BY rowid", table.names(), table.name);
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut *self.0);
        let mut waiting = Vec::with_capacity(TOGETHER);
        while let Some(row) = rows.try_next().await.map_err(failed(&table.name))? {
            waiting.push(read(&row, table).map_err(failed(&table.name))?);
            if waiting.len() == TOGETHER {
                target.insert(table, &waiting).await?;
                waiting.clear();
            }
        }
        if waiting.is_empty() { Ok(()) } else { target.insert(table, &waiting).await }
    }

    pub(super) async fn tally(&mut self, table: &Table) -> Result<Moved, TransferError> {
        let sql = format!("SELECT {} FROM {} ORDER BY {}", table.names(), table.name, table.order(""));
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut *self.0);
        let mut tally = Tally::default();
        while let Some(row) = rows.try_next().await.map_err(failed(&table.name))? {
            tally.take(&read(&row, table).map_err(failed(&table.name))?);
        }
        Ok(tally.done(&table.name))
    }

    /// Tables whose numbers are never given twice, with the newest that was.
    pub(super) async fn counters(&mut self) -> Result<Vec<(String, i64)>, TransferError> {
        let sql = "SELECT name, seq FROM sqlite_sequence UNION ALL SELECT 'notices', max(seq) FROM notices";
        let rows: Vec<(String, Option<i64>)> =
            sqlx::query_as(sql).fetch_all(&mut *self.0).await.map_err(failed("sqlite_sequence"))?;
        Ok(rows.into_iter().filter_map(|(table, newest)| Some((table, newest?))).collect())
    }
}

fn read(row: &SqliteRow, table: &Table) -> Result<Vec<Value>, sqlx::Error> {
    let value = |(place, column): (usize, &Column)| {
        Ok(match column.kind {
            Kind::Text => row.try_get::<Option<String>, _>(place)?.map_or(Value::Null, Value::Text),
            Kind::Whole => row.try_get::<Option<i64>, _>(place)?.map_or(Value::Null, Value::Whole),
            Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(place)?.map_or(Value::Null, Value::Bytes),
        })
    };
    table.columns.iter().enumerate().map(value).collect()
}
