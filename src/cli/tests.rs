//! The command line as an operator types it, against real files and, where it calls out, pretend vendors.

mod audit;
mod backup;
mod binding;
mod connection;
mod credential;
mod customer;
mod doctor;
mod init;
mod invite;
mod key;
mod mapping;
mod migrate;
mod people;
mod readme;
mod reconcile;
mod records;
mod rotate;
mod rulebook;
mod service;
mod what_if;

use std::{
    io::{self, BufReader, Cursor, Read},
    sync::{Arc, Mutex},
};

use clap::CommandFactory;
use latchkey_contract::{Clock, PersonId, Secret as Hidden};
use latchkey_simulators::{
    authority::{Authority, use_ring},
    clock::SimClock,
    connectwise::{ConnectWise, Options},
};

use super::*;
use crate::{clock::SystemClock, config::Config, people::OneTime};

const RECORDS: &str = r#"
[[connection]]
id = "entra-contoso"
kind = "entra"
tenant = "8f0c2c1e-0000-4000-8000-000000000000"
client_id = "8f0c2c1e-0000-4000-8000-000000000001"
credential = "certificate"

[[customer]]
id = "contoso"
name = "Contoso"
jit = true
directory = "entra-contoso"
domain = "contoso.onmicrosoft.com"

[[person]]
id = "jdoe"
name = "Jane Doe"
customers = "all"
"#;

const RULEBOOK: &str = r#"
[[technician_group]]
id = "technicians"
name = "Technicians"
members = "all"

[[policy]]
id = "helpdesk"
name = "Helpdesk Administrator"
source = "entra"
mode = "standard"
entitlements = ["role:729827e3-9c14-49f7-bb1b-9608f156bbb8"]
technicians = ["technicians"]
lengths = ["1h", "4h"]
max_length = "4h"
delivery = "claim-link"

[[mapping]]
id = "desk"
connection = "cw"
boards = ["BOARD"]
trigger_statuses = ["7"]
policy = "helpdesk"
"#;

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl io::Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// An installation in a directory of its own.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        use_ring();
        let place = Self(tempfile::tempdir().unwrap());
        place.write(
            "latchkey.toml",
            "data_dir = \"data\"\nkey_file = \"keys/master.key\"\nlisten = \"127.0.0.1:8080\"\n\
             public_url = \"https://latchkey.example.com\"\n",
        );
        place
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Somebody at a terminal, who answers each question in turn.
    async fn answer(&self, words: &[&str], answers: &[&str]) -> Typed {
        let config = self.0.path().join("latchkey.toml");
        let words = [&["latchkey", "--config", config.to_str().unwrap()], words].concat();
        let cli = Cli::read(words.into_iter().map(Into::into)).unwrap();
        let (screen, hints) = (Screen::default(), Screen::default());
        let answers = answers.iter().map(|&answer| answer.to_owned()).collect();
        let person = Somebody { answers, screen: screen.clone(), hints: hints.clone() };
        let result = run(cli, &mut Terminal::over(Box::new(person))).await.map_err(|e| format!("{e:#}"));
        Typed { result, output: screen.text(), hints: hints.text() }
    }

    async fn say(&self, words: &[&str]) -> Typed {
        self.type_in(words, io::empty()).await
    }

    /// Looks into the database while nobody else has it.
    async fn with<T>(&self, look: impl AsyncFnOnce(&Desk) -> T) -> T {
        let desk = Desk::open(&self.0.path().join("latchkey.toml")).await.unwrap();
        let seen = look(&desk).await;
        desk.close().await;
        seen
    }

    /// What was audited, with its code and person.
    async fn audited(&self, begins: &str) -> Vec<String> {
        let all = self.with(async |desk| desk.store.audit(0, 500).await.unwrap()).await;
        let ours = all.iter().filter(|entry| entry.code.as_str().starts_with(begins));
        ours.map(|entry| format!("{} {}", entry.code, entry.person.as_ref().unwrap())).collect()
    }

    async fn type_in(&self, words: &[&str], input: impl Read + Send + 'static) -> Typed {
        self.type_on(&Screen::default(), words, input).await
    }

    async fn type_on(&self, screen: &Screen, words: &[&str], input: impl Read + Send + 'static) -> Typed {
        let config = self.0.path().join("latchkey.toml");
        let words = [&["latchkey", "--config", config.to_str().unwrap()], words].concat();
        let cli = Cli::read(words.into_iter().map(Into::into)).unwrap();
        let hints = Screen::default();
        let input = Box::new(BufReader::new(input));
        let mut terminal = Terminal::piped(input, Box::new(screen.clone()), Box::new(hints.clone()));
        let result = run(cli, &mut terminal).await.map_err(|e| format!("{e:#}"));
        Typed { result, output: screen.text(), hints: hints.text() }
    }
}

