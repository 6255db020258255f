//! The doctor's lines: whatever breaks turns its own line red, and no other.

use std::collections::BTreeSet;

use latchkey_contract::{
    CallError, Check, Directory as _, EntitlementId, Verdict,
    directory::{DirectoryWants, Domain},
};
use latchkey_entra::Credential;
use latchkey_simulators::{
    Act, Fault,
    graph::{GroupSeed, Licence, UserSeed},
};
use serde_json::{Value, json};

use crate::harness::{APP, EXCHANGE, PERMISSIONS, Scene, Setup, TENANT, group, role};

const INITIAL: &str = "contoso.onmicrosoft.com";
const OWN: &str = "contoso.example";
const OPTIONAL: [&str; 3] = ["AdministrativeUnit.Read.All", "Group.ReadWrite.All", "Application.ReadWrite.All"];
const HELPER: &str = "Helper";
const TOKEN: &str = "POST /{tenant}/oauth2/v2.0/token";

/// A tenant that is set up as the README says, and what the rules want of it.
struct Clinic {
    scene: Scene,
    group: String,
    custom: String,
    glass: String,
    want: DirectoryWants,
}

impl Clinic {
    async fn open() -> Self {
        Self::with(Licence::P2).await
    }

    async fn with(licence: Licence) -> Self {
        let mut scene = Scene::start(Setup { licence, ..Setup::default() }).await;
        let sim = &scene.sim;
        sim.add_domain(TENANT, OWN, true, false);
        let helpers = sim.add_group(TENANT, GroupSeed { display_name: HELPER.to_owned(), ..GroupSeed::default() });
        let custom = sim.add_custom_role(TENANT, "Printer Wizard");
        let glass = sim.add_user(TENANT, UserSeed::new("glass-1@contoso.onmicrosoft.com"));
        let other = sim.add_user(TENANT, UserSeed::new("glass-2@contoso.onmicrosoft.com"));
        sim.add_unit(TENANT, "Break glass", true, &[&glass, &other]);
        sim.add_unit(TENANT, "Sales", false, &[&other]);
        sim.set_permissions(TENANT, APP, &[&PERMISSIONS[..], &OPTIONAL].concat());
        let want = DirectoryWants {
            domains: [INITIAL, OWN].map(str::to_owned).into(),
            entitlements: [role(EXCHANGE), role(&custom), group(&helpers)].map(entitlement).into(),
        };
        scene.reconnect(&json!({ "protected": [glass.to_uppercase()] }), secret());
        Self { scene, group: helpers, custom, glass, want }
    }

    async fn lines(&self) -> Vec<Check> {
        self.scene.entra.preflight(&self.want).await
    }

    fn without(&self, permission: &str) {
        let left = PERMISSIONS.iter().chain(&OPTIONAL).filter(|p| **p != permission).copied();
        self.scene.sim.set_permissions(TENANT, APP, &left.collect::<Vec<_>>());
    }

    fn refuse(&self, op: &'static str, status: u16) {
        let body = json!({"error": {"code": "Authorization_RequestDenied", "message": "Insufficient privileges"}});
        self.scene.sim.faults().add(Fault::on(op, Act::Answer { status, retry_after: None, body }));
    }
}

fn secret() -> Credential {
    Credential::Secret(latchkey_contract::Secret::new("app-secret-canary".to_owned()))
}

fn entitlement(text: String) -> EntitlementId {
    EntitlementId::try_from(text).unwrap()
}

fn red(lines: &[Check]) -> Vec<&str> {
    lines.iter().filter(|line| line.is_red()).map(|line| line.what.as_str()).collect()
}

fn notes(lines: &[Check]) -> Vec<&str> {
    lines.iter().filter(|line| matches!(line.verdict, Verdict::Note(_))).map(|line| line.what.as_str()).collect()
}

fn text<'l>(lines: &'l [Check], what: &str) -> &'l str {
    lines.iter().find(|line| line.what == what).map_or("", |line| line.verdict.text())
}

