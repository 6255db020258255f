//! Bindings by command.

use std::time::Duration;

use super::{customer::with_psa, *};

async fn enroll(place: &Place, id: &str) -> OneTime {
    let screen = Screen::default();
    let technician = Technician { screen: screen.clone(), lines: 0 };
    app(&place.type_on(&screen, &["person", "enroll", id], technician).await.ok().output)
}

/// A code that was not used yet.
fn fresh(app: &OneTime) -> String {
    format!("{}\n", app.code(SystemClock::new().now() + Duration::from_secs(30)))
}

/// F30: a binding is by id, cools down unless an owner other than its person confirms it, and is audited by name.
#[tokio::test]
async fn a_new_binding_cools_down_until_an_owner_confirms_it() {
    let (place, _psa, tenant) = with_psa().await;
    for (id, login) in [(176, "jane"), (177, "olga"), (178, "bert")] {
        tenant.add_member(id, login, "F", false);
    }
    for (first, last, role) in [("Olga", "Owner", "owner"), ("Bert", "Boss", "owner"), ("Jane", "Doe", "admin")] {
        place.say(&["person", "add", "--first", first, "--last", last, "--role", role]).await.ok();
    }
    let robot = place.say(&["binding", "add", "jdoe", "cw/243"]).await.refused();
    assert!(robot.contains("is no person at the PSA"), "{robot}");
    let shape = Cli::read(["latchkey", "binding", "add", "jdoe", "176"].map(Into::into)).unwrap_err().to_string();
    assert!(shape.contains("cw/250"), "{shape}");
    let first = place.say(&["binding", "add", "oowner", "cw/177"]).await.ok();
    assert!(first.output.contains("cw/177 is oowner") && !first.hints.contains("cools down"), "{first:?}");
    let added = place.say(&["binding", "add", "jdoe", "cw/176"]).await.ok();
    assert!(added.hints.contains("binding confirm cw/176 --as OWNER"), "{}", added.hints);
    let taken = place.say(&["binding", "add", "oowner", "cw/176"]).await.refused();
    assert!(taken.contains("cw/176 is jdoe already"), "{taken}");
    let list = place.say(&["binding", "list"]).await.ok().output;
    assert!(list.contains("cw/176\tjdoe\tsince ") && list.contains("cools down until"), "{list}");
    assert!(list.contains("cw/177\toowner\t") && list.contains("counts"), "{list}");

    let admin = place.say(&["binding", "confirm", "cw/176", "--as", "jdoe"]).await.refused();
    assert!(admin.contains("jdoe's own"), "{admin}");
    let counts = place.say(&["binding", "confirm", "cw/177", "--as", "bboss"]).await.refused();
    assert!(counts.contains("counts already"), "{counts}");
    let unknown = place.say(&["binding", "confirm", "cw/9", "--as", "bboss"]).await.refused();
    assert!(unknown.contains("bound to nobody"), "{unknown}");
    let codeless = place.say(&["binding", "confirm", "cw/176", "--as", "bboss"]).await.refused();
    assert!(codeless.contains("person enroll bboss"), "{codeless}");
    let bert = enroll(&place, "bboss").await;
    let confirm = ["binding", "confirm", "cw/176", "--as", "bboss"];
    let wrong = place.type_in(&confirm, Cursor::new("000000\n")).await.refused();
    assert!(wrong.contains("does not fit"), "{wrong}");
    let used = bert.code(SystemClock::new().now() - Duration::from_secs(30));
    assert!(place.type_in(&confirm, Cursor::new(format!("{used}\n"))).await.result.is_err(), "a used code");
    let code = fresh(&bert);
    let confirmed = place.type_in(&confirm, Cursor::new(code)).await.ok();
    assert!(confirmed.output.contains("cw/176 counts as jdoe from now on"), "{confirmed:?}");
    assert!(!place.say(&["binding", "list"]).await.ok().output.contains("cools down until"));

    place.say(&["binding", "add", "bboss", "cw/178"]).await.ok();
    let own = place.say(&["binding", "confirm", "cw/178", "--as", "bboss"]).await.refused();
    assert!(own.contains("bboss's own"), "{own}");
    place.say(&["--yes", "binding", "remove", "cw/176"]).await.ok();
    assert_eq!(
        place.audited("binding.").await,
        [
            "binding.added oowner",
            "binding.added jdoe",
            "binding.confirmed jdoe",
            "binding.added bboss",
            "binding.removed jdoe"
        ]
    );
}

/// F30: whoever removes every binding there is makes the next one no first one.
#[tokio::test]
async fn a_binding_after_all_were_removed_cools_down_like_any_other() {
    let (place, _psa, tenant) = with_psa().await;
    tenant.add_member(176, "jane", "F", false);
    tenant.add_member(177, "olga", "F", false);
    for (first, last) in [("Olga", "Owner"), ("Jane", "Doe")] {
        place.say(&["person", "add", "--first", first, "--last", last]).await.ok();
    }
    let first = place.say(&["binding", "add", "oowner", "cw/177"]).await.ok();
    assert!(!first.hints.contains("cools down"), "{first:?}");
    place.say(&["--yes", "binding", "remove", "cw/177"]).await.ok();
    let next = place.say(&["binding", "add", "jdoe", "cw/177"]).await.ok();
    assert!(next.hints.contains("cools down until"), "{next:?}");
    place.say(&["--yes", "person", "remove", "jdoe"]).await.ok();
    let after = place.say(&["binding", "add", "oowner", "cw/177"]).await.ok();
    assert!(after.hints.contains("cools down until"), "their person went too: {after:?}");
}

#[tokio::test]
async fn only_an_owner_confirms_and_only_so_often() {
    let (place, _psa, tenant) = with_psa().await;
    tenant.add_member(176, "jane", "F", false);
    tenant.add_member(177, "olga", "F", false);
    for (first, last, role) in [("Olga", "Owner", "owner"), ("Ada", "Min", "admin"), ("Jane", "Doe", "technician")] {
        place.say(&["person", "add", "--first", first, "--last", last, "--role", role]).await.ok();
    }
    place.say(&["binding", "add", "oowner", "cw/177"]).await.ok();
    place.say(&["binding", "add", "jdoe", "cw/176"]).await.ok();
    enroll(&place, "amin").await;
    let olga = enroll(&place, "oowner").await;
    let admin = place.say(&["binding", "confirm", "cw/176", "--as", "amin"]).await.refused();
    assert!(admin.contains("only an owner may"), "{admin}");
    for _ in 0..5 {
        let wrong = place.type_in(&["binding", "confirm", "cw/176", "--as", "oowner"], Cursor::new("000000\n")).await;
        assert!(wrong.refused().contains("does not fit"));
    }
    let code = fresh(&olga);
    let spent = place.type_in(&["binding", "confirm", "cw/176", "--as", "oowner"], Cursor::new(code)).await.refused();
    assert!(spent.contains("too many failed codes"), "{spent}");
}
