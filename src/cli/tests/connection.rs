//! `latchkey connection test` against a pretend PSA and a pretend tenant.

use latchkey_simulators::{
    connectwise::FieldKind,
    graph::{self, AppSpec, Graph, GroupSeed, Licence, UserSeed},
};

use super::*;

pub(super) const TENANT: &str = "8f0c2c1e-0000-4000-8000-000000000000";
pub(super) const APP: &str = "8f0c2c1e-0000-4000-8000-000000000001";

pub(super) async fn psa(authority: &Authority) -> ConnectWise {
    ConnectWise::start(Options::secure(authority, SimClock::system())).await.unwrap()
}

pub(super) fn psa_records(psa: &ConnectWise, public_key: &str, ca: &str) -> String {
    format!(
        "[[connection]]\nid = \"cw\"\nkind = \"connectwise\"\nsite = {:?}\ncompany = \"examplemsp\"\n\
         client_id = \"6b1f0c3e-0000-4000-8000-000000000001\"\npublic_key = {public_key:?}\nnetwork = \"private\"\nca_file = {ca:?}\n",
        psa.base_url(),
    )
}

#[tokio::test]
async fn the_ids_of_a_psa_are_listed_for_records_and_rulebook() {
    let place = Place::new();
    let authority = Authority::new();
    let ca = place.write("ca.pem", authority.ca_pem());
    let psa = psa(&authority).await;
    let tenant = psa.add_tenant("examplemsp", "Example MSP");
    let api = tenant.add_api_member(243, "JitApi");
    tenant.add_member(176, "jdoe", "F", false);
    tenant.add_member(177, "msmith", "F", true);
    let board = tenant.add_board("Help\u{1b}[2JDesk");
    let status = tenant.add_status(board, "JIT Requested", false);
    let company = tenant.add_company("Contoso", "Contoso Ltd");
    let field = tenant.add_field("JIT Duration", FieldKind::List, &["1 hour", "4 hours"]);
    let records = place.write("records.toml", &psa_records(&psa, &api.public_key, &ca));
    place.type_in(&["records", "load", &records], io::empty()).await.ok();

    let check = ["connection", "test", "cw"];
    let unset = place.type_in(&check, io::empty()).await.refused();
    assert!(unset.contains("latchkey secret set cw/private-key"), "{unset}");
    place.type_in(&["secret", "set", "cw/private-key"], Cursor::new("wrong\n")).await.ok();
    let wrong = place.type_in(&check, io::empty()).await;
    let said = wrong.output.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("fault sign-in the PSA does not take the keys"), "{said}");
    assert!(said.contains("latchkey secret set cw/private-key") && wrong.hints.contains("Not listed"), "{wrong:?}");
    assert_eq!(wrong.refused(), "one check of cw failed; it says above what to do");

    place.type_in(&["secret", "set", "cw/private-key"], Cursor::new(api.private_key.clone())).await.ok();
    let listed = place.type_in(&check, io::empty()).await.ok().output;
    for line in [
        "connection cw\n  ok     site ".to_owned(),
        "\n  ok     sign-in  ".to_owned(),
        "\n  note   callbacks  ".to_owned(),
        format!("\n{board}\tHelp [2JDesk\n"),
        format!("\n  {status}\tJIT Requested\n"),
        format!("\n{field}\tJIT Duration\t1 hour, 4 hours\n"),
        format!("\n{company}\tContoso Ltd\n"),
        "\n176\tjdoe\t".to_owned(),
        "\tperson\n".to_owned(),
        "\tperson, inactive\n".to_owned(),
        "\n243\tJitApi\t".to_owned(),
    ] {
        assert!(listed.contains(&line), "{line:?} in:\n{listed}");
    }
    assert!(!listed.contains(&api.private_key));
}

