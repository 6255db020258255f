//! The claim page, told from outside.

use latchkey_contract::directory::{Known, Observation};

use super::*;
use crate::access::{Cause, Proof, proof::Owed};

fn ended(site: &Site) -> State {
    let at = site.clock.now();
    let seen =
        |at| Observation { at, account: None, recycled: None, has_native_end: true, unchecked: vec![HOSTILE.into()] };
    let known = Known { sessions_cut: Some(at), ..Known::default() };
    let later = at + Duration::from_secs(5);
    let proof = Proof::of(Some(&seen(at)), &seen(later), &known, &Owed::Whole(Mode::Burner)).unwrap();
    State::Ended { cause: Cause::Expired, due: at, proof }
}

#[tokio::test]
async fn the_page_shows_everything_but_the_secret_and_escapes_what_a_ticket_says() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    site.active("g1", "jdoe").await;
    let browser = site.sign_in("jdoe").await;
    let (status, page) = browser.get("/claim/g1").await;
    assert_eq!(status, 200);
    for shown in [
        "Contoso",
        "Helpdesk Administrator",
        "4711",
        "Active",
        "2026-06-09 16:0",
        "https://psa.example.com/ticket?id=4711",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert!(!page.contains(SECRET) && !page.contains("jit-jdoe"), "GET never shows credentials");
    assert!(!page.contains("<svg") && page.contains("&#60;svg onload"), "{page}");
    let (_, list) = browser.get("/").await;
    assert!(list.contains("/claim/g1") && !list.contains("<svg"), "{list}");
}

#[tokio::test]
async fn a_fresh_code_reveals_once_and_the_reveal_is_recorded_first() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let before = site.active("g1", "jdoe").await;
    let browser = site.sign_in("jdoe").await;
    let code = site.fresh_code("jdoe");
    let (status, page) = browser.post("/claim/g1/reveal", &[("code", &code)]).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains(SECRET) && page.contains("jit-jdoe@contoso.onmicrosoft.com"), "{page}");
    assert_eq!(site.audit_codes().await, ["secret.revealed"]);
    let after = site.store.grant(&before.id).await.unwrap().unwrap();
    assert_eq!(after.state, before.state);

    let (status, page) = browser.post("/claim/g1/reveal", &[("code", &code)]).await;
    assert_eq!((status, page.contains(SECRET)), (403, false), "the code is used");
    assert!(!browser.get("/claim/g1").await.1.contains(SECRET));
    let (status, _) = browser.post("/claim/g1/reveal", &[("code", &site.fresh_code("jdoe"))]).await;
    assert_eq!((status, site.audit_codes().await.len()), (200, 2), "another fresh code, another entry");
}

#[tokio::test]
async fn nobody_but_the_requester_learns_that_the_grant_exists() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    site.enroll("msmith").await;
    site.active("g1", "jdoe").await;
    let browser = site.sign_in("msmith").await;
    let (status, theirs) = browser.get("/claim/g1").await;
    assert_eq!(status, 404);
    assert_eq!(theirs, browser.get("/claim/none").await.1, "the same page as for nothing at all");
    assert_eq!(theirs, browser.get("/claim/not%20an%20id").await.1);
    let (status, page) = browser.post("/claim/g1/reveal", &[("code", &site.fresh_code("msmith"))]).await;
    assert_eq!((status, page), (404, theirs.clone()));
    assert_eq!(browser.post("/claim/g1/extend", &[("length", "1h")]).await, (404, theirs.clone()));
    assert_eq!(browser.post("/claim/g1/end", &[]).await, (404, theirs));
    assert!(site.ends.0.lock().unwrap().is_empty());
    assert!(site.audit_codes().await.is_empty());
    assert!(!browser.get("/").await.1.contains("claim/g1"));
}

