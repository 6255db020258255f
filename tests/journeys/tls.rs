//! The service's own TLS, over real connections.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::{Duration, Instant},
};

use latchkey::{
    app::{App, Parts},
    config::Config,
};
use latchkey_simulators::authority::{Authority, use_ring};
use reqwest::{Certificate, Client, Response, tls::TlsInfo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

use super::harness::{TestClock, stranger};

/// A running service with a certificate from an authority of its own.
struct Place {
    dir: tempfile::TempDir,
    authority: Authority,
    clock: TestClock,
    reload: Arc<Notify>,
    app: App,
}

impl Place {
    async fn new() -> Self {
        use_ring();
        let (dir, authority, clock) = (tempfile::tempdir().unwrap(), Authority::new(), TestClock::new());
        put(&dir, &authority.server_pem(&[]));
        let text = "data_dir = \"data\"\nkey_file = \"master.key\"\nlisten = \"127.0.0.1:0\"\n\
                    public_url = \"https://latchkey.example.com\"\n\
                    [tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n";
        let text = format!("{text}{}", stranger::configured(dir.path()));
        let config = Config::parse(&text, &dir.path().join("latchkey.toml"), None).unwrap();
        config.make_data_dir().unwrap();
        let parts = Parts::new(Arc::new(clock.clone()));
        let reload = Arc::clone(&parts.reload);
        let app = App::start(&config, parts).await.unwrap();
        Self { dir, authority, clock, reload, app }
    }

    /// A client with connections of its own.
    fn client(&self) -> Client {
        let root = Certificate::from_pem(self.authority.ca_pem().as_bytes()).unwrap();
        Client::builder().tls_certs_only([root]).tls_info(true).build().unwrap()
    }

    async fn get(&self, client: &Client) -> Response {
        client.get(format!("https://localhost:{}/livez", self.app.address().port())).send().await.unwrap()
    }

    /// The certificate that a client's connection was made with.
    async fn presented(&self, client: &Client) -> Vec<u8> {
        let answer = self.get(client).await;
        assert_eq!(answer.status(), 200);
        let presented = answer.extensions().get::<TlsInfo>().unwrap().peer_certificate().unwrap().to_vec();
        answer.bytes().await.unwrap();
        presented
    }

    /// Puts a pair in place; answers its certificate.
    fn put_new(&self) -> Vec<u8> {
        let pair = self.authority.server_pem(&[]);
        put(&self.dir, &pair);
        der(&pair.0)
    }

    /// Waits until new connections get this certificate; until then they get one of the others.
    async fn until_presented(&self, wanted: &[u8], before: &[u8]) {
        let began = Instant::now();
        loop {
            let presented = self.presented(&self.client()).await;
            if presented == wanted {
                return;
            }
            assert!(presented == before, "a certificate that was never to be used");
            assert!(began.elapsed() < Duration::from_secs(20), "it is not taken up");
        }
    }
}

fn put(dir: &tempfile::TempDir, (certificate, key): &(String, String)) {
    let at = |name| dir.path().join(name);
    std::fs::write(at("key.pem"), key).unwrap();
    std::fs::set_permissions(at("key.pem"), Permissions::from_mode(0o600)).unwrap();
    std::fs::write(at("chain.pem"), certificate).unwrap();
}

fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

/// F176: pages over TLS of the service's own, with a pair that is replaced while it runs.
#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_a_broken_one_for_none() {
    let place = Place::new().await;
    let old = place.client();
    let first = place.presented(&old).await;
    let answer = place.get(&old).await;
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
    drop(answer);

    let second = place.put_new();
    place.reload.notify_one();
    place.until_presented(&second, &first).await;
    assert_eq!(place.presented(&old).await, first, "the old connection lives on");

    let third = place.put_new();
    place.clock.pass(Duration::from_secs(61));
    place.until_presented(&third, &second).await;

    let (stranger, _) = place.authority.server_pem(&[]);
    std::fs::write(place.dir.path().join("chain.pem"), stranger).unwrap();
    place.reload.notify_one();
    assert_eq!(place.presented(&place.client()).await, third);
    let fourth = place.put_new();
    place.reload.notify_one();
    place.until_presented(&fourth, &third).await;
    place.app.stop().await;
}

/// F176: whoever speaks no TLS, or an old one, hears nothing of the pages.
#[tokio::test]
async fn plain_http_and_tls_1_1_are_refused() {
    let place = Place::new().await;
    let said = async |bytes: &[u8]| {
        let mut stream = TcpStream::connect(place.app.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut heard = Vec::new();
        // It may be cut off hard.
        let _ = stream.read_to_end(&mut heard).await;
        heard
    };
    let plain = said(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(!String::from_utf8_lossy(&plain).contains("HTTP/1.1"), "{plain:?}");

    // A hello of TLS 1.1: ECDHE suites of its time, curve P-256, and ECDSA with SHA-256.
    let extensions = [&[0, 10, 0, 4, 0, 2, 0, 23][..], &[0, 11, 0, 2, 1, 0], &[0, 13, 0, 4, 0, 2, 4, 3]].concat();
    let hello = |version: u8| {
        let body = [&[3, version][..], &[7; 32], &[0, 0, 4, 0xc0, 0x13, 0xc0, 0x09, 1, 0, 0, 22], &extensions].concat();
        let length = u8::try_from(body.len()).unwrap();
        [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
    };
    let alert = said(&hello(2)).await;
    let (fatal, protocol_version) = (2, 70);
    assert_eq!(alert[0], 21, "an alert: {alert:?}");
    assert_eq!(alert[5..7], [fatal, protocol_version], "{alert:?}");
    assert_ne!(said(&hello(3)).await[5..7], [fatal, protocol_version], "the version is what was refused");
    place.app.stop().await;
}
