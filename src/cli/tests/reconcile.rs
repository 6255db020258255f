//! `latchkey reconcile` after a restore, against a pretend tenant.

use latchkey_simulators::graph::{Graph, UserSeed};

use super::{
    connection::{APP, PERMISSIONS, TENANT, tenant, tenant_records},
    *,
};
use crate::random;

fn marked(sim: &Graph, name: &str, mark: &str) -> String {
    let user = sim.add_user(TENANT, UserSeed::new(name));
    let mark = serde_json::json!({ "extensionAttribute15": mark });
    sim.by_hand(TENANT).set(&user, "onPremisesExtensionAttributes", mark);
    user
}

/// F177, F113: what was found is listed by name; it is accepted by a person, who is told what is lost.
#[tokio::test]
async fn what_the_directories_hold_is_listed_and_accepted() {
    let place = Place::new();
    let authority = Authority::new();
    let ca = place.write("ca.pem", authority.ca_pem());
    let sim = tenant(&authority).await;
    sim.set_permissions(TENANT, APP, &[PERMISSIONS.as_slice(), &["AdministrativeUnit.Read.All"]].concat());
    let records = place.write("records.toml", &tenant_records(&sim, "secret", &ca));
    place.type_in(&["records", "load", &records], io::empty()).await.ok();
    place.type_in(&["secret", "set", "contoso/client-secret"], Cursor::new("app-secret\n")).await.ok();
    let reconcile = ["reconcile"];
    let current = place.type_in(&reconcile, io::empty()).await.ok();
    assert_eq!(current.output, "contoso\tcompared\t0 as expected, 0 different, 0 unknown\n");
    assert!(current.hints.contains("is the one in use, and nothing is missing"), "{current:?}");
    let file = place.0.path().join("backup.tar").to_str().unwrap().to_owned();
    place.type_in(&["backup", &file], io::empty()).await.ok();
    place.type_in(&["restore", &file, "--yes"], io::empty()).await.ok();

    let by_itself = place.type_in(&reconcile, io::empty()).await.ok();
    assert!(by_itself.hints.contains("goes on by itself"), "{by_itself:?}");
    let mark = random::id(SystemClock::new().now());
    let ours = marked(&sim, "jit-\u{202e}jdoe@contoso.onmicrosoft.com", &mark);
    let theirs = marked(&sim, "boss@contoso.onmicrosoft.com", "HR-4711");
    let old = marked(&sim, "jit-old@contoso.onmicrosoft.com", "01HZX3V9Q2T7Y8N4K6M5P0R1S2");
    let spared = marked(&sim, "break-glass@contoso.onmicrosoft.com", &random::id(SystemClock::new().now()));
    sim.add_unit(TENANT, "Emergency", true, &[&spared]);
    let listed = place.type_in(&reconcile, io::empty()).await.ok();
    for line in [
        format!("\nstrange\tcontoso\t{spared}\tbreak-glass@contoso.onmicrosoft.com\t"),
        "contoso\tcompared\t0 as expected, 0 different, 1 unknown\n".to_owned(),
        format!("\nunknown\tcontoso\t{ours}\tjit-jdoe@contoso.onmicrosoft.com\tenabled\t{mark}\n"),
        format!("\nstrange\tcontoso\t{theirs}\tboss@contoso.onmicrosoft.com\tenabled\tHR-4711\n"),
        format!("\nstrange\tcontoso\t{old}\t"),
    ] {
        assert!(listed.output.contains(&line), "{line:?} in:\n{}", listed.output);
    }
    assert!(listed.hints.contains("latchkey reconcile --accept"), "{listed:?}");

    let accept = ["reconcile", "--accept"];
    let unasked = place.type_in(&accept, io::empty()).await;
    assert!(
        unasked.hints.contains("DELETED") && !unasked.hints.contains("Holds that were set after the backup"),
        "{unasked:?}"
    );
    unasked.refused();
    sim.rotate_secret(APP, "another");
    let unreached = place.type_in(&["reconcile", "--accept", "--yes"], io::empty()).await;
    assert!(unreached.output.contains("contoso\tNOT COMPARED\t"), "{unreached:?}");
    assert!(unreached.refused().contains("--without contoso"));
    sim.rotate_secret(APP, "app-secret");
    let reached = ["reconcile", "--accept", "--without", "contoso", "--yes"];
    assert!(place.type_in(&reached, io::empty()).await.refused().contains("leave --without contoso off"));

    let accepted = place.type_in(&["reconcile", "--accept", "--yes"], io::empty()).await.ok();
    assert!(
        accepted.output.contains("Accounts to be taken away: 1; to be looked at: 0; grants that end: 0"),
        "{accepted:?}"
    );
    // From now on it is the database in use: the rest is an older stranger, which a person may have taken away as well.
    let over = place.type_in(&reconcile, io::empty()).await.ok();
    assert!(over.output.contains(&format!("\nunknown\tcontoso\t{old}\t")) && !over.output.contains(&ours), "{over:?}");
    assert!(over.output.contains(&format!("\nstrange\tcontoso\t{theirs}\t")), "{over:?}");
    assert!(over.hints.contains("To take unknown accounts away"), "{over:?}");
}
