//! The way to the server, and opening the database: nothing is served from one that is not ours, newer than this program,
//! another than before, or on a server that does not keep what it says.

use std::{
    env, fmt, fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use latchkey_contract::{Clock, Secret};
use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, PgPool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};
use tokio::time;
use url::{Host, Url};

use super::history::{self, ArriveError, Found, Marked, Marker, Place, Time};

/// Connections that read; one more of them listens.
const READERS: u32 = 8;

/// A connection that lay idle for longer is asked whether it is still there.
const UNTESTED: Duration = Duration::from_millis(200);

/// The oldest release with everything that is used.
const OLDEST: i64 = 130_000;

/// Which database on which server, and how it is reached.
#[derive(Clone)]
pub struct Server {
    // Prints its password, so it is never printed.
    options: Arc<PgConnectOptions>,
    shown: String,
    pub(super) marker: Option<Marker>,
    pub(super) time: Time,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("at", &self.shown).finish_non_exhaustive()
    }
}

impl Server {
    /// By a URL such as `postgres://latchkey@db.example.com/latchkey`, or `postgres://latchkey@%2Frun%2Fpostgresql/latchkey`
    /// for a Unix socket. TLS with a name that fits is required, but on a Unix socket and on loopback; `ca_file` adds roots
    /// to the system's own, and requires it on loopback too.
    ///
    /// # Errors
    /// A sentence that says what to write instead.
    pub fn parse(url: &Url, password: Option<&Secret<String>>, ca_file: Option<&Path>) -> Result<Self, String> {
        if !["postgres", "postgresql"].contains(&url.scheme()) {
            return Err("must begin with postgres://".to_owned());
        }
        if url.password().is_some() {
            return Err(
                "must not have a password in it: keep it in a file of its own, named by password_file".to_owned()
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must end with the database's name: how the connection is made is not chosen there".to_owned());
        }
        let database = decoded(url.path().trim_start_matches('/'))?;
        let user = decoded(url.username())?;
        let host = decoded(url.host_str().unwrap_or_default())?;
        if host.is_empty() || database.is_empty() || database.contains('/') || user.is_empty() {
            return Err("must name user, host and database: postgres://USER@HOST/DATABASE".to_owned());
        }
        nothing_besides()?;
        let options = PgConnectOptions::new_without_pgpass()
            .username(&user)
            .database(&database)
            .port(url.port().unwrap_or(5432))
            // Also without one: none is to come from the environment.
            .password(password.map_or("", |password| password.expose()))
            .application_name("latchkey")
            .disable_statement_logging();
        let mode = tls(&host, url, ca_file)?;
        let options =
            if host.starts_with('/') { options.socket(&host) } else { options.host(host.trim_matches(['[', ']'])) };
        let options = ca_file.into_iter().fold(options, |options, file| options.ssl_root_cert(file)).ssl_mode(mode);
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let shown = format!("{database} on {host}{port}");
        Ok(Self { options: Arc::new(options), shown, marker: None, time: Time::default() })
    }

    /// Remembers in this file which database it was, so that another one in its place is noticed.
    #[must_use]
    pub fn marked_by(self, path: PathBuf) -> Self {
        Self { marker: Some(Marker { path }), ..self }
    }

    /// This is the clock of the process: while somebody moves it by hand, what is noted bears its time.
    #[must_use]
    pub fn timed_by(self, clock: Arc<dyn Clock>) -> Self {
        Self { time: Time::of(clock), ..self }
    }

    /// As what the server lists its connections.
    #[must_use]
    pub(super) fn called(self, name: &str) -> Self {
        Self { options: Arc::new((*self.options).clone().application_name(name)), ..self }
    }

    /// Another database is in its place on purpose: the next one that is opened is remembered.
    ///
    /// # Errors
    /// [`OpenError::File`].
    pub fn forget(&self) -> Result<(), OpenError> {
        match self.marker.as_ref().map(|Marker { path }| (path, fs::remove_file(path))) {
            Some((path, Err(source))) if source.kind() != io::ErrorKind::NotFound => {
                Err(OpenError::File { path: path.clone(), source })
            }
            _ => Ok(()),
        }
    }

    /// As an operator may see it: database, host and port.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The server's own time limits, on every connection.
    fn bounded(&self, statement: &str, lock: &str) -> PgConnectOptions {
        (*self.options).clone().options([
            ("statement_timeout", statement),
            ("lock_timeout", lock),
            // Who stands still in the middle of a transaction must not keep the others from writing.
            ("idle_in_transaction_session_timeout", "5s"),
            // Whatever the database's default: an answer means that it is on the disk.
            ("synchronous_commit", "on"),
            // Short statements; compiling them takes longer than running them.
            ("jit", "off"),
        ])
    }

    pub(super) fn writing(&self) -> PgConnectOptions {
        self.bounded("10s", "5s")
    }

    /// A sender of webhooks waits. Its delivery may come just after such a wait for a lock began, and then wait through a
    /// second one: together still below two seconds.
    pub(super) fn recording(&self) -> PgConnectOptions {
        self.bounded("10s", "900ms")
    }
}

/// What else the driver takes from the environment is overwritten.
fn nothing_besides() -> Result<(), String> {
    let mut names = ["PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGOPTIONS"].into_iter();
    names.find(|name| env::var_os(name).is_some()).map_or(Ok(()), |name| {
        Err(format!(
            "says where the database is, and {name} in the environment is not to add to that: take it away, and name roots in \
             ca_file, a password in password_file"
        ))
    })
}

fn decoded(text: &str) -> Result<String, String> {
    let bytes = percent(text).ok_or("has a % that is not followed by two hexadecimal digits")?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
}

fn percent(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    Some(out)
}

fn tls(host: &str, url: &Url, ca_file: Option<&Path>) -> Result<PgSslMode, String> {
    if host.starts_with('/') {
        return match ca_file {
            Some(_) => Err("names a Unix socket, where ca_file means nothing: leave one of them out".to_owned()),
            None => Ok(PgSslMode::Disable),
        };
    }
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
        Some(Host::Domain(name)) => name.parse().ok(),
        None => None,
    };
    let is_near = host.eq_ignore_ascii_case("localhost") || ip.is_some_and(|ip| ip.to_canonical().is_loopback());
    Ok(if is_near && ca_file.is_none() { PgSslMode::Prefer } else { PgSslMode::VerifyFull })
}