/// F81
#[tokio::test]
async fn a_tenant_that_is_set_up_has_no_red_line() {
    let clinic = Clinic::open().await;
    let lines = clinic.lines().await;
    let mut expected: Vec<String> = ["token", "clock"].map(str::to_owned).to_vec();
    expected.extend(PERMISSIONS.map(|p| format!("permission {p}")));
    expected.extend(OPTIONAL.map(|p| format!("permission {p} (optional)")));
    expected.extend(
        ["directory role Privileged Authentication Administrator", "domains", "domain contoso.example"]
            .map(str::to_owned),
    );
    expected.extend(["domain contoso.onmicrosoft.com", "licence", "role end in the tenant"].map(str::to_owned));
    expected.extend(clinic.want.entitlements.iter().map(ToString::to_string));
    expected.extend(["protected units".to_owned(), format!("protected account {}", clinic.glass)]);
    let mut whats: Vec<&str> = lines.iter().map(|line| line.what.as_str()).collect();
    whats.sort_unstable();
    expected.sort_unstable();
    assert_eq!(whats, expected);
    assert!(lines.iter().all(|line| matches!(line.verdict, Verdict::Ok(_))), "{lines:#?}");
    assert_eq!(text(&lines, "protected units"), "1 with 2 accounts, never touched");
    let calls = clinic.scene.sim.faults().calls();
    let writes = calls.iter().filter(|call| call.method != "GET" && call.op != TOKEN).count();
    assert_eq!(writes, 0, "nothing is changed by looking");
    assert!(!format!("{lines:?}").contains("canary"));
}

type Break = fn(&Clinic);

#[tokio::test]
async fn whatever_breaks_turns_its_own_line_red() {
    let breaks: [(&str, &str, Break); 24] = [
        ("clock", "timedatectl", |c| c.scene.sim.knobs(|k| k.date_off_ms = 121_000)),
        ("clock", "ahead", |c| c.scene.sim.knobs(|k| k.date_off_ms = -180_000)),
        ("permission User.ReadWrite.All", "Grant admin consent", |c| c.without("User.ReadWrite.All")),
        ("permission User-PasswordProfile.ReadWrite.All", "rotated", |c| {
            c.without("User-PasswordProfile.ReadWrite.All");
        }),
        ("permission RoleManagement.ReadWrite.Directory", "API permissions", |c| {
            c.without("RoleManagement.ReadWrite.Directory");
        }),
        ("permission GroupMember.ReadWrite.All", "groups", |c| {
            c.scene.sim.set_permissions(TENANT, APP, &[&PERMISSIONS[..3], &PERMISSIONS[4..], &OPTIONAL[..1]].concat());
        }),
        ("permission UserAuthenticationMethod.ReadWrite.All", "sign-in methods", |c| {
            c.without("UserAuthenticationMethod.ReadWrite.All");
        }),
        ("permission Domain.Read.All", "domains", |c| c.without("Domain.Read.All")),
        ("domain contoso.example", "is not verified", |c| c.scene.sim.set_domain(TENANT, OWN, false, false)),
        ("domain contoso.example", "is federated", |c| c.scene.sim.set_domain(TENANT, OWN, true, true)),
        ("domain contoso.example", "names end in contoso.onmicrosoft.com", |c| c.scene.sim.remove_domain(TENANT, OWN)),
        ("domains", "cannot be read", |c| c.refuse("GET /domains", 403)),
        ("licence", "cannot be read", |c| c.refuse("GET /organization", 403)),
        ("role end in the tenant", "cannot be read", |c| {
            c.refuse("GET /roleManagement/directory/roleAssignmentScheduleInstances", 403);
        }),
        ("protected units", "rights", |c| c.refuse("GET /directory/administrativeUnits", 403)),
        ("protected units", "try again", |c| c.refuse("GET /directory/administrativeUnits/{id}/members/{type}", 500)),
        ("custom role", "is not in this tenant", |c| c.scene.sim.remove_custom_role(TENANT, &c.custom)),
        ("custom role", "is disabled", |c| c.scene.sim.set_role_enabled(TENANT, &c.custom, false)),
        ("group", "Entra ID > Groups", |c| c.scene.sim.remove_group(TENANT, &c.group)),
        ("group", "computed by a rule", |c| c.scene.sim.make_group_dynamic(TENANT, &c.group)),
        ("group", "cannot be read", |c| c.refuse("GET /groups/{id}", 403)),
        ("protected account", "Object ID", |c| c.scene.sim.by_hand(TENANT).purge(&c.glass)),
        ("licence", "try again", |c| c.refuse("GET /organization", 503)),
        ("domains", "try again", |c| c.refuse("GET /domains", 500)),
    ];
    for (what, to_do, break_it) in breaks {
        let clinic = Clinic::open().await;
        let what = match what {
            "custom role" => role(&clinic.custom),
            "group" => group(&clinic.group),
            "protected account" => format!("protected account {}", clinic.glass),
            other => other.to_owned(),
        };
        break_it(&clinic);
        let lines = clinic.lines().await;
        if to_do == "try again" && what == "licence" {
            // A 503 holds the whole connection back for a moment: every later line says so, no earlier one does.
            assert_eq!(red(&lines)[0], what, "{lines:#?}");
        } else {
            assert_eq!(red(&lines), [what.as_str()], "{to_do}: {lines:#?}");
        }
        assert!(text(&lines, &what).contains(to_do), "{what} says {:?}, not {to_do:?}", text(&lines, &what));
    }
}

