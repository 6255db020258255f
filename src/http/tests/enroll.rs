//! Enrolment by invitation, told from outside.

use super::*;
use crate::{audit::Code, people::invitation, store::Invitation};

const CHOSEN: [(&str, &str); 2] = [("password", "unlikely words, four"), ("again", "unlikely words, four")];

async fn invite(site: &Site, person: &str) -> (String, Invitation) {
    let person: PersonId = person.parse().unwrap();
    let before = site.store.factors(&person).await.unwrap();
    let (token, made) = invitation(person, before.as_ref(), site.clock.now());
    site.store.invite(&made, &By::Service, site.clock.now()).await.unwrap();
    (token.expose().clone(), made)
}

async fn open(site: &Site, token: &str) -> (u16, String) {
    read(site.request(Method::GET, &format!("/enroll/{token}")).send().await.unwrap()).await
}

async fn post(site: &Site, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    read(site.form(path, fields).send().await.unwrap()).await
}

/// The app of somebody who types the secret that the page shows.
fn app(page: &str) -> OneTime {
    let shown = page.split("<output class=\"secret\">").nth(1).unwrap().split('<').next().unwrap();
    let bytes = totp_rs::Secret::try_from_base32(shown.replace(' ', "")).unwrap();
    OneTime::new(&Secret::new(bytes.as_bytes().to_vec()), &"jdoe".parse().unwrap()).unwrap()
}

/// F180: by the link alone, somebody gets a password and a one-time code that nobody else ever saw, once.
#[tokio::test]
async fn a_link_enrols_its_person_once() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let cookie = site.sign_in("jdoe").await.cookie;
    let (token, _) = invite(&site, "jdoe").await;
    let path = format!("/enroll/{token}");
    for _ in 0..3 {
        let (status, page) = open(&site, &token).await;
        assert_eq!((status, page.contains("Jane Doe") && page.contains(r#"value="jdoe""#)), (200, true), "{page}");
    }
    let (status, page) = post(&site, &path, &[CHOSEN[0], ("again", "unlikely words, five")]).await;
    assert_eq!((status, page.contains("The two differ")), (422, true));
    let (status, page) = post(&site, &path, &[("password", "short"), ("again", "short")]).await;
    assert_eq!((status, page.contains("at least 15 characters;")), (422, true), "{page}");
    let (status, page) = post(&site, &path, &CHOSEN).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("<svg") && page.contains("otpauth://totp/Latchkey:jdoe?secret="), "{page}");
    assert!(!page.contains("unlikely"), "the password is not sent back");
    let one_time = app(&page);
    let signed_in = site.request(Method::GET, "/").header("cookie", &cookie).send().await.unwrap();
    assert_eq!(signed_in.status(), 200, "nothing counts before the code");

    let code_path = format!("{path}/code");
    let (status, page) = post(&site, &code_path, &[("code", "000000")]).await;
    assert_eq!((status, page.contains("does not fit")), (403, true));
    assert_eq!(app(&page).base32().expose(), one_time.base32().expose(), "the same secret is shown again");
    let answer = site.form(&code_path, &[("code", &one_time.code(site.clock.now()))]).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (303, "/enrolled"));
    let ended = site.request(Method::GET, "/").header("cookie", cookie).send().await.unwrap();
    assert_eq!(ended.status(), 303, "every session ends");
    assert_eq!(open(&site, &token).await.0, 404);
    assert_eq!(post(&site, &path, &CHOSEN).await.0, 404);
    let audited = site.store.audit(1, 100).await.unwrap();
    let enrolled = audited.iter().rfind(|entry| entry.code == Code::PersonEnrolled).unwrap();
    assert_eq!(enrolled.by, Some(By::Person("jdoe".parse().unwrap())));
    assert_eq!((&enrolled.detail["way"], &enrolled.detail["is_first"]), (&"invitation".into(), &false.into()));

    let sign_in = async |password: &str, code: &str| {
        let fields = [("person", "jdoe"), ("password", password), ("code", code), ("next", "/")];
        site.form("/sign-in", &fields).send().await.unwrap().status().as_u16()
    };
    assert_eq!(sign_in(CHOSEN[0].1, &one_time.code(site.clock.now())).await, 403, "the code is used up");
    site.clock.pass(Duration::from_secs(30));
    assert_eq!(sign_in(PASSWORD, &site.code("jdoe")).await, 403, "the former factors are gone");
    assert_eq!(sign_in(CHOSEN[0].1, &one_time.code(site.clock.now())).await, 303);
}

