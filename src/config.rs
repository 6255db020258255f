//! What the process needs to start, read once from `latchkey.toml` into final types.
//!
//! No secret stands here, and no value weakens a check. Rules and records are not configuration: they are
//! revisions in the database.

mod database;
mod listen;

use std::{
    net::{IpAddr, SocketAddr},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use url::Url;

use crate::{
    durable, mail,
    seal::KeyFile,
    store::Database,
    telemetry::{LogFormat, LogLevel},
    tls::TlsFiles,
};

/// The database's file within the data directory, where it is a file.
pub(crate) const DATABASE_FILE: &str = "latchkey.db";

/// What a key begins with that systemd shows to the unit.
const CREDENTIAL: &str = "credential:";

/// The checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the service keeps what is its own: the database unless it is on a server, the lock, the socket.
    pub data_dir: PathBuf,
    /// The database.
    pub database: Database,
    /// Where the master key comes from.
    pub key_file: KeyFile,
    /// Counts starts and backups, apart from the data: so an older copy of the database is noticed.
    pub generation_file: PathBuf,
    /// Pages and hooks.
    pub listen: SocketAddr,
    /// Metrics; `None` offers none.
    pub metrics_listen: Option<SocketAddr>,
    /// How people and PSAs reach `listen`: an origin, ending in `/`.
    pub public_url: Url,
    /// Whose `X-Forwarded-For` is believed, and who may speak plain HTTP to a private address.
    pub trusted_proxies: Vec<IpAddr>,
    /// TLS of the service's own; `None` speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// How much is logged.
    pub log_level: LogLevel,
    /// The mail server; `None` sends no mail.
    pub mail: Option<mail::Settings>,
}

/// Why the configuration cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {0} cannot be read; name another one with --config")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The data directory is not there and cannot be made.
    #[error("data_dir {0} cannot be made; make it by hand, owned by the service's user")]
    NoDataDir(PathBuf, #[source] std::io::Error),
    /// Not the shape that is expected; unknown keys included.
    #[error("{path}, line {line}: {what}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong, with the key's name.
        what: String,
    },
    /// A credential is meant, and this process was shown none.
    #[error(
        "{path}: {key}: a credential is meant, but systemd gave none (CREDENTIALS_DIRECTORY is not set); start through the \
         systemd unit, or name a file"
    )]
    NoCredentials {
        /// The file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
    },
    /// A value that cannot be.
    #[error("{path}: {key}: {what}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// What is wrong and what would be right.
        what: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    data_dir: PathBuf,
    #[serde(default)]
    database: Option<database::Named>,
    key_file: String,
    #[serde(default)]
    generation_file: Option<PathBuf>,
    listen: SocketAddr,
    #[serde(default)]
    metrics_listen: Option<SocketAddr>,
    public_url: Url,
    #[serde(default)]
    trusted_proxies: Vec<IpAddr>,
    #[serde(default)]
    log_format: LogFormat,
    #[serde(default)]
    log_level: LogLevel,
    #[serde(default)]
    tls: Option<Pair>,
    #[serde(default)]
    mail: Option<mail::settings::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    certificate: PathBuf,
    key: String,
}

impl Document {
    /// The first key that names a credential of systemd's.
    fn credential(&self) -> Option<&'static str> {
        let tls = self.tls.as_ref().map_or("", |pair| &pair.key);
        let password = self.database.as_ref().and_then(database::Named::password_file).unwrap_or_default();
        let keys = [("key_file", self.key_file.as_str()), ("tls.key", tls), ("database.password_file", password)];
        keys.into_iter().find(|(_, text)| text.starts_with(CREDENTIAL)).map(|(key, _)| key)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let shape = |error: &toml::de::Error, key: Option<String>| ConfigError::Shape {
            path: path.to_owned(),
            line: error.span().map_or(0, |s| text[..s.start.min(text.len())].matches('\n').count() + 1),
            what: match key {
                Some(key) => format!("{key}: {}{}", error.message(), wanted(&key)),
                None => error.message().to_owned(),
            },
        };
        let document = toml::Deserializer::parse(text).map_err(|error| shape(&error, None))?;
        serde_path_to_error::deserialize(document).map_err(|error| {
            let key = error.path().iter().next().is_some().then(|| error.path().to_string());
            shape(error.inner(), key)
        })
    }
}

/// What is to be written for a key whose parser's words alone would not say it.
fn wanted(key: &str) -> &'static str {
    match key.split('[').next() {
        Some("listen" | "metrics_listen") => ": write ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080",
        Some("public_url") => ": write the whole address, such as https://latchkey.example.com",
        Some("trusted_proxies") => ": write single addresses, such as [\"10.0.0.7\"]; ranges are not taken",
        _ => "",
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|e| ConfigError::Unreadable(path.to_owned(), e))
}