#[tokio::test]
async fn a_tenant_without_the_directory_role_or_a_domain_says_so_in_one_line() {
    let scene = Scene::start(Setup { roles: vec![], licence: Licence::P2, ..Setup::default() }).await;
    let lines = scene.entra.preflight(&DirectoryWants::default()).await;
    assert_eq!(red(&lines), ["directory role Privileged Authentication Administrator"]);
    assert!(text(&lines, red(&lines)[0]).contains("Roles & admins"));

    let clinic = Clinic::open().await;
    clinic.scene.sim.set_domain(TENANT, INITIAL, false, false);
    clinic.scene.sim.set_domain(TENANT, OWN, true, true);
    let lines = clinic.lines().await;
    assert_eq!(red(&lines), ["domains"], "each wanted one would say the same again");
}

#[tokio::test]
async fn without_a_token_only_that_is_red() {
    let clinic = Clinic::open().await;
    clinic.scene.sim.rotate_secret(APP, "another");
    let lines = clinic.lines().await;
    assert_eq!((red(&lines), lines.len()), (vec!["token"], 1));
    assert!(
        text(&lines, "token").contains("AADSTS7000215") && text(&lines, "token").contains("Certificates & secrets")
    );
    clinic.scene.sim.faults().add(Fault::on(TOKEN, Act::ResetBefore));
    let lines = clinic.lines().await;
    assert!(red(&lines) == ["token"] && text(&lines, "token").contains("try again"), "{lines:?}");
}

/// The token that is held tells of the rights of an hour ago.
#[tokio::test]
async fn a_right_that_was_just_granted_is_seen_at_once() {
    let clinic = Clinic::open().await;
    clinic.without("Domain.Read.All");
    assert_eq!(red(&clinic.lines().await), ["permission Domain.Read.All"]);
    clinic.without("");
    assert_eq!(red(&clinic.lines().await), [""; 0]);
}

#[tokio::test]
async fn an_optional_permission_that_is_missing_is_told_and_breaks_nothing() {
    for (permission, told) in [
        ("AdministrativeUnit.Read.All", vec!["permission AdministrativeUnit.Read.All (optional)", "protected units"]),
        ("Group.ReadWrite.All", vec!["permission Group.ReadWrite.All (optional)"]),
        ("Application.ReadWrite.All", vec!["permission Application.ReadWrite.All (optional)"]),
    ] {
        let clinic = Clinic::open().await;
        clinic.without(permission);
        let lines = clinic.lines().await;
        assert_eq!((red(&lines), notes(&lines)), (vec![], told), "{lines:#?}");
    }
}

#[tokio::test]
async fn a_smaller_licence_is_told_and_breaks_nothing() {
    for (licence, said) in [(Licence::P1, "Entra ID P1"), (Licence::Free, "neither Entra ID P1 nor P2")] {
        let clinic = Clinic::with(licence).await;
        let lines = clinic.lines().await;
        assert_eq!((red(&lines), notes(&lines)), (vec![], vec!["licence", "role end in the tenant"]), "{lines:#?}");
        assert!(text(&lines, "licence").contains(said));
    }
    let mut clinic = Clinic::open().await;
    clinic.scene.reconnect(&json!({"time_bound": "never", "protected": [clinic.glass]}), secret());
    assert_eq!(notes(&clinic.lines().await), ["role end in the tenant"]);
}

#[tokio::test]
async fn a_listed_account_that_only_we_spare_is_told() {
    let mut clinic = Clinic::open().await;
    let plain = clinic.scene.sim.add_user(TENANT, UserSeed::new("glass-3@contoso.onmicrosoft.com"));
    clinic.scene.reconnect(&json!({ "protected": [plain] }), secret());
    let lines = clinic.lines().await;
    let what = format!("protected account {plain}");
    assert_eq!((red(&lines), notes(&lines)), (vec![], vec![what.as_str()]));
    assert!(text(&lines, &what).contains("Restricted management"));

    let bare = Scene::start(Setup { licence: Licence::P2, ..Setup::default() }).await;
    bare.sim.set_permissions(TENANT, APP, &[&PERMISSIONS[..], &OPTIONAL].concat());
    let lines = bare.entra.preflight(&DirectoryWants::default()).await;
    assert_eq!(notes(&lines), ["protected units"], "no break-glass account at all is worth a word");
}

