//! Both ends over a real socket, with a clerk in the place of the commands.

use std::{
    io::{self, Cursor, Write},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    wire::{Answer, Incoming, VERSION},
    *,
};
use crate::cli::{LARGEST_FILE, Overwrite};

const MIB: usize = 1024 * 1024;

/// Does what the words say, and remembers whether it was left alone.
#[derive(Default)]
struct Clerk {
    was_left: AtomicBool,
}

#[async_trait::async_trait(?Send)]
impl Obey for Clerk {
    async fn obey(&self, words: &[String], operator: Operator, terminal: &mut Terminal) -> anyhow::Result<()> {
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["who"] => terminal.say(operator),
            ["fail"] => Err(anyhow::anyhow!("the cause").context("the sentence")),
            ["panic"] => panic!("a fault of ours, on purpose"),
            ["talk"] => {
                let name = terminal.ask("Name")?;
                let password = terminal.ask_hidden("Password", true)?;
                let rest = terminal.value("Rest")?;
                terminal.hint("a hint")?;
                terminal.say(format_args!("{}/{}/{}", name.expose(), password.expose(), rest.expose()))
            }
            ["copy", from, to] => {
                let bytes = terminal.read_file(from.as_ref(), LARGEST_FILE)?;
                terminal.write_file(to.as_ref(), &bytes, Overwrite::Never)?;
                terminal.say(String::from_utf8_lossy(&bytes))
            }
            ["export", to] => {
                terminal.save_to(to.as_ref())?;
                let line = "x".repeat(MIB - 1);
                (0..=LARGEST_FILE / MIB as u64).try_for_each(|_| terminal.say(&line))?;
                terminal.save()
            }
            ["spy"] => terminal.read_file("/etc/hostname".as_ref(), 100).map(drop),
            ["ask"] => terminal.ask("Anything").map(drop).inspect_err(|_| self.was_left.store(true, SeqCst)),
            ["for-ever"] => std::future::pending().await,
            other => bail!("not a word of the clerk's: {other:?}"),
        }
    }
}

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
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

struct Place {
    dir: tempfile::TempDir,
    clerk: Arc<Clerk>,
    door: Door,
}

impl Place {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clerk = Arc::new(Clerk::default());
        let door = Door::open(dir.path(), Arc::<Clerk>::clone(&clerk), limits).unwrap();
        Self { dir, clerk, door }
    }

    async fn knock(&self) -> UnixStream {
        match knock(self.dir.path()).await.unwrap() {
            Knock::Answered(stream) => stream,
            Knock::Nobody => panic!("nobody is there"),
        }
    }

    /// What was said, what was hinted, and how it ended.
    async fn type_in(&self, words: &[&str], input: &'static str) -> (String, String, Result<(), String>) {
        let (output, hints) = (Screen::default(), Screen::default());
        let input = Box::new(Cursor::new(input));
        let mut terminal = Terminal::piped(input, Box::new(output.clone()), Box::new(hints.clone()));
        terminal.obey(&words.iter().map(Into::into).collect::<Vec<_>>(), false);
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let done = ask(self.knock().await, words, &mut terminal).await.map_err(|error| format!("{error:#}"));
        (output.text(), hints.text(), done)
    }

    async fn refused(&self, words: &[&str]) -> String {
        self.type_in(words, "").await.2.unwrap_err()
    }

    /// A client that said its words and is waited for.
    async fn waiting(&self, words: &[&str]) -> UnixStream {
        let mut stream = self.knock().await;
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        say(&mut stream, VERSION, words).await;
        stream
    }

    async fn until_all_are_gone(&self) {
        let all = self.door.sessions.limits.sessions;
        let gone = self.door.sessions.free.acquire_many(all);
        drop(tokio::time::timeout(Duration::from_secs(10), gone).await.expect("a session goes on").unwrap());
    }
}

async fn say(stream: &mut UnixStream, version: &str, words: Vec<String>) {
    let hello = Answer::Words { version: version.to_owned(), words, is_interactive: false };
    stream.write_all(&wire::line(&hello, &[]).unwrap()).await.unwrap();
}

