//! `latchkey doctor` where there is next to nothing to look at. Line by line it is a journey.

use super::*;

/// The faults, each by its area and name.
fn faults(typed: &Typed) -> Vec<String> {
    let mut area = "";
    let mut found = Vec::new();
    for line in typed.output.lines() {
        match line.strip_prefix("  fault  ") {
            Some(rest) => found.push(format!("{area}: {}", rest.split("  ").next().unwrap())),
            None if line.starts_with(' ') => {}
            None => area = line,
        }
    }
    found
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_is_the_one_fault() {
    let place = Place::new();
    place.write("latchkey.toml", "data_dir = \"data\"\nlisten_adress = \"127.0.0.1:1\"\n");
    let typed = place.say(&["doctor"]).await;
    assert_eq!(faults(&typed), ["configuration: file"]);
    assert!(
        typed.output.contains("listen_adress") && typed.output.ends_with("\n\n1 fault, 0 notes, 0 ok\n"),
        "{typed:?}"
    );
    assert!(typed.refused().contains("there is a fault"));
}

#[tokio::test]
async fn looking_makes_no_database_and_says_how_to_begin() {
    let place = Place::new();
    let typed = place.say(&["doctor"]).await;
    let said = typed.output.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(faults(&typed), ["database: file", "key: file"], "{typed:?}");
    assert!(said.contains("begin with latchkey init"), "{said}");
    assert!(!place.0.path().join("data").exists(), "it was made");
    typed.refused();
}
