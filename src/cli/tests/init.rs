//! `latchkey init`, from an empty directory.

use std::{io::BufRead, os::unix::fs::PermissionsExt};

use anyhow::bail;

use super::*;
use crate::{
    app::{App, Parts},
    config::Config,
    rulebook::Role,
};

const WHO: &str = "jdoe\nJane Doe\njane.doe@example.com\n";

/// A directory with nothing in it.
fn nothing() -> Place {
    let place = Place::new();
    std::fs::remove_file(place.0.path().join("latchkey.toml")).unwrap();
    place
}

fn flags(place: &Place) -> Vec<String> {
    let at = |name: &str| place.0.path().join(name).to_str().unwrap().to_owned();
    let flags = ["--data-dir", &at("data"), "--key-file", &at("keys/master.key"), "--listen", "127.0.0.1:0"];
    let url = ["--public-url", "https://latchkey.example.com"];
    [&["init"], &flags[..], &url].concat().into_iter().map(str::to_owned).collect()
}

async fn init(place: &Place, words: &[String], before: &'static str) -> Typed {
    let screen = Screen::default();
    let owner = Cursor::new(before).chain(Technician { screen: screen.clone(), lines: 0 });
    place.type_on(&screen, &words.iter().map(String::as_str).collect::<Vec<_>>(), owner).await
}

fn bare() -> Vec<String> {
    vec!["init".to_owned()]
}

/// F163: from an empty directory to an installation with its owner, who can sign in.
#[tokio::test]
async fn an_installation_is_made_from_nothing_and_a_second_time_refused() {
    let place = nothing();
    let made = init(&place, &flags(&place), WHO).await.ok();
    assert!(made.output.ends_with("jdoe is enrolled.\n") && made.hints.contains("latchkey connection add"), "{made:?}");
    let at = |name: &str| place.0.path().join(name);
    let mode = |name: &str| std::fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("latchkey.toml"), mode("data"), mode("keys/master.key")), (0o600, 0o700, 0o600));
    let config = Config::load(&at("latchkey.toml")).unwrap();
    assert_eq!(config.data_dir, at("data"));
    assert_eq!(config.public_url.as_str(), "https://latchkey.example.com/");

    let desk = Desk::open(&at("latchkey.toml")).await.unwrap();
    let rules = desk.store.rules().await.unwrap();
    let owner = &rules.records.people[0];
    assert_eq!((owner.role, owner.mail.as_ref().unwrap().as_str()), (Role::Owner, "jane.doe@example.com"));
    assert!(desk.store.factors(&owner.id).await.unwrap().is_some());
    desk.close().await;

    let written = std::fs::read(at("latchkey.toml")).unwrap();
    for words in [bare(), flags(&place)] {
        let again = init(&place, &words, WHO).await.refused();
        assert!(again.contains("already") && again.to_lowercase().contains("nothing was changed"), "{again}");
    }
    assert_eq!(std::fs::read(at("latchkey.toml")).unwrap(), written);
    let app = App::start(&config, Parts::new(Arc::new(SystemClock::new()))).await.unwrap();
    assert_eq!(app.store().revision().await.unwrap(), rules.revision);
    let running = init(&place, &bare(), WHO).await.refused();
    assert!(running.contains("there is an installation"), "{running}");
    app.stop().await;
}