#[derive(Debug)]
struct Typed {
    result: Result<(), String>,
    output: String,
    hints: String,
}

impl Typed {
    fn ok(self) -> Self {
        assert!(self.result.is_ok(), "{self:?}");
        self
    }

    fn refused(self) -> String {
        self.result.expect_err(&self.output)
    }
}

/// A person at a terminal.
struct Somebody {
    answers: std::collections::VecDeque<String>,
    screen: Screen,
    hints: Screen,
}

impl Ends for Somebody {
    fn is_interactive(&self) -> bool {
        true
    }
    fn say(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(io::Write::write_all(&mut self.screen, format!("{line}\n").as_bytes())?)
    }
    fn hint(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(io::Write::write_all(&mut self.hints, format!("{line}\n").as_bytes())?)
    }
    fn ask(&mut self, prompt: &str) -> anyhow::Result<Hidden<String>> {
        self.hint(prompt)?;
        Ok(Hidden::new(self.answers.pop_front().with_context(|| format!("unexpected: {prompt}"))?))
    }
    fn ask_hidden(&mut self, prompt: &str) -> anyhow::Result<Hidden<String>> {
        self.ask(prompt)
    }
    fn rest(&mut self) -> anyhow::Result<Hidden<String>> {
        self.ask("the rest")
    }
    fn read_file(&mut self, path: &std::path::Path, _: u64) -> anyhow::Result<Vec<u8>> {
        Ok(std::fs::read(path)?)
    }
    fn write_file(&mut self, path: &std::path::Path, _: &[u8], _: Overwrite) -> anyhow::Result<()> {
        bail!("{} is not asked for here", path.display())
    }
    fn append_file(&mut self, path: &std::path::Path, _: &[u8], _: Piece) -> anyhow::Result<()> {
        bail!("{} is not asked for here", path.display())
    }
}

/// An authenticator app, from what `person enroll` shows.
fn app(shown: &str) -> OneTime {
    let secret = shown.lines().find_map(|line| line.strip_prefix("secret: ")).unwrap();
    let bytes = totp_rs::Secret::try_from_base32(secret).unwrap();
    OneTime::new(&Hidden::new(bytes.as_bytes().to_vec()), &PersonId::parse("somebody").unwrap()).unwrap()
}

/// Types a password, then the code for the secret that appears on the screen.
struct Technician {
    screen: Screen,
    lines: usize,
}

impl Read for Technician {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lines += 1;
        let line = match self.lines {
            1 => "four unlikely words\n".to_owned(),
            2 => "000000\n".to_owned(),
            _ => {
                format!("{}\n", app(&self.screen.text()).code(SystemClock::new().now()))
            }
        };
        buffer[..line.len()].copy_from_slice(line.as_bytes());
        Ok(line.len())
    }
}

#[test]
fn the_commands_are_well_formed() {
    Cli::command().debug_assert();
}

#[tokio::test]
async fn a_new_installation_is_made_by_the_first_command() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let records = place.write("records.toml", RECORDS);
    let loaded = place.type_in(&["records", "load", &records], io::empty()).await.ok();
    assert_eq!(loaded.output, "Revision 1 is in force: 1 connections, 1 customers, 1 people.\n");
    assert!(loaded.hints.contains("latchkey certificate make entra-contoso"), "{}", loaded.hints);
    let mode = |name: &str| std::fs::metadata(place.0.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("keys/master.key")), (0o700, 0o600));
}

