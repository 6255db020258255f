//! People by command, against a pretend PSA.

use super::{customer::with_psa, *};
use crate::{
    rulebook::{HoldCause, HoldOn, Person},
    store::{CommitName, Transition, story},
};

pub(super) async fn person(place: &Place, id: &str) -> Option<Person> {
    let rules = place.with(async |desk| desk.store.rules().await.unwrap()).await;
    rules.records.person(&id.parse().unwrap()).cloned()
}

fn add<'a>(first: &'a str, last: &'a str) -> Vec<&'a str> {
    vec!["person", "add", "--first", first, "--last", last]
}

/// F29: somebody is added by first name, last name and address; the id is made from the name and is theirs alone.
#[tokio::test]
async fn people_are_added_changed_and_removed() {
    let (place, _psa, tenant) = with_psa().await;
    tenant.add_member(176, "jane", "F", false);
    let owner = [&add("Olga", "Owner")[..], &["--role", "owner", "--customers", "all"]].concat();
    place.say(&owner).await.ok();
    let jane = [&add("Jürgen", "Dæ")[..], &["--mail", "j.d@example.com", "--member", "cw/176"]].concat();
    let added = place.say(&jane).await.ok();
    assert!(added.output.contains("person jdae is added") && added.hints.contains("jane"), "{added:?}");
    assert!(added.hints.contains("--customers all") && added.hints.contains("person invite jdae"), "{}", added.hints);
    let second = place.say(&add("Jon", "Dae")).await.ok();
    assert!(second.output.contains("person jdae-2 is added"), "{second:?}");
    let chosen = place.answer(&add("Jim", "Dae"), &["jimmy"]).await.ok();
    assert!(chosen.output.contains("person jimmy is added"), "{chosen:?}");
    let nameless = place.say(&add("花子", "山田")).await.refused();
    assert!(nameless.contains("--id"), "{nameless}");
    let nobody = place.say(&[&add("No", "Body")[..], &["--member", "cw/999"]].concat()).await.refused();
    assert!(nobody.contains("no member cw/999"), "{nobody}");
    let same = place.say(&["person", "set", "jimmy", "--mail", "j.d@example.com"]).await.refused();
    assert!(same.contains("person.jimmy.mail"), "{same}");

    let list = place.say(&["person", "list"]).await.ok().output;
    let line = "jdae\tJürgen Dæ\ttechnician\tj.d@example.com\tno customer\tcw/176\tnot enrolled\n";
    assert!(list.contains(line), "{list}");
    let last = place.say(&["person", "set", "oowner", "--role", "admin"]).await.refused();
    assert!(last.contains("no owner would be left"), "{last}");
    let last = place.say(&["--yes", "person", "remove", "oowner"]).await.refused();
    assert!(last.contains("no owner would be left"), "{last}");
    place.say(&["--yes", "person", "remove", "jimmy"]).await.ok();
    assert!(person(&place, "jimmy").await.is_none());
    assert_eq!(place.audited("binding.").await, ["binding.added jdae"]);
}

/// F31: whoever is blocked loses what they have, and an unblock brings none of it back.
#[tokio::test]
async fn a_block_is_set_and_lifted_and_a_panic_lock_stays() {
    let place = Place::new();
    let file = place.write("records.toml", &RECORDS.replace("customers =", "role = \"owner\"\ncustomers ="));
    place.say(&["records", "load", &file]).await.ok();
    let given = Transition {
        grants: vec![story::grant("g1", "a1", "4711", story::granting())],
        accounts: vec![story::account("a1", latchkey_contract::directory::Mode::Standard)],
        audit: vec![story::entry("given")],
        ..Transition::new(CommitName::Command, SystemClock::new().now())
    };
    place.with(async |desk| desk.store.commit(given).await.unwrap()).await;
    let open = place.say(&["--yes", "person", "remove", "jdoe"]).await.refused();
    assert!(open.contains("person block jdoe") && open.contains("g1 (ticket cw/4711)"), "{open}");
    let block = ["person", "block", "jdoe", "--reason", "left\nthe company"];
    let asked = place.say(&block).await.refused();
    assert!(asked.contains("--yes"), "{asked}");
    let blocked = place.say(&[&["--yes"], &block[..]].concat()).await.ok();
    assert!(blocked.output.contains("jdoe is blocked. Grants that end: 1."), "{blocked:?}");
    assert!(blocked.hints.contains("last owner"), "{}", blocked.hints);
    assert!(place.say(&["person", "list"]).await.ok().output.contains("BLOCKED"));
    let enroll = place.say(&["person", "enroll", "jdoe"]).await.refused();
    assert!(enroll.contains("person unblock jdoe"), "{enroll}");
    let task = place.with(async |desk| desk.store.queue(SystemClock::new().now()).await.unwrap().ready).await;
    assert!(task > 0, "its account is looked at again now");
    place.say(&["person", "unblock", "jdoe"]).await.ok();
    let on = HoldOn::Person("jdoe".parse().unwrap());
    place.with(async |desk| change::hold(desk, on, HoldCause::Panic, "burglars").await.unwrap()).await;
    let locked = place.say(&["person", "unblock", "jdoe"]).await.refused();
    assert!(
        locked.contains("only an owner lifts that") && locked.contains("lock lift person/jdoe --as OWNER"),
        "{locked}"
    );
}

