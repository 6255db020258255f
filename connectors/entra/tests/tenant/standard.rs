//! An account that stays: given, ended, given again.

use latchkey_contract::directory::{How, Target};
use latchkey_simulators::graph::{GroupSeed, Refused};

use crate::harness::{EXCHANGE, HELPDESK, MARK, Scene, Setup, TENANT, UPN, grant, group, role};

#[tokio::test]
async fn a_grant_makes_an_account_and_its_end_leaves_nothing_in_it() {
    let mut scene = Scene::start(Setup::default()).await;
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    assert_eq!(scene.steps, ["create", "enable", "give"]);
    assert_eq!(scene.sign_in("s1").unwrap(), [EXCHANGE]);
    let user = scene.user().unwrap();
    assert_eq!(user["onPremisesExtensionAttributes"]["extensionAttribute15"], MARK);

    scene.steps.clear();
    let session = scene.sim.sign_in(TENANT, UPN, "Canary-s1-pass-9!xxxxxxxxxxxx").unwrap().session;
    scene.reach(&Target::Disabled).await.unwrap();
    assert_eq!(scene.steps, ["disable", "cut-sessions", "take", "cut-sessions", "scramble-password"]);
    assert_eq!(scene.sign_in("s1"), Err(Refused::Disabled));
    assert_eq!(scene.sim.use_session(&session), Err(Refused::Disabled));
    let seen = scene.observe().await.account.unwrap();
    assert!(!seen.is_enabled && seen.held.is_empty() && seen.methods.is_empty() && seen.owned.is_empty());

    // Even with sign-in allowed again by hand, neither the old password nor an old session opens the door.
    scene.sim.by_hand(TENANT).enable(UPN);
    assert_eq!(scene.sign_in("s1"), Err(Refused::WrongPassword));
    assert_eq!(scene.sim.use_session(&session), Err(Refused::SessionEnded));
}

/// F85
#[tokio::test]
async fn a_standard_account_is_given_again_with_another_password() {
    let mut scene = Scene::start(Setup::default()).await;
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    let first = scene.id();
    scene.reach(&Target::Disabled).await.unwrap();
    scene.steps.clear();
    let target = grant(&scene, "s2", &[&role(HELPDESK)]);
    scene.reach(&target).await.unwrap();
    assert_eq!(scene.steps, ["set-password", "enable", "give"]);
    assert_eq!(scene.id(), first);
    assert_eq!(scene.sign_in("s2").unwrap(), [HELPDESK]);
    assert_eq!(scene.sign_in("s1"), Err(Refused::WrongPassword));
}

#[tokio::test]
async fn groups_are_given_and_taken_and_their_roles_come_and_go_with_them() {
    let mut scene = Scene::start(Setup::default()).await;
    let id = scene.sim.add_group(
        TENANT,
        GroupSeed { display_name: "Helpdesk JIT".to_owned(), is_assignable_to_role: true, ..GroupSeed::default() },
    );
    scene.sim.by_hand(TENANT).assign_role(&id, HELPDESK, "/");
    let target = grant(&scene, "s1", &[&group(&id)]);
    scene.reach(&target).await.unwrap();
    assert_eq!(scene.sign_in("s1").unwrap(), [HELPDESK]);
    let held = scene.observe().await.account.unwrap().held;
    assert!(held.iter().any(|h| h.how == How::Inherited && h.entitlement.object().as_str() == HELPDESK), "{held:?}");
    scene.reach(&Target::Disabled).await.unwrap();
    assert!(scene.observe().await.account.unwrap().held.is_empty());
}

/// F124
#[tokio::test]
async fn one_of_two_grants_ends_and_the_other_goes_on() {
    let mut scene = Scene::start(Setup::default()).await;
    let both = grant(&scene, "s1", &[&role(EXCHANGE), &role(HELPDESK)]);
    scene.reach(&both).await.unwrap();
    let session = scene.sim.sign_in(TENANT, UPN, "Canary-s1-pass-9!xxxxxxxxxxxx").unwrap().session;
    scene.steps.clear();
    let rest = grant(&scene, "s1", &[&role(HELPDESK)]);
    scene.reach(&rest).await.unwrap();
    assert_eq!(scene.steps, ["take", "cut-sessions"]);
    assert_eq!(scene.sign_in("s1").unwrap(), [HELPDESK]);
    assert_eq!(scene.sim.use_session(&session), Err(Refused::SessionEnded));
}

#[tokio::test]
async fn what_was_gathered_during_a_grant_is_gone_at_its_end() {
    let mut scene = Scene::start(Setup::default()).await;
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    let hand = scene.sim.by_hand(TENANT);
    for kind in ["microsoftAuthenticatorAuthenticationMethod", "phoneAuthenticationMethod", "fido2AuthenticationMethod"]
    {
        hand.add_method(UPN, kind);
    }
    hand.assign_role(UPN, HELPDESK, "/");
    scene.steps.clear();
    // A second factor belongs to the grant; a role that somebody slipped in does not.
    scene.reach(&target).await.unwrap();
    assert_eq!(scene.steps, ["take", "cut-sessions"]);
    scene.reach(&Target::Disabled).await.unwrap();
    assert!(scene.sim.methods_of(TENANT, UPN).is_empty());
}