/// Why the database is not opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No connection.
    #[error(
        "the database {at} cannot be reached ({why}): check [database], that the server runs and lets this user in, and \
         that its certificate fits its name"
    )]
    Unreachable {
        /// Which database.
        at: String,
        /// What the server, or the way to it, says.
        why: String,
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// Another database than the one used before.
    #[error(
        "the database {at} is not the one that was used here before: name the right one under [database], or, if it was \
         restored or moved on purpose, remove {marker} and start again"
    )]
    Other {
        /// Which database.
        at: String,
        /// The file that names the one used before.
        marker: PathBuf,
    },
    /// Somebody else's tables.
    #[error("the database {0} has tables that are not Latchkey's: name an empty one under [database]")]
    Foreign(String),
    /// Written by a later release.
    #[error(
        "the database {at} was written by a later release (it has migration {migration}): run that release, or restore the \
         backup made before it"
    )]
    Newer {
        /// Which database.
        at: String,
        /// The migration that this program does not know.
        migration: i64,
    },
    /// A migration of this program differs from the one that was run.
    #[error(
        "the database {at} was made by a build whose migration {migration} differs from this one's: run an official release"
    )]
    Altered {
        /// Which database.
        at: String,
        /// The migration.
        migration: i64,
    },
    /// The server is not as it has to be.
    #[error("the server of the database {at} cannot be used: {setting} is {found}, and must be {wanted}")]
    Setting {
        /// Which database.
        at: String,
        /// Which setting.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// The file that names the database cannot be made or read.
    #[error("{path} cannot be used: check the owner and mode of its directory")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The engine failed.
    #[error("the database {at} cannot be opened")]
    Engine {
        /// Which database.
        at: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
}

impl Server {
    /// A connection on which one long transaction writes everything, to a database that is up to date. What names the
    /// database is left alone: it is about to become another one.
    pub(in crate::store) async fn open_for_transfer(&self) -> Result<PgConnection, OpenError> {
        prepare(&Self { marker: None, ..self.clone() }).await?;
        let patient = [
            ("statement_timeout", "0"),
            ("lock_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "0"),
            // The file may be taken away afterwards.
            ("synchronous_commit", "on"),
        ];
        self.connect((*self.options).clone().options(patient)).await
    }

    fn wrong(&self, setting: &'static str, found: String, wanted: &'static str) -> OpenError {
        OpenError::Setting { at: self.shown.clone(), setting, found, wanted }
    }

    pub(super) fn failed(&self, source: sqlx::Error) -> OpenError {
        OpenError::Engine { at: self.shown.clone(), source }
    }

    pub(super) async fn connect(&self, options: PgConnectOptions) -> Result<PgConnection, OpenError> {
        let came = time::timeout(Duration::from_secs(10), options.connect()).await;
        came.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|source| {
            let why = match &source {
                sqlx::Error::PoolTimedOut => "no answer within 10 s".to_owned(),
                other => latchkey_contract::text::one_line(&other.to_string(), 200),
            };
            OpenError::Unreachable { at: self.shown.clone(), why, source }
        })
    }
}

/// Connections that refuse to write.
pub(super) fn readers(server: &Server) -> PgPool {
    PgPoolOptions::new()
        .max_connections(READERS + 1)
        .acquire_timeout(Duration::from_secs(2))
        // One that was used just now is taken as it is: asking each time would double what every read costs.
        .test_before_acquire(false)
        .before_acquire(|conn, about| {
            Box::pin(async move {
                if about.idle_for > UNTESTED {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(server.writing().options([("default_transaction_read_only", "on")]))
}

/// Opens the database for the first time in this process, with every check there is, and brings it up to date.
pub(super) async fn prepare(server: &Server) -> Result<(Found, Place), OpenError> {
    // A migration may take long, and another process may be running it.
    let mut conn = server.connect(server.bounded("15min", "5min")).await?;
    check(server, &mut conn).await?;
    let durability = syncs(server, &mut conn).await?;
    migrate(server, &mut conn).await?;
    let found = arrive(server, &mut conn).await?;
    let _ = conn.close().await;
    let Durability { fsync, synchronous_commit, full_page_writes } = durability;
    tracing::info!(fsync, synchronous_commit, full_page_writes, "the database is open");
    Ok(found)
}

/// An answer means that it is on the server's disk. Who only looks may do without, and tells it.
async fn syncs(server: &Server, conn: &mut PgConnection) -> Result<Durability, OpenError> {
    let found = Durability::on(conn).await.map_err(|error| server.failed(error))?;
    if found.fsync == "on" {
        Ok(found)
    } else {
        Err(server.wrong("fsync", found.fsync, "on: what was acknowledged is lost otherwise"))
    }
}

/// Settings that an acknowledged write rests on, as they are on one connection: a role or a database may have its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Durability {
    pub(super) fsync: String,
    pub(super) synchronous_commit: String,
    pub(super) full_page_writes: String,
}

impl Durability {
    pub(super) async fn on(conn: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let (fsync, synchronous_commit, full_page_writes): (String, String, String) = sqlx::query_as(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes')",
        )
        .fetch_one(conn)
        .await?;
        Ok(Self { fsync, synchronous_commit, full_page_writes })
    }
}

pub(super) async fn check(server: &Server, conn: &mut PgConnection) -> Result<(), OpenError> {
    let fault = |error| server.failed(error);
    let (version, encoding, standby): (i64, String, bool) = sqlx::query_as(
        "SELECT CAST(current_setting('server_version_num') AS BIGINT), current_setting('server_encoding'),
                pg_is_in_recovery()",
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(fault)?;
    let wrong = |setting, found, wanted| Err(server.wrong(setting, found, wanted));
    if version < OLDEST {
        return wrong("its version", version.to_string(), "13 or later");
    }
    if encoding != "UTF8" {
        return wrong("the database's encoding", encoding, "UTF8");
    }
    if standby {
        return wrong("its role", "standby".to_owned(), "primary");
    }
    let (tables, ours): (i64, bool) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename NOT LIKE '\\_sqlx%'),
                to_regclass('writers') IS NOT NULL AND to_regclass('audit_checkpoints') IS NOT NULL",
    )
    .fetch_one(conn)
    .await
    .map_err(fault)?;
    if tables > 0 && !ours { Err(OpenError::Foreign(server.shown.clone())) } else { Ok(()) }
}

async fn migrate(server: &Server, conn: &mut PgConnection) -> Result<(), OpenError> {
    let at = || server.shown.clone();
    let mut ours = migrator();
    if is_for_us_too(&ours, conn).await.map_err(|error| server.failed(error))? {
        ours.set_ignore_missing(true);
    }
    ours.run(&mut *conn).await.map_err(|error| match error {
        MigrateError::VersionMissing(migration) => OpenError::Newer { at: at(), migration },
        MigrateError::VersionMismatch(migration) => OpenError::Altered { at: at(), migration },
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => server.failed(error),
        other => server.failed(sqlx::Error::Migrate(Box::new(other))),
    })?;
    // Marks of processes that ended long ago: a COMMIT is looked up within seconds, or never.
    let old = "DELETE FROM writers WHERE at < CAST(extract(epoch FROM now()) * 1000 AS BIGINT) - 86400000";
    sqlx::query(old).execute(conn).await.map(|_| ()).map_err(|error| server.failed(error))
}

/// True where a later release's migration says that programs as old as this one go on with it: while one replica after
/// the other is replaced, an old one may have to be started once more. It says so in the comment on the table `meta`:
/// `works-from`, its own number, and the newest migration that a program has to know. Where another one came after it, that
/// word is not its own.
pub(super) async fn is_for_us_too(ours: &Migrator, conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let has_tables: bool =
        sqlx::query_scalar("SELECT to_regclass('meta') IS NOT NULL AND to_regclass('_sqlx_migrations') IS NOT NULL")
            .fetch_one(&mut *conn)
            .await?;
    if !has_tables {
        return Ok(false);
    }
    let said: (Option<String>, Option<i64>) = sqlx::query_as(
        "SELECT obj_description(CAST(to_regclass('meta') AS OID), 'pg_class'), (SELECT max(version) FROM _sqlx_migrations)",
    )
    .fetch_one(conn)
    .await?;
    let (Some(word), Some(newest)) = said else { return Ok(false) };
    let Some(numbers) = word.strip_prefix("works-from ") else { return Ok(false) };
    let mut numbers = numbers.split_whitespace().map(str::parse::<i64>);
    let (Some(Ok(said_by)), Some(Ok(from))) = (numbers.next(), numbers.next()) else { return Ok(false) };
    Ok(said_by == newest && ours.iter().map(|migration| migration.version).max().is_some_and(|known| known >= from))
}

/// Which database it is, held against the file that remembers which one it was.
async fn arrive(server: &Server, conn: &mut PgConnection) -> Result<(Found, Place), OpenError> {
    let fault = |error| server.failed(error);
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ('id', replace(CAST(gen_random_uuid() AS TEXT), '-', ''))
         ON CONFLICT (name) DO NOTHING",
    )
    .execute(&mut *conn)
    .await
    .map_err(fault)?;
    let id: String =
        sqlx::query_scalar("SELECT value FROM meta WHERE name = 'id'").fetch_one(&mut *conn).await.map_err(fault)?;
    let marked = known_by(server, Some(&id))?;
    history::arrive(conn, server.marker.as_ref(), marked, &id, &server.time).await.map_err(|error| match error {
        ArriveError::Sql(error) => server.failed(error),
        ArriveError::Open(error) => error,
    })
}

/// What is remembered of it, unless that was another database.
pub(super) fn known_by(server: &Server, id: Option<&str>) -> Result<Marked, OpenError> {
    let marked = server.marker.as_ref().map(Marker::read).transpose()?.unwrap_or_default();
    match (&marked.id, &server.marker) {
        (Some(known), Some(marker)) if id != Some(known.as_str()) => {
            Err(OpenError::Other { at: server.shown.clone(), marker: marker.path.clone() })
        }
        _ => Ok(marked),
    }
}

pub(super) fn migrator() -> Migrator {
    use sqlx::SqlSafeStr as _;
    let all = [
        (10, "invitations", include_str!("../../../migrations/postgres/0010_invitations.sql")),
        (11, "risk", include_str!("../../../migrations/postgres/0011_risk.sql")),
        (12, "access by ticket", include_str!("../../../migrations/postgres/0012_access_by_ticket.sql")),
    ];
    let migrations = all.into_iter().map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}