/// F110 F113
#[tokio::test]
async fn emergency_accounts_are_listed_with_every_protection_they_have() {
    let clinic = Clinic::open().await;
    let shown = |accounts: Vec<latchkey_contract::directory::ProtectedAccount>| -> BTreeSet<(String, String)> {
        accounts.into_iter().map(|a| (a.name, a.why)).collect()
    };
    let pair = |name: &str, why: &str| (name.to_owned(), why.to_owned());
    let unit = "in the restricted management unit Break glass";
    let first = format!("{unit}; listed under protected");
    let both = [pair("glass-1@contoso.onmicrosoft.com", &first), pair("glass-2@contoso.onmicrosoft.com", unit)];
    let listed = clinic.scene.entra.protected().await.unwrap();
    assert!(listed.iter().any(|account| account.object.as_str() == clinic.glass));
    assert_eq!(shown(listed), both.into());

    // Without the right to read units, what was listed stays visible.
    clinic.without("AdministrativeUnit.Read.All");
    clinic.scene.clock.move_by(std::time::Duration::from_secs(3600));
    let only = [pair("glass-1@contoso.onmicrosoft.com", "listed under protected")];
    assert_eq!(shown(clinic.scene.entra.protected().await.unwrap()), only.into());
    clinic.scene.sim.by_hand(TENANT).purge(&clinic.glass);
    let gone = [pair("", "listed under protected, and not there")];
    assert_eq!(shown(clinic.scene.entra.protected().await.unwrap()), gone.into());
    clinic.refuse("GET /directory/administrativeUnits", 500);
    assert!(matches!(clinic.scene.entra.protected().await, Err(CallError::Transient { .. })));
}

#[tokio::test]
async fn a_unit_of_thousands_is_an_error_and_not_a_shorter_list() {
    let clinic = Clinic::open().await;
    let users: Vec<Value> = (0..999).map(|n| json!({"id": n.to_string(), "userPrincipalName": "x"})).collect();
    let next =
        format!("{}/v1.0/directory/administrativeUnits/x/members/microsoft.graph.user", clinic.scene.sim.base_url());
    let page = |more: bool| match more {
        true => json!({ "value": users, "@odata.nextLink": next }),
        false => json!({ "value": users }),
    };
    let op = "GET /directory/administrativeUnits/{id}/members/{type}";
    let answer = |more| Act::Answer { status: 200, retry_after: None, body: page(more) };
    clinic.scene.sim.faults().add(Fault::on(op, answer(true)).times(5));
    clinic.scene.sim.faults().add(Fault::on(op, answer(false)).skip(5));
    assert!(matches!(clinic.scene.entra.protected().await, Err(CallError::Malformed { .. })));
}

/// F89
#[tokio::test]
async fn the_usable_domains_are_listed_the_initial_one_first() {
    let clinic = Clinic::open().await;
    let sim = &clinic.scene.sim;
    sim.add_domain(TENANT, "a-first.example", true, false);
    sim.add_domain(TENANT, "unproven.example", false, false);
    sim.add_domain(TENANT, "elsewhere.example", true, true);
    sim.set_default_domain(TENANT, OWN);
    let domain = |name: &str, is_default, is_initial| Domain { name: name.to_owned(), is_default, is_initial };
    assert_eq!(
        clinic.scene.entra.domains().await.unwrap(),
        [domain(INITIAL, false, true), domain("a-first.example", false, false), domain(OWN, true, false)]
    );
    clinic.without("Domain.Read.All");
    clinic.scene.clock.move_by(std::time::Duration::from_secs(3600));
    assert!(matches!(clinic.scene.entra.domains().await, Err(CallError::Unauthorized { code, .. })
        if code.contains("Domain.Read.All")));
}

#[tokio::test]
async fn a_connection_warns_as_the_plain_function_does() {
    let scene = Scene::start(Setup::default()).await;
    for id in [role("62e90394-69f5-4237-9190-012177145e10"), role(EXCHANGE)].map(entitlement) {
        assert_eq!(scene.entra.warning(&id), latchkey_entra::warning(&id));
    }
}