/// F180: a link that was replaced, overtaken, is over or whose person is held enrols nobody, and does not say why.
#[tokio::test]
async fn every_link_that_is_not_good_is_answered_alike() {
    let mut site = Site::start().await;
    let (replaced, _) = invite(&site, "jdoe").await;
    let (overtaken, _) = invite(&site, "jdoe").await;
    let unknown = open(&site, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    assert_eq!(unknown.0, 404);
    assert_eq!(open(&site, &replaced).await, unknown);
    site.enroll("jdoe").await;
    assert_eq!(open(&site, &overtaken).await, unknown, "enrolled at the terminal since");
    let (late, _) = invite(&site, "jdoe").await;
    assert_eq!(open(&site, &late).await.0, 200);
    site.clock.pass(Duration::from_secs(24 * 3600));
    assert_eq!(open(&site, &late).await, unknown);
    assert_eq!(open(&site, "x").await, unknown);

    let (held, _) = invite(&site, "msmith").await;
    let (status, page) = post(&site, &format!("/enroll/{held}"), &CHOSEN).await;
    assert_eq!(status, 200);
    let code = app(&page).code(site.clock.now());
    site.block("msmith").await;
    assert_eq!(open(&site, &held).await, unknown, "a held person's");
    assert_eq!(post(&site, &format!("/enroll/{held}/code"), &[("code", &code)]).await, unknown);
    let (anew, _) = invite(&site, "msmith").await;
    assert_eq!(open(&site, &anew).await, unknown, "also one that is made while the hold stands");
    assert!(site.store.factors(&"msmith".parse().unwrap()).await.unwrap().is_none());
    let (gone, _) = invite(&site, "jdoe").await;
    site.save_records(&records_with(|r| r.replace("id = \"jdoe\"", "id = \"other\""))).await;
    assert_eq!(open(&site, &gone).await, unknown, "no longer in the records");
}

#[tokio::test]
async fn guesses_are_throttled_like_sign_ins() {
    let site = Site::start().await;
    let (token, _) = invite(&site, "jdoe").await;
    let path = format!("/enroll/{token}");
    let (_, page) = post(&site, &path, &CHOSEN).await;
    let one_time = app(&page);
    for _ in 0..5 {
        assert_eq!(post(&site, &format!("{path}/code"), &[("code", "000000")]).await.0, 403);
    }
    let right = one_time.code(site.clock.now());
    assert_eq!(post(&site, &format!("{path}/code"), &[("code", &right)]).await.0, 429);
    assert_eq!(post(&site, &path, &CHOSEN).await.0, 429);
    site.clock.pass(Duration::from_secs(16 * 60));
    let right = one_time.code(site.clock.now());
    assert_eq!(post(&site, &format!("{path}/code"), &[("code", &right)]).await.0, 303);

    let strange = "/enroll/BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
    for _ in 0..30 {
        assert_eq!(post(&site, strange, &CHOSEN).await.0, 404);
    }
    assert_eq!(post(&site, strange, &CHOSEN).await.0, 429);
}

#[tokio::test]
async fn a_link_leaves_no_trace_and_no_other_site_can_use_it() {
    let site = Site::start().await;
    let (token, _) = invite(&site, "jdoe").await;
    let path = format!("/enroll/{token}");
    for (method, path) in [(Method::GET, path.clone()), (Method::GET, "/enroll/unknown".to_owned())] {
        let answer = site.request(method, &path).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("referrer-policy"), "strict-origin", "{path}");
        assert_eq!(header("cache-control"), "no-store");
        assert!(!header("content-security-policy").contains("unsafe"));
    }
    for origin in [Some("https://evil.example"), Some("null"), None] {
        let request = site.request(Method::POST, &path).form(&CHOSEN);
        let request = if let Some(origin) = origin { request.header("origin", origin) } else { request };
        assert_eq!(request.send().await.unwrap().status(), 403, "{origin:?}");
    }
    let (status, page) = post(&site, &format!("{path}/code"), &[("code", "123456")]).await;
    assert_eq!((status, page.contains("does not work")), (404, true), "no password was chosen yet");
    for (method, path) in [(Method::DELETE, path.clone()), (Method::GET, format!("{path}/code"))] {
        assert_eq!(site.request(method, &path).send().await.unwrap().status(), 405);
    }
    let done = read(site.request(Method::GET, "/enrolled").send().await.unwrap()).await;
    assert_eq!((done.0, done.1.contains("/sign-in")), (200, true));
}