#[tokio::test]
async fn without_a_session_a_form_token_or_our_origin_nothing_is_revealed_or_ended() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    site.active("g1", "jdoe").await;
    let browser = site.sign_in("jdoe").await;
    let code = site.fresh_code("jdoe");
    let own = |name, value| vec![("form_token", browser.form_token.as_str()), (name, value)];
    for (path, fields) in [
        ("/claim/g1/reveal", own("code", code.as_str())),
        ("/claim/g1/extend", own("length", "1h")),
        ("/claim/g1/end", own("", "")[..1].to_vec()),
    ] {
        let fields = &fields[..];
        assert_eq!(site.form(path, fields).send().await.unwrap().status(), 303, "no session");
        let foreign = site.request(Method::POST, path).header("cookie", &browser.cookie).form(fields);
        assert_eq!(foreign.send().await.unwrap().status(), 403, "no origin");
        let forged = Browser { site: &site, cookie: browser.cookie.clone(), form_token: String::new() };
        assert_eq!(forged.post(path, &fields[1..]).await.0, 400, "no form token");
    }
    assert!(site.ends.0.lock().unwrap().is_empty() && site.audit_codes().await.is_empty());
}

#[tokio::test]
async fn wrong_codes_count_as_failures_and_are_throttled() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    site.active("g1", "jdoe").await;
    let browser = site.sign_in("jdoe").await;
    for _ in 0..5 {
        assert_eq!(browser.post("/claim/g1/reveal", &[("code", "000000")]).await.0, 403);
    }
    let code = site.fresh_code("jdoe");
    let (status, page) = browser.post("/claim/g1/reveal", &[("code", &code)]).await;
    assert_eq!((status, page.contains(SECRET)), (429, false));
    assert!(site.audit_codes().await.is_empty());
}

#[tokio::test]
async fn before_and_after_its_time_nothing_is_revealed_and_the_page_says_why() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let hour = Duration::from_secs(3600);
    site.grant("granting", "jdoe", |secret, now| State::Granting { secret, latest_end: now + hour }).await;
    let over = |secret, now: Timestamp| State::Active { secret, since: now, until: now, latest_end: now + hour };
    site.grant("over", "jdoe", over).await;
    site.grant("ending", "jdoe", |_, now| State::Ending { cause: Cause::EndedByPerson, since: now }).await;
    let state = ended(&site);
    site.grant("ended", "jdoe", |_, _| state).await;
    site.grant("refused", "jdoe", |_, now| State::Refused { why: HOSTILE.into(), at: now }).await;
    let browser = site.sign_in("jdoe").await;
    for (id, words) in [
        ("granting", "not ready yet"),
        ("over", "is over"),
        ("ending", "has ended"),
        ("ended", "has ended"),
        ("refused", "Nothing was given"),
    ] {
        let (status, page) = browser.post(&format!("/claim/{id}/reveal"), &[("code", &site.fresh_code("jdoe"))]).await;
        assert_eq!((status, page.contains(SECRET)), (409, false), "{id}");
        assert!(page.contains(words), "{id}: {page}");
        assert!(!page.contains("<svg"), "{id}");
        let (status, page) = browser.get(&format!("/claim/{id}")).await;
        assert_eq!((status, page.contains("/reveal")), (200, false), "{id} offers nothing to reveal");
    }
    assert!(site.audit_codes().await.is_empty());
}

#[tokio::test]
async fn a_ready_account_may_be_revealed_before_the_note_is_posted() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let hour = Duration::from_secs(3600);
    let ready = |secret, now| State::Delivering { secret, since: now, latest_end: now + hour };
    site.grant("g1", "jdoe", ready).await;
    let browser = site.sign_in("jdoe").await;
    let (status, page) = browser.post("/claim/g1/reveal", &[("code", &site.fresh_code("jdoe"))]).await;
    assert_eq!((status, page.contains(SECRET)), (200, true), "{page}");
}