/// Waits for an order.
async fn hear(stream: &mut UnixStream, awaited: &Order) {
    let mut incoming = Incoming::new();
    loop {
        while let Some((order, _)) = incoming.next::<Order>().unwrap() {
            if order == *awaited {
                return;
            }
        }
        let bytes = stream.read(incoming.space().unwrap()).await.unwrap();
        incoming.came(bytes).unwrap();
    }
}

/// The last thing that the service says before it hangs up.
async fn last_word(stream: &mut UnixStream) -> (Order, String) {
    let (mut incoming, mut last) = (Incoming::new(), None);
    loop {
        while let Some(heard) = incoming.next::<Order>().unwrap() {
            last = Some(heard);
        }
        let bytes = stream.read(incoming.space().unwrap()).await.unwrap();
        if incoming.came(bytes).is_err() {
            let (order, data) = last.expect("it said something");
            return (order, String::from_utf8(data.to_vec()).unwrap());
        }
    }
}

/// A file that comes piece by piece is as long as it likes, at the other end of the socket too.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_longer_than_what_is_sent_at_once() {
    let place = Place::new();
    let out = place.dir.path().join("out");
    let (_, _, done) = place.type_in(&["export", out.to_str().unwrap()], "").await;
    done.unwrap();
    assert_eq!(std::fs::metadata(&out).unwrap().len(), LARGEST_FILE + MIB as u64);
    let again = place.refused(&["export", out.to_str().unwrap()]).await;
    assert!(again.contains("is there already"), "{again}");
}

/// F162: a command that is typed is done by the service, in a talk over its socket.
#[tokio::test]
async fn what_is_asked_and_said_goes_through_the_socket() {
    let place = Place::new();
    let (said, hinted, done) = place.type_in(&["talk"], "jane\nlong enough\nfirst\nsecond \"ü\"\n").await;
    done.unwrap();
    assert_eq!((said.as_str(), hinted.as_str()), ("jane/long enough/first\nsecond \"ü\"\n", "a hint\n"));
    let (said, _, _) = place.type_in(&["who"], "").await;
    assert_eq!(said.trim_end(), Operator::here().to_string());
    let short = place.type_in(&["talk"], "jane\n").await.2.unwrap_err();
    assert!(short.contains("standard input ended"), "{short}");
}

#[tokio::test]
async fn files_are_the_operators_and_go_through_in_pieces() {
    let place = Place::new();
    let at = |name: &str| place.dir.path().join(name).to_str().unwrap().to_owned();
    let text = "0123456789abcde\n".repeat(100_000);
    std::fs::write(at("from"), &text).unwrap();
    let (said, _, done) = place.type_in(&["copy", &at("from"), &at("to")], "").await;
    done.unwrap();
    assert!(said == format!("{text}\n") && std::fs::read_to_string(at("to")).unwrap() == text);
    let again = place.refused(&["copy", &at("from"), &at("to")]).await;
    assert!(again.contains("left as it is"), "{again}");
    let none = place.refused(&["copy", &at("none"), &at("other")]).await;
    assert!(none.contains("none cannot be read"), "{none}");
}

#[tokio::test]
async fn a_service_gets_no_file_that_was_not_named() {
    let refused = Place::new().refused(&["spy"]).await;
    assert!(refused.contains("was not named"), "{refused}");
}