/// F163: from an empty directory to a service on a PostgreSQL server; and from another one to a second service on it, which
/// takes the same master key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_is_made_on_a_server_and_another_service_joins_it() {
    let Some(database) = latchkey_simulators::postgres::database("the command line on PostgreSQL") else { return };
    let (place, there) = (nothing(), nothing());
    let words = |place: &Place, url: &str| [flags(place), vec!["--database".to_owned(), url.to_owned()]].concat();
    let at = |place: &Place, name: &str| place.0.path().join(name);

    let away = words(&place, "postgres://latchkey@127.0.0.1:1/latchkey");
    let refused = init(&place, &away, WHO).await.refused();
    assert!(refused.contains("cannot be reached") && !at(&place, "keys").exists(), "{refused}");
    std::fs::remove_file(at(&place, "latchkey.toml")).unwrap();
    let bad = init(&place, &words(&place, "postgres://latchkey:canary@127.0.0.1/latchkey"), WHO).await.refused();
    assert!(bad.contains("password_file") && bad.contains("nothing was changed") && !bad.contains("canary"), "{bad}");

    let made = init(&place, &words(&place, &database.url), WHO).await.ok();
    assert!(made.output.contains("The database is test_") && made.output.ends_with("jdoe is enrolled.\n"), "{made:?}");
    assert!(!at(&place, "data/latchkey.db").exists(), "there is no file");
    let config = Config::load(&at(&place, "latchkey.toml")).unwrap();
    let first = App::start(&config, Parts::new(Arc::new(SystemClock::new()))).await.unwrap();
    assert!(first.store().rules().await.unwrap().records.people[0].role == Role::Owner);

    std::fs::create_dir(at(&there, "keys")).unwrap();
    let keyless = init(&there, &words(&there, &database.url), "").await.refused();
    assert!(keyless.contains("copy its master key to") && !at(&there, "keys/master.key").exists(), "{keyless}");
    std::fs::copy(at(&place, "keys/master.key"), at(&there, "keys/master.key")).unwrap();
    let joined = init(&there, &bare(), "").await.ok();
    assert!(joined.output.contains("this is another service on it"), "{joined:?}");
    let config = Config::load(&at(&there, "latchkey.toml")).unwrap();
    let second = App::start(&config, Parts::new(Arc::new(SystemClock::new()))).await.unwrap();
    assert_eq!(second.store().generation().await.unwrap().comparing, None, "nobody takes it for an older copy");
    let mut looked = String::new();
    for _ in 0..20 {
        // A process that has only just started is seen once it listens.
        if !looked.contains("2 processes work on it") {
            looked = there.say(&["doctor", "--no-mail"]).await.output;
        }
    }
    assert!(looked.contains("2 processes work on it"), "{looked}");
    second.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn what_was_broken_off_is_gone_on_with() {
    let place = nothing();
    let wrong = Cursor::new(format!("{WHO}four unlikely words\n000000\n000000\n000000\n"));
    let words = flags(&place);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let broken = place.type_in(&words, wrong).await.refused();
    assert!(broken.contains("does not fit"), "{broken}");
    let made = init(&place, &bare(), "").await.ok();
    assert!(made.hints.contains("jdoe is the owner, and not enrolled yet"), "{made:?}");
    assert!(made.output.ends_with("jdoe is enrolled.\n"));
}