/// What relative paths in the file are meant from.
fn base(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

impl Config {
    /// Reads a file. Relative paths in it are meant from the file's own directory.
    ///
    /// # Errors
    /// [`ConfigError`] naming file, key and remedy.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self::parse(&text, path, credentials.as_deref())
    }

    /// Where the data lies, and nothing else: what a client of the running service needs, who may be nobody that could
    /// start it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn data_dir(path: &Path) -> Result<PathBuf, ConfigError> {
        let document = Document::parse(&read(path)?, path)?;
        Ok(base(path).join(document.data_dir))
    }

    /// Checks a document as if it lay at `path`. `credentials` is systemd's directory, where there is one.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path, credentials: Option<&Path>) -> Result<Self, ConfigError> {
        let document = Document::parse(text, path)?;
        if let (Some(key), None) = (document.credential(), credentials) {
            return Err(ConfigError::NoCredentials { path: path.to_owned(), key });
        }
        check(document, base(path), credentials).map_err(|(key, what)| ConfigError::Value {
            path: path.to_owned(),
            key,
            what,
        })
    }

    /// Makes the data directory, for us alone, if it is not there.
    ///
    /// # Errors
    /// [`ConfigError::NoDataDir`].
    pub fn make_data_dir(&self) -> Result<(), ConfigError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.data_dir);
        made.map_err(|e| ConfigError::NoDataDir(self.data_dir.clone(), e))
    }

    /// The absolute address of a page or hook.
    #[must_use]
    pub fn public(&self, path: &str) -> Url {
        let mut url = self.public_url.clone();
        url.set_path(path);
        url
    }
}

type Fault = (&'static str, String);

fn check(document: Document, base: &Path, credentials: Option<&Path>) -> Result<Config, Fault> {
    let data_dir = base.join(&document.data_dir);
    let key_file = key_at("key_file", &document.key_file, base, credentials)?;
    if key_file.path().starts_with(&data_dir) {
        let what = "must lie outside data_dir: whoever copies the data must not get the key with it";
        return Err(("key_file", what.to_owned()));
    }
    let generation_file = generation_file(document.generation_file.as_deref(), &key_file, base)?;
    if generation_file.starts_with(&data_dir) {
        let what = "must lie outside data_dir: restored with the data, it could not tell that the data is older";
        return Err(("generation_file", what.to_owned()));
    }
    let tls = document.tls.map(|pair| -> Result<TlsFiles, Fault> {
        let key = key_at("tls.key", &pair.key, base, credentials)?;
        Ok(TlsFiles { certificate: base.join(pair.certificate), key })
    });
    let tls = tls.transpose()?;
    listen::public(document.listen, tls.is_some(), &document.trusted_proxies)?;
    document.metrics_listen.map_or(Ok(()), listen::metrics)?;
    Ok(Config {
        database: database::check(document.database, &data_dir, base, credentials)?,
        data_dir,
        key_file,
        generation_file,
        listen: document.listen,
        metrics_listen: document.metrics_listen,
        public_url: public_url(document.public_url)?,
        trusted_proxies: document.trusted_proxies,
        tls,
        log_format: document.log_format,
        log_level: document.log_level,
        mail: document.mail.map(|table| table.check(base)).transpose()?,
    })
}

fn key_at(key: &'static str, text: &str, base: &Path, credentials: Option<&Path>) -> Result<KeyFile, Fault> {
    let Some(name) = text.strip_prefix(CREDENTIAL) else {
        return Ok(KeyFile::Own(base.join(text)));
    };
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err((key, "write credential:NAME with the credential's name in the systemd unit".to_owned()));
    }
    credentials
        .map(|directory| KeyFile::Credential(directory.join(name)))
        .ok_or_else(|| (key, "credentials are shown by systemd alone".to_owned()))
}

fn generation_file(named: Option<&Path>, key_file: &KeyFile, base: &Path) -> Result<PathBuf, Fault> {
    match (named, key_file) {
        (Some(path), _) => Ok(base.join(path)),
        (None, KeyFile::Own(key)) => Ok(durable::beside(key, "generation")),
        (None, KeyFile::Credential(_)) => Err((
            "generation_file",
            "must be named where the key is a credential, since nothing can be kept beside that: a file outside data_dir \
             that the service may write, such as /etc/latchkey/generation"
                .to_owned(),
        )),
    }
}

