//! Customers by command, against a pretend PSA and a pretend tenant.

use latchkey_simulators::{
    connectwise::Tenant,
    fault::{Act, Fault},
    graph::{self, AppSpec, Graph, Licence},
};

use super::*;
use crate::rulebook::{Customer, HoldOn};

const TENANT: &str = "8f0c2c1e-0000-4000-8000-000000000000";
const APP: &str = "8f0c2c1e-0000-4000-8000-000000000001";

/// An installation with the PSA `cw`.
pub(super) async fn with_psa() -> (Place, ConnectWise, Tenant) {
    let place = Place::new();
    let authority = Authority::new();
    let ca = place.write("ca.pem", authority.ca_pem());
    let psa = ConnectWise::start(Options::secure(&authority, SimClock::new(|| 1_790_000_000_000))).await.unwrap();
    let tenant = psa.add_tenant("examplemsp", "Example MSP");
    let api = tenant.add_api_member(243, "JitApi");
    let (site, ca) = (format!("site={}", psa.base_url()), format!("ca_file={ca}"));
    let key = format!("public_key={}", api.public_key);
    let add = ["connection", "add", "cw", "connectwise", &site, "company=examplemsp", &key, &ca, "network=private"];
    place.say(&[&add[..], &["client_id=6b1f0c3e-0000-4000-8000-000000000001"]].concat()).await.ok();
    place.type_in(&["secret", "set", "cw/private-key"], Cursor::new(api.private_key)).await.ok();
    (place, psa, tenant)
}

async fn customer(place: &Place, id: &str) -> Customer {
    let rules = place.with(async |desk| desk.store.rules().await.unwrap()).await;
    rules.records.customer(&id.parse().unwrap()).unwrap().clone()
}

/// F48, F166: a customer is bound by ids, switched on by itself, and somebody's or everybody's.
#[tokio::test]
async fn a_customer_is_added_changed_paused_and_removed() {
    let (place, psa, tenant) = with_psa().await;
    assert_eq!([tenant.add_company("Contoso", "Contoso"), tenant.add_company("Group", "Group\u{1b}[2J")], [250, 251]);
    let add = ["customer", "add", "contoso", "--name", "Contoso Ltd", "--company", "cw/99999"];
    let nowhere = place.say(&add).await.refused();
    assert!(nowhere.contains("no company cw/99999") && nowhere.contains("customer import cw"), "{nowhere}");
    let add = ["customer", "add", "contoso", "--name", "Contoso Ltd", "--company", "cw/250"];
    let added = place.say(&add).await.ok();
    assert!(added.output.contains("customer contoso is added, with JIT off"), "{added:?}");
    assert!(added.hints.contains("cw/250 is Contoso at the PSA"), "{}", added.hints);
    assert!(added.hints.contains("customer set contoso --jit on"), "{}", added.hints);
    let taken = place.say(&["customer", "add", "fabrikam", "--name", "F", "--company", "cw/250"]).await.refused();
    assert!(taken.contains("cw/250 is customer contoso already"), "{taken}");
    let no_psa = place.say(&["customer", "set", "contoso", "--company", "nowhere/1"]).await.refused();
    assert!(no_psa.contains("there is no connection nowhere"), "{no_psa}");
    place.say(&["customer", "set", "contoso", "--jit", "on", "--company", "cw/251"]).await.ok();
    place.say(&["customer", "set", "contoso", "--without-company", "cw/250", "--name", "Contoso"]).await.ok();
    let list = place.say(&["customer", "list"]).await.ok().output;
    assert_eq!(list, "contoso\tContoso\tjit on\tcw/251\tno directory\n");

    let silent = place.say(&["customer", "pause", "contoso", "--reason", " "]).await.refused();
    assert!(silent.contains("say why"), "{silent}");
    place.say(&["customer", "pause", "contoso", "--reason", "contract ended"]).await.ok();
    assert!(place.say(&["customer", "list"]).await.ok().output.contains("PAUSED"));
    place.say(&["customer", "resume", "contoso"]).await.ok();
    let free = place.say(&["customer", "resume", "contoso"]).await.refused();
    assert!(free.contains("customer/contoso is not held"), "{free}");

    place.say(&["person", "add", "--first", "Jane", "--last", "Doe", "--customers", "contoso"]).await.ok();
    let named = place.say(&["--yes", "customer", "remove", "contoso"]).await.refused();
    assert!(named.contains("among the customers of jdoe"), "{named}");
    place.say(&["person", "set", "jdoe", "--customers", "all"]).await.ok();
    place.say(&["--yes", "customer", "remove", "contoso"]).await.ok();
    assert_eq!(place.say(&["customer", "list"]).await.ok().output, "");
    psa.faults().add(Fault::when(|_| true, Act::ResetBefore));
    let silent = place.say(&add).await.ok();
    assert!(silent.hints.contains("could not be asked what cw/250 is"), "{}", silent.hints);
}

#[tokio::test]
async fn a_panic_lock_is_not_lifted_by_resuming() {
    let (place, ..) = with_psa().await;
    place.say(&["customer", "add", "contoso", "--name", "Contoso"]).await.ok();
    place
        .with(async |desk| {
            let on = HoldOn::Customer("contoso".parse().unwrap());
            change::hold(desk, on, crate::rulebook::HoldCause::Panic, "burglars").await.unwrap();
        })
        .await;
    let locked = place.say(&["customer", "resume", "contoso"]).await.refused();
    assert!(locked.contains("only an owner lifts that"), "{locked}");
    assert!(place.say(&["customer", "list"]).await.ok().output.contains("LOCKED"));
}