#[tokio::test]
async fn a_document_with_faults_is_refused_whole_and_every_fault_is_named() {
    let place = Place::new();
    let bad =
        RECORDS.replace("[[person]]", "[[person]]\nid = \"x\"\nname = \"X\"\ncustomers = [\"nobody\"]\n\n[[person]]");
    let bad = bad.replace("directory = \"entra-contoso\"", "directory = \"nowhere\"");
    let file = place.write("records.toml", &bad);
    let error = place.type_in(&["records", "load", &file], io::empty()).await.refused();
    assert!(error.contains("customer.contoso.directory") && error.contains("person.x.customers"), "{error}");
    let file = place.write("rulebook.toml", &RULEBOOK.replace("policy = \"helpdesk\"", "policy = \"other\"\ntypo = 1"));
    let error = place.type_in(&["rulebook", "load", &file], io::empty()).await.refused();
    assert!(error.contains("typo") && error.contains("line"), "{error}");
    let good = place.write("rulebook.toml", RULEBOOK);
    let loaded = place.type_in(&["rulebook", "load", &good], io::empty()).await.ok();
    assert!(loaded.output.contains("Revision 1"), "nothing was saved before: {}", loaded.output);
    assert!(loaded.hints.contains("mapping.desk.connection"), "{}", loaded.hints);
}

#[tokio::test]
async fn a_mapping_keeps_the_time_since_which_it_watches() {
    let place = Place::new();
    let file = place.write("rulebook.toml", RULEBOOK);
    let since = async || {
        let desk = Desk::open(&place.0.path().join("latchkey.toml")).await.unwrap();
        let rules = crate::store::Store::rules(&*desk.store).await.unwrap();
        desk.close().await;
        rules.rulebook.mappings[0].watched_since.unwrap()
    };
    place.type_in(&["rulebook", "load", &file], io::empty()).await.ok();
    let first = since().await;
    let renamed = place.write("renamed.toml", &RULEBOOK.replace("Helpdesk Administrator", "Desk"));
    place.type_in(&["rulebook", "load", &renamed], io::empty()).await.ok();
    assert_eq!(since().await, first);
    let moved = place.write("moved.toml", &RULEBOOK.replace("\"7\"", "\"8\""));
    place.type_in(&["rulebook", "load", &moved], io::empty()).await.ok();
    assert!(since().await >= first);
}

#[tokio::test]
async fn enrolling_confirms_a_code_before_anything_is_kept() {
    let place = Place::new();
    let stranger = place.type_in(&["person", "enroll", "jdoe"], io::empty()).await.refused();
    assert!(stranger.contains("latchkey person add"), "{stranger}");
    let records = place.write("records.toml", RECORDS);
    place.type_in(&["records", "load", &records], io::empty()).await.ok();
    let short = place.type_in(&["person", "enroll", "jdoe"], Cursor::new("short\n")).await.refused();
    assert!(short.contains("at least 15"), "{short}");
    let wrong = Cursor::new("four unlikely words\n000000\n000000\n000000\n");
    let wrong = place.type_in(&["person", "enroll", "jdoe"], wrong).await.refused();
    assert!(wrong.contains("does not fit"), "{wrong}");

    let screen = Screen::default();
    let technician = Technician { screen: screen.clone(), lines: 0 };
    let enrolled = place.type_on(&screen, &["person", "enroll", "jdoe"], technician).await.ok();
    assert!(enrolled.output.contains("otpauth://totp/Latchkey:jdoe?secret="), "{}", enrolled.output);
    assert!(enrolled.output.ends_with("jdoe is enrolled.\n"));
    assert!(!enrolled.output.contains("unlikely"));
}

#[tokio::test]
async fn the_mail_servers_password_is_a_secret_like_the_others() {
    let place = Place::new();
    let set = async || place.type_in(&["secret", "set", "mail/password"], Cursor::new("canary-value\n")).await.ok();
    let unused = set().await;
    assert_eq!(unused.output, "mail/password is set.\n");
    assert!(unused.hints.contains("[mail]"), "{}", unused.hints);
    let config = std::fs::read_to_string(place.0.path().join("latchkey.toml")).unwrap();
    let mail = "[mail]\nhost = \"smtp.example.com\"\nsecurity = \"tls\"\nusername = \"l\"\nfrom = \"l@example.com\"\n";
    place.write("latchkey.toml", &format!("{config}{mail}"));
    assert_eq!(set().await.hints, "");
    assert_eq!(place.type_in(&["secret", "list"], io::empty()).await.ok().output, "mail/password\n");
}