fn public_url(url: Url) -> Result<Url, Fault> {
    let checked = latchkey_contract::outside::base_url(url, latchkey_contract::outside::Network::Private)
        .map_err(|e| ("public_url", e.to_string()))?;
    if checked.path() != "/" {
        return Err((
            "public_url",
            "must be an origin such as https://latchkey.example.com, without a path".to_owned(),
        ));
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const EXAMPLE: &str = include_str!("../latchkey.example.toml");

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("/etc/latchkey/latchkey.toml"), None)
    }

    #[test]
    fn the_example_is_a_configuration() {
        let config = parse(EXAMPLE).unwrap();
        assert_eq!(config.data_dir, Path::new("/var/lib/latchkey"));
        assert_eq!(config.key_file, KeyFile::Own("/etc/latchkey/master.key".into()));
        assert_eq!(config.public("/hooks/cw").as_str(), "https://latchkey.example.com/hooks/cw");
    }

    #[test]
    fn an_unknown_key_stops_the_start_with_its_name_and_line() {
        let error = parse(&format!("{EXAMPLE}\nlisten_adress = \"127.0.0.1:1\"\n")).unwrap_err().to_string();
        assert!(error.contains("listen_adress") && error.contains("line "), "{error}");
    }

    #[test]
    fn plain_http_on_a_public_address_is_refused_with_what_to_do() {
        let error = parse(&EXAMPLE.replace("127.0.0.1:8080", "0.0.0.0:8080")).unwrap_err().to_string();
        assert!(error.contains("listen") && error.contains("reverse proxy"), "{error}");
        let error = parse(&EXAMPLE.replace("127.0.0.1:9464", "192.0.2.1:9464")).unwrap_err().to_string();
        assert!(error.contains("metrics_listen"), "{error}");
    }

    #[test]
    fn what_no_parser_says_well_is_said_with_an_example() {
        for (right, wrong, example) in [
            ("listen = \"127.0.0.1:8080\"", "listen = \"latchkey\"", "listen: "),
            ("listen = \"127.0.0.1:8080\"", "listen = \"latchkey\"", "127.0.0.1:8080"),
            ("\"https://latchkey.example.com\"", "\"latchkey\"", "https://latchkey.example.com"),
            ("[\"127.0.0.1\"]", "[\"10.0.0.0/8\"]", "ranges are not taken"),
        ] {
            let error = parse(&EXAMPLE.replacen(right, wrong, 1)).unwrap_err().to_string();
            assert!(error.contains(example), "{wrong}: {error}");
        }
    }

    #[test]
    fn tls_is_two_files_meant_from_the_configuration() {
        let (before, rest) = EXAMPLE.split_once("# [tls]\n").unwrap();
        let (pair, _) = rest.split_once("\n\n").unwrap();
        let pair = pair.replace("# ", "").replace("/etc/latchkey/tls/chain.pem", "tls/chain.pem");
        let tls = format!("[tls]\n{pair}\n");
        let open = before.replace("127.0.0.1:8080", "0.0.0.0:443");
        let config = parse(&format!("{open}{tls}")).unwrap();
        let key = KeyFile::Own("/etc/latchkey/tls/key.pem".into());
        assert_eq!(config.tls, Some(TlsFiles { certificate: "/etc/latchkey/tls/chain.pem".into(), key }));
        let half = parse(&format!("{open}{}", tls.replace("key =", "kee ="))).unwrap_err().to_string();
        assert!(half.contains("kee"), "{half}");
        let credential = tls.replace("/etc/latchkey/tls/key.pem", "credential:tls.key");
        let none = parse(&format!("{open}{credential}")).unwrap_err().to_string();
        assert!(none.contains("tls.key: a credential is meant"), "{none}");
    }

    #[test]
    fn the_key_does_not_lie_with_the_data() {
        let error = parse(&EXAMPLE.replace("/etc/latchkey/master.key", "/var/lib/latchkey/master.key")).unwrap_err();
        assert!(error.to_string().contains("outside data_dir"), "{error}");
    }

    #[test]
    fn the_generation_lies_beside_the_key_and_not_with_the_data() {
        assert_eq!(parse(EXAMPLE).unwrap().generation_file, Path::new("/etc/latchkey/master.key.generation"));
        let named = parse(&format!("{EXAMPLE}\ngeneration_file = \"counter\"\n")).unwrap();
        assert_eq!(named.generation_file, Path::new("/etc/latchkey/counter"));
        let error = parse(&format!("{EXAMPLE}\ngeneration_file = \"/var/lib/latchkey/counter\"\n")).unwrap_err();
        assert!(error.to_string().contains("outside data_dir"), "{error}");
    }

    #[test]
    fn a_public_url_is_an_origin_with_tls() {
        for bad in ["http://latchkey.example.com", "https://example.com/latchkey", "https://a:b@example.com"] {
            let error = parse(&EXAMPLE.replace("https://latchkey.example.com", bad)).unwrap_err().to_string();
            assert!(error.contains("public_url"), "{error}");
        }
        assert!(parse(&EXAMPLE.replace("https://latchkey.example.com", "http://127.0.0.1:8080")).is_ok());
    }

    #[test]
    fn a_systemd_credential_is_looked_for_where_systemd_puts_it() {
        let unnamed = EXAMPLE.replace("/etc/latchkey/master.key", "credential:latchkey.key");
        let path = Path::new("/etc/latchkey/latchkey.toml");
        let error = Config::parse(&unnamed, path, Some(Path::new("/run"))).unwrap_err();
        assert!(error.to_string().contains("generation_file"), "{error}");
        let text = format!("{unnamed}\ngeneration_file = \"generation\"\n");
        let config = Config::parse(&text, path, Some(Path::new("/run/credentials/latchkey.service"))).unwrap();
        let expected = KeyFile::Credential("/run/credentials/latchkey.service/latchkey.key".into());
        assert_eq!(config.key_file, expected);
        assert!(parse(&text).unwrap_err().to_string().contains("systemd"));
        let escape = text.replace("credential:latchkey.key", "credential:../x");
        assert!(Config::parse(&escape, path, Some(Path::new("/run"))).is_err());
    }

    #[test]
    fn mail_is_sent_when_its_table_is_written() {
        assert_eq!(parse(EXAMPLE).unwrap().mail, None);
        let (before, table) = EXAMPLE.split_once("# [mail]\n").unwrap();
        let keys = table.lines().map_while(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")));
        let table: String = keys.map(|line| format!("{line}\n")).collect();
        let mail = parse(&format!("{before}[mail]\n{table}")).unwrap().mail.unwrap();
        assert_eq!((mail.host.as_str(), mail.port), ("smtp.example.com", 587));
        let error = parse(&format!("{before}[mail]\n{}", table.replace("starttls", "none"))).unwrap_err().to_string();
        assert!(error.contains("mail.security") && error.contains("latchkey.toml"), "{error}");
    }

    /// A file unless a server is named; the password is in a file of its own, and nothing prints it.
    #[test]
    fn a_database_is_a_file_or_on_a_server() {
        let file = |config: Config| matches!(config.database, Database::Sqlite(path) if path == Path::new("/var/lib/latchkey/latchkey.db"));
        assert!(file(parse(EXAMPLE).unwrap()));
        assert!(file(parse(&format!("database = \"sqlite\"\n{EXAMPLE}")).unwrap()));
        let dir = tempfile::tempdir().unwrap();
        let password = dir.path().join("password");
        std::fs::write(&password, "canary-password\n").unwrap();
        let mode = |mode| std::fs::set_permissions(&password, PermissionsExt::from_mode(mode)).unwrap();
        mode(0o600);
        let (_, table) = EXAMPLE.split_once("# [database]\n").unwrap();
        let table: String =
            table.lines().filter_map(|line| line.strip_prefix("# ")).map(|line| format!("{line}\n")).collect();
        let table = table.replace("/etc/latchkey/database.password", password.to_str().unwrap());
        let config = parse(&format!("{EXAMPLE}\n[database]\n{table}")).unwrap();
        let shown = format!("{config:?}");
        assert!(shown.contains("latchkey on db.example.com") && !shown.contains("canary"), "{shown}");
        for (from, to, why) in [
            ("latchkey@db", "latchkey:secret@db", "database.url: must not have a password"),
            (password.to_str().unwrap(), "/nowhere", "database.password_file: /nowhere cannot be read"),
            ("ca_file", "sslmode", "database"),
            (password.to_str().unwrap(), "credential:database", "database.password_file: a credential is meant"),
        ] {
            let error = parse(&format!("{EXAMPLE}\n[database]\n{}", table.replace(from, to))).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        for open in [0o640, 0o604] {
            mode(open);
            let error = parse(&format!("{EXAMPLE}\n[database]\n{table}")).unwrap_err().to_string();
            assert!(error.contains("may be read by others") && error.contains("chmod 600"), "{error}");
        }
        let error = parse(&format!("database = \"oracle\"\n{EXAMPLE}")).unwrap_err().to_string();
        assert!(error.contains("database") && error.contains("url"), "{error}");
    }

    #[test]
    fn relative_paths_are_meant_from_the_file() {
        let text = EXAMPLE.replace("/var/lib/latchkey", "data").replace("/etc/latchkey/master.key", "keys/master.key");
        let config = parse(&text).unwrap();
        assert_eq!(config.data_dir, Path::new("/etc/latchkey/data"));
        assert_eq!(config.key_file.path(), Path::new("/etc/latchkey/keys/master.key"));
    }
}
