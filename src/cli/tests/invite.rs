//! Invitations, with a mail server that takes everything.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader as Lines},
    net::TcpListener,
};

use super::*;

/// Takes mails one by one, and keeps what each says.
struct Mailroom {
    port: u16,
    mails: Arc<Mutex<Vec<String>>>,
}

impl Mailroom {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let room = Self { port: listener.local_addr().unwrap().port(), mails: Arc::default() };
        let mails = Arc::clone(&room.mails);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, Arc::clone(&mails)));
            }
        });
        room
    }

    /// The newest mail, its lines put together again.
    fn newest(&self) -> String {
        let mails = self.mails.lock().unwrap();
        mails.last().unwrap().replace("=\r\n", "").replace("=3D", "=")
    }
}

async fn talk(stream: tokio::net::TcpStream, mails: Arc<Mutex<Vec<String>>>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = Lines::new(read);
    write.write_all(b"220 mail.example\r\n").await?;
    let mut mail: Option<String> = None;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer = match (&mut mail, line.trim_end()) {
            (Some(text), ".") => {
                mails.lock().unwrap().push(text.clone());
                mail = None;
                "250 taken\r\n"
            }
            (Some(text), _) => {
                text.push_str(&line);
                continue;
            }
            (None, "DATA") => {
                mail = Some(String::new());
                "354 go on\r\n"
            }
            (None, word) if word.starts_with("RCPT") && word.contains("nobody@") => "550 no such mailbox\r\n",
            (None, _) => "250 mail.example\r\n",
        };
        write.write_all(answer.as_bytes()).await?;
    }
}

fn links(mail: &str) -> Vec<String> {
    let after = mail.split("https://latchkey.example.com/enroll/").skip(1);
    after.map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()).collect()
}

fn hash(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// F180: the link goes to the person's own address, and neither the operator nor the database ever has it.
#[tokio::test]
async fn an_invitation_reaches_its_person_alone() {
    let place = Place::new();
    let add = ["person", "add", "--first", "Jane", "--last", "Doe"];
    place.say(&add).await.ok();
    let invite = ["person", "invite", "jdoe"];
    let addressless = place.say(&invite).await.refused();
    assert!(addressless.contains("--mail ADDRESS"), "{addressless}");
    place.say(&["person", "set", "jdoe", "--mail", "jane@example.com"]).await.ok();
    let mailless = place.say(&invite).await.refused();
    assert!(mailless.contains("[mail]") && mailless.contains("person enroll jdoe"), "{mailless}");

    let room = Mailroom::open().await;
    let config = std::fs::read_to_string(place.0.path().join("latchkey.toml")).unwrap();
    let mail =
        format!("[mail]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\nfrom = \"l@example.com\"\n", room.port);
    place.write("latchkey.toml", &format!("{config}\n{mail}"));
    let sent = place.say(&invite).await.ok();
    assert!(sent.output.contains("on its way to jane@example.com"), "{sent:?}");
    let first = links(&room.newest()).pop().unwrap();
    assert_eq!(first.len(), 43);
    assert!(!format!("{sent:?}").contains(&first), "nobody at the terminal sees it");
    let now = SystemClock::new().now();
    let good = async |token: &str, after: u64| {
        let (hash, at) = (hash(token), now + Duration::from_secs(after));
        place.with(async |desk| desk.store.invitation(&hash, at).await.unwrap().map(|i| i.person)).await
    };
    assert_eq!(good(&first, 60).await.unwrap().as_str(), "jdoe");
    assert!(good(&first, 24 * 3600 + 60).await.is_none(), "a day later");
    for file in std::fs::read_dir(place.0.path().join("data")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(43).any(|w| w == first.as_bytes()), "the link is kept nowhere");
    }

    place.say(&invite).await.ok();
    let second = links(&room.newest()).pop().unwrap();
    assert!(good(&first, 60).await.is_none() && good(&second, 60).await.is_some(), "the newest one alone");
    place.say(&["person", "set", "jdoe", "--mail", "nobody@example.com"]).await.ok();
    let unsent = place.say(&invite).await.refused();
    assert!(unsent.contains("was not sent and is void"), "{unsent}");
    assert!(good(&second, 60).await.is_none());
    assert_eq!(place.audited("person.").await, ["person.invited jdoe"; 3]);

    place.say(&["person", "block", "jdoe", "--reason", "left"]).await.ok();
    assert!(place.say(&invite).await.refused().contains("person unblock jdoe"));
}
