//! `latchkey key …` on real key files.

use super::*;

fn keys(listed: &Typed) -> Vec<Vec<String>> {
    listed.output.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

async fn with_secrets() -> Place {
    let place = Place::new();
    let records = place.write("records.toml", RECORDS);
    place.type_in(&["records", "load", &records], io::empty()).await.ok();
    place.type_in(&["secret", "set", "entra-contoso/client-secret"], Cursor::new("canary\n")).await.ok();
    place
}

/// F178: by command, from one key to the next.
#[tokio::test]
async fn a_master_key_is_rotated_and_retired() {
    let place = with_secrets().await;
    let file = place.0.path().join("keys/master.key");
    let first = keys(&place.type_in(&["key", "list"], io::empty()).await.ok());
    let [only] = first.as_slice() else { panic!("{first:?}") };
    assert_eq!(only[1..], ["seals", "2 secrets"]);
    let none = place.type_in(&["key", "retire"], io::empty()).await.ok();
    assert_eq!(none.output, "There is one key alone; nothing was changed.\n");

    let rotated = place.type_in(&["key", "rotate"], io::empty()).await.ok();
    assert!(rotated.output.contains("seals from now on; 2 secrets were wrapped by it anew"), "{rotated:?}");
    assert!(rotated.hints.contains("latchkey key retire"), "{rotated:?}");
    let both = keys(&place.type_in(&["key", "list"], io::empty()).await.ok());
    assert_eq!((both[0][1].as_str(), both[0][2].as_str()), ("seals", "2 secrets"));
    assert_eq!(both[1], [only[0].as_str(), "opens", "0 secrets"]);

    let unasked = place.type_in(&["key", "retire"], io::empty()).await;
    assert!(
        unasked.hints.contains("made before the last rotation, on ") && unasked.hints.contains(&only[0]),
        "{unasked:?}"
    );
    assert!(unasked.refused().contains("--yes"));
    assert_eq!(keys(&place.type_in(&["key", "list"], io::empty()).await.ok()), both, "nothing was changed");
    let retired = place.type_in(&["key", "retire", "--yes"], io::empty()).await.ok();
    assert!(retired.output.contains(&only[0]), "{retired:?}");
    let after = keys(&place.type_in(&["key", "list"], io::empty()).await.ok());
    assert_eq!(after, [both[0].clone()]);
    let list = place.type_in(&["secret", "list"], io::empty()).await.ok();
    assert_eq!(list.output, "entra-contoso/client-secret\n");
    let log = place.type_in(&["audit", "export"], io::empty()).await.ok().output;
    for code in ["key.rotated", "key.retired"] {
        assert_eq!(log.matches(code).count(), 1, "{code}: {log}");
    }
    let text = std::fs::read_to_string(file).unwrap();
    for shown in [&rotated, &retired] {
        let key = text.split_whitespace().nth(2).unwrap();
        assert!(!shown.output.contains(key) && !shown.hints.contains(key), "the key itself is shown");
    }
}

/// F178: a key whose line is lost is named, with what to do.
#[tokio::test]
async fn a_missing_key_is_listed_with_what_to_do() {
    let place = with_secrets().await;
    let file = place.0.path().join("keys/master.key");
    let old = std::fs::read_to_string(&file).unwrap();
    place.type_in(&["key", "rotate"], io::empty()).await.ok();
    let new = std::fs::read_to_string(&file).unwrap().replace(&old, "");
    std::fs::write(&file, &old).unwrap();
    let foreign = place.type_in(&["key", "list"], io::empty()).await.refused();
    assert!(foreign.contains("does not belong to this database"), "{foreign}");
    std::fs::write(&file, [old.as_str(), new.as_str()].concat()).unwrap();
    place.type_in(&["secret", "set", "entra-contoso/client-secret"], Cursor::new("canary\n")).await.ok();
    std::fs::write(&file, new).unwrap();
    let listed = place.type_in(&["key", "list"], io::empty()).await;
    let lost = old.split_whitespace().nth(1).unwrap();
    assert!(listed.output.contains(&format!("{lost}\tMISSING\t1 secrets")), "{listed:?}");
    assert!(listed.refused().contains("from its backup"));
    let stuck = place.type_in(&["key", "rotate"], io::empty()).await.refused();
    assert!(stuck.contains(&format!("needs master key {lost}")), "{stuck}");
}

/// A credential as systemd shows it.
async fn desk_with_credential(place: &Place) -> Desk {
    let text = "data_dir = \"data\"\nkey_file = \"credential:master.key\"\ngeneration_file = \"generation\"\n\
                listen = \"127.0.0.1:8080\"\npublic_url = \"https://latchkey.example.com\"\n";
    let config =
        Config::parse(text, &place.0.path().join("latchkey.toml"), Some(&place.0.path().join("keys"))).unwrap();
    Desk::alone(config).await.unwrap()
}

async fn at(desk: &Desk, words: &[&str]) -> Typed {
    let cli = Cli::parse_from([&["latchkey"], words].concat());
    let (screen, hints) = (Screen::default(), Screen::default());
    let mut terminal = Terminal::piped(Box::new(io::empty()), Box::new(screen.clone()), Box::new(hints.clone()));
    let result = at_the_desk(cli.command, desk, &mut terminal).await.map_err(|e| format!("{e:#}"));
    Typed { result, output: screen.text(), hints: hints.text() }
}

/// F178: a systemd credential is never written; the command says what to run, and goes on from what is there afterwards.
#[tokio::test]
async fn a_credential_is_rotated_by_hand_and_gone_on_with() {
    let place = with_secrets().await;
    let file = place.0.path().join("keys/master.key");
    let before = std::fs::read_to_string(&file).unwrap();
    let desk = desk_with_credential(&place).await;
    let told = at(&desk, &["key", "rotate"]).await.refused();
    assert!(told.contains("latchkey key next") && told.contains("systemd-creds encrypt --name=master.key"), "{told}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);

    let next = at(&desk, &["key", "next"]).await.ok().output;
    assert!(next.ends_with(&before) && next.lines().count() == 2);
    let shown = desk.store.newest_audit(&[crate::audit::Code::KeyShown], 9).await.unwrap();
    assert_eq!((shown.len(), shown[0].by.clone()), (1, Some(desk.by())));
    let secret = next.split_whitespace().nth(2).unwrap();
    assert!(!shown[0].detail.to_string().contains(secret), "{shown:?}");
    std::fs::write(&file, next).unwrap();
    let rotated = at(&desk, &["key", "rotate"]).await.ok();
    assert!(rotated.output.contains("2 secrets were wrapped by it anew"), "{rotated:?}");
    assert!(rotated.hints.contains("put first before"), "{rotated:?}");
    let by_hand = at(&desk, &["key", "retire"]).await.refused();
    assert!(by_hand.contains("no secret needs a former key any more"), "{by_hand}");
    desk.close().await;
    let own = place.type_in(&["key", "next"], io::empty()).await.refused();
    assert!(own.contains("latchkey key rotate"), "{own}");
}
