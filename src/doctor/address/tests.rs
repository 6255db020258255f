//! Against a server on loopback with a certificate of its own.

use std::{path::Path, sync::Arc};

use latchkey_simulators::authority::use_ring;
use rustls::{CertificateError, ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;

/// Answers whoever comes; its certificate, and its address by that name.
async fn server(name: &str, answer: &'static str) -> (CertificateDer<'static>, Url) {
    use_ring();
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let certificate = made.cert.der().clone();
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await.ok()?;
                let asked = stream.read(&mut [0; 4096]).await.ok()?;
                assert!(asked > 0, "somebody came and asked nothing");
                stream.write_all(answer.as_bytes()).await.ok()?;
                stream.shutdown().await.ok()
            });
        }
    });
    (certificate, Url::parse(&format!("https://127.0.0.1:{port}/livez")).unwrap())
}

const OURS: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nlive\n";
const OTHER: &str = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// F176: who answers at the public address, and with which certificate, is looked at from outside.
#[tokio::test]
async fn the_certificate_that_others_are_shown_is_seen_whoever_vouches_for_it() {
    let now = Timestamp::from_millis(1_790_000_000_000);
    let (made, url) = server("127.0.0.1", OURS).await;
    let (answer, shown) = ask(&url).await;
    assert_eq!((answer, shown.as_ref()), (Answer::Live, Some(&made)));
    let fault = untrusted(&url).await.expect("nobody vouches for it");
    let seen = |own, now, fault| certificate(own, shown.as_ref(), &url, now, fault);
    let unknown = seen(None, now, Some(&fault));
    assert!(!unknown.is_red() && unknown.verdict.text().contains("does not trust it"), "{unknown:?}");
    assert!(seen(None, now, None).verdict.text().contains("days left"));
    assert!(seen(Some(&made), now, None).verdict.text().contains("on disk is shown"));
    let late = crate::tls::not_after(&made).unwrap() + Duration::from_secs(1);
    let expired = seen(None, late, Some(&fault));
    assert!(expired.is_red() && expired.verdict.text().contains("has expired"), "{expired:?}");

    let (other, elsewhere) = server("other.example", OTHER).await;
    let (answer, shown) = ask(&elsewhere).await;
    assert_eq!((answer, shown.as_ref()), (Answer::Other(502), Some(&other)));
    let wrong = certificate(None, shown.as_ref(), &elsewhere, now, Some(&fault));
    assert!(wrong.is_red() && wrong.verdict.text().contains("it is not for 127.0.0.1"), "{wrong:?}");
    let before = certificate(Some(&other), Some(&made), &url, now, None);
    assert!(before.verdict.text().contains("another one than that on disk"), "{before:?}");
    assert!(certificate(None, None, &url, now, None).verdict.text().contains("none was shown"));
}

#[tokio::test]
async fn who_is_not_reached_from_here_may_be_reached_from_elsewhere() {
    use_ring();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (answer, shown) = ask(&Url::parse(&format!("https://{nobody}/livez")).unwrap()).await;
    assert!(matches!(answer, Answer::None(_)) && shown.is_none(), "{answer:?}");
    let words = [&Answer::Live, &Answer::Other(502), &answer].map(|answer| public(answer).word());
    assert_eq!(words, ["ok", "note", "note"]);
}

#[test]
fn a_tls_fault_is_found_however_deep() {
    let fault = Tls::InvalidCertificate(CertificateError::Expired);
    let deep = io::Error::other(io::Error::other(fault.clone()));
    assert_eq!(tls_fault(&deep), Some(&fault));
    assert_eq!(tls_fault(&io::Error::other("no")), None);
}

#[test]
fn a_proxy_that_is_not_named_is_noted() {
    let word = |text: &str| {
        let text = format!("data_dir = \"data\"\nkey_file = \"key\"\nlisten = \"127.0.0.1:0\"\n{text}");
        proxies(&Config::parse(&text, Path::new("/etc/latchkey.toml"), None).unwrap()).word()
    };
    let https = "public_url = \"https://latchkey.example.com\"\n";
    assert_eq!(word("public_url = \"http://127.0.0.1:8080\""), "note");
    assert_eq!(word(https), "note");
    assert_eq!(word(&format!("{https}trusted_proxies = [\"127.0.0.1\"]")), "ok");
    assert_eq!(word(&format!("{https}[tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"")), "ok");
}