#[tokio::test]
async fn a_failure_comes_with_its_sentence_and_a_fault_of_ours_stays_in_its_session() {
    let place = Place::new();
    assert_eq!(place.refused(&["fail"]).await, "the sentence: the cause");
    let fault = place.refused(&["panic"]).await;
    assert!(fault.contains("a fault of Latchkey's own"), "{fault}");
    place.until_all_are_gone().await;
    place.type_in(&["who"], "").await.2.unwrap();
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_session() {
    let place = Place::new();
    let mut client = place.waiting(&["ask"]).await;
    hear(&mut client, &Order::Ask).await;
    drop(client);
    place.until_all_are_gone().await;
    assert!(place.clerk.was_left.load(SeqCst));
}

#[tokio::test]
async fn one_too_many_is_told_to_wait() {
    let place = Place::with(Limits { sessions: 2, ..Limits::default() });
    let at_work = [place.waiting(&["ask"]).await, place.waiting(&["ask"]).await];
    let third = place.refused(&["who"]).await;
    assert!(third.contains("2 commands are at work"), "{third}");
    drop(at_work);
    place.until_all_are_gone().await;
    place.type_in(&["who"], "").await.2.unwrap();
}

#[tokio::test]
async fn another_version_is_told_what_to_do() {
    let place = Place::new();
    let mut stream = place.knock().await;
    say(&mut stream, "9.9.9", vec!["who".to_owned()]).await;
    let (order, why) = last_word(&mut stream).await;
    assert!(order == Order::Failed && why.contains("9.9.9"), "{why}");

    let listener = UnixListener::bind(place.dir.path().join("other.sock")).unwrap();
    let older = async {
        let mut stream = listener.accept().await.unwrap().0;
        let welcome = Order::Welcome { version: "0.0.1".to_owned() };
        stream.write_all(&wire::line(&welcome, &[]).unwrap()).await.unwrap();
    };
    let client = async {
        let stream = UnixStream::connect(place.dir.path().join("other.sock")).await.unwrap();
        ask(stream, vec![], &mut Terminal::standard()).await.unwrap_err().to_string()
    };
    let (_, told) = tokio::join!(older, client);
    assert!(told.contains("0.0.1") && told.contains("restart the service"), "{told}");
}

#[tokio::test]
async fn nonsense_ends_its_session_and_nothing_else() {
    let place = Place::new();
    let endless = vec![b'x'; wire::LONGEST_LINE + 1];
    for nonsense in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), b"\n", b"{\"verb\":\"value\",\"data\":\"\"}\n", &endless] {
        let mut stream = place.knock().await;
        // It may hang up before it has all of it.
        let _ = stream.write_all(nonsense).await;
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
    }
    place.until_all_are_gone().await;
    place.type_in(&["who"], "").await.2.unwrap();
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let short = Duration::from_millis(30);
    let place = Place::with(Limits { words: short, idle: short, ..Limits::default() });
    let (mut silent, mut idle) = (place.knock().await, place.waiting(&["ask"]).await);
    for stream in [&mut silent, &mut idle] {
        let (order, why) = last_word(stream).await;
        assert!(order == Order::Failed && why.contains("did not answer in time"), "{why}");
    }
}

#[tokio::test]
async fn a_service_that_stops_waits_for_nobody_who_does_not_come_to_an_end() {
    let place = Place::with(Limits { grace: Duration::from_millis(30), ..Limits::default() });
    let (mut asked, mut at_work) = (place.waiting(&["ask"]).await, place.waiting(&["for-ever"]).await);
    let sessions = Arc::clone(&place.door.sessions);
    while sessions.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    place.door.shut().await;
    assert_eq!(sessions.free.available_permits(), 8, "both are over");
    for stream in [&mut asked, &mut at_work] {
        // An end with something unread is a reset, and an end all the same.
        if let Err(error) = stream.read_to_end(&mut Vec::new()).await {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
    assert!(matches!(knock(place.dir.path()).await.unwrap(), Knock::Nobody));
}

/// F162: the socket is the owner's alone, and one service's.
#[tokio::test]
async fn the_socket_of_a_dead_service_is_replaced_and_never_a_living_ones() {
    let mut place = Place::new();
    let dir = place.dir.path().to_owned();
    let open = || Door::open(&dir, Arc::new(Clerk::default()), Limits::default());
    let mode = std::fs::metadata(path(place.dir.path())).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let living = open().unwrap_err().to_string();
    assert!(living.contains("answers"), "{living}");
    place.type_in(&["who"], "").await.2.unwrap();
    place.door.accepting.abort();
    (&mut place.door.accepting).await.unwrap_err();
    drop(open().expect("nobody answers there any more"));

    std::fs::write(path(place.dir.path()), "a file").unwrap();
    let other = open().unwrap_err().to_string();
    assert!(other.contains("no socket of ours"), "{other}");
    assert!(path(place.dir.path()).exists());
}

/// F162
#[test]
fn only_root_and_the_services_own_user_are_welcome() {
    let own = Uid::effective().as_raw();
    assert!(is_welcome(0) && is_welcome(own));
    assert!(!is_welcome(own + 1) && !is_welcome(65_534));
}
