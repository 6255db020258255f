//! Connections by command, and records as a document.

use proptest::prelude::*;

use super::*;
use crate::{
    rulebook::Records,
    store::{CommitName, Transition, story},
};

const CW: [&str; 7] = [
    "connection",
    "add",
    "cw",
    "connectwise",
    "site=https://na.myconnectwise.net",
    "company=examplemsp",
    "client_id=6b1f0c3e-0000-4000-8000-000000000001",
];

#[tokio::test]
async fn a_connection_is_added_changed_listed_and_removed_with_its_secrets() {
    let place = Place::new();
    let faulty = place.say(&[&CW[..], &["timeout=5"]].concat()).await.refused();
    assert!(faulty.contains("timeout: unknown field") && faulty.contains("public_key: is missing"), "{faulty}");
    assert!(place.say(&["connection", "list"]).await.ok().hints.contains("connection add"));
    let added = place.say(&[&CW[..], &["public_key=AbC"]].concat()).await.ok();
    assert_eq!(added.output, "Revision 1 is in force: connection cw is added.\n");
    assert!(added.hints.contains("latchkey secret set cw/private-key"), "{}", added.hints);
    let twice = place.say(&[&CW[..], &["public_key=AbC"]].concat()).await.refused();
    assert!(twice.contains("connection set cw"), "{twice}");

    place.type_in(&["secret", "set", "cw/private-key"], Cursor::new("p\n")).await.ok();
    let listed = place.say(&["connection", "list"]).await.ok().output;
    assert_eq!(listed, "cw\tconnectwise\texamplemsp at na.myconnectwise.net\tcan be used\n");
    place.say(&["connection", "set", "cw", "timeout_s=30", "automation=[\"workflow\"]"]).await.ok();
    let same = place.say(&["connection", "set", "cw", "timeout_s=30"]).await.ok().output;
    assert!(same.contains("nothing was changed"), "{same}");
    let moved = place.say(&["connection", "set", "cw", "company=another"]).await.refused();
    assert!(moved.contains("another instance") && moved.contains("nothing was changed"), "{moved}");
    let exported = place.say(&["records", "export"]).await.ok().output;
    assert!(exported.contains("timeout_s = 30") && exported.contains("workflow"), "{exported}");

    let asked = place.say(&["connection", "remove", "cw"]).await.refused();
    assert!(asked.contains("--yes"), "{asked}");
    let gone = place.say(&["--yes", "connection", "remove", "cw"]).await.ok().output;
    assert!(gone.contains("connection cw is removed, and 1 secrets"), "{gone}");
    assert_eq!(place.say(&["secret", "list"]).await.ok().output, "");
    let unknown = place.say(&["--yes", "connection", "remove", "cw"]).await.refused();
    assert!(unknown.contains("there is no connection cw"), "{unknown}");
}

#[tokio::test]
async fn a_connection_is_kept_while_something_needs_it() {
    let place = Place::new();
    let file = place.write("records.toml", RECORDS);
    place.say(&["records", "load", &file]).await.ok();
    let remove = ["--yes", "connection", "remove", "entra-contoso"];
    let named = place.say(&remove).await.refused();
    assert!(named.contains("customer contoso"), "{named}");
    place.say(&["customer", "set", "contoso", "--without-directory"]).await.ok();

    let account = crate::access::Account {
        directory: "entra-contoso".parse().unwrap(),
        ..story::account("a1", latchkey_contract::directory::Mode::Standard)
    };
    let grant = crate::access::Grant {
        directory: "entra-contoso".parse().unwrap(),
        ..story::grant("g1", "a1", "4711", story::granting())
    };
    let given = Transition {
        grants: vec![grant],
        accounts: vec![account],
        audit: vec![story::entry("given")],
        ..Transition::new(CommitName::Command, SystemClock::new().now())
    };
    place.with(async |desk| desk.store.commit(given).await.unwrap()).await;
    let open = place.say(&remove).await.refused();
    assert!(open.contains("g1 (ticket cw/4711)"), "{open}");
    place
        .with(async |desk| {
            let grant = desk.store.grant(&"g1".parse().unwrap()).await.unwrap().unwrap();
            let over = crate::access::Grant { state: story::refused(), ..grant };
            let over = Transition {
                grants: vec![over],
                audit: vec![story::entry("over")],
                ..Transition::new(CommitName::Command, SystemClock::new().now())
            };
            desk.store.commit(over).await.unwrap();
        })
        .await;
    let stays = place.say(&remove).await.refused();
    assert!(stays.contains("jit-a1@contoso.onmicrosoft.com, which could not be looked at now"), "{stays}");
    let left = place.say(&[&remove[..], &["--leave-accounts"]].concat()).await.ok();
    assert!(left.hints.contains("stays there: jit-a1@contoso"), "{left:?}");
}

