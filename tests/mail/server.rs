//! The mail server as a child process, and a mailer that is set up for it.

use std::{
    env,
    io::{BufRead, BufReader, Write, stderr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use latchkey::mail::{Mail, MailAddress, MailError, Mailer, Security, Settings, Words, Written};
use latchkey_contract::{Clock, Secret, Timestamp};
use latchkey_simulators::authority::{Authority, use_ring};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

use crate::clock::TestClock;

pub(crate) const LOGIN: (&str, &str) = ("latchkey", "correct horse battery staple");

/// How long anything may take that is not about time.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What differs from server to server.
pub(crate) struct Plan {
    pub(crate) security: Security,
    /// The address it listens on; its certificate is for `localhost` and `127.0.0.1`.
    pub(crate) host: &'static str,
    pub(crate) asks_for_login: bool,
    pub(crate) is_attacked: bool,
}

impl Plan {
    pub(crate) const fn new(security: Security) -> Self {
        Self { security, host: "127.0.0.1", asks_for_login: true, is_attacked: false }
    }
}

/// A running server. It ends with this.
pub(crate) struct Server {
    child: Child,
    told: mpsc::UnboundedReceiver<Value>,
    pub(crate) settings: Settings,
    pub(crate) clock: TestClock,
    _files: tempfile::TempDir,
}

/// Whether `tests/run` has installed it.
pub(crate) fn is_installed() -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/smtp/installed.txt").exists()
}

/// Starts a server, or says why there is none.
pub(crate) async fn start(plan: &Plan) -> Option<Server> {
    use_ring();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/smtp/bin/python");
    if !is_installed() {
        assert!(
            env::var("LATCHKEY_TEST_REQUIRE").as_deref() != Ok("all"),
            "{} is missing; run tests/run",
            python.display()
        );
        // Straight to the terminal: what a test that passes prints is not shown.
        let _ = writeln!(stderr(), "mail is not tested: the mail server is missing; tests/run installs it");
        return None;
    }
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let authority = Authority::new();
    let (certificate, key) = authority.server_pem(&[]);
    let asked = json!({
        "host": plan.host,
        "security": match plan.security {
            Security::StartTls => "starttls",
            Security::Tls => "tls",
            Security::None => "none",
        },
        "certificate": file("server.pem", &certificate),
        "key": file("server.key", &key),
        "login": plan.asks_for_login.then_some(LOGIN),
        "is_attacked": plan.is_attacked,
    });
    let mut child = Command::new(python)
        .arg(root.join("tests/smtp/server.py"))
        .arg(asked.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (tell, mut told) = mpsc::unbounded_channel::<Value>();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = tell.send(serde_json::from_str(&line).unwrap());
        }
    });
    let port = next(&mut told).await.expect("the server starts")["port"].as_u64().unwrap();
    let settings = Settings {
        host: plan.host.to_owned(),
        port: u16::try_from(port).unwrap(),
        security: plan.security,
        username: plan.asks_for_login.then(|| LOGIN.0.to_owned()),
        from: "Latchkey <latchkey@msp.example>".parse().unwrap(),
        ca_file: Some(file("ca.pem", authority.ca_pem())),
        timeout: SOON,
        hello: None,
    };
    Some(Server { child, told, settings, clock: TestClock::new(), _files: files })
}

/// The next line; `None` when there are no more.
async fn next(told: &mut mpsc::UnboundedReceiver<Value>) -> Option<Value> {
    timeout(SOON, told.recv()).await.expect("the server says something")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// A mailer for this server, but for what `change` does to its settings.
    pub(crate) fn mailer(&self, change: impl FnOnce(&mut Settings)) -> Mailer {
        let mut settings = self.settings.clone();
        change(&mut settings);
        mailer(settings, LOGIN.1, Arc::new(self.clock.clone())).unwrap()
    }

    /// Everything told so far, up to and including the first line for which `is_last` holds.
    pub(crate) async fn told_until(&mut self, is_last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            all.push(next(&mut self.told).await.expect("the server tells this"));
            if all.last().is_some_and(&is_last) {
                return all;
            }
        }
    }

    /// The mails that it took since it was last asked for them, without waiting.
    #[allow(dead_code, reason = "for runs in which mail is one thing among others")]
    pub(crate) fn taken(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.told.try_recv().ok())
            .map(|mut line| line["took"].take())
            .filter(Value::is_object)
            .collect()
    }

    /// The next mail that it takes.
    pub(crate) async fn mail(&mut self) -> Value {
        self.told_until(|line| line["took"].is_object()).await.pop().unwrap()["took"].take()
    }

    /// Everything told, and nothing more to come: the server is gone.
    pub(crate) async fn last_words(mut self) -> Vec<Value> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut all = Vec::new();
        while let Some(line) = next(&mut self.told).await {
            all.push(line);
        }
        all
    }

    /// It is gone; its port answers nobody.
    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub(crate) fn mailer(settings: Settings, password: &str, clock: Arc<dyn Clock>) -> Result<Mailer, MailError> {
    let public_url = "https://latchkey.msp.example/".parse().unwrap();
    Mailer::new(settings, &public_url, Some(&Secret::new(password.to_owned())), clock)
}

/// A test mail, different for each id.
pub(crate) fn mail(id: &str, to: &str) -> Mail {
    let at = Timestamp::parse("2026-06-09T23:05:10Z").unwrap();
    written(id, to, Words::Test { by: format!("Jané {id}"), at }.write())
}

pub(crate) fn written(id: &str, to: &str, written: Written) -> Mail {
    Mail {
        id: id.parse().unwrap(),
        to: MailAddress::parse(to).unwrap(),
        written,
        at: Timestamp::parse("2026-06-09T23:05:10Z").unwrap(),
        is_repeat: false,
    }
}

pub(crate) fn header<'a>(mail: &'a Value, name: &str) -> &'a str {
    let mut found = mail["headers"].as_array().unwrap().iter().filter(|header| header[0] == name);
    let value = found.next().unwrap_or_else(|| panic!("no {name} in {mail}"))[1].as_str().unwrap();
    assert!(found.next().is_none(), "two of {name}");
    value
}

/// Everything the server heard, without TLS or under it.
pub(crate) fn heard(told: &[Value], in_clear: bool) -> String {
    told.iter().filter(|line| line["in_clear"] == in_clear).filter_map(|line| line["heard"].as_str()).collect()
}