/// F89: the domain is one of the tenant's, and its own one is suggested.
#[tokio::test]
async fn the_tenants_own_domain_is_suggested_and_a_stranger_refused() {
    let place = Place::new();
    let authority = Authority::new();
    let ca = place.write("ca.pem", authority.ca_pem());
    let options = graph::Options {
        tls: Some(authority.server_config(&[])),
        host: "localhost".to_owned(),
        ..graph::Options::new(SimClock::new(|| SystemClock::new().now().millis()))
    };
    let sim = Graph::start(options).await.unwrap();
    sim.add_tenant(TENANT, &["contoso.onmicrosoft.com"], Licence::P1);
    sim.add_domain(TENANT, "contoso.com", true, false);
    let spec = AppSpec {
        client_id: APP.to_owned(),
        secrets: vec!["app-secret".to_owned()],
        certificates: vec![],
        permissions: vec!["Domain.Read.All".to_owned()],
        directory_roles: vec![],
    };
    sim.register_app(TENANT, spec);
    let pairs = [
        format!("tenant={TENANT}"),
        format!("client_id={APP}"),
        format!("ca_file={ca}"),
        format!("graph={}", sim.base_url()),
        format!("authority={}", sim.authority()),
    ];
    let mut add = vec!["connection", "add", "contoso", "entra", "credential=secret", "network=private"];
    add.extend(pairs.iter().map(String::as_str));
    place.say(&add).await.ok();

    let add = ["customer", "add", "contoso", "--name", "Contoso", "--directory", "contoso"];
    let unasked = place.say(&add).await.refused();
    assert!(unasked.contains("could not be asked for its domains") && unasked.contains("--domain"), "{unasked}");
    let named = place.say(&[&add[..], &["--domain", "anything.example"]].concat()).await.ok();
    assert!(named.hints.contains("could not be asked whether it has anything.example"), "{}", named.hints);

    place.type_in(&["secret", "set", "contoso/client-secret"], Cursor::new("app-secret\n")).await.ok();
    let set = ["customer", "set", "contoso", "--directory", "contoso"];
    let foreign = place.say(&[&set[..], &["--domain", "fabrikam.com"]].concat()).await.refused();
    assert!(foreign.contains("has no domain fabrikam.com; it has: contoso.onmicrosoft.com, contoso.com"), "{foreign}");
    let suggested = place.say(&set).await.ok();
    assert!(suggested.hints.contains("contoso.com"), "{}", suggested.hints);
    assert_eq!(customer(&place, "contoso").await.domain.as_deref(), Some("contoso.onmicrosoft.com"));
    place.say(&["customer", "set", "contoso", "--domain", "@Contoso.com"]).await.ok();
    assert_eq!(customer(&place, "contoso").await.domain.as_deref(), Some("contoso.com"));
    let asked = place.answer(&set, &[""]).await.ok();
    assert!(asked.hints.contains("[contoso.onmicrosoft.com]"), "{}", asked.hints);
    let typo = place.answer(&set, &["contoso.org"]).await.refused();
    assert!(typo.contains("contoso.org"), "{typo}");
}

/// F29: companies are bound by id; a name suggests, and whoever can choose a name gets nothing by it.
#[tokio::test]
async fn companies_are_imported_as_chosen_and_hostile_names_are_harmless() {
    let (place, _psa, tenant) = with_psa().await;
    let contoso = tenant.add_company("Contoso", "CONTOSO, Ltd.");
    let hostile = tenant.add_company("Evil", "Evil\u{1b}[2J\u{202e}\t; --jit on");
    let twin = tenant.add_company("Fabrikam", "Fabrikam Inc");
    tenant.add_company("Fabrikam2", "Fabrikam GmbH");
    let add = ["customer", "add", "contoso", "--name", "Contoso"];
    place.say(&add).await.ok();
    place.say(&["customer", "add", "fabrikam", "--name", "Fabrikam"]).await.ok();

    let shown = place.say(&["customer", "import", "cw"]).await;
    for line in [
        format!("{contoso}\tCONTOSO, Ltd.\tmatches contoso by name\n"),
        format!("{hostile}\tEvil [2J ; --jit on\tnew: evil-2j-jit-on\n"),
        format!("{twin}\tFabrikam Inc\tunclear: named like fabrikam; bind it by hand"),
    ] {
        assert!(shown.output.contains(&line), "{line:?} in:\n{}", shown.output);
    }
    assert!(shown.refused().contains("--all"), "nothing is taken unasked");
    let unclear = place.say(&["customer", "import", "cw", "--only", &twin.to_string()]).await.refused();
    assert!(unclear.contains("cannot be taken"), "{unclear}");
    let unknown = place.say(&["customer", "import", "cw", "--only", "99999"]).await.refused();
    assert!(unknown.contains("none of those above"), "{unknown}");
    let revision = async || place.with(async |desk| desk.store.revision().await.unwrap()).await;
    let before = revision().await;
    let asked = place.answer(&["customer", "import", "cw"], &["n", "what", "q"]).await.ok();
    assert!(asked.output.contains("Nothing was taken"), "{asked:?}");
    assert_eq!(revision().await, before);

    let taken = place.say(&["customer", "import", "cw", "--all", "--jit", "on"]).await.ok();
    assert_eq!(revision().await, before + 1, "one revision");
    assert!(!taken.output.contains('\u{1b}') && !taken.output.contains('\u{202e}'));
    assert!(customer(&place, "contoso").await.companies[0].ids[0].as_str() == contoso.to_string());
    let evil = customer(&place, "evil-2j-jit-on").await;
    assert!(evil.jit && !evil.name.contains(char::is_control) && evil.directory.is_none(), "{evil:?}");
    let again = place.say(&["customer", "import", "cw", "--all"]).await.ok().output;
    assert!(again.contains("is contoso already") && again.contains("Nothing was taken"), "{again}");
}
