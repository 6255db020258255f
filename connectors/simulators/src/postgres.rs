//! A PostgreSQL server for tests: Debian's own binaries, in a directory that goes with it.
//!
//! One server serves a whole test binary; each test has a database of its own. The server runs as the user `postgres` where
//! the tests run as root, which it refuses to run as. It hangs on a pipe of the process that started it: however that
//! process ends, the server is stopped and its directory removed.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// Starts a server on a Unix socket, says where, and waits for the pipe to be closed.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
bin=$1
# Where TLS is wanted: a port on loopback, and the two files' texts in the environment.
port=$2
dir=$(mktemp -d "${TMPDIR:-/tmp}/latchkey-postgres.XXXXXX") || exit 1
cd "$dir" || exit 1
"$bin/initdb" --pgdata=data --auth=trust --username=postgres --encoding=UTF8 --locale=C --no-sync --no-instructions >initdb.log 2>&1 \
    || { cat initdb.log >&2; rm -rf "$dir"; exit 1; }
cat >>data/postgresql.conf <<END
listen_addresses = ''
unix_socket_directories = '$dir'
fsync = on
full_page_writes = off
max_connections = 400
shared_buffers = 32MB
autovacuum_naptime = 5s
log_min_messages = fatal
END
if [ -n "$port" ]; then
    printf '%s' "$CERTIFICATE" >data/server.crt
    (umask 077 && printf '%s' "$KEY" >data/server.key)
    printf 'listen_addresses = %s\nport = %s\nssl = on\n' "'127.0.0.1'" "$port" >>data/postgresql.conf
    export PGPORT="$port"
fi
start() { "$bin/postgres" -D data >>server.log 2>&1 & pid=$!; }
await() {
    for _ in $(seq 300); do
        "$bin/pg_isready" --quiet --host="$dir" && return 0
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}
start
await || { cat server.log >&2; kill -QUIT "$pid" 2>/dev/null; rm -rf "$dir"; exit 1; }
echo "$dir"
# A word from the one who holds the pipe; its end is the end.
while read -r word; do
    case $word in
        peace) kill -INT "$pid"; wait "$pid"; start; await ;;
        restart) kill -QUIT "$pid"; wait "$pid"; start; await ;;
        copy) rm -rf copy
            "$bin/pg_basebackup" --pgdata=copy --host="$dir" --username=postgres --checkpoint=fast --no-sync \
                --write-recovery-conf >>server.log 2>&1 || { cat server.log >&2; exit 1; } ;;
        failover) kill -QUIT "$pid"; wait "$pid"; rm -rf data; mv copy data; start; await
            "$bin/pg_ctl" promote --pgdata=data --wait >>server.log 2>&1 || { cat server.log >&2; exit 1; } ;;
    esac
    echo "$word"
done
kill -QUIT "$pid"
wait "$pid"
cd /
rm -rf "$dir"
"#;

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    bin: PathBuf,
    dir: PathBuf,
    port: u16,
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

/// A database of its own.
#[derive(Debug, Clone)]
pub struct Database {
    /// `postgres://postgres@%2Ftmp%2F…/name`.
    pub url: String,
}

/// Where Debian puts the newest server's programs.
#[must_use]
pub fn binaries() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            path.join("bin/postgres").exists().then(|| (version, path.join("bin")))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, bin)| bin)
}

/// A fresh database on the server of this test binary, which is started when it is first asked for. `None` where there is
/// no PostgreSQL on this machine: the name of `suite` and the reason are said, and the test has to skip itself.
///
/// # Panics
/// Where everything is required (`LATCHKEY_TEST_REQUIRE=all`) and PostgreSQL is missing, and where it does not start.
#[must_use]
pub fn database(suite: &str) -> Option<Database> {
    Some(shared(suite)?.database(&fresh_name()))
}

fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Whether whatever is missing fails the tests that want it.
#[must_use]
pub fn is_required() -> bool {
    env::var("LATCHKEY_TEST_REQUIRE").is_ok_and(|what| what == "all")
}

/// The server of this test binary.
fn shared(suite: &str) -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let found = binaries();
        assert!(found.is_some() || !is_required(), "{suite}: PostgreSQL is required and not in /usr/lib/postgresql");
        found.map(|bin| Server::start(&bin))
    });
    if server.is_none() {
        say_once(suite);
    }
    server.as_ref()
}

/// Once for a suite, to the terminal itself, past what the test runner captures.
fn say_once(suite: &str) {
    use std::io::Write as _;
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(suite.to_owned()) {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {suite}: no PostgreSQL in /usr/lib/postgresql (apt-get install postgresql)"
        );
    }
}

impl Database {
    /// Copies it to a file, as an operator does.
    ///
    /// # Panics
    /// When that fails.
    pub fn dump(&self, file: &Path) {
        let target = format!("--file={}", file.display());
        run("pg_dump", &["--format=custom", &target, &format!("--dbname={}", self.url)]);
    }

