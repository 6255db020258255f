//! `latchkey doctor`, typed in while the service runs: whatever breaks turns its own line, and no other.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use latchkey::{
    cli::{Cli, Terminal, run},
    config::Config,
    rulebook::{Hold, HoldCause, HoldOn},
};
use latchkey_contract::Clock;

use super::harness::{CLIENT, HOOK_SECRET, TENANT, TestApp};

/// A mail server that answers one word in its own way, where it is told to.
#[derive(Clone, Default)]
struct MailServer {
    odd: Arc<Mutex<Option<(&'static str, &'static str)>>>,
    taken: Arc<Mutex<String>>,
}

impl MailServer {
    fn start(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, server) = (listener.local_addr().unwrap().port(), self.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                std::thread::spawn(move || drop(server.talk(stream)));
            }
        });
        port
    }

    fn odd(&self, word: &'static str, answer: &'static str) {
        *self.odd.lock().unwrap() = Some((word, answer));
    }

    fn answer(&self, word: &str, usual: &'static str) -> &'static str {
        let odd = *self.odd.lock().unwrap_or_else(PoisonError::into_inner);
        odd.filter(|(odd, _)| word.starts_with(odd)).map_or(usual, |(_, answer)| answer)
    }

    fn talk(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        writeln!(stream, "{}\r", self.answer("greeting", "220 mail.example"))?;
        while let Some(line) = lines.next().transpose()? {
            let usual = match line.get(..4).unwrap_or_default() {
                "DATA" => "354 go on",
                "QUIT" => "221 bye",
                _ => "250 fine",
            };
            let answer = self.answer(&line, usual);
            writeln!(stream, "{answer}\r")?;
            if answer.starts_with("354") {
                for line in lines.by_ref().map_while(Result::ok).take_while(|line| line != ".") {
                    *self.taken.lock().unwrap() += &format!("{line}\n");
                }
                writeln!(stream, "250 taken\r")?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Clinic {
    app: TestApp,
    mail: MailServer,
}

/// Area and thing → the word, and the whole line.
type Seen = BTreeMap<String, (String, String)>;

impl Clinic {
    async fn open() -> Self {
        let mail = MailServer::default();
        let port = mail.start();
        let mut app = TestApp::installed(&[], |_, _| ()).await;
        let text = format!(
            "data_dir = \"data\"\nkey_file = \"master.key\"\nlisten = \"127.0.0.1:{0}\"\npublic_url = \"http://127.0.0.1:{0}\"\n\
             [mail]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\nfrom = \"Latchkey <latchkey@example.com>\"\n",
            app.place().1
        );
        let file = app.place().0.join("latchkey.toml");
        fs::write(&file, &text).unwrap();
        let settings = Config::parse(&text, &file, None).unwrap().mail;
        app.up_configured(|config| config.mail = settings).await;
        app.register_webhooks().await;
        Self { app, mail }
    }

    fn key_file(&self) -> PathBuf {
        self.app.config().key_file.path().to_owned()
    }

    /// What is printed, and whether it failed.
    async fn look(&self) -> (Seen, Result<(), String>, String) {
        let file = self.app.place().0.join("latchkey.toml");
        let words = ["latchkey", "--config", file.to_str().unwrap(), "doctor", "--mail-to", "ops@example.com"];
        let screen = Screen::default();
        let hints = Screen::default();
        let mut terminal = Terminal::piped(Box::new(io::empty()), Box::new(screen.clone()), Box::new(hints.clone()));
        let cli = Cli::read(words.map(Into::into)).unwrap();
        let done = run(cli, &mut terminal).await.map_err(|error| format!("{error:#}"));
        let text = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
        let mut seen = Seen::new();
        for line in text.lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            let [word, area, what, _] = columns.as_slice() else { panic!("not four columns: {line:?}") };
            let before = seen.insert(format!("{area}: {what}"), ((*word).to_owned(), line.to_owned()));
            assert!(before.is_none(), "said twice: {line}");
        }
        (seen, done, text)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_is_well_on_a_good_day_and_nothing_secret_is_printed() {
    let clinic = Clinic::open().await;
    let (seen, done, text) = clinic.look().await;
    assert_eq!(done, Ok(()), "{text}");
    assert!(seen.values().all(|(word, _)| word != "FAILED"), "{text}");
    for name in [
        "database: writing",
        "database: schema",
        "database: disk",
        "database: reserve",
        "key: file",
        "key: secrets",
        "clock: last seen",
        "address: public_url",
        "mail: server",
        "mail: test mail",
        "connection cw: sign-in",
        "queue: dead tasks",
        "queue: removals",
        "holds: in force",
        "audit: head",
    ] {
        assert_eq!(seen.get(name).map(|(word, _)| word.as_str()), Some("ok"), "{name} in:\n{text}");
    }
    assert!(seen.keys().any(|name| name.starts_with("connection acme-entra: ")), "{text}");
    assert!(clinic.mail.taken.lock().unwrap().contains("To: ops@example.com"), "no mail arrived");
    for secret in [HOOK_SECRET, clinic.app.psa.keys.1.as_str(), super::harness::CLIENT_SECRET] {
        assert!(!text.contains(secret), "a secret is printed:\n{text}");
    }
    // Looked at twice, it is the same: looking breaks nothing.
    let words = |seen: &Seen| seen.iter().map(|(name, (word, _))| (name.clone(), word.clone())).collect::<Vec<_>>();
    assert_eq!(words(&clinic.look().await.0), words(&seen));
    clinic.app.end().await;
}

/// What is broken: how the line's name begins, its word, a part of what it says to do.
async fn turns(line: &str, word: &str, to_do: &str, break_it: impl AsyncFnOnce(&Clinic)) {
    let clinic = Clinic::open().await;
    let (before, ..) = clinic.look().await;
    break_it(&clinic).await;
    let (after, done, text) = clinic.look().await;
    let changed: Vec<&String> = after
        .iter()
        .filter(|(name, (word, _))| before.get(*name).is_none_or(|(b, _)| b != word))
        .map(|(n, _)| n)
        .collect();
    assert!(matches!(changed.as_slice(), [one] if one.starts_with(line)), "{line}: {changed:?} changed in:\n{text}");
    let (found, said) = &after[changed[0]];
    assert!(found == word && said.contains(to_do), "{line}: {said}");
    assert_eq!(done.is_err(), word == "FAILED", "{line}: {done:?}");
    // Lines that cannot be judged any more are left out, in the area that broke and nowhere else.
    let area = line.split(':').next().unwrap();
    for gone in before.keys().filter(|name| !after.contains_key(*name)) {
        assert!(gone.starts_with(area), "{line}: {gone} is gone");
    }
    let mut app = clinic.app;
    app.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_breaks_in_the_house_turns_its_own_line() {
    turns("key: file", "FAILED", "chmod 600", async |c| {
        fs::set_permissions(c.key_file(), Permissions::from_mode(0o644)).unwrap();
    })
    .await;
    turns("key: file", "FAILED", "put the file back", async |c| fs::remove_file(c.key_file()).unwrap()).await;
    turns("key: place", "note", "move it elsewhere", async |c| {
        let moved = c.app.data_dir().join("master.key");
        fs::rename(c.key_file(), &moved).unwrap();
        std::os::unix::fs::symlink(&moved, c.key_file()).unwrap();
    })
    .await;
    turns("database: reserve", "FAILED", "make room", async |c| {
        fs::remove_file(c.app.data_dir().join("latchkey.db.reserve")).unwrap();
    })
    .await;
    turns("mail: server", "FAILED", "does not serve us", async |c| c.mail.odd("greeting", "554 not you")).await;
    turns("mail: test mail", "FAILED", "recipient", async |c| c.mail.odd("RCPT", "550 nobody")).await;
    turns("holds: all", "note", "all access is locked", async |c| {
        let (since, by, reason) = (c.app.clock.now(), "jane".to_owned(), "drill".to_owned());
        let hold = Hold { on: HoldOn::Everything, cause: HoldCause::Panic, since, by, reason };
        c.app.store().set_hold(&hold).await.unwrap();
    })
    .await;
}

/// F9: a webhook that is missing or switched off is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_breaks_at_the_psa_turns_its_own_line() {
    turns("connection cw: sign-in", "FAILED", "", async |c| c.app.psa.tenant.revoke_api_key(&c.app.psa.keys.0)).await;
    turns("connection cw: ", "FAILED", "webhook sync", async |c| {
        let id = c.app.psa.tenant.callbacks()[0]["id"].as_i64().unwrap();
        c.app.psa.tenant.set_callback_inactive(id, true);
    })
    .await;
    turns("connection cw: status", "FAILED", "", async |c| c.app.psa.tenant.remove_status(c.app.psa.desk.done)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_breaks_at_a_tenant_turns_its_own_line() {
    turns("connection acme-entra: ", "FAILED", "", async |c| c.app.entra.sim.rotate_secret(CLIENT, "another")).await;
    turns("connection acme-entra: ", "FAILED", "", async |c| {
        c.app.entra.sim.set_domain(TENANT, "contoso.onmicrosoft.com", false, false);
    })
    .await;
    turns("connection acme-entra: ", "FAILED", "", async |c| c.app.entra.sim.remove_group(TENANT, &c.app.entra.group))
        .await;
}
