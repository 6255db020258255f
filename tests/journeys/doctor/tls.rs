//! TLS of the service's own, and the address by which others come.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    time::Duration,
};

use latchkey::tls::TlsFiles;
use latchkey_contract::{Clock, Timestamp};
use latchkey_simulators::authority::Authority;
use rcgen::{CertificateParams, KeyPair};

use super::{
    super::harness::{TestApp, free_port},
    Clinic, look,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn put(app: &TestApp, (certificate, key): &(String, String)) {
    let (dir, _) = app.place();
    fs::write(dir.join("chain.pem"), certificate).unwrap();
    let path = dir.join("tls.key");
    fs::write(&path, key).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// Signed by itself, for this host until then.
fn pair(host: &str, until: Timestamp) -> (String, String) {
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    params.not_after = time::OffsetDateTime::from_unix_timestamp(until.seconds()).unwrap();
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// F176: each thing that can be wrong with a certificate of its own is a line.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_certificate_turns_its_own_line() {
    let Some(mut clinic) = Clinic::open().await else { return };
    let c = &mut clinic;
    let good = Authority::new().server_pem(&[]);
    put(&c.app, &good);
    let (dir, port) = (c.app.place().0.to_owned(), c.app.place().1);
    let key = latchkey::seal::KeyFile::Own(dir.join("tls.key"));
    let files = TlsFiles { certificate: dir.join("chain.pem"), key };
    c.app.down().await;
    c.app
        .up_configured(|config| {
            config.tls = Some(files);
            config.public_url = format!("https://localhost:{port}/").parse().unwrap();
        })
        .await;
    c.mended().await;
    let (seen, _, text) = look(&c.app).await;
    for name in ["TLS: files", "TLS: name", "TLS: end", "address: public_url", "address: reverse proxies"] {
        assert_eq!(seen[name].0, "ok", "{name} in:\n{text}");
    }
    assert!(seen["TLS: at public_url"].1.contains("does not trust it"), "nobody vouches for it here:\n{text}");

    c.turns(&[("TLS: files", "fault")], "chmod 600", async |c| {
        fs::set_permissions(c.app.place().0.join("tls.key"), Permissions::from_mode(0o644)).unwrap();
    })
    .await;
    put(&c.app, &good);
    c.mended().await;
    c.turns(&[("TLS: files", "fault")], "was not made for the key", async |c| {
        put(&c.app, &(good.0.clone(), Authority::new().server_pem(&[]).1));
    })
    .await;
    put(&c.app, &good);
    c.mended().await;
    let far = c.app.clock.now() + DAY * 365;
    c.turns(&[("TLS: name", "fault")], "it is not for localhost", async |c| put(&c.app, &pair("other.example", far)))
        .await;
    put(&c.app, &good);
    c.mended().await;
    let soon = c.app.clock.now() + DAY * 20;
    c.turns(&[("TLS: end", "note")], "20 days left", async |c| put(&c.app, &pair("localhost", soon))).await;
    let over = c.app.clock.now();
    c.turns(&[("TLS: end", "fault")], "it has expired", async |c| put(&c.app, &pair("localhost", over))).await;

    // The PSA's callbacks lead to the former address, and say so.
    let callbacks =
        [c.app.psa.desk.board, c.app.psa.projects.board].map(|id| format!("connection cw: callback of board {id}"));
    c.mended().await;
    let is_red = |name: &String| c.before[name].0 == "fault";
    assert!(callbacks.iter().all(is_red), "{:?}", c.before);
    c.turns(&[("address: public_url", "note")], "not reached from this machine", async |c| {
        c.app.down().await;
        let nobody = format!("https://localhost:{}/", free_port());
        c.app.up_configured(|config| config.public_url = nobody.parse().unwrap()).await;
    })
    .await;
    clinic.close().await;
}
