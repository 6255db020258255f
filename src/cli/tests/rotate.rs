//! `latchkey secret rotate` against a pretend PSA and a pretend tenant: nothing changes before the vendor accepted it.

use super::{
    connection::{APP, tenant, tenant_records},
    *,
};
use base64::prelude::*;

fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    BASE64_STANDARD.decode(body).unwrap()
}

impl Place {
    async fn accepts(&self) -> bool {
        let check = self.type_in(&["connection", "test", "contoso"], io::empty()).await;
        check.output.contains("\n  ok     token ")
    }

    async fn names(&self) -> Vec<String> {
        let list = self.type_in(&["secret", "list"], io::empty()).await.ok();
        list.output.lines().map(str::to_owned).collect()
    }
}

/// F178: a client secret is tried before it is put in force.
#[tokio::test]
async fn a_client_secret_is_put_in_force_only_when_the_tenant_accepts_it() {
    let place = Place::new();
    let authority = Authority::new();
    let ca = place.write("ca.pem", authority.ca_pem());
    let sim = tenant(&authority).await;
    let file = place.write("records.toml", &tenant_records(&sim, "secret", &ca));
    place.type_in(&["records", "load", &file], io::empty()).await.ok();
    place.type_in(&["secret", "set", "contoso/client-secret"], Cursor::new("app-secret\n")).await.ok();

    let rotate = ["secret", "rotate", "contoso/client-secret"];
    let wrong = place.type_in(&rotate, Cursor::new("canary-wrong\n")).await.refused();
    assert!(wrong.contains("nothing was changed") && wrong.contains("AADSTS7000215"), "{wrong}");
    assert!(!wrong.contains("canary"), "{wrong}");
    assert!(place.accepts().await, "the former one is in force");
    assert!(place.type_in(&rotate, Cursor::new("\n")).await.refused().contains("empty"));

    sim.rotate_secret(APP, "second-secret");
    let done = place.type_in(&rotate, Cursor::new("second-secret\n")).await.ok();
    assert_eq!(done.output, "contoso/client-secret was accepted by the vendor and is in force.\n");
    assert!(place.accepts().await);

    let other_kind = place.type_in(&["secret", "rotate", "contoso/private-key"], Cursor::new("x\n")).await.refused();
    assert!(other_kind.contains("does not sign in by that"), "{other_kind}");
}

/// F178: certificates change without a moment in which no credential works.
#[tokio::test]
async fn a_certificate_waits_beside_the_one_in_force_until_the_tenant_accepts_it() {
    let place = Place::new();
    let authority = Authority::new();
    let ca = place.write("ca.pem", authority.ca_pem());
    let sim = tenant(&authority).await;
    let file = place.write("records.toml", &tenant_records(&sim, "certificate", &ca));
    place.type_in(&["records", "load", &file], io::empty()).await.ok();
    let first = place.type_in(&["certificate", "make", "contoso"], io::empty()).await.ok().output;
    sim.set_certificates(APP, vec![der(&first)]);
    assert!(place.accepts().await);
    let again = place.type_in(&["certificate", "make", "contoso"], io::empty()).await.refused();
    assert!(again.contains("--next"), "{again}");
    let rotate = ["secret", "rotate", "contoso/certificate"];
    let none = place.type_in(&rotate, io::empty()).await.refused();
    assert!(none.contains("latchkey certificate make contoso --next"), "{none}");

    let made = place.type_in(&["certificate", "make", "contoso", "--next"], io::empty()).await.ok();
    assert!(made.output.starts_with("-----BEGIN CERTIFICATE-----") && !made.output.contains("PRIVATE"));
    assert!(made.hints.contains("latchkey secret rotate contoso/certificate"), "{}", made.hints);
    assert!(place.accepts().await, "made, and not in force");
    let early = place.type_in(&rotate, io::empty()).await.refused();
    assert!(early.contains("AADSTS700027") && early.contains("upload it"), "{early}");
    assert!(place.accepts().await, "refused, and nothing changed");

    sim.set_certificates(APP, vec![der(&first), der(&made.output)]);
    assert!(place.accepts().await);
    let done = place.type_in(&rotate, io::empty()).await.ok();
    assert!(done.output.contains("is in force, with its key"), "{done:?}");
    sim.set_certificates(APP, vec![der(&made.output)]);
    assert!(place.accepts().await, "the new pair is the one in force");
    assert_eq!(place.names().await, ["contoso/certificate-key", "contoso/certificate"], "nothing is left waiting");
}

/// F178: a PSA's pair of keys is tried together, and its public half goes into the record with the private one.
#[tokio::test]
async fn a_pair_of_api_keys_is_rotated_as_a_pair() {
    let place = Place::new();
    let authority = Authority::new();
    let ca = place.write("ca.pem", authority.ca_pem());
    let psa = ConnectWise::start(Options::secure(&authority, SimClock::system())).await.unwrap();
    let tenant = psa.add_tenant("examplemsp", "Example MSP");
    let (old, new) = (tenant.add_api_member(243, "JitApi"), tenant.add_api_member(244, "JitApi2"));
    let file = place.write(
        "records.toml",
        &format!(
            "[[connection]]\nid = \"cw\"\nkind = \"connectwise\"\nsite = {:?}\ncompany = \"examplemsp\"\n\
             client_id = \"6b1f0c3e-0000-4000-8000-000000000001\"\npublic_key = {:?}\nnetwork = \"private\"\nca_file = {ca:?}\n",
            psa.base_url(),
            old.public_key,
        ),
    );
    place.type_in(&["records", "load", &file], io::empty()).await.ok();
    place.type_in(&["secret", "set", "cw/private-key"], Cursor::new(old.private_key.clone())).await.ok();
    let check = ["connection", "test", "cw"];
    place.type_in(&check, io::empty()).await.ok();

    let half = ["secret", "rotate", "cw/private-key"];
    let half = place.type_in(&half, Cursor::new(new.private_key.clone())).await.refused();
    assert!(half.contains("nothing was changed") && half.contains("ConnectWiseApi"), "{half}");
    place.type_in(&check, io::empty()).await.ok();
    let pair = ["secret", "rotate", "cw/private-key", "--public-key", &new.public_key];
    place.type_in(&pair, Cursor::new(new.private_key.clone())).await.ok();
    tenant.revoke_api_key(&old.public_key);
    place.type_in(&check, io::empty()).await.ok();
    let lone = ["secret", "rotate", "cw/hook-secret", "--public-key", "x"];
    assert!(place.type_in(&lone, io::empty()).await.refused().contains("private key alone"));
}