#[tokio::test]
async fn an_export_is_loaded_again_and_changes_nothing() {
    let place = Place::new();
    let file = place.write("records.toml", RECORDS);
    place.say(&["records", "load", &file]).await.ok();
    let out = place.0.path().join("export.toml");
    let out = out.to_str().unwrap();
    place.say(&["records", "export", "--out", out]).await.ok();
    let before = place.with(async |desk| desk.store.rules().await.unwrap().records).await;
    place.say(&["records", "load", out]).await.ok();
    assert_eq!(place.with(async |desk| desk.store.rules().await.unwrap().records).await, before);
    let there = place.say(&["records", "export", "--out", out]).await.refused();
    assert!(there.contains("left as it is"), "{there}");
}

fn records() -> impl Strategy<Value = Records> {
    let text = "\\PC{1,30}";
    let person = (text, any::<bool>(), proptest::collection::vec("[a-z]{3,8}", 0..3), "[a-z]{1,9}@example\\.com");
    let people = proptest::collection::vec(person, 0..5);
    let customers = proptest::collection::vec((text, any::<bool>(), any::<bool>(), 0..500_u32), 0..5);
    let settings = (1..=60_u64, proptest::option::of(text), proptest::collection::vec("[ -~]{1,12}", 0..3));
    (people, customers, settings).prop_map(|(people, customers, (timeout, member, automation))| {
        let mut doc = serde_json::json!({
            "connection": [
                { "id": "cw", "kind": "connectwise", "site": "https://na.myconnectwise.net", "company": "x",
                  "client_id": "y", "public_key": "z", "timeout_s": timeout, "api_member": member,
                  "automation": automation },
                { "id": "dir", "kind": "entra", "tenant": "8f0c2c1e-0000-4000-8000-000000000000",
                  "client_id": "8f0c2c1e-0000-4000-8000-000000000001", "credential": "secret",
                  "protected": ["aaaa-1"], "time_bound": "never", "mark": "extensionAttribute3" },
            ],
            "customer": [], "person": [],
        });
        let mut ids = vec![];
        for (n, (name, jit, has_directory, company)) in customers.into_iter().enumerate() {
            let companies = serde_json::json!([{ "connection": "cw", "ids": [format!("{n}-{company}")] }]);
            let mut one =
                serde_json::json!({ "id": format!("c{n}"), "name": name, "jit": jit, "companies": companies });
            if has_directory && n == 0 {
                one["directory"] = "dir".into();
                one["domain"] = "contoso.onmicrosoft.com".into();
            }
            ids.push(format!("c{n}"));
            doc["customer"].as_array_mut().unwrap().push(one);
        }
        for (n, (name, all, members, mail)) in people.into_iter().enumerate() {
            let members: Vec<String> = members.iter().map(|m| format!("{m}-{n}")).collect();
            let members: std::collections::BTreeSet<String> = members.into_iter().collect();
            let customers = if all { serde_json::json!("all") } else { serde_json::json!(ids) };
            doc["person"].as_array_mut().unwrap().push(serde_json::json!({
                "id": format!("p{n}"), "name": name, "mail": format!("{n}{mail}"), "role": "approver",
                "customers": customers, "members": [{ "connection": "cw", "ids": members }],
            }));
        }
        serde_json::from_value(doc).unwrap()
    })
}

proptest! {
    /// F48, F166: whatever the records are, their TOML reads back as the same.
    #[test]
    fn records_survive_the_way_through_toml(records in records()) {
        records.check().unwrap();
        let text = records.to_toml().unwrap();
        prop_assert_eq!(Records::parse(&text).unwrap(), records, "{}", text);
    }
}

/// Records with history: whoever changed one is told with when, why and which.
#[tokio::test]
async fn the_history_tells_who_changed_which_record() {
    let place = Place::new();
    let none = place.say(&["records", "history"]).await.ok();
    assert!(none.output.is_empty() && none.hints.contains("latchkey records load"), "{none:?}");
    let file = place.write("records.toml", RECORDS);
    place.say(&["records", "load", &file]).await.ok();
    place.say(&["customer", "set", "contoso", "--without-directory"]).await.ok();
    let told = place.say(&["records", "history"]).await.ok().output;
    let lines: Vec<&str> = told.lines().collect();
    let [newest, what, first, all] = lines.as_slice() else { panic!("{told}") };
    assert!(newest.starts_with("2\t") && first.starts_with("1\t"), "{told}");
    assert!(newest.contains("operator ") && *what == "  customer/contoso", "{told}");
    assert!(all.contains("connection/entra-contoso, ") && all.contains("customer/contoso"), "{told}");
    let by = place.with(async |desk| desk.store.audit(0, 500).await.unwrap()).await;
    let by: Vec<String> = by.iter().filter_map(|entry| Some(entry.by.as_ref()?.to_string())).collect();
    assert!(!by.is_empty() && by.iter().all(|by| by.matches("operator").count() == 1), "{by:?}");
    let one = place.say(&["records", "history", "--limit", "1"]).await.ok().output;
    assert_eq!(one.lines().collect::<Vec<_>>(), lines[..2]);
}
