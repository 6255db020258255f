//! What breaks at a tenant.

use latchkey_simulators::graph::{AppSpec, Licence};

use super::{
    super::harness::{CLIENT, HELPDESK_ROLE, TENANT},
    Clinic, PERMISSIONS,
};

impl Clinic {
    async fn entra(&mut self, what: &str, to_do: &str, break_it: impl AsyncFnOnce(&mut Self)) {
        self.turns(&[(&format!("connection acme-entra: {what}"), "fault")], to_do, break_it).await;
    }

    fn permit(&self, but: &[&str]) {
        let left: Vec<&str> = PERMISSIONS.into_iter().filter(|permission| !but.contains(permission)).collect();
        self.app.entra.sim.set_permissions(TENANT, CLIENT, &left);
    }
}

/// F110: emergency access accounts that are listed and are not there are a fault; so is each permission that is missing.
#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_at_a_tenant_turns_its_own_line() {
    let Some(mut clinic) = Clinic::open().await else { return };
    let c = &mut clinic;
    c.entra("clock", "timedatectl", async |c| c.app.entra.sim.knobs(|k| k.date_off_ms = 300_000)).await;
    c.entra("directory role Privileged Authentication Administrator", "Add assignments", async |c| {
        let (client_id, permissions) = (CLIENT.to_owned(), PERMISSIONS.map(str::to_owned).to_vec());
        c.app.entra.sim.register_app(TENANT, AppSpec { client_id, permissions, ..AppSpec::default() });
    })
    .await;
    let account = format!("protected account {}", c.emergency);
    c.entra(&account, "Object ID", async |c| c.app.entra.sim.by_hand(TENANT).delete(&c.emergency)).await;

    let of = |what: &str| format!("connection acme-entra: {what}");
    let mut gone = vec!["Application.ReadWrite.All"];
    let optional = of("permission Application.ReadWrite.All (optional)");
    c.turns(&[(&optional, "note")], "Grant admin consent", async |c| c.permit(&gone)).await;
    gone.push("AdministrativeUnit.Read.All");
    let (optional, units) = (of("permission AdministrativeUnit.Read.All (optional)"), of("protected units"));
    let both = [(optional.as_str(), "note"), (units.as_str(), "note")];
    c.turns(&both, "Grant admin consent", async |c| c.permit(&gone)).await;
    let (licence, ends) = (of("licence"), of("role end in the tenant"));
    let both = [(licence.as_str(), "note"), (ends.as_str(), "note")];
    c.turns(&both, "P1", async |c| c.app.entra.sim.set_licence(TENANT, Licence::P1)).await;

    c.entra("domain contoso.onmicrosoft.com", "Entra ID > Domain names", async |c| {
        c.app.entra.sim.set_domain(TENANT, "contoso.onmicrosoft.com", false, false);
    })
    .await;
    c.entra("domains", "Entra ID > Domain names", async |c| {
        c.app.entra.sim.set_domain(TENANT, "contoso.example", true, true);
    })
    .await;
    for permission in
        ["UserAuthenticationMethod.ReadWrite.All", "User-PasswordProfile.ReadWrite.All", "Domain.Read.All"]
    {
        gone.push(permission);
        c.entra(&format!("permission {permission}"), "API permissions", async |c| c.permit(&gone)).await;
    }
    // What is not listed to us, we cannot give.
    gone.push("GroupMember.ReadWrite.All");
    let groups = of("permission GroupMember.ReadWrite.All");
    let both = [(groups.as_str(), "fault"), ("rulebook: policy.helpdesk.entitlements (2)", "note")];
    c.turns(&both, "API permissions", async |c| c.permit(&gone)).await;
    for permission in ["RoleManagement.ReadWrite.Directory", "User.ReadWrite.All"] {
        gone.push(permission);
        c.entra(&format!("permission {permission}"), "API permissions", async |c| c.permit(&gone)).await;
    }
    c.entra("token", "Certificates & secrets", async |c| c.app.entra.sim.rotate_secret(CLIENT, "another")).await;
    clinic.close().await;
}

/// F43: Global Administrator in a policy is told, and is no fault.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_gives_and_the_tenant_has_no_more_turns_its_own_line() {
    let Some(mut clinic) = Clinic::open().await else { return };
    let c = &mut clinic;
    let given = "rulebook: policy.exchange.entitlements";
    c.turns(&[(given, "note"), (&format!("{given} (2)"), "note")], "narrower role", async |c| {
        c.app
            .change_rules(|rules| {
                let policy =
                    rules.rulebook.policies.iter_mut().find(|policy| policy.id.as_str() == "exchange").unwrap();
                policy.entitlements.push("role:62e90394-69f5-4237-9190-012177145e10".to_owned().try_into().unwrap());
            })
            .await;
    })
    .await;
    let loud = c.before.values().filter(|(_, said)| said.contains("give a narrower role where one will do"));
    assert_eq!(loud.count(), 1, "{:?}", c.before);

    let group = format!("connection acme-entra: group:{}", c.app.entra.group);
    let inert = "rulebook: policy.helpdesk.entitlements (2)";
    c.turns(&[(&group, "fault"), (inert, "note")], "Entra ID > Groups", async |c| {
        c.app.entra.sim.remove_group(TENANT, &c.app.entra.group);
    })
    .await;
    let role = format!("connection acme-entra: role:{HELPDESK_ROLE}");
    c.turns(&[(&role, "fault")], "Roles & admins", async |c| {
        c.app.entra.sim.set_role_enabled(TENANT, HELPDESK_ROLE, false);
    })
    .await;
    clinic.close().await;
}