#[tokio::test]
async fn secrets_go_in_and_only_their_names_come_out() {
    let place = Place::new();
    let records = place.write("records.toml", RECORDS);
    place.type_in(&["records", "load", &records], io::empty()).await.ok();
    let set =
        place.type_in(&["secret", "set", "entra-contoso/client-secret"], Cursor::new("canary-value\n")).await.ok();
    assert_eq!(set.output, "entra-contoso/client-secret is set.\n");
    place.type_in(&["secret", "set", "entra-contoso/client-secret"], Cursor::new("canary-other\n")).await.ok();
    let list = place.type_in(&["secret", "list"], io::empty()).await.ok();
    assert_eq!(list.output, "entra-contoso/client-secret\n");
    let unknown = place.type_in(&["secret", "set", "cw/private-key"], Cursor::new("x\n")).await.refused();
    assert!(unknown.contains("there are: entra-contoso"), "{unknown}");
    let empty = place.type_in(&["secret", "set", "entra-contoso/client-secret"], Cursor::new("\n")).await.refused();
    assert!(empty.contains("empty"), "{empty}");
    let hook = place.type_in(&["secret", "set", "cw/hook-secret"], Cursor::new("x\n")).await.refused();
    let useless = place.type_in(&["secret", "set", "entra-contoso/private-key"], Cursor::new("x\n")).await.refused();
    assert!(
        useless.contains("has no use for a private-key") && useless.contains("entra-contoso/client-secret"),
        "{useless}"
    );
    assert!(!useless.contains("hook-secret"), "{useless}");
    assert!(hook.contains("latchkey secret rotate cw/hook-secret"), "{hook}");
    for file in std::fs::read_dir(place.0.path().join("data")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|w| w == b"canary"), "a secret lies in the clear");
    }
}

#[tokio::test]
async fn a_certificate_is_printed_and_its_key_is_not() {
    let place = Place::new();
    let records = place.write("records.toml", RECORDS);
    place.type_in(&["records", "load", &records], io::empty()).await.ok();
    let made = place.type_in(&["certificate", "make", "entra-contoso"], io::empty()).await.ok();
    assert!(made.output.starts_with("-----BEGIN CERTIFICATE-----") && !made.output.contains("PRIVATE"));
    let list = place.type_in(&["secret", "list"], io::empty()).await.ok();
    assert_eq!(list.output, "entra-contoso/certificate-key\nentra-contoso/certificate\n");
    let loaded = place.type_in(&["records", "load", &records], io::empty()).await.ok();
    assert_eq!(loaded.hints, "", "the connection can be used now");
    let again = place.type_in(&["certificate", "make", "entra-contoso"], io::empty()).await.refused();
    assert!(again.contains("is in force") && again.contains("--next"), "{again}");
    place.type_in(&["connection", "set", "entra-contoso", "credential=secret"], io::empty()).await.ok();
    let unused = place.type_in(&["certificate", "make", "entra-contoso"], io::empty()).await.refused();
    assert!(unused.contains("not in force") && unused.contains("credential=certificate"), "{unused}");
}

