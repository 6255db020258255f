//! What a ticket would come to, asked by an operator.

use latchkey_contract::text::one_line;

use super::rulebook::{READER, World, has};
use crate::{audit::Code, store::Store};

/// F55, F57: a dry run answers with the decision, the rule that decides, and what limits the length; and changes nothing.
#[tokio::test]
async fn what_if_answers_with_the_rule_that_decides() {
    let world = World::new().await;
    let careful =
        "[[customer_group]]\nid = \"careful\"\nname = \"Careful\"\ncustomers = [\"contoso\"]\nmax_length = \"2h\"\n\n";
    let file = world.file(&[("[[policy]]", &format!("{careful}[[policy]]"))]);
    world.type_in(&["rulebook", "load", &file]).await.ok();
    let ticket = world.ticket();
    let revision = world.revision().await;
    let ask = async |more: &[&str]| {
        let words = [&["rulebook", "what-if", "--ticket", ticket.as_str()], more].concat();
        world.type_in(&words).await
    };
    let granted = ask(&["--as", "jane"]).await.ok().output;
    has(
        &granted,
        &[
            "mapping desk\tcatches it, once its trigger is set\n",
            "decision\tgranted\n",
            "rule\tmapping desk, policy reader\n",
            "length\t2h, limited by customer group careful\n",
            "customer\tcontoso\n",
            "directory\tcontoso\n",
            "account\tjit-jane@contoso.onmicrosoft.com (new)\n",
        ],
    );
    let unbound = ask(&["--as", "mark"]).await.ok().output;
    has(&unbound, &["decision\trefused\n", "code\tperson-unknown\n", "mark is bound to no member of cw"]);
    let stranger = ask(&["--as", "nobody"]).await.refused();
    assert!(stranger.contains("there is no person nobody"), "{stranger}");
    let early = ask(&["--as", "jane", "--at", "2019-06-09T21:59:47Z"]).await.ok().output;
    has(&early, &["decision\tgranted\n"]);

    let braked = "[[brake]]\nid = \"all\"\nper = \"msp\"\ngrants = 1\nwithin = \"1h\"\n";
    let draft = world
        .place
        .write("draft.toml", &format!("{}{braked}", world.text().replace("[\"technicians\"]", "\"admins\"")));
    let other = ask(&["--as", "jane", "--file", &draft]).await.ok().output;
    has(&other, &["length\t4h, limited by policy reader\n", "brake all\t0 of 1 within 1h\n"]);
    let dead = world.place.write("dead.toml", &world.text().replace(READER, "00000000-0000-4000-8000-00000000dead"));
    has(&ask(&["--as", "jane", "--file", &dead]).await.ok().output, &["but\tthe directory has no role:00000000"]);
    let elsewhere = world
        .place
        .write("elsewhere.toml", &world.text().replace(&format!("boards = [\"{}\"]", world.board), "boards = [\"9\"]"));
    let uncaught = ask(&["--as", "jane", "--file", &elsewhere]).await.ok().output;
    has(
        &uncaught,
        &[
            &format!("mapping desk\tdoes not catch it: it watches boards 9, and the ticket's is {}\n", world.board),
            "decision\tnothing",
        ],
    );
    let unknown = ask(&["--as", "jane", "--mapping", "none"]).await.refused();
    assert!(unknown.contains("there is no mapping none"), "{unknown}");
    let gone = world.type_in(&["rulebook", "what-if", "--ticket", "cw/999999", "--as", "jane"]).await.refused();
    assert!(gone.contains("the PSA shows us no ticket cw/999999"), "{gone}");
    assert_eq!(world.revision().await, revision);
    assert!(world.psa.notes(ticket[3..].parse().unwrap()).is_empty());
    let decided =
        async |store: &dyn Store| store.newest_audit(&[Code::RequestGranted, Code::RequestRefused], 9).await.unwrap();
    assert!(world.with_store(decided).await.is_empty(), "nothing was decided");
    assert_eq!(one_line(&granted, 4000).matches('\u{1b}').count(), 0, "the ticket's own words are not shown");
}

/// F55: the time that is named moves what cools down; the trigger that stands is told.
#[tokio::test]
async fn what_if_looks_at_another_time_and_at_every_mapping_that_watches() {
    let world = World::new().await;
    world.import(&[]).await.ok();
    let records = std::fs::read_to_string(world.place.0.path().join("records.toml")).unwrap();
    let bound =
        records.replace("name = \"Mark\"\n", "name = \"Mark\"\nmembers = [{ connection = \"cw\", ids = [\"177\"] }]\n");
    let records = world.place.write("records.toml", &bound);
    world.type_in(&["records", "load", &records]).await.ok();
    let ticket = world.ticket();
    world.psa.acting("jdoe").set_status(ticket[3..].parse().unwrap(), world.requested).unwrap();
    let ask = async |more: &[&str]| {
        let words = [&["rulebook", "what-if", "--ticket", ticket.as_str(), "--as", "mark"], more].concat();
        world.type_in(&words).await.ok().output
    };
    has(
        &ask(&[]).await,
        &[
            "mapping desk\tcatches it; its trigger is set now\n",
            "code\tbinding-cooling\n",
            "rule\tnew bindings cool down\n",
        ],
    );
    has(&ask(&["--at", "2199-01-01"]).await, &["decision\tgranted\n", "person\tmark\n"]);
}