    /// Another one that begins as this one is. Nobody may be connected to this one meanwhile.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn twin(&self) -> Self {
        let (server, own) = self.url.rsplit_once('/').expect("the URL ends with a name");
        let name = fresh_name();
        self.administer(&format!("CREATE DATABASE {name} TEMPLATE {own}"));
        Self { url: format!("{server}/{name}") }
    }

    /// Ends every session in it, as an administrator may.
    ///
    /// # Panics
    /// When that fails.
    pub fn end_sessions(&self) {
        let (_, own) = self.url.rsplit_once('/').expect("the URL ends with a name");
        self.administer(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{own}'"));
    }

    /// Removes it, whoever is connected to it.
    ///
    /// # Panics
    /// When that fails.
    pub fn remove(&self) {
        let (_, own) = self.url.rsplit_once('/').expect("the URL ends with a name");
        self.administer(&format!("DROP DATABASE IF EXISTS {own} WITH (FORCE)"));
    }

    fn administer(&self, sql: &str) {
        let (server, _) = self.url.rsplit_once('/').expect("the URL ends with a name");
        run(
            "psql",
            &[
                "--no-psqlrc",
                "--quiet",
                "--output=/dev/null",
                &format!("--dbname={server}/postgres"),
                &format!("--command={sql}"),
            ],
        );
    }

    /// Everything that the server wrote to its write-ahead log and still has.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn log_of_writes(&self) -> Vec<u8> {
        self.files_of_writes().iter().filter_map(|file| fs::read(file).ok()).flatten().collect()
    }

    /// The files that the write-ahead log of its server is in; the server may take one away at any time.
    ///
    /// # Panics
    /// When there are none to be found.
    #[must_use]
    pub fn files_of_writes(&self) -> Vec<PathBuf> {
        let (_, at) = self.url.split_once('@').expect("the URL names who connects");
        let host = at.split('/').next().unwrap_or_default();
        let log = PathBuf::from(host.replace("%2F", "/")).join("data/pg_wal");
        let files = fs::read_dir(log).expect("it has a log").filter_map(|entry| Some(entry.ok()?.path()));
        files.filter(|path| path.is_file()).collect()
    }

    /// Puts a copy in its place, as an operator does.
    ///
    /// # Panics
    /// When that fails.
    pub fn restore(&self, file: &Path) {
        let file = file.display().to_string();
        run("pg_restore", &["--clean", "--if-exists", "--exit-on-error", &format!("--dbname={}", self.url), &file]);
    }
}

fn run(program: &str, arguments: &[&str]) {
    let bin = binaries().expect("PostgreSQL is here");
    let said = Command::new(bin.join(program)).args(arguments).output().expect("it runs");
    assert!(said.status.success(), "{program}: {}", String::from_utf8_lossy(&said.stderr));
}

impl Server {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not come up; what it said is printed.
    #[must_use]
    pub fn start(bin: &Path) -> Self {
        Self::start_with(bin, None)
    }

    /// Starts one that speaks TLS on 127.0.0.1 as well: the port, its certificate and its key, both PEM.
    ///
    /// # Panics
    /// As [`Server::start`].
    #[must_use]
    pub fn start_tls(bin: &Path, port: u16, certificate: &str, key: &str) -> Self {
        Self::start_with(bin, Some((port, certificate, key)))
    }

    fn start_with(bin: &Path, tls: Option<(u16, &str, &str)>) -> Self {
        let mut command = if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        let mut child = command
            .args(["-c", SCRIPT, "sh"])
            .arg(bin)
            .args(tls.map(|(port, ..)| port.to_string()))
            .envs(tls.into_iter().flat_map(|(_, certificate, key)| [("CERTIFICATE", certificate), ("KEY", key)]))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell, and setpriv of util-linux where the tests run as root");
        let mut said = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut dir = String::new();
        said.read_line(&mut dir).expect("it says where it is");
        assert!(dir.ends_with('\n'), "PostgreSQL did not start; see above");
        let port = tls.map_or(5432, |(port, ..)| port);
        Self { bin: bin.to_owned(), dir: PathBuf::from(dir.trim_end()), port, child, said }
    }

    /// A fresh database.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn database(&self, name: &str) -> Database {
        self.ask("postgres", &format!("CREATE DATABASE {name}"));
        Database { url: self.url(name) }
    }

    /// The URL of a database.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("postgres://postgres@{}/{name}", self.dir.display().to_string().replace('/', "%2F"))
    }

    /// Changes a setting of the whole server, and waits until it is in force.
    ///
    /// # Panics
    /// When the server does not take it.
    pub fn set(&self, setting: &str, value: &str) {
        self.ask("postgres", &format!("ALTER SYSTEM SET {setting} = {value}"));
        self.ask("postgres", "SELECT pg_reload_conf()");
        let is_in_force = |_: &u32| self.ask("postgres", &format!("SHOW {setting}")) == value;
        assert!((0..100).any(|n| is_in_force(&n)), "{setting} is not {value}");
    }

    /// Runs one statement, as a stranger would, and answers what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn ask(&self, database: &str, sql: &str) -> String {
        let said = Command::new(self.bin.join("psql"))
            .args([
                "--no-psqlrc",
                "--quiet",
                "--tuples-only",
                "--no-align",
                "--set=ON_ERROR_STOP=1",
                "--username=postgres",
            ])
            .arg(format!("--host={}", self.dir.display()))
            .arg(format!("--port={}", self.port))
            .arg(format!("--dbname={database}"))
            .arg(format!("--command={sql}"))
            .output()
            .expect("psql runs");
        assert!(said.status.success(), "{sql}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    }

    /// Ends it as a crash would, and starts it again.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn restart(&mut self) {
        self.say("restart");
    }

    /// Ends it as an administrator does, every session with it, and starts it again.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn restart_in_peace(&mut self) {
        self.say("peace");
    }

    /// Makes a standby that has everything committed so far, and hears of nothing that comes later.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn copy(&mut self) {
        self.say("copy");
    }

    /// Ends it as a crash would; the standby made by [`Server::copy`] takes its place, under the same address.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn fail_over(&mut self) {
        self.say("failover");
    }

    fn say(&mut self, order: &str) {
        use std::io::Write as _;
        let pipe = self.child.stdin.as_mut().expect("it is piped");
        writeln!(pipe, "{order}").expect("it listens");
        let mut word = String::new();
        self.said.read_line(&mut word).expect("it answers");
        assert_eq!(word.trim_end(), order, "PostgreSQL failed; see above");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
