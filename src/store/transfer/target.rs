//! The database on the server that is written: in one transaction, which ends with everything or with nothing.

use futures::TryStreamExt as _;
use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow};

use super::{Column, Kind, Moved, Table, Tally, TransferError, Value};
use crate::store::postgres::Server;

/// Tables of the server's alone: who writes there is written there.
const OWN: &str = "writers";

pub(super) struct Target(PgConnection);

fn failed(table: &str) -> impl Fn(sqlx::Error) -> TransferError {
    move |source| TransferError::Write { table: table.to_owned(), source }
}

impl Target {
    /// With the tables that this release has, empty unless somebody has used it.
    pub(super) async fn open(server: &Server) -> Result<Self, TransferError> {
        Ok(Self(server.open_for_transfer().await?))
    }

    pub(super) async fn tables(&mut self) -> Result<Vec<Table>, TransferError> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT), CAST(data_type AS TEXT)
             FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name NOT LIKE '\\_sqlx%' AND table_name <> $1
               AND column_name <> 'rowid'
             ORDER BY table_name, ordinal_position",
        )
        .bind(OWN)
        .fetch_all(&mut self.0)
        .await
        .map_err(failed("information_schema.columns"))?;
        let mut tables: Vec<Table> = Vec::new();
        for (table, name, kind) in rows {
            let kind = match kind.as_str() {
                "text" => Kind::Text,
                "bigint" => Kind::Whole,
                "bytea" => Kind::Bytes,
                other => return Err(TransferError::Unlike(format!("{table}.{name} as {other}"))),
            };
            let column = Column { name, kind, key: None };
            match tables.last_mut().filter(|last| last.name == table) {
                Some(last) => last.columns.push(column),
                None => tables.push(Table { name: table, columns: vec![column] }),
            }
        }
        Ok(tables)
    }

    /// Begins, keeps everybody else out, and sees that nothing is there.
    pub(super) async fn begin(&mut self, tables: &[Table]) -> Result<(), TransferError> {
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let all = names.join(", ");
        self.run(format!("BEGIN; LOCK TABLE {all}, {OWN} IN ACCESS EXCLUSIVE MODE"), &all).await?;
        for table in names {
            // The database's own id, which the source's takes the place of.
            let sql = match table {
                "meta" => "SELECT count(*) FROM meta WHERE name <> 'id'".to_owned(),
                other => format!("SELECT count(*) FROM {other}"),
            };
            let rows: i64 =
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.0).await.map_err(failed(table))?;
            if rows > 0 {
                return Err(TransferError::NotEmpty(table.to_owned()));
            }
        }
        // A checkpoint names an entry that went long ago.
        self.run("DELETE FROM meta; ALTER TABLE audit_checkpoints DISABLE TRIGGER USER".to_owned(), "meta").await
    }

    pub(super) async fn insert(&mut self, table: &Table, rows: &[Vec<Value>]) -> Result<(), TransferError> {
        let places = (1..=table.columns.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let sql = format!("INSERT INTO {} ({}) SELECT * FROM unnest({places})", table.name, table.names());
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (place, column) in table.columns.iter().enumerate() {
            let values = rows.iter().map(|row| &row[place]);
            query = match column.kind {
                Kind::Text => query.bind(values.map(Value::text).collect::<Vec<_>>()),
                Kind::Whole => query.bind(values.map(Value::whole).collect::<Vec<_>>()),
                Kind::Bytes => query.bind(values.map(Value::bytes).collect::<Vec<_>>()),
            };
        }
        query.execute(&mut self.0).await.map(|_| ()).map_err(failed(&table.name))
    }

    pub(super) async fn tally(&mut self, table: &Table) -> Result<Moved, TransferError> {
        let order = table.order(" COLLATE \"C\"");
        let sql = format!("SELECT {} FROM {} ORDER BY {order}", table.names(), table.name);
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut self.0);
        let mut tally = Tally::default();
        while let Some(row) = rows.try_next().await.map_err(failed(&table.name))? {
            tally.take(&read(&row, table).map_err(failed(&table.name))?);
        }
        Ok(tally.done(&table.name))
    }

    /// The next row gets a number above this one.
    pub(super) async fn count_from(&mut self, table: &str, newest: i64) -> Result<(), TransferError> {
        let sql = "SELECT setval(pg_get_serial_sequence($1, a.attname), $2) FROM pg_attribute AS a
             WHERE a.attrelid = to_regclass($1) AND a.attidentity = 'd'";
        let done = sqlx::query(sql).bind(table).bind(newest).execute(&mut self.0).await.map_err(failed(table))?;
        match done.rows_affected() {
            1 => Ok(()),
            _ => Err(TransferError::Unlike(format!("{table} does not count its rows"))),
        }
    }

    pub(super) async fn commit(mut self) -> Result<(), TransferError> {
        self.run("ALTER TABLE audit_checkpoints ENABLE TRIGGER USER".to_owned(), "audit_checkpoints").await?;
        match sqlx::raw_sql("COMMIT").execute(&mut self.0).await {
            Ok(_) => Ok(()),
            Err(source @ sqlx::Error::Database(_)) => {
                Err(TransferError::Write { table: "audit_checkpoints".to_owned(), source })
            }
            Err(error) => Err(TransferError::Unknown(error)),
        }
    }

    async fn run(&mut self, sql: String, table: &str) -> Result<(), TransferError> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.0).await.map(|_| ()).map_err(failed(table))
    }
}

impl Value {
    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn whole(&self) -> Option<i64> {
        if let Self::Whole(number) = self { Some(*number) } else { None }
    }

    fn bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

fn read(row: &PgRow, table: &Table) -> Result<Vec<Value>, sqlx::Error> {
    let value = |(place, column): (usize, &Column)| {
        Ok(match column.kind {
            Kind::Text => row.try_get::<Option<String>, _>(place)?.map_or(Value::Null, Value::Text),
            Kind::Whole => row.try_get::<Option<i64>, _>(place)?.map_or(Value::Null, Value::Whole),
            Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(place)?.map_or(Value::Null, Value::Bytes),
        })
    };
    table.columns.iter().enumerate().map(value).collect()
}