/// F29: the PSA's people are matched by address, then by name; machines and those who left are not shown.
#[tokio::test]
async fn members_are_imported_with_their_addresses() {
    let (place, _psa, tenant) = with_psa().await;
    for (id, login, class, inactive) in
        [(176, "jane", "F", false), (177, "mary", "F", false), (178, "gone", "F", true), (179, "robot", "A", false)]
    {
        tenant.add_member(id, login, class, inactive);
    }
    tenant.set_member_name("jane", "Jane", "Doe");
    tenant.set_member_email("jane", "Jane@Example.com");
    tenant.set_member_name("mary", "Mary", "Smith");
    tenant.add_member(180, "twin", "F", false);
    tenant.set_member_name("twin", "Mary", "Smith");
    tenant.add_member(181, "new", "F", false);
    tenant.set_member_name("new", "Nancy", "New\u{1b}[31m");
    tenant.set_member_email("new", "nancy@example.com");
    place.say(&[&add("J", "D")[..], &["--id", "jd", "--mail", "jane@example.com"]].concat()).await.ok();
    place.say(&add("Mary", "Smith")).await.ok();

    let shown = place.say(&["person", "import", "cw"]).await;
    for line in [
        "176\tJane Doe\tjane\tJane@Example.com\tmatches jd by mail\n",
        "177\tMary Smith\tmary\tmary@examplemsp.example\tunclear: like msmith by name",
        "180\tMary Smith\ttwin\t",
        "181\tNancy New [31m\tnew\tnancy@example.com\tnew: nnew31m\n",
    ] {
        assert!(shown.output.contains(line), "{line:?} in:\n{}", shown.output);
    }
    assert!(!shown.output.contains("robot") && !shown.output.contains("gone"), "{}", shown.output);
    let taken = place.say(&["person", "import", "cw", "--all", "--customers", "all"]).await.ok();
    assert!(taken.output.contains("members that were bound: 2"), "{}", taken.output);
    let nancy = person(&place, "nnew31m").await.unwrap();
    assert_eq!(nancy.mail.unwrap().as_str(), "nancy@example.com");
    assert!(!nancy.name.contains('\u{1b}'), "{}", nancy.name);
    let matched = person(&place, "jd").await.unwrap();
    assert_eq!((matched.members[0].ids[0].as_str(), matched.mail.unwrap().as_str()), ("176", "jane@example.com"));
    assert!(person(&place, "msmith").await.unwrap().members.is_empty());
}

/// F29, F30: a name is anybody's in the PSA. Who has a role is bound by an answer or by id, never by `--all` alone, though
/// the first bindings count at once.
#[tokio::test]
async fn nobody_becomes_the_owner_by_a_name() {
    let (place, _psa, tenant) = with_psa().await;
    for (id, login, last) in [(176, "robber", "Owner"), (177, "mary", "Smith")] {
        tenant.add_member(id, login, "F", false);
        tenant.set_member_name(login, if id == 176 { "Olga" } else { "Mary" }, last);
    }
    place.say(&[&add("Olga", "Owner")[..], &["--role", "owner"]].concat()).await.ok();
    place.say(&add("Mary", "Smith")).await.ok();
    let is_bound = async |id| !person(&place, id).await.unwrap().members.is_empty();

    let import = ["person", "import", "cw", "--all"];
    let no = place.answer(&import, &["n"]).await.ok();
    assert!(no.hints.contains("Is 176 really that person"), "{}", no.hints);
    assert_eq!((is_bound("oowner").await, is_bound("msmith").await), (false, true), "a technician's name is enough");
    let alone = place.say(&import).await.ok();
    assert!(alone.hints.contains("176 was left out") && alone.hints.contains("--only 176"), "{}", alone.hints);
    assert!(!is_bound("oowner").await);
    let all_that_follow = place.answer(&["person", "import", "cw"], &["y"]).await.ok();
    assert!(all_that_follow.output.contains("members that were bound: 1"), "{all_that_follow:?}");
    assert!(is_bound("oowner").await);
}