/// F113: emergency access accounts are listed with the reason.
#[tokio::test]
async fn a_tenant_is_checked_and_its_roles_groups_and_marked_accounts_are_listed() {
    let place = Place::new();
    let authority = Authority::new();
    let ca = place.write("ca.pem", authority.ca_pem());
    let sim = tenant(&authority).await;
    let records = tenant_records(&sim, "secret", &ca);
    let records = place.write("records.toml", &records);
    place.type_in(&["records", "load", &records], io::empty()).await.ok();
    place.type_in(&["secret", "set", "contoso/client-secret"], Cursor::new("app-secret\n")).await.ok();
    let group = sim.add_group(TENANT, GroupSeed { display_name: "Exchange helpers".to_owned(), ..Default::default() });
    let user = sim.add_user(TENANT, UserSeed::new("jit-jdoe@contoso.onmicrosoft.com"));
    let mark = serde_json::json!({ "extensionAttribute15": "01k3acct" });
    sim.by_hand(TENANT).set(&user, "onPremisesExtensionAttributes", mark);

    let check = ["connection", "test", "contoso"];
    let red = place.type_in(&check, io::empty()).await;
    assert!(red.output.contains("\n  fault  permission Domain.Read.All "), "{red:?}");
    assert!(red.output.contains("admin consent"), "{red:?}");
    for line in [
        "\n  ok     token ".to_owned(),
        "\nrole:62e90394-69f5-4237-9190-012177145e10\tGlobal Administrator\tprivileged\n".to_owned(),
        format!("\ngroup:{group}\tExchange helpers\n"),
        format!("\n{user}\tjit-jdoe@contoso.onmicrosoft.com\tenabled\tnot in this database\n"),
    ] {
        assert!(red.output.contains(&line), "{line:?} in:\n{}", red.output);
    }
    assert!(red.refused().contains("of contoso failed"));

    let emergency = sim.add_user(TENANT, UserSeed::new("break-glass@contoso.onmicrosoft.com"));
    sim.add_unit(TENANT, "Emergency", true, &[&emergency]);
    sim.set_permissions(TENANT, APP, &[PERMISSIONS.as_slice(), &["AdministrativeUnit.Read.All"]].concat());
    let green = place.type_in(&check, io::empty()).await.ok().output;
    assert!(!green.contains("\n  fault "), "{green}");
    let spared =
        format!("\n{emergency}\tbreak-glass@contoso.onmicrosoft.com\tin the restricted management unit Emergency\n");
    assert!(green.contains(&spared), "{green}");
    sim.rotate_secret(APP, "another");
    let shut = place.type_in(&check, io::empty()).await;
    assert!(shut.output.starts_with("connection contoso\n  fault  token  "), "{shut:?}");
    assert!(!shut.output.contains("\n  ok ") && !shut.output.contains("roles and groups"), "{shut:?}");
    shut.refused();
}

pub(super) const PERMISSIONS: [&str; 6] = [
    "User.ReadWrite.All",
    "User-PasswordProfile.ReadWrite.All",
    "RoleManagement.ReadWrite.Directory",
    "GroupMember.ReadWrite.All",
    "UserAuthenticationMethod.ReadWrite.All",
    "Domain.Read.All",
];

pub(super) fn tenant_records(sim: &Graph, credential: &str, ca: &str) -> String {
    format!(
        "[[connection]]\nid = \"contoso\"\nkind = \"entra\"\ntenant = \"{TENANT}\"\nclient_id = \"{APP}\"\n\
         credential = \"{credential}\"\nnetwork = \"private\"\nca_file = {ca:?}\ngraph = {:?}\nauthority = {:?}\n",
        sim.base_url(),
        sim.authority(),
    )
}

pub(super) async fn tenant(authority: &Authority) -> Graph {
    let options = graph::Options {
        tls: Some(authority.server_config(&[])),
        host: "localhost".to_owned(),
        ..graph::Options::new(SimClock::new(|| SystemClock::new().now().millis()))
    };
    let sim = Graph::start(options).await.unwrap();
    sim.add_tenant(TENANT, &["contoso.onmicrosoft.com"], Licence::P1);
    let spec = AppSpec {
        client_id: APP.to_owned(),
        secrets: vec!["app-secret".to_owned()],
        certificates: vec![],
        permissions: PERMISSIONS[..5].iter().map(|&p| p.to_owned()).collect(),
        directory_roles: vec!["7be44c8a-adaf-4e2a-84d6-ab2649e08a13".to_owned()],
    };
    sim.register_app(TENANT, spec);
    sim
}
