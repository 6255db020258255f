//! The shipped program, as processes: one serves, others are typed in by operators.

use std::{
    fs::{File, Permissions},
    io::{BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use latchkey_simulators::authority::{Authority, use_ring};

use super::harness::{
    free_port, stranger,
    unread::{FILL, full_pipe},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_latchkey");

const RECORDS: &str = r#"
[[connection]]
id = "entra-contoso"
kind = "entra"
tenant = "8f0c2c1e-0000-4000-8000-000000000000"
client_id = "8f0c2c1e-0000-4000-8000-000000000001"
credential = "secret"
"#;

/// How long a service may take to end: ten seconds for what is under way, and one for the last lines.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// An installation, and what is typed there.
struct Place {
    dir: tempfile::TempDir,
    port: u16,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), port: free_port() };
        let port = place.port;
        place.write(
            "latchkey.toml",
            &format!(
                "data_dir = \"data\"\nkey_file = \"keys/master.key\"\nlisten = \"127.0.0.1:{port}\"\n\
                 public_url = \"http://127.0.0.1:{port}\"\n{}",
                stranger::configured(place.dir.path())
            ),
        );
        place.write("records.toml", RECORDS);
        place
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.at(name), text).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words).arg("--config=latchkey.toml").current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn type_in(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn refused(&self, words: &[&str]) -> String {
        let output = self.type_in(words);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn type_value(&self, words: &[&str], value: &str) -> Output {
        let mut child = self.command(words).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn serve(&self) -> Service {
        let mut child = self.command(&["serve"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let is_ready = lines.by_ref().map_while(Result::ok).any(|line| {
            *log.lock().unwrap() += &format!("{line}\n");
            line.contains("\"ready\"")
        });
        assert!(is_ready, "it did not start: {}", log.lock().unwrap());
        let kept = Arc::clone(&log);
        let reading = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *kept.lock().unwrap() += &format!("{line}\n");
            }
        });
        Service { child, log, reading: Some(reading) }
    }

    /// One that logs all that it can, to there, and is not read by us; it starts, and answers.
    async fn serve_into(&self, log: Stdio) -> Service {
        let text = std::fs::read_to_string(self.at("latchkey.toml")).unwrap();
        if !text.contains("log_level") {
            self.write("latchkey.toml", &format!("log_level = \"debug\"\n{text}"));
        }
        let child = self.command(&["serve"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let service = Service { child, log: Arc::default(), reading: None };
        self.answers().await;
        service
    }

    /// It is ready, refuses what it has to, and does what an operator wants; the last two are worth a line.
    async fn answers(&self) {
        let (client, place) = (reqwest::Client::new(), format!("http://127.0.0.1:{}", self.port));
        let ready = async || client.get(format!("{place}/readyz")).send().await;
        soon!("a service that is ready", ready().await.is_ok_and(|answer| answer.status() == 200));
        let refused = client.post(format!("{place}/hooks/cw/nobody")).body("{}").send().await.unwrap();
        assert_eq!(refused.status(), 401);
        assert!(self.type_in(&["grants"]).status.success());
    }
}

/// How it ended, in time.
async fn exit_code(child: &mut Child) -> Option<i32> {
    let began = Instant::now();
    soon!("its end", child.try_wait().unwrap().is_some());
    assert!(began.elapsed() < ENDS_WITHIN, "it took {:?} to end", began.elapsed());
    child.wait().unwrap().code()
}

struct Service {
    child: Child,
    log: Arc<Mutex<String>>,
    reading: Option<std::thread::JoinHandle<()>>,
}

impl Service {
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Tells it to stop; answers all that it logged.
    fn stop(mut self) -> String {
        self.signal(rustix::process::Signal::TERM);
        assert!(self.child.wait().unwrap().success());
        self.reading.take().unwrap().join().unwrap();
        self.log.lock().unwrap().clone()
    }

    /// Tells one whose log is not read by us to stop; answers how it ended.
    async fn stopped(mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        exit_code(&mut self.child).await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It is over already where a test came to its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// F162, F163: a command is done by the service where one runs, and alone where none does.
#[test]
fn a_second_service_says_that_one_runs_and_a_killed_one_is_followed() {
    let place = Place::new();
    let first = place.serve();
    let second = place.refused(&["serve"]);
    assert!(second.contains(&format!("already (process {})", first.child.id())), "{second}");
    assert!(place.type_in(&["grants"]).status.success());
    first.kill();
    assert!(place.at("data/latchkey.sock").exists(), "a killed one leaves its socket");
    assert!(place.type_in(&["grants"]).status.success(), "alone, past the dead socket");
    let next = place.serve();
    assert!(place.type_in(&["grants"]).status.success());
    let log = next.stop();
    assert!(log.contains("\"command\":\"grants\""), "the next one was asked: {log}");
    assert!(!place.at("data/latchkey.sock").exists());
}

#[test]
fn a_secret_set_at_the_door_is_in_no_log_and_who_set_it_is() {
    let place = Place::new();
    let service = place.serve();
    assert!(place.type_in(&["records", "load", "records.toml"]).status.success());
    let set = place.type_value(&["secret", "set", "entra-contoso/client-secret"], "canary-value-1234\n");
    assert_eq!(String::from_utf8_lossy(&set.stdout), "entra-contoso/client-secret is set.\n", "{set:?}");
    let log = service.stop();
    assert!(!log.contains("canary"), "{log}");
    let line = log.lines().find(|line| line.contains("\"command\":\"secret set\"")).unwrap();
    assert!(line.contains("\"by\":\"") && !line.contains("client-secret"), "{line}");
}

#[test]
fn a_service_that_stops_does_not_wait_for_an_operator() {
    let place = Place::new();
    let service = place.serve();
    assert!(place.type_in(&["records", "load", "records.toml"]).status.success());
    let mut asked =
        place.command(&["secret", "set", "entra-contoso/client-secret"]).stdin(Stdio::piped()).spawn().unwrap();
    while !service.log.lock().unwrap().contains("secret set") {
        std::thread::yield_now();
    }
    service.stop();
    drop(asked.stdin.take());
    let told = asked.wait_with_output().unwrap();
    assert_eq!(told.status.code(), Some(1));
    assert!(place.type_in(&["secret", "list"]).stdout.is_empty(), "nothing was set");
}

/// F176: a new certificate is taken up on SIGHUP, and a key that others may read stops the start.
#[tokio::test]
async fn a_hang_up_looks_at_the_certificate_again() {
    use_ring();
    let (place, authority) = (Place::new(), Authority::new());
    let text = std::fs::read_to_string(place.at("latchkey.toml")).unwrap();
    place.write("latchkey.toml", &format!("{text}[tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n"));
    let put = |mode| {
        let (certificate, key) = authority.server_pem(&[]);
        place.write("chain.pem", &certificate);
        place.write("key.pem", &key);
        std::fs::set_permissions(place.at("key.pem"), Permissions::from_mode(mode)).unwrap();
    };
    put(0o644);
    let open = place.refused(&["serve"]);
    assert!(open.contains("chmod 600"), "{open}");
    put(0o600);
    let service = place.serve();
    let root = reqwest::Certificate::from_pem(authority.ca_pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
    let page = format!("https://localhost:{}/livez", place.port);
    assert_eq!(client.get(&page).send().await.unwrap().status(), 200);
    put(0o600);
    service.signal(rustix::process::Signal::HUP);
    while !service.log.lock().unwrap().contains("a new certificate is in force") {
        std::thread::yield_now();
    }
    assert_eq!(client.get(&page).send().await.unwrap().status(), 200);
    service.stop();
}

/// F162: nobody else is obeyed. (Only root can be somebody else for a moment.)
#[test]
fn another_user_is_refused_at_the_door() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: to be another user takes root");
        return;
    }
    let place = Place::new();
    let service = place.serve();
    let open = |name: &str, mode| std::fs::set_permissions(place.at(name), Permissions::from_mode(mode)).unwrap();
    for (name, mode) in [("", 0o755), ("latchkey.toml", 0o644), ("data", 0o711)] {
        open(name, mode);
    }
    let other = |words| {
        let program = place.at("latchkey");
        std::fs::copy(PROGRAM, &program).unwrap();
        let output = Command::new(&program).args(words).current_dir(place.dir.path()).uid(NOBODY).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let by_mode = other(&["grants"]);
    assert!(by_mode.contains("run this as root or as the user"), "{by_mode}");
    open("data/latchkey.sock", 0o666);
    let by_peer = other(&["grants"]);
    assert!(by_peer.contains("only root and the user that Latchkey runs as"), "{by_peer}");
    let log = service.stop();
    assert!(log.contains("refused at the socket") && log.contains(&format!("\"uid\":{NOBODY}")), "{log}");
}

/// F171: there is no room in the pipe from the first line on.
#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_no_work_no_end_and_no_failed_start() {
    use_ring();
    let place = Place::new();
    let (_unread, log) = full_pipe();
    let service = place.serve_into(log.into()).await;
    let (_unread_too, log) = full_pipe();
    let mut second = place.command(&["serve"]).stderr(log).spawn().unwrap();
    assert_eq!(exit_code(&mut second).await, Some(1), "one runs already");
    place.answers().await;
    assert_eq!(service.stopped().await, Some(0));
}

#[tokio::test]
async fn a_log_that_is_read_at_last_has_every_line_to_the_end() {
    use_ring();
    let place = Place::new();
    let (mut unread, log) = full_pipe();
    let service = place.serve_into(log.into()).await;
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        unread.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    });
    assert_eq!(service.stopped().await, Some(0));
    let log = reading.join().unwrap();
    let lines: Vec<serde_json::Value> =
        log.trim_start_matches(char::from(FILL)).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for message in ["ready", "delivery rejected", "stopping", "stopped"] {
        assert!(lines.iter().any(|line| line["message"] == message), "{message}: {log}");
    }
    assert!(lines.iter().any(|line| line["command"] == "grants"), "{log}");
}

/// As where its lines go to a file, and the disk is full.
#[tokio::test]
async fn a_log_without_room_is_no_fault_of_the_service() {
    use_ring();
    let place = Place::new();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let service = place.serve_into(full().into()).await;
    let mut second = place.command(&["serve"]).stderr(full()).spawn().unwrap();
    assert_eq!(exit_code(&mut second).await, Some(1), "one runs already");
    place.answers().await;
    assert_eq!(service.stopped().await, Some(0));
}
