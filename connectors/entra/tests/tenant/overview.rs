//! What an admin sees: what may be given, what is missing, which accounts are ours; and the certificate.

use latchkey_contract::{Check, Clock as _, Directory as _, EntitlementId, directory::DirectoryWants};
use latchkey_entra::{Credential, make_certificate};
use latchkey_simulators::graph::{GroupSeed, Licence, UserSeed};
use serde_json::json;

use crate::harness::{APP, EXCHANGE, Scene, Setup, TENANT, UPN, grant, role};

fn failed(checks: &[Check]) -> Vec<&str> {
    checks.iter().filter(|c| c.is_red()).map(|c| c.what.as_str()).collect()
}

#[tokio::test]
async fn the_catalogue_offers_roles_and_groups_that_can_be_given() {
    let scene = Scene::start(Setup::default()).await;
    let group = |name: &str| GroupSeed { display_name: name.to_owned(), ..GroupSeed::default() };
    let plain = scene.sim.add_group(TENANT, group("Plain"));
    let strong = scene.sim.add_group(TENANT, GroupSeed { is_assignable_to_role: true, ..group("Strong") });
    for seed in [
        GroupSeed { is_dynamic: true, ..group("Dynamic") },
        GroupSeed { is_synced: true, ..group("Synced") },
        GroupSeed { is_mail_enabled: true, ..group("Mail") },
    ] {
        scene.sim.add_group(TENANT, seed);
    }
    let all = scene.entra.catalogue().await.unwrap();
    let find = |id: &str| all.iter().find(|e| e.id.object().as_str() == id).map(|e| (e.name.as_str(), e.is_privileged));
    assert_eq!(find(&plain), Some(("Plain", false)));
    assert_eq!(find(&strong), Some(("Strong", true)));
    assert_eq!(all.iter().filter(|e| matches!(e.id, EntitlementId::Group(_))).count(), 2);
    assert_eq!(find("62e90394-69f5-4237-9190-012177145e10"), Some(("Global Administrator", true)));
    assert!(find(EXCHANGE).is_some());
}

#[tokio::test]
async fn a_tenant_that_is_set_up_passes_the_preflight() {
    let scene = Scene::start(Setup { licence: Licence::P2, ..Setup::default() }).await;
    let checks = scene.entra.preflight(&DirectoryWants::default()).await;
    assert!(failed(&checks).is_empty(), "{checks:?}");
}

#[tokio::test]
async fn the_preflight_says_what_is_missing_and_what_to_do() {
    let scene = Scene::start(Setup { roles: vec![], ..Setup::default() }).await;
    scene.sim.set_permissions(
        TENANT,
        APP,
        &["User.ReadWrite.All", "Domain.Read.All", "RoleManagement.ReadWrite.Directory"],
    );
    let checks = scene.entra.preflight(&DirectoryWants::default()).await;
    assert_eq!(
        failed(&checks),
        [
            "permission User-PasswordProfile.ReadWrite.All",
            "permission GroupMember.ReadWrite.All",
            "permission UserAuthenticationMethod.ReadWrite.All",
            "directory role Privileged Authentication Administrator",
        ]
    );
    scene.sim.rotate_secret(APP, "another");
    scene.clock.move_by(std::time::Duration::from_secs(3600));
    let checks = scene.entra.preflight(&DirectoryWants::default()).await;
    let said = checks[0].verdict.text();
    assert!(
        checks.len() == 1 && said.contains("AADSTS7000215") && said.contains("copy the secret's value"),
        "{checks:?}"
    );
}

#[tokio::test]
async fn marked_accounts_are_found_without_our_records() {
    let mut scene = Scene::start(Setup::default()).await;
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    for n in 0..250 {
        let mut seed = UserSeed::new(&format!("user{n}@contoso.onmicrosoft.com"));
        let mark = if n == 7 { json!("not one/of ours") } else { serde_json::Value::Null };
        seed.properties =
            json!({"onPremisesExtensionAttributes": {"extensionAttribute15": mark}}).as_object().unwrap().clone();
        scene.sim.add_user(TENANT, seed);
    }
    let marked = scene.entra.find_marked().await.unwrap();
    let short: Vec<(&str, bool, bool)> =
        marked.iter().map(|m| (m.name.as_str(), m.mark.is_some(), m.is_enabled)).collect();
    assert_eq!(short, [(UPN, true, true), ("user7@contoso.onmicrosoft.com", false, true)]);
}

#[tokio::test]
async fn a_directory_extension_carries_the_mark() {
    let mut scene = Scene::start(Setup::default()).await;
    let name = scene.sim.define_extension(APP, "latchkey");
    let secret = Credential::Secret(latchkey_contract::Secret::new("app-secret-canary".to_owned()));
    scene.reconnect(&json!({"mark": name}), secret);
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    assert!(scene.observe().await.account.unwrap().is_marked);
    assert_eq!(scene.entra.find_marked().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_certificate_made_here_opens_the_tenant() {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let mut scene = Scene::start(Setup::default()).await;
    let (key_pem, cert_pem) = make_certificate("latchkey contoso", 365, scene.clock.now()).unwrap();
    let der = CertificateDer::from_pem_slice(cert_pem.as_bytes()).unwrap().to_vec();
    scene.reconnect(&json!({}), Credential::Certificate { key_pem, cert_pem });
    let said = scene.entra.preflight(&DirectoryWants::default()).await;
    assert!(said[0].verdict.text().contains("AADSTS700027"), "{said:?}");
    scene.sim.set_certificates(APP, vec![der]);
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    assert_eq!(scene.sign_in("s1").unwrap(), [EXCHANGE]);
}
