//! A mapping that Latchkey drafts from what a PSA and a tenant list.

use latchkey_simulators::connectwise::FieldKind;

use super::{rulebook::World, *};
use crate::rulebook::Rulebook as Book;

/// F12, F43: the draft is accepted as it stands, names what it refers to, and gives nothing privileged.
#[tokio::test]
async fn a_draft_is_accepted_as_it_stands_and_gives_nothing_privileged() {
    let world = World::new().await;
    world.psa.add_status(world.board, "JIT Refused", false);
    world.psa.add_status(world.board, "JIT Done", false);
    let bare = world.psa.add_board("Projects");
    world.psa.add_status(bare, "New", false);
    let out = world.place.0.path().join("draft.toml").to_str().unwrap().to_owned();
    let suggest = ["mapping", "suggest", "cw", "--out", &out];
    world.place.type_in(&suggest, io::empty()).await.ok();
    let text = std::fs::read_to_string(&out).unwrap();
    let book = Book::parse(&text).unwrap();
    assert_eq!((book.policies.len(), book.mappings.len()), (1, 1), "{text}");
    let mapping = &book.mappings[0];
    assert_eq!((mapping.id.as_str(), mapping.boards[0].as_str()), ("help-desk", world.board.to_string().as_str()));
    assert!(mapping.length_field.is_some() && mapping.statuses.granted.is_some() && mapping.statuses.ended.is_some());
    let lengths: Vec<String> = book.policies[0].lengths.iter().map(ToString::to_string).collect();
    assert_eq!(lengths, ["1h", "4h"], "as the field offers them");
    for part in [
        "# JIT Requested\n",
        "# Help Desk\n",
        "# JIT Duration\n",
        "# Directory Readers\n",
        "Global Administrator, privileged\n",
        "No status of board 64 (Projects) says by its name",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let checked = world.place.type_in(&["rulebook", "check", &out], io::empty()).await.ok().output;
    assert_eq!(checked, "No faults. Policies: 1, mappings: 1, things to know: 0.\n");
    let there = world.place.type_in(&suggest, io::empty()).await.refused();
    assert!(there.contains("draft.toml"), "{there}");
    let directory = world.place.type_in(&["mapping", "suggest", "contoso"], io::empty()).await.refused();
    assert!(directory.contains("is a directory"), "{directory}");

    world.place.type_in(&["rulebook", "load", &out], io::empty()).await.ok();
    let second = world.place.type_in(&["mapping", "suggest", "cw"], io::empty()).await.ok().output;
    let second = Book::parse(&second).unwrap();
    assert_eq!((second.mappings[0].id.as_str(), second.policies[0].id.as_str()), ("help-desk-2", "just-in-time-2"));
}

/// F12: no name of the PSA's ends a comment or a string.
#[tokio::test]
async fn hostile_names_end_no_comment_and_no_string() {
    let world = World::new().await;
    let evil = "x\"\n[[policy]]\nid = \"evil\" ]] ''' \"\"\" \\ # \u{2028}[[brake]]\r\n\u{202e}";
    let board = world.psa.add_board(&format!("Desk {evil}"));
    for status in ["JIT Requested", "JIT Active"] {
        world.psa.add_status(board, &format!("{status} {evil}"), false);
    }
    world.psa.add_field(&format!("Reason {evil}"), FieldKind::List, &[evil]);
    let text = world.place.type_in(&["mapping", "suggest", "cw"], io::empty()).await.ok().output;
    let book = Book::parse(&text).map_err(|faults| format!("{faults}\n{text}")).unwrap();
    assert_eq!((book.policies.len(), book.mappings.len(), book.brakes.len()), (1, 2, 0), "{text}");
    assert!(text.lines().all(|line| !line.starts_with("id = \"evil\"")), "{text}");
    assert!(!text.contains(['\u{202e}', '\u{2028}', '\r']));
}

/// F12: where nothing can be drafted, the text says what is missing, and is a document all the same.
#[tokio::test]
async fn a_draft_says_what_the_psa_and_the_directories_lack() {
    let world = World::new().await;
    world.entra.rotate_secret(super::connection::APP, "another");
    let text = world.place.type_in(&["mapping", "suggest", "cw"], io::empty()).await.ok().output;
    let book = Book::parse(&text).unwrap();
    assert_eq!((book.policies.len(), book.mappings.len()), (0, 0));
    for part in
        ["# contoso could not be asked", "# [[policy]]\n", "# [[mapping]]\n", "No directory could be asked for a role"]
    {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let uncommented: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert!(uncommented.is_empty(), "{uncommented:?}");
}
