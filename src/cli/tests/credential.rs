//! What webhooks show at the door is changed, against a pretend HaloPSA: which former ones are believed meanwhile.

use std::time::Duration;

use latchkey_contract::Delivery;
use latchkey_simulators::halopsa::{self, HaloPsa};

use super::*;

const FIRST: &str = "the-first-password-0123456789-abcdef";
const SECOND: &str = "the-second-password-0123456789-abcdef";
const THIRD: &str = "the-third-password-0123456789-abcdef";

/// An installation with its webhook at the PSA, which shows the first password.
async fn with_a_webhook(hook_auth: &str) -> (Place, HaloPsa) {
    let place = Place::new();
    let authority = Authority::new();
    let ca = place.write("ca.pem", authority.ca_pem());
    let sim = HaloPsa::start(halopsa::Options::secure(&authority, SimClock::system())).await.unwrap();
    let team = sim.add_team("Service Desk");
    let api = sim.add_application(42, "JIT Service", "read:tickets edit:tickets read:customers");
    let connection = format!(
        "[[connection]]\nid = \"halo\"\nkind = \"halopsa\"\nsite = {:?}\ntenant = \"acme\"\nclient_id = {:?}\n\
         hook_auth = {hook_auth:?}\nnetwork = \"private\"\nca_file = {ca:?}\n",
        sim.base_url(),
        api.client_id
    );
    let records = place.write("records.toml", &format!("{connection}{RECORDS}"));
    let rulebook = RULEBOOK.replace("\"cw\"", "\"halo\"").replace("BOARD", &team.to_string());
    let rulebook = place.write("rulebook.toml", &rulebook);
    place.say(&["records", "load", &records]).await.ok();
    place.type_in(&["secret", "set", "halo/client-secret"], Cursor::new(api.client_secret)).await.ok();
    place.say(&["rulebook", "load", &rulebook]).await.ok();
    place.sets(FIRST, &[]).await.ok();
    let synced = place.say(&["webhook", "sync", "halo"]).await.ok();
    assert!(synced.output.starts_with("1 created"), "{synced:?}");
    (place, sim)
}

impl Place {
    async fn sets(&self, password: &'static str, options: &[&str]) -> Typed {
        self.type_in(&[&["secret", "set", "halo/hook-password"], options].concat(), Cursor::new(password)).await
    }

    /// Whether a delivery that shows this now, or later, is let in.
    async fn lets_in(&self, authorization: String, later: Duration) -> bool {
        self.with(async |desk| {
            let live = desk.live().await.unwrap().known();
            let system = live.registry.ticket_system(&"halo".parse().unwrap()).unwrap();
            let delivery = Delivery {
                connection: "halo".parse().unwrap(),
                headers: vec![("authorization".to_owned(), authorization.into_bytes())],
                body: br#"{"object_id":7}"#.to_vec(),
                received_at: desk.clock.now() + later,
            };
            system.verify(&delivery).await.is_ok()
        })
        .await
    }

    async fn keeps_a_former_one(&self) -> bool {
        self.say(&["secret", "list"]).await.ok().output.contains("halo/former-hook-password")
    }
}

/// F178: nothing is asked of the PSA for it, which may be down.
#[tokio::test]
async fn a_password_that_leaked_is_put_out_of_force_at_once() {
    let (place, sim) = with_a_webhook("basic").await;
    let lets_in = async |password| place.lets_in(halopsa::basic("latchkey", password), Duration::ZERO).await;
    let set = place.sets(SECOND, &[]).await.ok();
    assert!(set.hints.contains("The former one is accepted as well"), "{set:?}");
    assert!(set.hints.contains("latchkey webhook sync halo\n"), "{set:?}");
    assert!(lets_in(FIRST).await && lets_in(SECOND).await);

    drop(sim);
    let set = place.sets(THIRD, &["--at-once"]).await.ok();
    assert!(
        set.hints.contains("No former one is accepted") && set.hints.contains("latchkey webhook sync halo"),
        "{set:?}"
    );
    assert!(!lets_in(FIRST).await && !lets_in(SECOND).await && lets_in(THIRD).await);
    assert!(!place.keeps_a_former_one().await);
    place.sets(THIRD, &["--at-once"]).await.ok();

    for name in ["halo/client-secret", "mail/password"] {
        let useless = place.type_in(&["secret", "set", name, "--at-once"], Cursor::new("x")).await.refused();
        assert!(useless.contains("Leave out --at-once"), "{useless}");
    }
}

/// F178: what the command cannot set at the PSA is not taken for set there.
#[tokio::test]
async fn what_an_admin_sets_at_the_psa_ends_the_former_one_once_they_say_so() {
    const LATER: Duration = Duration::from_secs(2 * 3600);
    let (place, _sim) = with_a_webhook("bearer").await;
    let lets_in = async |password: &str, later| place.lets_in(format!("Bearer {password}"), later).await;
    let doubts =
        async || place.say(&["connection", "test", "halo"]).await.output.contains("  note   former credential");
    assert!(!doubts().await);
    let set = place.sets(SECOND, &[]).await.ok();
    assert!(set.hints.contains("by hand; then run: latchkey webhook sync halo --credential-is-set"), "{set:?}");

    let synced = place.say(&["webhook", "sync", "halo"]).await.ok();
    assert!(synced.output.contains("1 right as they were"), "{synced:?}");
    assert!(synced.hints.contains("latchkey webhook sync halo --credential-is-set"), "{synced:?}");
    assert!(lets_in(FIRST, LATER).await && lets_in(SECOND, LATER).await, "the webhook may show either");
    assert!(doubts().await);

    let said = place.say(&["webhook", "sync", "halo", "--credential-is-set"]).await.ok();
    assert!(!said.hints.contains("--credential-is-set"), "{said:?}");
    assert!(lets_in(FIRST, Duration::ZERO).await && !lets_in(FIRST, LATER).await && lets_in(SECOND, LATER).await);
    assert!(!doubts().await && place.keeps_a_former_one().await);
}

#[tokio::test]
async fn what_sync_sets_itself_is_not_said_to_be_set() {
    let (place, _sim) = with_a_webhook("basic").await;
    place.sets(SECOND, &[]).await.ok();
    let refused = place.say(&["webhook", "sync", "halo", "--credential-is-set"]).await.refused();
    assert!(refused.contains("leave out --credential-is-set"), "{refused}");
    place.say(&["webhook", "sync", "halo"]).await.ok();
    let hour = Duration::from_secs(3600);
    assert!(!place.lets_in(halopsa::basic("latchkey", FIRST), hour).await, "its end is an hour away");
}