#[tokio::test]
async fn webhooks_are_made_listed_given_a_new_path_and_removed() {
    let place = Place::new();
    let authority = Authority::new();
    let ca = place.write("ca.pem", authority.ca_pem());
    let psa = ConnectWise::start(Options::secure(&authority, SimClock::new(|| 1_790_000_000_000))).await.unwrap();
    let tenant = psa.add_tenant("examplemsp", "Example MSP");
    let api = tenant.add_api_member(243, "JitApi");
    let board = tenant.add_board("Help Desk");
    let connection = format!(
        "[[connection]]\nid = \"cw\"\nkind = \"connectwise\"\nsite = {:?}\ncompany = \"examplemsp\"\n\
         client_id = \"6b1f0c3e-0000-4000-8000-000000000001\"\npublic_key = {:?}\nnetwork = \"private\"\nca_file = {ca:?}\n",
        psa.base_url(),
        api.public_key
    );
    let records = place.write("records.toml", &format!("{connection}{RECORDS}"));
    let rulebook = place.write("rulebook.toml", &RULEBOOK.replace("BOARD", &board.to_string()));
    place.type_in(&["records", "load", &records], io::empty()).await.ok();
    let unset = place.type_in(&["webhook", "sync", "cw"], io::empty()).await.refused();
    assert!(unset.contains("latchkey secret set cw/private-key"), "{unset}");
    place.type_in(&["secret", "set", "cw/private-key"], Cursor::new(api.private_key.clone())).await.ok();
    let unmapped = place.type_in(&["webhook", "sync", "cw"], io::empty()).await.refused();
    assert!(unmapped.contains("latchkey rulebook import"), "{unmapped}");
    place.type_in(&["rulebook", "load", &rulebook], io::empty()).await.ok();

    let synced = place.type_in(&["webhook", "sync", "cw"], io::empty()).await.ok();
    assert_eq!(synced.output, "1 created, 0 repaired, 0 removed, 0 right as they were.\n");
    let again = place.type_in(&["webhook", "sync", "cw"], io::empty()).await.ok();
    assert_eq!(again.output, "0 created, 0 repaired, 0 removed, 1 right as they were.\n");
    let secret = tenant.callbacks()[0]["url"].as_str().unwrap().split('/').nth(5).unwrap()[..43].to_owned();
    let listed = place.type_in(&["webhook", "list", "cw"], io::empty()).await.ok();
    assert!(listed.output.contains("latchkey.example.com") && listed.output.contains("active"), "{}", listed.output);
    assert!(!listed.output.contains(&secret), "the path secret is not printed");
    let moved = place.type_in(&["webhook", "sync", "cw", "--new-path"], io::empty()).await.ok();
    assert_eq!(moved.output, "0 created, 1 repaired, 0 removed, 0 right as they were.\n");
    assert!(!tenant.callbacks()[0]["url"].as_str().unwrap().contains(&secret));
    assert!(moved.hints.contains("the former one is accepted as well"), "{}", moved.hints);
    assert!(moved.hints.contains("under way to the former path are accepted until"), "{}", moved.hints);
    let rotated = place.type_in(&["secret", "rotate", "cw/hook-secret"], io::empty()).await.ok();
    assert!(rotated.output.contains("1 repaired"), "{}", rotated.output);
    let asked = place.type_in(&["webhook", "remove", "cw"], io::empty()).await.refused();
    assert!(asked.contains("--yes") && !tenant.callbacks().is_empty(), "{asked}");
    let removed = place.type_in(&["--yes", "webhook", "remove", "cw"], io::empty()).await.ok();
    assert_eq!(removed.output, "1 removed.\n");
    assert!(tenant.callbacks().is_empty());
}

#[tokio::test]
async fn a_wrong_master_key_stops_every_command_that_needs_it_with_what_to_do() {
    let place = Place::new();
    let records = place.write("records.toml", RECORDS);
    place.type_in(&["records", "load", &records], io::empty()).await.ok();
    let key = place.0.path().join("keys/master.key");
    let ours = std::fs::read(&key).unwrap();
    let set = ["secret", "set", "entra-contoso/client-secret"];
    std::fs::remove_file(&key).unwrap();
    let lost = place.type_in(&set, Cursor::new("x\n")).await.refused();
    assert!(lost.contains("put the file back"), "{lost}");
    let other = Place::new();
    let theirs = other.write("records.toml", RECORDS);
    other.type_in(&["records", "load", &theirs], io::empty()).await.ok();
    std::fs::copy(other.0.path().join("keys/master.key"), &key).unwrap();
    let foreign = place.type_in(&set, Cursor::new("x\n")).await.refused();
    assert!(foreign.contains("does not belong to this database"), "{foreign}");
    std::fs::write(&key, ours).unwrap();
    place.type_in(&set, Cursor::new("x\n")).await.ok();
}

#[tokio::test]
async fn nobody_has_grants_yet() {
    let place = Place::new();
    let records = place.write("records.toml", RECORDS);
    place.type_in(&["records", "load", &records], io::empty()).await.ok();
    assert_eq!(place.type_in(&["grants"], io::empty()).await.ok().output, "");
    assert_eq!(place.say(&["grants", "--person", "jdoe"]).await.ok().output, "");
    for (words, said) in [
        (&["grants", "--person", "zzz"][..], "person zzz is neither in the records"),
        (&["grants", "--customer", "zzz"], "customer zzz is neither in the records"),
        (&["audit", "export", "--person", "zzz"], "person zzz is neither in the records"),
        (&["audit", "export", "--customer", "zzz"], "customer zzz is neither in the records"),
        (&["audit", "export", "--code", "nope"], "no code begins with \"nope\""),
        (&["end", "nope"], "there is no grant nope"),
    ] {
        let refused = place.say(words).await.refused();
        assert!(refused.contains(said), "{words:?}: {refused}");
    }
    place.say(&["audit", "export", "--person", "jdoe"]).await.ok();
    place.say(&["audit", "export", "--code", "rules."]).await.ok();
}