#[tokio::test]
async fn somebody_of_the_records_becomes_the_owner() {
    let place = Place::new();
    let records = place.write("records.toml", RECORDS);
    place.type_in(&["records", "load", &records], io::empty()).await.ok();
    let made = init(&place, &bare(), "jdoe\n").await.ok();
    assert!(made.hints.contains("in the records already"), "{made:?}");
    let desk = Desk::open(&place.0.path().join("latchkey.toml")).await.unwrap();
    let people = desk.store.rules().await.unwrap().records.people;
    assert_eq!((people.len(), people[0].role, people[0].name.as_str()), (1, Role::Owner, "Jane Doe"));
    desk.close().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_written() {
    let place = nothing();
    let data = place.0.path().join("data");
    let key = data.join("master.key");
    let bad: [(&[&str], &str); 4] = [
        (&["--data-dir", data.to_str().unwrap(), "--key-file", key.to_str().unwrap()], "outside data_dir"),
        (&["--listen", "0.0.0.0:80"], "[tls]"),
        (&["--listen", "nowhere"], "listen"),
        (&["--public-url", "http://latchkey.example.com"], "public_url"),
    ];
    for (change, why) in bad {
        let mut words = flags(&place);
        for pair in change.chunks(2) {
            let at = words.iter().position(|word| word == pair[0]).unwrap();
            pair[1].clone_into(&mut words[at + 1]);
        }
        let refused = init(&place, &words, WHO).await.refused();
        assert!(refused.contains(why) && refused.contains("nothing was changed"), "{why}: {refused}");
    }
    let asked = place.type_in(&["init"], io::empty()).await.refused();
    assert!(asked.contains("Public address"), "{asked}");
    assert_eq!(std::fs::read_dir(place.0.path()).unwrap().count(), 0);
}

/// A person at a terminal, with an authenticator app.
struct Sitting {
    said: Screen,
    hinted: Screen,
}

impl Ends for Sitting {
    fn is_interactive(&self) -> bool {
        true
    }
    fn say(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(io::Write::write_all(&mut self.said, format!("{line}\n").as_bytes())?)
    }
    fn hint(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(io::Write::write_all(&mut self.hinted, format!("{line}\n").as_bytes())?)
    }
    fn ask(&mut self, _: &str) -> anyhow::Result<Hidden<String>> {
        let mut code = String::new();
        BufReader::new(Technician { screen: self.said.clone(), lines: 2 }).read_line(&mut code)?;
        Ok(Hidden::new(code.trim().to_owned()))
    }
    fn ask_hidden(&mut self, _: &str) -> anyhow::Result<Hidden<String>> {
        Ok(Hidden::new("four unlikely words".to_owned()))
    }
    fn rest(&mut self) -> anyhow::Result<Hidden<String>> {
        bail!("a person is asked line by line")
    }
    fn read_file(&mut self, path: &std::path::Path, limit: u64) -> anyhow::Result<Vec<u8>> {
        Terminal::standard().read_file(path, limit)
    }
    fn write_file(&mut self, path: &std::path::Path, bytes: &[u8], overwrite: Overwrite) -> anyhow::Result<()> {
        Terminal::standard().write_file(path, bytes, overwrite)
    }
    fn append_file(&mut self, path: &std::path::Path, _: &[u8], _: Piece) -> anyhow::Result<()> {
        bail!("{} is not asked for here", path.display())
    }
}

#[tokio::test]
async fn a_person_at_a_terminal_gets_the_link_drawn() {
    let place = Place::new();
    let records = place.write("records.toml", RECORDS);
    place.type_in(&["records", "load", &records], io::empty()).await.ok();
    let (said, hinted) = (Screen::default(), Screen::default());
    let mut terminal = Terminal::over(Box::new(Sitting { said: said.clone(), hinted: hinted.clone() }));
    let config = place.0.path().join("latchkey.toml");
    let words = ["latchkey", "--config", config.to_str().unwrap(), "person", "enroll", "jdoe"];
    run(Cli::read(words.map(Into::into)).unwrap(), &mut terminal).await.unwrap();

    let link = said.text().lines().find(|line| line.starts_with("otpauth://")).unwrap().to_owned();
    let code = qrcode::QrCode::with_error_correction_level(link, qrcode::EcLevel::L).unwrap();
    let (hints, quiet) = (hinted.text(), 4);
    let drawn: Vec<Vec<char>> = hints
        .lines()
        .filter(|line| line.contains('█') && line.chars().all(|c| "█▀▄ ".contains(c)))
        .map(|line| line.chars().collect())
        .collect();
    // Light modules are what is drawn; each character is two of them, one above the other.
    let is_light = |x: usize, y: usize| match drawn[y / 2][x] {
        '█' => true,
        '▀' => y.is_multiple_of(2),
        '▄' => y % 2 == 1,
        _ => false,
    };
    for y in 0..code.width() {
        for x in 0..code.width() {
            let is_dark = code[(x, y)] == qrcode::Color::Dark;
            assert_eq!(is_light(x + quiet, y + quiet), !is_dark, "module {x},{y} of\n{hints}");
        }
    }
}