#[tokio::test]
async fn a_switched_off_customer_reveals_nothing() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    site.active("g1", "jdoe").await;
    let browser = site.sign_in("jdoe").await;
    site.save_records(&records_with(|r| r.replace("jit = true", "jit = false"))).await;
    let (status, page) = browser.post("/claim/g1/reveal", &[("code", &site.fresh_code("jdoe"))]).await;
    assert_eq!((status, page.contains("switched off"), page.contains(SECRET)), (409, true, false));
}

#[tokio::test]
async fn a_destroyed_secret_is_not_revealed() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let grant = site.active("g1", "jdoe").await;
    let destroy = vec![grant.state.secret().unwrap().clone()];
    site.store.commit(Transition { destroy, ..Transition::new(CommitName::Command, site.clock.now()) }).await.unwrap();
    let browser = site.sign_in("jdoe").await;
    let (status, page) = browser.post("/claim/g1/reveal", &[("code", &site.fresh_code("jdoe"))]).await;
    assert_eq!((status, page.contains("are gone")), (409, true), "{page}");
    assert!(site.audit_codes().await.is_empty());
}

#[tokio::test]
async fn the_person_ends_it_with_one_button() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let grant = site.active("g1", "jdoe").await;
    let browser = site.sign_in("jdoe").await;
    assert_eq!(browser.post("/claim/g1/end", &[]).await.0, 303);
    assert_eq!(*site.ends.0.lock().unwrap(), [(grant.id, "jdoe".parse().unwrap())]);
}

#[tokio::test]
async fn after_the_end_the_proof_is_shown_with_what_it_could_not_check() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let state = ended(&site);
    site.grant("g1", "jdoe", |_, _| state).await;
    let browser = site.sign_in("jdoe").await;
    let (_, page) = browser.get("/claim/g1").await;
    for shown in [
        "Ended 2026-06-09 12:00 UTC: its time was over.",
        "Proof that it is off",
        "the account does not exist",
        "Could not be checked",
        "&#60;svg onload",
        "may still work until 2026-06-09 13:30 UTC",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert!(!page.contains("<svg") && !page.contains("End now"));
}

/// F31: the hold falls after it was looked at whether there is one, and before the reveal is written down: it wins.
#[tokio::test]
async fn a_block_that_falls_while_revealing_wins() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    site.active("g1", "jdoe").await;
    let browser = site.sign_in("jdoe").await;
    let code = site.fresh_code("jdoe");
    // Both the door and the reveal look at the rules: between the two they move, and under the second the hold falls.
    site.store.touch(&[], "test", "test", site.clock.now()).await.unwrap();
    site.stand_ins.meanwhile.lock().unwrap().extend([None, Some(site.blocked("jdoe"))]);
    let (status, page) = browser.post("/claim/g1/reveal", &[("code", &code)]).await;
    assert!(site.stand_ins.meanwhile.lock().unwrap().is_empty(), "it did fall");
    assert_eq!((status, page.contains(SECRET)), (409, false), "{page}");
    assert!(page.contains("Nothing is shown: jdoe is blocked."), "{page}");
    assert!(site.audit_codes().await.iter().all(|code| code != "secret.revealed"));
    assert_eq!(browser.get("/claim/g1").await.0, 303, "and is signed out");
}

/// F121: what the rules say to more time is shown as text; what is no length is not asked for.
#[tokio::test]
async fn why_there_is_no_more_time_is_told_on_the_page() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    site.active("g1", "jdoe").await;
    let browser = site.sign_in("jdoe").await;
    let (status, page) = browser.post("/claim/g1/extend", &[("length", "1h")]).await;
    assert_eq!(status, 409, "{page}");
    assert!(page.contains("Not extended: 1h is ") && !page.contains("<b>too"), "{page}");
    for length in ["for ever", "", "31d", "-1h"] {
        assert_eq!(browser.post("/claim/g1/extend", &[("length", length)]).await.0, 400, "{length:?}");
    }
}
